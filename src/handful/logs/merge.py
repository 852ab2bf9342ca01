"""How do the answers of several machines become one, in the order of time, also where a clock is off?"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    # As the agent tells it: t, i, r, s, l, x, app.
    Line = dict[str, Any]

# What two clocks may differ without anybody noticing.
MOST_SKEW = 2.0
# Behind all moments.
LAST = "~"
MINUTE = len("2026-01-31T12:00")


def skew(told: str, came: float) -> float:
    """Return by how many seconds a machine's clock is ahead of ours; 0 when that is as good as nothing.

    `told` is its own moment, `came` when we heard that, in seconds since 1970.
    """
    try:
        seconds = datetime.fromisoformat(told).timestamp() - came
    except ValueError:
        return 0.0
    return seconds if abs(seconds) > MOST_SKEW else 0.0


def ours(moment: str, skewed: float) -> str:
    """Return a machine's moment on our clock, as it compares with others."""
    if not skewed:
        return moment
    when = datetime.fromisoformat(moment).replace(tzinfo=UTC) - timedelta(seconds=skewed)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")


def merged(streams: Mapping[str, Iterator[Line]], skews: Mapping[str, float]) -> Iterator[tuple[str, Line]]:
    """Yield the lines of all machines by time, each with its machine; each stream is in order already."""

    def keyed(machine: str, lines: Iterator[Line]) -> Iterator[tuple[str, str, Line]]:
        for line in lines:
            # What comes behind the lines is none.
            yield ours(line["t"], skews.get(machine, 0.0)) if "t" in line else LAST, machine, line

    every = (keyed(machine, lines) for machine, lines in streams.items())
    for _, machine, line in heapq.merge(*every, key=lambda each: each[0]):
        yield machine, line


def summed(answers: Iterable[Mapping[str, Mapping[str, int]]], seconds: int) -> dict[str, dict[str, int]]:
    """Return counts by level, for each span of so many seconds, of all machines together; `answers`: by minute."""
    found: dict[str, dict[str, int]] = {}
    for minutes in answers:
        for minute, levels in minutes.items():
            here = found.setdefault(_begin(minute, seconds), {})
            for level, count in levels.items():
                here[level] = here.get(level, 0) + count
    return dict(sorted(found.items()))


def _begin(minute: str, seconds: int) -> str:
    """Return the beginning of the span that a minute lies in."""
    when = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    begin = datetime.fromtimestamp(when.timestamp() // seconds * seconds, UTC)
    return begin.strftime("%Y-%m-%dT%H:%M:%S")[:MINUTE]
