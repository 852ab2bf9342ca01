"""Machines at providers, against stand-ins that remember and know the vendors' descriptions: made once, whatever breaks off."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
from fake_cloud import TOKEN, FakeCloud
from fake_digitalocean import FakeDigitalOcean
from fake_hetzner import FakeHetzner

from handful.errors import MachineError
from handful.provider import cloud
from handful.provider.cloud import Spec, Wanted, remembered
from handful.provider.digitalocean import DigitalOcean
from handful.provider.hetzner import Hetzner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== ann", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQ== bob")


@dataclass(frozen=True)
class Vendor:
    """A provider, its stand-in, and what a stack of two machines is there, by kind; making that takes so many changes."""

    fake: type[FakeCloud]
    provider: type[Hetzner | DigitalOcean]
    machines: Mapping[str, Spec]
    whole: Mapping[str, list[str]]
    changes: int
    servers: str


VENDORS = {
    "hetzner": Vendor(
        FakeHetzner, Hetzner, {"m1": Spec("cx22", "fsn1", "debian-13", "10.114.0.5", {"data": 20}, fixed=True), "m2": Spec("cx32", "fsn1", "debian-13")},
        {"servers": ["shop-m1", "shop-m2"], "ssh_keys": ["shop-1-ann", "shop-2-bob"], "networks": ["shop"], "firewalls": ["shop"],
         "volumes": ["shop-m1-data"], "primary_ips": [ANY, ANY]}, 10, "servers",
    ),
    "digitalocean": Vendor(
        FakeDigitalOcean, DigitalOcean, {"m1": Spec("s-1vcpu-1gb", "fra1", "debian-13", volumes={"data": 20}), "m2": Spec("s-2vcpu-4gb", "fra1", "ubuntu-24.04")},
        {"droplets": ["shop-m1", "shop-m2"], "keys": ["handful-shop-ann", "handful-shop-bob"], "vpcs": ["handful-shop"],
         "firewalls": ["handful-shop"], "tags": ["handful:shop", "handful:shop:m1", "handful:shop:m1:data", "handful:shop:m2"],
         "volumes": ["shop-m1-data"]}, 9, "droplets",
    ),
}
AT_EACH_CHANGE = [(name, number, after) for name, vendor in VENDORS.items() for number in range(1, vendor.changes + 1) for after in (False, True)]
each_vendor = pytest.mark.parametrize("vendor", VENDORS, indirect=True)


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A port of this computer that answers as sshd does."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(cloud, "SSH_PORT", listener.getsockname()[1])

    def greet() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                with caller:
                    caller.sendall(b"SSH-2.0-fake\r\n")

    threading.Thread(target=greet, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """The vendor of that name."""
    return VENDORS[request.param]


@pytest.fixture
def fake(vendor: Vendor, sshd: None) -> Iterator[FakeCloud]:
    """Its stand-in; all servers are this computer."""
    del sshd
    made = vendor.fake(lambda _: "127.0.0.1", lambda _: None)
    yield made
    made.close()


class Try:
    """A stack's view of the cloud."""

    def __init__(
        self, vendor: Vendor, fake: FakeCloud, folder: Path, *, stack: str = "shop", token: str = TOKEN, **machines: Spec
    ) -> None:
        self.said: list[str] = []
        wanted = Wanted(stack, machines or vendor.machines, "10.114.0.0/24", ("22/tcp", "80/tcp", "443/tcp", "53/udp"), KEYS)
        self.provider = vendor.provider(wanted, token, folder, endpoint=fake.endpoint, poll_seconds=0.01)
        self.names = dict.fromkeys(wanted.machines)

    def make(self) -> None:
        """Make what is missing."""
        here = self.provider.estate().servers
        self.provider.make({name: None for name in self.names if name not in here}, self.said.append)


def state(fake: FakeCloud) -> dict[str, list[str]]:
    """Return the names of all that is there."""
    return {kind: sorted(fake.names(kind)) for kind in fake.kept}


