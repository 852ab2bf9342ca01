"""How far was all read? It is written down in two files, and which of them counts for the next agent?

    .agent/checkpoint         each second, for an agent that is killed: what the kernel has is not lost then. It counts
                              in its own boot of the machine only
    .agent/checkpoint.safe    some seconds older, for a power cut: it is on the disk, after all that it covers

Both hold the same: how far each container was read, which lines had only begun, what was said of it, and how long each
open file was then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.agent.codec import dumps
from handful.agent.disk import put, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# No stack is called so.
OWN = ".agent"
CHECKPOINT, SAFE, LOCK = f"{OWN}/checkpoint", f"{OWN}/checkpoint.safe", f"{OWN}/lock"


class Checkpoints:
    """Those below a folder; `boot` is another one after each boot of the machine, "": it is not known."""

    def __init__(self, folder: Path, boot: str) -> None:
        """Nothing is read yet."""
        self._newest, self._safe, self._boot = folder / CHECKPOINT, folder / SAFE, boot
        self._number = 0

    def read(self) -> dict[str, Any] | None:
        """Return the one that counts, an empty one where there is none yet; None where none can be read any more."""
        newest, safe = read_object(self._newest), read_object(self._safe)
        self._number = max(_number(newest), _number(safe))
        # The safe one is newer where the other could not be written: the disk was full in between.
        of_boot = [each for each in (newest, safe) if self._boot and each.get("boot") == self._boot]
        told = max(of_boot, key=_number, default=safe)
        return told if told or not (self._newest.exists() or self._safe.exists()) else None

    def write(self, told: Mapping[str, Any], *, safe: bool) -> None:
        """Write one down; `safe`: what it covers is on the disk, and it is to be, too."""
        self._number += 1
        data = dumps({"boot": self._boot, "number": self._number, **told})
        if safe:
            put(self._safe, data)
        put(self._newest, data, safe=False)


def _number(told: Mapping[str, Any]) -> int:
    number = told.get("number")
    return number if isinstance(number, int) else 0
