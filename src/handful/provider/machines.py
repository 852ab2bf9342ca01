"""How is each machine of handful.yml reached?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from handful.errors import MachineError
from handful.machine.access import Access

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from handful.config.model import Config


def reach(config: Config, stack: str, state: Path, sockets: Path | None = None) -> dict[str, Access]:
    """Return how each machine is reached, in the file's order.

    `state` is the folder of the labs' keys, `sockets` that of connections that stay open.
    Raises MachineError when a lab machine is not there.
    """
    lab: dict[str, Access] = {}
    if any(machine.address is None for machine in config.machines.values()):
        from handful.provider.lab_access import access

        lab = access(stack, state)
    missing = [name for name, machine in config.machines.items() if machine.address is None and name not in lab]
    if missing:
        message = f"the lab of {stack} has no machine {', '.join(missing)}"
        raise MachineError(message, advice="Make it: handful lab up")
    found = {
        name: lab[name] if machine.address is None
        else Access(name, machine.address, machine.private, config.ssh.user, config.ssh.port)
        for name, machine in config.machines.items()
    }
    return {name: replace(access, sockets=str(sockets) if sockets else None) for name, access in found.items()}


def with_private(config: Config, machines: Mapping[str, Access]) -> Config:
    """Return the config with the private addresses of machines that a lab has given theirs."""
    given = {
        name: machine.model_copy(update={"private": machine.private or machines[name].private})
        for name, machine in config.machines.items()
    }
    return config.model_copy(update={"machines": given})
