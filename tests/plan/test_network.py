"""Each machine's part of the private network, as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handful.config.check_network import check_network
from handful.config.model import Config
from handful.facts.survey import Survey
from handful.plan.firewall import open_ports, opening
from handful.plan.network import follows, is_joined, join, packages, part_of

MACHINES = {f"m{number}": {"address": f"192.0.2.{number}", "private": f"10.99.0.{number}"} for number in (1, 2, 3)}
HOSTS = {name: told["address"] for name, told in MACHINES.items()}
SURVEYS = {name: Survey(name, wireguard_key=f"key{name}") for name in MACHINES}
PART = "address 10.99.0.1/24\npeer keym2 192.0.2.2:51820 10.99.0.2\npeer keym3 192.0.2.3:51820 10.99.0.3"


def config(machines: dict[str, Any] | None = None, **network: Any) -> Config:
    """Return a config of machines that are joined."""
    told = {"range": "10.99.0.0/24", **network}
    return Config.model_validate({"project": "shop", "provider": {"name": "lab"}, "machines": machines or MACHINES, "network": told})


def test_who_joins() -> None:
    """Machines that exist, unless somebody else has done so; a lab has a network."""
    assert is_joined(config())
    assert not is_joined(config(join="none"))
    assert not is_joined(config({"m1": {}, "m2": {}}))
    assert is_joined(config({"m1": {}}, join="wireguard"))
    assert not is_joined(Config.model_validate({"project": "shop", "machines": MACHINES}))


def test_a_machine_knows_all_others_that_have_told_their_key() -> None:
    """One that never told it comes in with the next try; one that is away is not lost; one that the file lost goes."""
    assert part_of(config(), "m1", SURVEYS, HOSTS) == PART
    away = {name: each for name, each in SURVEYS.items() if name != "m3"}
    assert part_of(config(), "m1", away, HOSTS) == PART.rpartition("\n")[0]
    known = {**away, "m1": replace(SURVEYS["m1"], peers=PART)}
    assert part_of(config(), "m1", known, HOSTS) == PART
    two = config({name: MACHINES[name] for name in ("m1", "m2")})
    assert part_of(two, "m1", known, HOSTS) == PART.rpartition("\n")[0]
    done = replace(SURVEYS["m1"], wireguard_up=True, peers=PART, files={"/var/lib/handful/wireguard.bash": "# script\n"})
    assert join("shop", done, PART, "# script") is None
    for undone in (replace(done, wireguard_up=False), replace(done, peers=""), replace(done, files={})):
        step = join("shop", undone, PART, "# script")
        assert step is not None
        assert step.values["says"] == "private network: 10.99.0.1/24, with 10.99.0.2, 10.99.0.3"


def test_a_part_that_follows_the_file() -> None:
    """All machines that are there now are in it, and nobody besides those of the file."""
    assert follows(config(), PART, MACHINES)
    assert not follows(config(), PART.rpartition("\n")[0], MACHINES)
    assert follows(config(), PART.rpartition("\n")[0], ["m1", "m2"])
    assert not follows(config({name: MACHINES[name] for name in ("m1", "m2")}), PART, ["m1", "m2"])
    assert not follows(config(), "", MACHINES)
    assert follows(config(join="none"), "", MACHINES)


def test_the_kernels_is_taken_where_it_is_there() -> None:
    """Else a program."""
    assert packages(Survey("m1", kernel_wireguard=True)) == ("wireguard-tools",)
    assert packages(Survey("m1")) == ("wireguard-tools", "wireguard-go")


def test_only_the_tunnel_brings_what_comes_from_machines() -> None:
    """Its port is open; an address alone opens nothing."""
    ports = open_ports(config(), "m1", Survey("m1"))
    assert ports == ("22/tcp", "51820/udp")
    assert opening(config(), "m1", ["22/tcp"]) == "ssh 22\nudp 51820\ntunnel 10.99.0.1\ntunnel 10.99.0.2\ntunnel 10.99.0.3"


@pytest.mark.parametrize(("machines", "network", "sentence"), [
    ({**MACHINES, "m2": {"address": "192.0.2.2"}}, {}, "machine `m2` needs a `private` address in 10.99.0.0/24, like 10.99.0.2"),
    ({**MACHINES, "m2": {"address": "192.0.2.2", "private": "10.98.0.2"}}, {}, "10.98.0.2 is not in the network's range 10.99.0.0/24"),
    (MACHINES, {"range": "10.99.0.7/24"}, "10.99.0.7/24 does not begin where a range does: write 10.99.0.0/24"),
    (MACHINES, {"range": "10.211.0.0/16"}, "10.211.0.0/16 is of handful's own addresses"),
])
def test_what_does_not_fit_is_told(machines: dict[str, Any], network: dict[str, Any], sentence: str) -> None:
    """With what to write."""
    (problem,) = check_network(config(machines, **network))
    assert sentence in problem.sentence


def test_what_fits() -> None:
    """And what is nobody's matter."""
    assert not list(check_network(config()))
    assert not list(check_network(config({"m1": {"address": "192.0.2.1"}}, join="none")))
    assert not list(check_network(config({"m1": {}, "m2": {}})))
