"""Which volumes do the machines of a lab have? Each is a volume of the engine here, and outlives its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.artifact.docker import docker
from handful.facts.servers import Volume
from handful.provider.lab_machines import container_name

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS = ("{{.Name}}", '{{.Label "handful.machine"}}', '{{.Label "handful.volume"}}')
# It may take whatever this computer has.
GIGABYTES = 1_000_000


def volumes(stack: str) -> tuple[Volume, ...]:
    """Return the volumes of the stack's lab, those of machines that are gone, too. Raises NoDocker."""
    mine = (f"--filter=label=handful.lab={stack}", "--filter=label=handful.volume")
    rows = [line.split("|") for line in docker("volume", "ls", *mine, f"--format={'|'.join(FIELDS)}").out.splitlines()]
    return tuple(
        Volume(name, machine, GIGABYTES, attached=_attached(container_name(stack, machine), full))
        for full, machine, name in sorted(rows)
    )


def _attached(container: str, volume: str) -> bool:
    """Whether a machine was made with it."""
    found = docker("ps", "--all", "--quiet", f"--filter=volume={volume}", f"--filter=name=^{container}$")
    return bool(found.out.strip())


def mounts(stack: str, machine: str, names: Iterable[str]) -> list[str]:
    """Return the words for `docker create` that put a machine's volumes in their places, and make those not there."""
    labels = f"volume-label=handful.lab={stack},volume-label=handful.machine={machine}"
    return [
        f"--mount=type=volume,source={container_name(stack, machine)}.{name},target=/var/lib/handful/disks/{name},"
        f"{labels},volume-label=handful.volume={name}"
        for name in names
    ]


def remove_volumes(stack: str, machine: str) -> None:
    """Remove a machine's volumes, once it is gone. Those that are missing are no error."""
    for each in volumes(stack):
        if each.machine == machine:
            docker("volume", "rm", f"{container_name(stack, machine)}.{each.name}", check=False)
