"""What is to be done at a provider, as data."""

from __future__ import annotations

from typing import Any

from handful.config.model import Config
from handful.facts.servers import Estate, Server, Volume
from handful.plan.machines import MachineChange, plan_machines


def config(machines: dict[str, Any], **provider: str) -> Config:
    """Return a config of machines that a provider makes."""
    return Config.model_validate({"project": "shop", "provider": {"name": "lab", **provider}, "machines": machines})


def server(name: str, **more: Any) -> Server:
    """Return a machine that runs."""
    return Server(name, "192.0.2.1", "10.1.0.1", **{"state": "running", **more})


def test_what_is_missing_is_made_and_what_is_not_ours_left() -> None:
    """A machine with an address is nobody's to make, also when the provider has one of its name."""
    told = config({"m1": {}, "m2": {}, "m3": {}, "m4": {"address": "192.0.2.4"}})
    there = {
        name: server(name, state=state) for name, state in (("m1", "running"), ("m2", "stopped"), ("m4", "running"), ("old", "running"))
    }
    assert plan_machines(told, Estate(there)) == (
        MachineChange("m2", "start", "is stopped"),
        MachineChange("m3", "make", "is not there"),
        MachineChange("m4", "kept", "is at the provider, too, and has an address in the file"),
        MachineChange("old", "gone", "is not in the file"),
    )
    assert plan_machines(told, Estate({name: server(name) for name in ("m1", "m2", "m3")})) == ()


def test_what_differs_is_told() -> None:
    """Sizes, volumes, addresses that would go with their machine, and the firewall."""
    told = config({"m1": {"size": "cx32", "volumes": {"data": "40g", "more": "1g", "old": "5g"}, "fixed_address": True}}, name="hetzner", size="cx22")
    volumes = (Volume("data", "m1", 20), Volume("old", "m1", 9, attached=False), Volume("stray", "m1", 1), Volume("kept", "m9", 1))
    estate = Estate({"m1": server("m1", size="cx22", state="stopped")}, volumes, frozenset({"22/tcp", "25/tcp"}))
    assert plan_machines(told, estate) == (
        MachineChange("m1", "resize", "is cx22, and cx32 in the file"),
        MachineChange("m1", "start", "is stopped"),
        MachineChange("m1", "address", "has the address 192.0.2.1, which would go with it"),
        MachineChange("m1", "volume", "has 20 of 40 GB in its volume data"),
        MachineChange("m1", "volume", "has no volume more (1 GB)"),
        MachineChange("m1", "volume", "has no volume old (5 GB)"),
        MachineChange("m1", "kept", "has a volume stray that the file does not name"),
        MachineChange("", "firewall", "is to open 22/tcp"),
        MachineChange("m9", "kept", "is gone, and has a volume kept still"),
    )


def test_what_is_as_the_file_says() -> None:
    """Nothing is to be done; a volume is never made smaller, and one whose machine is made anew waits for it."""
    told = config({"m1": {"volumes": {"data": "40g"}, "fixed_address": True}}, name="hetzner", size="cx22")
    estate = Estate({"m1": server("m1", size="cx22", fixed=True)}, (Volume("data", "m1", 80),), frozenset({"22/tcp"}))
    assert plan_machines(told, estate) == ()
    gone = Estate({}, (Volume("data", "m1", 80, attached=False),), None)
    assert plan_machines(told, gone) == (
        MachineChange("m1", "make", "is not there"), MachineChange("m1", "volume", "has no volume data (40 GB)"),
    )


def test_several_that_left_the_file_stay() -> None:
    """A stale checkout, or an overlay that is empty, would look so: each goes by its name."""
    told = config({"m1": {}})
    reason = "is not in the file; of several, each goes by its name: handful machines destroy m2 m3"
    estate = Estate({name: server(name) for name in ("m1", "m2", "m3")})
    assert plan_machines(told, estate) == (MachineChange("m2", "kept", reason), MachineChange("m3", "kept", reason))
