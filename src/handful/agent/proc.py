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
    """Files of the kernel's that are read again and again, each told at once: those of cgroups are some hundred bytes.

    Opening one costs more than reading it: so `most` of them stay open for the next turn. For one thread at a time.
    """

    def __init__(self, most: int = 512) -> None:
        """None is open."""
        self._most = most
        self._open, self._used = dict[str, int](), set[str]()

    def read(self, path: str) -> bytes:
        """Return the first CHUNK bytes of what a file says; nothing where there is none."""
        kept = self._open.get(path)
        if kept is not None:
            try:
                self._used.add(path)
                return os.pread(kept, CHUNK, 0)
            except OSError:
                # What it told of has ended. There may be another one by the same name: a container that was restarted.
                os.close(self._open.pop(path))
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            return b""
        try:
            return os.pread(file, CHUNK, 0)
        except OSError:
            return b""
        finally:
            if len(self._open) < self._most:
                self._open[path] = file
                self._used.add(path)
            else:
                os.close(file)

    def turn(self) -> None:
        """Begin a turn: close what was not read in the last one."""
        for path in self._open.keys() - self._used:
            os.close(self._open.pop(path))
        self._used.clear()


def lines_of(path: str | Path) -> list[str]:
    """Return a file's lines; none where it cannot be read."""
    return read(path).decode(errors="replace").splitlines()
