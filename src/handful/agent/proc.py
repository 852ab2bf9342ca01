"""How are the kernel's small files read?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lines_of(path: Path) -> list[str]:
    """Return a file's lines; none where this kernel has no such file, or what it told of has ended."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
