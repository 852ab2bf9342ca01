"""The lab as a provider of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import MachineError
from handful.facts.servers import Estate, Server
from handful.provider import lab
from handful.provider.lab_keys import write_addresses
from handful.provider.lab_machines import container_name
from handful.provider.lab_volumes import remove_volumes, volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path


class LabProvider:
    """Containers on this computer; see border.Provider. There are no firewall and no sizes; addresses are fixed."""

    def __init__(self, stack: str, state: Path, image: str, wanted: Mapping[str, Collection[str]]) -> None:
        """`state` is the folder of all labs' keys, `image` what machines are made from, `wanted` volumes by machine."""
        self._stack, self._state, self._image, self._wanted = stack, state, image, wanted

    def estate(self) -> Estate:
        """See Provider."""
        servers = {
            name: Server(name, each.address, each.address, each.state, each.image, fixed=True)
            for name, each in lab.machines(self._stack).items()
        }
        return Estate(servers, volumes(self._stack))

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider. Raises MachineError for a volume that a machine was made without."""
        if wanted:
            lab.up(self._stack, wanted, state=self._state, say=say, image=self._image, volumes=self._wanted)
        there = {(each.machine, each.name) for each in volumes(self._stack) if each.attached}
        for name, each in self._wanted.items():
            if missing := [volume for volume in each if (name, volume) not in there]:
                message = f"a lab gives a machine its volumes when it is made: {name} has no {', '.join(missing)}"
                raise MachineError(message, advice=f"Make it anew: handful machines replace {name}")

    def check(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider; what a lab needs is this computer."""

    def resize(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider; there is nothing to do."""

    def destroy(self, names: Collection[str], say: Callable[[str], None], *, volumes: bool) -> None:
        """See Provider."""
        for name in names:
            lab.remove(self._stack, name)
            if volumes:
                remove_volumes(self._stack, name)
            say(f"removed {name} ({container_name(self._stack, name)})")
        left = {name: each.address for name, each in lab.machines(self._stack).items()}
        write_addresses(self._state / self._stack, left)

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider."""
        lab.down(self._stack, self._state, say)
