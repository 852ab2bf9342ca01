"""How is each machine of a lab reached?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.machine.access import Access
from handful.provider.lab_keys import options, read_addresses

if TYPE_CHECKING:
    from pathlib import Path

ADVICE = "It is a machine of the lab: `handful lab up` starts it, `handful lab ssh {}` goes inside."


def access(stack: str, state: Path) -> dict[str, Access]:
    """Return how each machine of the lab is reached, running or not; nothing when there is no lab.

    `state` is the folder of all labs' keys. Raises MachineError when the lab's key is gone.
    """
    here = read_addresses(state / stack)
    known = options(state / stack) if here else ()
    return {
        name: Access(name, address, address, "root", options=known, advice=ADVICE.format(name))
        for name, address in here.items()
    }
