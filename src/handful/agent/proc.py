"""How are the kernel's small files read?

Hundreds of them for one answer: so a path may be a text, which costs less than a Path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 14


def read(path: str | Path) -> bytes:
    """Return what a file says; nothing where this kernel has no such file, or what it told of has ended."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    told = b""
    try:
        # The kernel tells some of them in pieces.
        while part := os.read(file, CHUNK):
            told += part
    except OSError:
        return b""
    finally:
        os.close(file)
    return told


class Files:
    """Files of the kernel's that are read again and again, each told at once: those of cgroups are less than a page.

    Opening one costs more than reading it: so many stay open from one turn to the next.
    """

    MOST = 512

    def __init__(self) -> None:
        """None is open."""
        self._before, self._now = dict[str, int](), dict[str, int]()

    def read(self, path: str) -> bytes:
        """As `read`."""
        file = self._now.get(path, -1)
        try:
            if file < 0:
                file = self._before.pop(path, -1)
                if file < 0:
                    file = os.open(path, os.O_RDONLY)
                self._now[path] = file
            return os.pread(file, CHUNK, 0)
        except OSError:
            return b""

    def turn(self) -> None:
        """Begin a turn: what was not read in the last one is closed, and what is too much."""
        for file in self._before.values():
            os.close(file)
        while len(self._now) > self.MOST:
            os.close(self._now.popitem()[1])
        self._before, self._now = self._now, {}


def lines_of(path: str | Path) -> list[str]:
    """Return a file's lines; none where it cannot be read."""
    return read(path).decode(errors="replace").splitlines()
