"""How long does handful take, beside the same work done by hand in the same minutes?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RUNS = 5


@dataclass(frozen=True)
class Limit:
    """What issue and README promise: `value` is at most `most`, both in `unit`."""

    what: str
    value: float
    most: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.value <= self.most

    def __str__(self) -> str:
        """Say it in a few words."""
        verdict = "ok" if self.kept else "OVER"
        return f"{self.what} {self.value:.3g}{self.unit} (at most {self.most:g}{self.unit}): {verdict}"


@dataclass(frozen=True)
class Pairs:
    """Seconds of each run: handful's, and in the same place of the other list, by hand."""

    handful: Sequence[float]
    by_hand: Sequence[float]


@dataclass(frozen=True)
class Result:
    """The medians of a bench, in seconds; `limits` are what they must keep, `extra` further numbers for JSON."""

    name: str
    pairs: Pairs
    limits: tuple[Limit, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        """The median of handful's runs."""
        return median(self.pairs.handful)

    @property
    def by_hand_s(self) -> float:
        """The median of the runs by hand."""
        return median(self.pairs.by_hand)

    @property
    def ratio(self) -> float:
        """How many times as long handful takes."""
        return self.median_s / self.by_hand_s

    def as_json(self) -> str:
        """Return the result as one JSON line."""
        values = {"median_s": self.median_s, "by_hand_s": self.by_hand_s, "ratio": self.ratio}
        rounded = {key: round(value, 3) for key, value in {**values, **self.extra}.items()}
        return json.dumps({"name": self.name, **rounded, "runs": len(self.pairs.handful)})


def in_pairs(
    handful: Callable[[int], float], by_hand: Callable[[int], float], say: Callable[[str], None], runs: int = RUNS
) -> Pairs:
    """Run both in turn, after one pair that does not count, and return their seconds.

    Each is called with the number of its run, which begins at 0 for the pair that does not count.
    """
    taken = []
    for number in range(runs + 1):
        pair = handful(number), by_hand(number)
        what = f"run {number} of {runs}" if number else "warm-up"
        say(f"{what}: handful {pair[0]:.3f} s, by hand {pair[1]:.3f} s")
        taken.append(pair)
    return Pairs([mine for mine, _ in taken[1:]], [theirs for _, theirs in taken[1:]])


def table(results: Sequence[Result]) -> str:
    """Return the results as a table for people, one line for each and one more for each further limit."""
    rows = [("NAME", "HANDFUL", "BY HAND", "RATIO", "LIMIT")]
    for each in results:
        first, *more = [str(limit) for limit in each.limits] or [""]
        rows.append((each.name, f"{each.median_s:.3f} s", f"{each.by_hand_s:.3f} s", f"{each.ratio:.2f}", first))
        rows += [("", "", "", "", limit) for limit in more]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
