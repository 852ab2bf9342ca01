"""What must somebody offer who makes machines?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from handful.facts.servers import Server


class Provider(Protocol):
    """Machines of one stack. Which are the stack's is known by labels at the provider, never by a file here."""

    def servers(self) -> dict[str, Server]:
        """Return the stack's machines by name, those that the file does not name, too."""
        ...

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """Have machines run (name → private address, None for a free one), and return when ssh answers on each.

        Those that run stay as they are, stopped ones start. What the stack has besides (network, firewall, keys) comes
        to be what the file says, also when no machine is wanted. Called again after an interruption, it makes nothing
        twice.
        """
        ...

    def destroy(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """Remove machines and all that is in them. What is missing already is no error."""
        ...

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """Remove all that the stack has here: machines, their network, their keys."""
        ...
