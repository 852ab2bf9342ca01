"""Which hours of logs go: those too old, and the oldest, while a stack has too many or the disk is too full?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.agent.store import HOUR, INDEX, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# So much of the disk stays free; but whatever else fills it, so many bytes of logs stay.
LEAST_FREE, LEAST_BYTES = 0.1, 100 * 1024**2


@dataclass(frozen=True)
class Keep:
    """How much of a stack's logs is kept: hours since `oldest` (2026-01-31T12), and so many bytes."""

    oldest: str = ""
    most_bytes: int = 5 * 1024**3


def retain(folder: Path, keeps: Mapping[str, Keep], usual: Keep, free: Callable[[Path], float]) -> list[Path]:
    """Remove packed hours that are beyond that, oldest first, and return them. The hour that is written to stays.

    `keeps`: by stack; `usual`: for those that nobody speaks for. `free` returns the share of a folder's disk that is
    free.
    """
    if not folder.exists():
        return []
    gone = []
    for stack in folder.iterdir():
        if stack.is_dir():
            gone += _beyond(stack, keeps.get(stack.name, usual))
    packed = _packed(folder, "*/*")
    total = _bytes(folder, "*/*")
    for path in packed:
        if total <= LEAST_BYTES or free(folder) >= LEAST_FREE:
            break
        total -= _remove(path)
        gone.append(path)
    return gone


def _beyond(stack: Path, keep: Keep) -> list[Path]:
    gone, total = [], _bytes(stack, "*")
    for path in _packed(stack, "*"):
        if path.name[:HOUR] >= keep.oldest and total <= keep.most_bytes:
            break
        total -= _remove(path)
        gone.append(path)
    return gone


def _packed(folder: Path, below: str) -> list[Path]:
    """Return the packed files of the apps of a folder, oldest first."""
    found = (path for path in folder.glob(f"{below}/*{OPEN}.*") if path.suffix != ".new")
    return sorted(found, key=lambda path: path.name)


def _bytes(folder: Path, below: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"{below}/*{OPEN}*"))


def _remove(path: Path) -> int:
    """Remove a packed file, its index, and folders that are empty then; return its size."""
    size = path.stat().st_size
    path.unlink()
    path.with_name(path.name.partition(OPEN)[0] + INDEX).unlink(missing_ok=True)
    for empty in (path.parent, path.parent.parent):
        if not any(empty.iterdir()):
            empty.rmdir()
    return size


def free_share(folder: Path) -> float:
    """Return the share of a folder's disk that is free."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
