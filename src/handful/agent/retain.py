"""Which hours of logs go: those that are too old, and the oldest, while all are too large or the disk is too full?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.agent.store import HOUR, INDEX, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Keep:
    """How much is kept: hours since `oldest` (2026-01-31T12), so many bytes, and so much of the disk stays free."""

    oldest: str = ""
    most_bytes: int = 5 * 1024**3
    least_free: float = 0.1


def retain(folder: Path, keep: Keep, free: Callable[[Path], float]) -> list[Path]:
    """Remove packed hours that are beyond that, oldest first, and return them. The hour that is written to stays.

    `free` returns the share of a folder's disk that is free.
    """
    if not folder.exists():
        return []
    packed = sorted(
        (path for path in folder.glob(f"*/*/*{OPEN}.*") if path.suffix != ".new"), key=lambda path: path.name
    )
    sizes = {path: path.stat().st_size for path in packed}
    total = sum(sizes.values()) + sum(path.stat().st_size for path in folder.glob(f"*/*/*{OPEN}"))
    gone = []
    for path in packed:
        if path.name[:HOUR] >= keep.oldest and total <= keep.most_bytes and free(folder) >= keep.least_free:
            break
        path.unlink()
        path.with_name(path.name.partition(OPEN)[0] + INDEX).unlink(missing_ok=True)
        total -= sizes[path]
        gone.append(path)
        for empty in (path.parent, path.parent.parent):
            if not any(empty.iterdir()):
                empty.rmdir()
    return gone


def free_share(folder: Path) -> float:
    """Return the share of a folder's disk that is free."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
