"""How do rows become columns that line up?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


STEP = 1000


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows below a head, each column as wide as its widest cell."""
    every = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in every)
    return "\n".join(line.rstrip() for line in lines)


def size(count: float) -> str:
    """Return bytes as people read them: 1.5 GB."""
    for unit in ("B", "kB", "MB"):
        if round(count) < STEP:
            return f"{count:.0f} {unit}"
        count /= STEP
    return f"{count:.1f} GB"


def ago(seconds: float) -> str:
    """Return a span of time in its largest unit: `3 min`."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
