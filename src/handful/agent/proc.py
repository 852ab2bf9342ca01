"""How are the kernel's small files read?

Hundreds of them for one answer: so a path may be a text, which costs less than a Path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 16


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


def lines_of(path: str | Path) -> list[str]:
    """Return a file's lines; none where it cannot be read."""
    return read(path).decode(errors="replace").splitlines()
