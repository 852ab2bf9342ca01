"""How many lines of which level does each minute have? Counted once: whoever asks needs not read the lines again.

    STACK/APP/2026-01-31T12.minutes      of the hour that is written to: up to which byte it was counted, and what
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handful.agent.disk import read_object
from handful.agent.lines import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

# By minute (2026-01-31T12:00), by level.
Minutes = dict[str, dict[str, int]]
ENDING, MINUTE = ".minutes", len("2026-01-31T12:00")
BLOCK_BYTES = 256 * 1024


@dataclass
class Counted:
    """What was counted of a file, which is known by its inode: its first `size` bytes."""

    inode: int
    size: int = 0
    minutes: Minutes = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Counted:
        """Return what was written down of a file. Of another one in its place, or damaged, it does not count."""
        try:
            there = path.stat()
        except FileNotFoundError:
            return cls(0)
        match read_object(beside(path)):
            case {"inode": there.st_ino, "size": int(size), "minutes": dict(minutes)}:
                if 0 <= size <= there.st_size and all(map(_are_levels, minutes.values())):
                    return cls(there.st_ino, size, minutes)
        return cls(there.st_ino)

    @property
    def told(self) -> dict[str, Any]:
        """What is written down."""
        return {"inode": self.inode, "size": self.size, "minutes": self.minutes}

    def go_on(self, path: Path, end: int | None = None, between: Callable[[], None] = lambda: None) -> None:
        """Count what has come since, up to `end`, or to the end of its last whole line; `between`: after each piece.

        Raises FileNotFoundError.
        """
        with path.open("rb") as file:
            file.seek(self.size)
            while (end is None or self.size < end) and (lines := file.readlines(BLOCK_BYTES)):
                block = b"".join(lines)[: None if end is None else end - self.size]
                whole = block if block.endswith(b"\n") else block[: block.rfind(b"\n") + 1]
                count_lines(records_of(whole), self.minutes)
                self.size += len(whole)
                between()
                if len(whole) < len(block):
                    break


def count_lines(records: Iterable[dict[str, Any]], minutes: Minutes) -> None:
    """Add lines to what was counted."""
    for record in records:
        minute, level = record["t"][:MINUTE], record["l"]
        levels = minutes.get(minute)
        if levels is None:
            levels = minutes[minute] = {}
        levels[level] = levels.get(level, 0) + 1


def add_minutes(minutes: Minutes, more: Minutes) -> None:
    """Add what was counted of another file."""
    for minute, levels in more.items():
        here = minutes.get(minute)
        if here is None:
            minutes[minute] = dict(levels)
        else:
            for level, number in levels.items():
                here[level] = here.get(level, 0) + number


def records_of(block: bytes) -> Iterator[dict[str, Any]]:
    """Yield what can be read of a block's records: what a disk has spoilt is in no count."""
    for record in block.splitlines():
        try:
            told = loads(record)
        except ValueError:
            continue
        if isinstance(told, dict) and {"t", "l"} <= told.keys():
            yield told


def _are_levels(told: object) -> bool:
    return isinstance(told, dict) and all(isinstance(number, int) for number in told.values())


def beside(path: Path) -> Path:
    """Return where it is written down what was counted of a file that is written to."""
    return path.with_suffix(ENDING)
