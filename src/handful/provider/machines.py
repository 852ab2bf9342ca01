"""How is each machine of handful.yml reached?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from handful.errors import MachineError
from handful.machine.access import Access
from handful.provider.cloud import remembered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from handful.config.model import Config


def reach(config: Config, stack: str, state: Path, sockets: Path | None = None) -> dict[str, Access]:
    """Return how each machine is reached, in the file's order.

    `state` is the folder of the labs' keys, `sockets` that of connections that stay open.
    Raises MachineError when a machine is not there, as far as this computer knows.
    """
    in_lab = config.provider is None or config.provider.name == "lab"
    without = any(machine.address is None for machine in config.machines.values())
    made = reach_made(config, stack, state, sockets) if without else {}
    missing = [name for name, machine in config.machines.items() if machine.address is None and name not in made]
    if missing:
        message = f"the {'lab' if in_lab else 'provider'} of {stack} has no machine {', '.join(missing)}"
        advice = "Make it: handful lab up" if in_lab else "Look there: handful machines list. Make it: handful apply"
        raise MachineError(message, advice=advice)
    found = {
        name: made[name] if machine.address is None
        else Access(name, machine.address, machine.private, config.ssh.user, config.ssh.port)
        for name, machine in config.machines.items()
    }
    return {name: replace(access, sockets=str(sockets) if sockets else None) for name, access in found.items()}


def reach_made(config: Config, stack: str, state: Path, sockets: Path | None = None) -> dict[str, Access]:
    """Return how the machines are reached that were made for a stack, those that the file does not name, too."""
    if config.provider is None or config.provider.name == "lab":
        made = _of_lab(stack, state)
    else:
        made = remembered(folder_of(state, stack), config.ssh.user, config.ssh.port)
    return {name: replace(access, sockets=str(sockets) if sockets else None) for name, access in made.items()}


def folder_of(state: Path, stack: str) -> Path:
    """Return where it is written down where a stack's machines were found; `state` is the folder of the labs' keys."""
    return state.parent / "machines" / stack


def _of_lab(stack: str, state: Path) -> dict[str, Access]:
    from handful.provider.lab_access import access

    return access(stack, state)


def with_private(config: Config, machines: Mapping[str, Access]) -> Config:
    """Return the config with the private addresses of machines that a provider has given theirs."""
    given = {
        name: machine.model_copy(update={"private": machine.private or machines[name].private})
        for name, machine in config.machines.items()
    }
    return config.model_copy(update={"machines": given})
