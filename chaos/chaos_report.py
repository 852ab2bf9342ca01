"""What was tried in all, as a table in a page of the documentation?"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEAD = "| fault | times | requests | cut | failed | promise broken |\n|---|---|---|---|---|---|\n"
ROW = re.compile(r"^\| (?!fault|---)(.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
SEEDS = re.compile(r"^Seeds: (.*)\.$", re.MULTILINE)
ALL = "**all**"


@dataclass(frozen=True)
class Tried:
    """How often a fault was tried; requests sent, cut, failed; and how often the promise was broken."""

    times: int = 0
    sent: int = 0
    cut: int = 0
    failed: int = 0
    broken: int = 0

    def plus(self, other: Tried) -> Tried:
        """Return the sum."""
        return Tried(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def add(page: Path, seed: int, tried: Mapping[str, Tried]) -> None:
    """Add what was tried to a page's table, and the seed to its line of seeds; the rest of the page stays."""
    text = page.read_text(encoding="utf-8")
    rows = {name: Tried(*map(int, numbers)) for name, *numbers in ROW.findall(text) if name != ALL}
    for name, each in tried.items():
        rows[name] = rows.get(name, Tried()).plus(each)
    total = Tried()
    for each in rows.values():
        total = total.plus(each)
    lines = [_row(name, rows[name]) for name in sorted(rows)] + [_row(ALL, total)]
    before, _, after = text.partition(HEAD)
    text = before + HEAD + "\n".join(lines) + "\n" + re.sub(r"\A(\|.*\n)*", "", after)
    found = SEEDS.search(text)
    seeds = [each for each in found[1].split(", ") if each != "none yet"] if found else []
    text = SEEDS.sub(f"Seeds: {', '.join([*seeds, str(seed)])}.", text)
    page.write_text(text, encoding="utf-8")


def _row(name: str, each: Tried) -> str:
    return "| " + " | ".join([name, *map(str, astuple(each))]) + " |"
