"""Which machines does a lab have, and in which state are they?"""

from __future__ import annotations

from dataclasses import dataclass

from handful.artifact.docker import docker

FIELDS = ('{{.Label "handful.machine"}}', '{{.Label "handful.address"}}', "{{.State}}", '{{.Label "handful.image"}}')


@dataclass(frozen=True)
class LabMachine:
    """A machine of a lab: `state` is running or stopped, `image` what it was made from (debian-13, debian-13-bare)."""

    name: str
    address: str
    state: str
    image: str

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.state == "running"

    @property
    def bare(self) -> bool:
        """Whether it was made without Docker."""
        return self.image.endswith("-bare")


def machines(stack: str) -> dict[str, LabMachine]:
    """Return the machines of the stack's lab by name, in the order of their names; none when there is no lab.

    One call to Docker: what runs is what its labels say; no file is asked. Raises NoDocker when no engine answers.
    """
    said = docker("ps", "--all", f"--filter=label=handful.lab={stack}", f"--format={'|'.join(FIELDS)}")
    rows = sorted(line.split("|") for line in said.out.splitlines())
    return {
        name: LabMachine(name, address, "running" if state == "running" else "stopped", image)
        for name, address, state, image in rows
    }


def container_name(stack: str, machine: str) -> str:
    """Return the name of the container that is the machine."""
    return f"handful-lab-{stack}.{machine}"


def labels(stack: str, machine: LabMachine) -> list[str]:
    """Return the `docker create` words for all that `machines` reads back."""
    values = {"lab": stack, "machine": machine.name, "address": machine.address, "image": machine.image}
    return [f"--label=handful.{key}={value}" for key, value in values.items()]
