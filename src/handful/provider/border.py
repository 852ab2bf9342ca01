"""What must somebody offer who makes machines?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from handful.facts.servers import Estate


class Provider(Protocol):
    """Machines of one stack. Which are the stack's is known by labels at the provider, never by a file here."""

    def estate(self) -> Estate:
        """Return what the stack has here, what the file does not name, too."""
        ...

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """Have machines run (name → private address, None for a free one), and return when ssh answers on each.

        Those that run stay as they are, stopped ones start. What the stack has besides (network, firewall, keys,
        volumes, fixed addresses) comes to be what the file says, also when no machine is wanted. Called again after an
        interruption, it makes nothing twice.
        """
        ...

    def check(self, name: str, say: Callable[[str], None]) -> None:
        """Raise MachineError unless a machine could be made now as the file says.

        What is there already and is to outlive the machine (its address) does so from now on.
        """
        ...

    def resize(self, name: str, say: Callable[[str], None]) -> None:
        """Give a machine the size that the file says: it is stopped for it, and started. Returns when ssh answers."""
        ...

    def destroy(self, names: Collection[str], say: Callable[[str], None], *, volumes: bool) -> None:
        """Remove machines and all that is in them; `volumes`: theirs, too, which stay otherwise, as fixed addresses do.

        What is missing already is no error.
        """
        ...

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """Remove all that the stack has here: machines, volumes, addresses, their network, their keys."""
        ...
