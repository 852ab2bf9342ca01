"""What is to be done at the provider until it has what the file says, and what is there that the file does not name?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from handful.plan.firewall import provider_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import Config, Machine
    from handful.facts.servers import Estate


@dataclass(frozen=True)
class MachineChange:
    """What is to become of a machine ("": what all share), and why.

    `resize` restarts it. `gone`: the file does not name it any more, so it goes with all that runs there. `kept`: it,
    or a volume of it, is left until a person says so.
    """

    machine: str
    action: Literal["make", "start", "resize", "volume", "address", "firewall", "gone", "kept"]
    reason: str


def plan_machines(config: Config, estate: Estate) -> tuple[MachineChange, ...]:
    """Return what makes the provider's machines those of the file. Machines that have an `address` are left out."""
    changes: list[MachineChange] = []
    made = {name: machine for name, machine in config.machines.items() if machine.address is None}
    for name, machine in made.items():
        changes += _machine(config, name, machine, estate)
    wanted = provider_ports(config)
    if estate.opened is not None and estate.opened != set(wanted) and made and estate.servers:
        changes.append(MachineChange("", "firewall", f"is to open {', '.join(wanted)}"))
    changes += _strangers(config, estate)
    for each in estate.volumes:
        if each.machine not in estate.servers and each.name not in _volumes(config, each.machine):
            changes.append(MachineChange(each.machine, "kept", f"is gone, and has a volume {each.name} still"))
    return tuple(changes)


def _strangers(config: Config, estate: Estate) -> Iterator[MachineChange]:
    """Tell of machines that are not the file's to make.

    Of several that left it, none goes by itself: a stale checkout, or an overlay that is empty, looks the same.
    """
    gone = [name for name in estate.servers if name not in config.machines]
    by_name = f"is not in the file; of several, each goes by its name: handful machines destroy {' '.join(gone)}"
    for name in estate.servers:
        if name in gone:
            alone = len(gone) == 1
            yield MachineChange(name, "gone" if alone else "kept", "is not in the file" if alone else by_name)
        elif config.machines[name].address is not None:
            yield MachineChange(name, "kept", "is at the provider, too, and has an address in the file")


def _machine(config: Config, name: str, machine: Machine, estate: Estate) -> Iterator[MachineChange]:
    server = estate.servers.get(name)
    if server is None:
        yield MachineChange(name, "make", "is not there")
    else:
        size = machine.size or (config.provider.size if config.provider else None)
        if size and server.size and size != server.size:
            yield MachineChange(name, "resize", f"is {server.size}, and {size} in the file")
        if not server.running:
            yield MachineChange(name, "start", f"is {server.state}")
        if machine.fixed_address and not server.fixed:
            yield MachineChange(name, "address", f"has the address {server.address}, which would go with it")
    there = estate.volumes_of(name)
    for volume, wanted in machine.gigabytes.items():
        found = there.get(volume)
        if found is None or not found.attached:
            yield MachineChange(name, "volume", f"has no volume {volume} ({wanted} GB)")
        elif found.gigabytes < wanted:
            yield MachineChange(name, "volume", f"has {found.gigabytes} of {wanted} GB in its volume {volume}")
    for volume in there.keys() - machine.volumes.keys():
        yield MachineChange(name, "kept", f"has a volume {volume} that the file does not name")


def _volumes(config: Config, machine: str) -> dict[str, int]:
    return dict(config.machines[machine].volumes) if machine in config.machines else {}

