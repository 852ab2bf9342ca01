"""Which machines are to be made or started, and which are there that the file does not name?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.config.model import Config
    from handful.facts.servers import Server


@dataclass(frozen=True)
class MachineChange:
    """What is to become of a machine, and why. `left`: nothing, until a person says so."""

    machine: str
    action: Literal["make", "start", "left"]
    reason: str


def plan_machines(config: Config, servers: Mapping[str, Server]) -> tuple[MachineChange, ...]:
    """Return what makes the provider's machines those of the file. Machines that have an `address` are left out."""
    changes = []
    for name, machine in config.machines.items():
        if machine.address is not None:
            continue
        if name not in servers:
            changes.append(MachineChange(name, "make", "is not there"))
        elif not servers[name].running:
            changes.append(MachineChange(name, "start", f"is {servers[name].state}"))
    changes += [
        MachineChange(name, "left", "is not in the file") for name in servers
        if name not in config.machines or config.machines[name].address is not None
    ]
    return tuple(changes)
