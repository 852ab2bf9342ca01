"""Machines at Hetzner, against a cloud that remembers and knows the vendor's description: made once, whatever breaks off."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from fake_hetzner import TOKEN, FakeHetzner

from handful.errors import MachineError
from handful.provider import cloud
from handful.provider.cloud import Spec, Wanted, remembered
from handful.provider.hetzner import Hetzner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== ann", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQ== bob")
MACHINES = {"m1": Spec("cx22", "fsn1", "debian-13", "10.114.0.5"), "m2": Spec("cx32", "fsn1", "debian-13")}


@pytest.fixture
def hetzner(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHetzner]:
    """A cloud whose servers are ports of this computer that answer as sshd does."""
    sshd = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(cloud, "SSH_PORT", sshd.getsockname()[1])

    def greet() -> None:
        with suppress(OSError):
            while True:
                caller, _ = sshd.accept()
                with caller:
                    caller.sendall(b"SSH-2.0-fake\r\n")

    threading.Thread(target=greet, daemon=True).start()
    fake = FakeHetzner(lambda _: "127.0.0.1", lambda _: None)
    yield fake
    fake.close()
    sshd.shutdown(socket.SHUT_RDWR)
    sshd.close()


class Try:
    """A stack's view of the cloud."""

    def __init__(self, fake: FakeHetzner, folder: Path, *, stack: str = "shop", token: str = TOKEN, **machines: Spec) -> None:
        self.said: list[str] = []
        self.folder, self._fake = folder, fake
        wanted = Wanted(stack, machines or MACHINES, "10.114.0.0/24", (22, 80, 443), KEYS)
        self.provider = Hetzner(wanted, token, folder, endpoint=fake.endpoint, poll_seconds=0.01)
        self.names = dict.fromkeys(wanted.machines)

    def make(self) -> None:
        """Make what is missing."""
        here = self.provider.servers()
        self.provider.make({name: None for name in self.names if name not in here}, self.said.append)


def state(fake: FakeHetzner) -> dict[str, list[str]]:
    """Return the names of all that is there."""
    return {kind: sorted(fake.names(kind)) for kind in fake.kept}


WHOLE = {"servers": ["shop-m1", "shop-m2"], "ssh_keys": ["shop-1-ann", "shop-2-bob"], "networks": ["shop"], "firewalls": ["shop"]}


def test_a_stack_is_made_and_goes(hetzner: FakeHetzner, tmp_path: Path) -> None:
    """With network, firewall and keys; made again, nothing is; found again by labels alone, by whoever; nothing stays."""
    first = Try(hetzner, tmp_path / "a")
    first.make()
    assert state(hetzner) == WHOLE
    servers = Try(hetzner, tmp_path / "b").provider.servers()
    assert (servers["m1"].private, servers["m1"].size, servers["m1"].state) == ("10.114.0.5", "cx22", "running")
    assert servers["m2"].private.startswith("10.114.0.")
    assert remembered(tmp_path / "b", "deploy", None)["m1"].host == "127.0.0.1"
    (firewall,) = hetzner.kept["firewalls"].values()
    assert [(rule["protocol"], rule.get("port")) for rule in firewall["rules"]] == [("tcp", "22"), ("tcp", "80"), ("tcp", "443"), ("icmp", None)]
    before = len(hetzner.changes)
    first.make()
    assert len(hetzner.changes) == before
    first.provider.destroy_all(first.said.append)
    assert state(hetzner) == {kind: [] for kind in WHOLE}
    assert remembered(tmp_path / "a", None, None) == {}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
def test_whatever_breaks_off_the_next_try_finishes(hetzner: FakeHetzner, tmp_path: Path, number: int, *, after: bool) -> None:
    """At each request that changes something, before and after it was done: in the end everything is there once."""
    hetzner.fail_at, hetzner.fail_after = number, after
    one = Try(hetzner, tmp_path)
    with suppress(MachineError):
        one.make()
    assert len(hetzner.changes) >= number
    one.make()
    assert state(hetzner) == WHOLE
    assert all(server["private_net"] for server in hetzner.kept["servers"].values())


@pytest.mark.parametrize("number", range(1, 7))
def test_a_teardown_that_breaks_off_is_finished(hetzner: FakeHetzner, tmp_path: Path, number: int) -> None:
    """Servers go before what they use."""
    one = Try(hetzner, tmp_path)
    one.make()
    hetzner.fail_at, hetzner.fail_after = len(hetzner.changes) + number, True
    with suppress(MachineError):
        one.provider.destroy_all(one.said.append)
    one.provider.destroy_all(one.said.append)
    assert state(hetzner) == {kind: [] for kind in WHOLE}


def test_what_is_not_the_stacks_is_left_alone(hetzner: FakeHetzner, tmp_path: Path) -> None:
    """Another environment of the project, beside it; a key that somebody else has put there; a server of the same name."""
    prod, stage = Try(hetzner, tmp_path / "p", stack="shop-prod", m1=MACHINES["m1"]), Try(hetzner, tmp_path / "s", m1=MACHINES["m1"])
    prod.make()
    stage.make()
    assert len(hetzner.kept["ssh_keys"]) == len(KEYS)
    stage.provider.destroy_all(stage.said.append)
    assert state(hetzner)["servers"] == ["shop-prod-m1"]
    assert len(hetzner.kept["ssh_keys"]) == len(KEYS)
    for server in hetzner.kept["servers"].values():
        server["labels"] = {}
    with pytest.raises(MachineError, match="shop-prod-m1 that is not labelled as this stack's"):
        prod.make()
    assert len(hetzner.kept["servers"]) == 1


def test_the_firewall_follows_the_file(hetzner: FakeHetzner, tmp_path: Path) -> None:
    """Also when no machine is to be made."""
    one = Try(hetzner, tmp_path)
    one.make()
    (firewall,) = hetzner.kept["firewalls"].values()
    firewall["rules"] = firewall["rules"][:1]
    one.make()
    assert len(firewall["rules"]) == 4


def test_a_limit_keeps_what_was_made(hetzner: FakeHetzner, tmp_path: Path) -> None:
    """And shows it."""
    hetzner.limit = 1
    one = Try(hetzner, tmp_path)
    with pytest.raises(MachineError) as refused:
        one.make()
    assert "limit is reached" in refused.value.advice
    assert list(one.provider.servers()) == ["m1"]


@pytest.mark.parametrize(("changes", "message", "advice"), [
    ({"token": "wrong"}, "unauthorized", "The token is wrong"),
    ({"m1": Spec("cx99", "fsn1", "debian-13")}, "Hetzner has no size cx99", "It has: cx22, cx32"),
    ({"m1": Spec("cx22", "mars", "debian-13")}, "Hetzner has no region mars", "It has: fsn1, nbg1"),
])
def test_what_is_wrong_is_told_with_what_there_is(
    hetzner: FakeHetzner, tmp_path: Path, changes: dict[str, object], message: str, advice: str
) -> None:
    """Before a machine is made."""
    with pytest.raises(MachineError) as refused:
        Try(hetzner, tmp_path, **changes).make()  # type: ignore[arg-type]
    assert message in refused.value.message
    assert advice in refused.value.advice
    assert hetzner.names("servers") == []


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
