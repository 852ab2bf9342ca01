"""What does a provider have of a stack?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Volume:
    """A disk of its own at a provider, which may outlive its machine: `name` and `machine` are those of the file.

    `device` is its path on the machine, "" where the machine finds it in its place (a lab). `attached`: it is now.
    """

    name: str
    machine: str
    gigabytes: int
    device: str = ""
    attached: bool = True


@dataclass(frozen=True)
class Server:
    """A machine at a provider: `name` is the machine's in the file, `state` is running or stopped.

    `address` is where the world finds it, `private` its address in the machines' own network. `fixed`: its public
    address outlives it.
    """

    name: str
    address: str
    private: str
    state: str
    image: str = ""
    size: str = ""
    fixed: bool = False

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.state == "running"


@dataclass(frozen=True)
class Estate:
    """All that a provider has of a stack: servers by name, and volumes, those of machines that are gone, too.

    `opened`: PORT/PROTOCOL that its firewall lets in, None where providers have none.
    """

    servers: Mapping[str, Server] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    opened: frozenset[str] | None = None

    def volumes_of(self, machine: str) -> dict[str, Volume]:
        """Return a machine's volumes by name."""
        return {each.name: each for each in self.volumes if each.machine == machine}