@each_vendor
def test_a_stack_is_made_and_goes(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """With network, firewall and keys; made again, nothing is; found again by labels alone, by whoever; nothing stays."""
    first = Try(vendor, fake, tmp_path / "a")
    first.make()
    assert state(fake) == vendor.whole
    servers = Try(vendor, fake, tmp_path / "b").provider.estate().servers
    spec = vendor.machines["m1"]
    assert (servers["m1"].size, servers["m1"].state) == (spec.size, "running")
    assert servers["m1"].private == (spec.private or servers["m1"].private)
    assert all(each.private.startswith("10.114.0.") for each in servers.values())
    assert remembered(tmp_path / "b", "deploy", None)["m1"].host == "127.0.0.1"
    before = len(fake.changes)
    first.make()
    assert len(fake.changes) == before
    first.provider.destroy_all(first.said.append)
    assert state(fake) == {kind: [] for kind in vendor.whole}
    assert remembered(tmp_path / "a", None, None) == {}
    assert cloud.devices(tmp_path / "a") == {}


@pytest.mark.parametrize(("vendor", "number", "after"), AT_EACH_CHANGE, indirect=["vendor"])
def test_whatever_breaks_off_the_next_try_finishes(vendor: Vendor, fake: FakeCloud, tmp_path: Path, number: int, *, after: bool) -> None:
    """At each request that changes something, before and after it was done: in the end everything is there once."""
    fake.fail_at, fake.fail_after = number, after
    one = Try(vendor, fake, tmp_path)
    with suppress(MachineError):
        one.make()
    assert len(fake.changes) >= number
    one.make()
    assert state(fake) == vendor.whole
    assert all(each.private for each in one.provider.estate().servers.values())


@each_vendor
@pytest.mark.parametrize("number", range(1, 7))
def test_a_teardown_that_breaks_off_is_finished(vendor: Vendor, fake: FakeCloud, tmp_path: Path, number: int) -> None:
    """Servers go before what they use."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    fake.fail_at, fake.fail_after = len(fake.changes) + number, True
    with suppress(MachineError):
        one.provider.destroy_all(one.said.append)
    one.provider.destroy_all(one.said.append)
    assert state(fake) == {kind: [] for kind in vendor.whole}


@each_vendor
def test_what_is_not_the_stacks_is_left_alone(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Another environment of the project, beside it, and keys that somebody else has put there."""
    m1 = vendor.machines["m1"]
    prod, stage = Try(vendor, fake, tmp_path / "p", stack="shop-prod", m1=m1), Try(vendor, fake, tmp_path / "s", m1=m1)
    prod.make()
    before = state(fake)
    stage.make()
    stage.provider.destroy_all(stage.said.append)
    assert state(fake) == before


@pytest.mark.parametrize("vendor", ["hetzner"], indirect=True)
def test_a_server_of_a_machines_name_that_is_not_the_stacks(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Hetzner gives a name once: it is said, and left alone."""
    prod = Try(vendor, fake, tmp_path, stack="shop-prod", m1=vendor.machines["m1"])
    prod.make()
    for server in fake.kept["servers"].values():
        server["labels"] = {}
    with pytest.raises(MachineError, match="shop-prod-m1 that is not labelled as this stack's"):
        prod.make()
    assert len(fake.kept["servers"]) == 1


@each_vendor
def test_a_machine_that_is_replaced_has_its_volumes_again(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """And, where that is asked for, its address; a volume grows with the file, and goes when that is said."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    before = one.provider.estate()
    assert before.volumes_of("m1")["data"].gigabytes == 20
    assert cloud.devices(tmp_path)["m1"]["data"] == before.volumes_of("m1")["data"].device
    assert before.opened == {"22/tcp", "80/tcp", "443/tcp", "53/udp"}
    one.provider.destroy(["m1"], one.said.append, volumes=False)
    (kept,) = one.provider.estate().volumes
    assert not kept.attached
    bigger = replace(vendor.machines["m1"], volumes={"data": 30})
    two = Try(vendor, fake, tmp_path, **{**vendor.machines, "m1": bigger})
    two.make()
    found = two.provider.estate()
    assert state(fake) == vendor.whole
    assert (found.volumes_of("m1")["data"].attached, found.volumes_of("m1")["data"].gigabytes) == (True, 30)
    assert found.servers["m1"].fixed == before.servers["m1"].fixed == vendor.machines["m1"].fixed
    assert found.servers["m1"].address == before.servers["m1"].address
    two.provider.destroy(["m1"], one.said.append, volumes=True)
    assert two.provider.estate().volumes == ()


@each_vendor
def test_a_machine_becomes_larger(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """It is stopped for that, and runs again; what breaks off in between goes on from there."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    larger = Try(vendor, fake, tmp_path, **{**vendor.machines, "m1": replace(vendor.machines["m1"], size=vendor.machines["m2"].size)})
    for number in range(1, 4):
        fake.fail_at, fake.fail_after = len(fake.changes) + number, True
        with suppress(MachineError):
            larger.provider.resize("m1", larger.said.append)
    larger.provider.resize("m1", larger.said.append)
    server = larger.provider.estate().servers["m1"]
    assert (server.size, server.running) == (vendor.machines["m2"].size, True)
    assert "stopping m1" in larger.said


@each_vendor
def test_a_size_that_cannot_be_had_now_leaves_the_machine_running(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """As it was."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    larger = Try(vendor, fake, tmp_path, **{**vendor.machines, "m1": replace(vendor.machines["m1"], size=vendor.machines["m2"].size)})
    fake.fail_at = len(fake.changes) + 2
    with pytest.raises(MachineError):
        larger.provider.resize("m1", larger.said.append)
    server = larger.provider.estate().servers["m1"]
    assert (server.size, server.running) == (vendor.machines["m1"].size, True)


@each_vendor
def test_what_is_wrong_is_told_before_a_machine_goes(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """And an address that is to stay is kept from then on."""
    plain = {**vendor.machines, "m1": replace(vendor.machines["m1"], fixed=False)}
    Try(vendor, fake, tmp_path, **plain).make()
    wrong = Try(vendor, fake, tmp_path, m1=replace(vendor.machines["m1"], size="no-such"))
    with pytest.raises(MachineError, match="no size no-such"):
        wrong.provider.check("m1", wrong.said.append)
    one = Try(vendor, fake, tmp_path)
    before = one.provider.estate().servers["m1"]
    one.provider.check("m1", one.said.append)
    one.provider.destroy(["m1"], one.said.append, volumes=False)
    one.make()
    after = one.provider.estate().servers["m1"]
    assert after.fixed == vendor.machines["m1"].fixed
    assert after.address == before.address


@pytest.mark.parametrize("vendor", ["hetzner"], indirect=True)
def test_a_firewall_that_was_removed_is_put_before_the_servers_again(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Not only made."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    fake.kept["firewalls"].clear()
    assert one.provider.estate().opened == frozenset()
    one.make()
    (firewall,) = fake.kept["firewalls"].values()
    assert {each["server"]["id"] for each in firewall["applied_to"]} == set(fake.kept["servers"])


@pytest.mark.parametrize("vendor", ["digitalocean"], indirect=True)
def test_two_people_at_once_make_one_machine(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """DigitalOcean gives a name twice: the second goes."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    first = next(number for number, each in fake.kept["droplets"].items() if each["name"] == "shop-m1")
    one.provider.make({"m2": None}, one.said.append)
    droplet = fake.kept["droplets"][first]
    fake.kept["droplets"][999] = {**droplet, "id": 999}
    assert one.provider.estate().servers["m1"].state == "running"
    one.provider.make({"m1": None}, one.said.append)
    assert [number for number, each in fake.kept["droplets"].items() if each["name"] == "shop-m1"] == [first]
    assert "m1 was made twice at the same time: the second goes (999)" in one.said


@each_vendor
def test_nobody_could_log_in(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Who has no key is told so before a machine is made; to look at what is there takes none."""
    wanted = Wanted("shop", vendor.machines, "10.114.0.0/24", ("22/tcp",), ())
    provider = vendor.provider(wanted, TOKEN, tmp_path, endpoint=fake.endpoint, poll_seconds=0.01)
    assert provider.estate().servers == {}
    with pytest.raises(MachineError, match="there is no public key"):
        provider.make({"m1": None}, lambda _: None)
    assert fake.names(vendor.servers) == []
    provider.destroy_all(lambda _: None)


@each_vendor
def test_the_firewall_follows_the_file(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Also when no machine is to be made."""
    one = Try(vendor, fake, tmp_path)
    one.make()
    (firewall,) = fake.kept["firewalls"].values()
    key = "rules" if "rules" in firewall else "inbound_rules"
    whole = firewall[key]
    firewall[key] = whole[:1]
    one.make()
    assert len(firewall[key]) == len(whole) >= 4
    one.make()
    assert sum("firewalls" in change for change in fake.changes) == 2


@each_vendor
def test_a_limit_keeps_what_was_made(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """And shows it."""
    fake.limit = 1
    one = Try(vendor, fake, tmp_path)
    with pytest.raises(MachineError) as refused:
        one.make()
    assert "limit" in refused.value.advice
    assert "reached" in refused.value.advice
    assert list(one.provider.estate().servers) == ["m1"]


@pytest.mark.parametrize(("vendor", "changes", "message", "advice"), [
    ("hetzner", {"token": "wrong"}, "unauthorized", "The token is wrong"),
    ("hetzner", {"m1": Spec("cx99", "fsn1", "debian-13")}, "Hetzner has no size cx99", "It has: cx22, cx32"),
    ("hetzner", {"m1": Spec("cx22", "mars", "debian-13")}, "Hetzner has no region mars", "It has: fsn1, nbg1"),
    ("digitalocean", {"token": "wrong"}, "(401)", "The token is wrong"),
    ("digitalocean", {"m1": Spec("s-9", "fra1", "debian-13")}, "no size s-9 in fra1", "It has: s-1vcpu-1gb, s-2vcpu-4gb"),
    ("digitalocean", {"m1": Spec("s-1vcpu-1gb", "old1", "debian-13")}, "no region old1 that takes droplets", "It has: fra1"),
], indirect=["vendor"])  # fmt: skip
def test_what_is_wrong_is_told_with_what_there_is(
    vendor: Vendor, fake: FakeCloud, tmp_path: Path, changes: dict[str, Any], message: str, advice: str
) -> None:
    """Before a machine is made."""
    with pytest.raises(MachineError) as refused:
        Try(vendor, fake, tmp_path, **changes).make()
    assert message in refused.value.message
    assert advice in refused.value.advice
    assert fake.names(vendor.servers) == []


@each_vendor
def test_where_all_machines_exist_nothing_is_made(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """A provider in the file is no reason for a network."""
    wanted = Wanted("shop", {}, "10.114.0.0/24", ("22/tcp",), KEYS)
    vendor.provider(wanted, TOKEN, tmp_path, endpoint=fake.endpoint, poll_seconds=0.01).make({}, lambda _: None)
    assert fake.changes == []


@each_vendor
def test_nothing_that_answers(vendor: Vendor, fake: FakeCloud, tmp_path: Path) -> None:
    """Is told as that."""
    one = Try(vendor, fake, tmp_path)
    one.provider = vendor.provider(Wanted("shop", {}, "", (), ()), TOKEN, tmp_path, endpoint="http://127.0.0.1:9", poll_seconds=0.01)
    with pytest.raises(MachineError, match="does not answer as it should"):
        one.provider.estate()


def test_ssh_that_does_not_come_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the address; the machine is kept."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(cloud, "SSH_PORT", silent.getsockname()[1])
        with pytest.raises(MachineError, match=r"ssh does not answer after 0 s: m1 \(127.0.0.1\)"):
            cloud.wait_for_ssh({"m1": "127.0.0.1"}, lambda _: None, 0.3)
    del tmp_path


def test_the_host_key_of_an_address_that_is_given_anew_is_forgotten(tmp_path: Path) -> None:
    """And no other."""
    (tmp_path / "known_hosts").write_text("192.0.2.1 ssh-ed25519 A\n192.0.2.10 ssh-ed25519 B\n")
    cloud.forget_host_keys(tmp_path, ["192.0.2.1"])
    assert (tmp_path / "known_hosts").read_text() == "192.0.2.10 ssh-ed25519 B\n"
