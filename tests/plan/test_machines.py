"""Which machines are made, as data."""

from __future__ import annotations

from handful.config.model import Config
from handful.facts.servers import Server
from handful.plan.machines import MachineChange, plan_machines


def test_what_is_missing_is_made_and_what_is_not_ours_left() -> None:
    """A machine with an address is nobody's to make, also when the provider has one of its name."""
    machines = {"m1": {}, "m2": {}, "m3": {}, "m4": {"address": "192.0.2.4"}}
    config = Config.model_validate({"project": "shop", "provider": {"name": "lab"}, "machines": machines})
    there = {
        name: Server(name, "10.1.0.1", "10.1.0.1", state)
        for name, state in (("m1", "running"), ("m2", "stopped"), ("m4", "running"), ("old", "running"))
    }
    assert plan_machines(config, there) == (
        MachineChange("m2", "start", "is stopped"),
        MachineChange("m3", "make", "is not there"),
        MachineChange("m4", "left", "is not in the file"),
        MachineChange("old", "left", "is not in the file"),
    )
    assert plan_machines(config, {name: Server(name, "", "", "running") for name in ("m1", "m2", "m3")}) == ()
