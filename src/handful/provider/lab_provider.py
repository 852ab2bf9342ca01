"""The lab as a provider of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.facts.servers import Server
from handful.provider import lab
from handful.provider.lab_machines import container_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path


class LabProvider:
    """Containers on this computer; see border.Provider."""

    def __init__(self, stack: str, state: Path, image: str) -> None:
        """`state` is the folder of all labs' keys, `image` what machines are made from."""
        self._stack, self._state, self._image = stack, state, image

    def servers(self) -> dict[str, Server]:
        """See Provider."""
        return {
            name: Server(name, each.address, each.address, each.state, each.image)
            for name, each in lab.machines(self._stack).items()
        }

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider."""
        if not wanted:
            return
        lab.up(self._stack, wanted, state=self._state, say=say, image=self._image)

    def destroy(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """See Provider."""
        for name in names:
            lab.remove(self._stack, name)
            say(f"removed {name} ({container_name(self._stack, name)})")

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider."""
        lab.down(self._stack, self._state, say)
