"""Which of the lines that are kept does somebody ask for, in the order of time?

Only lines that have the words are read as JSON. In memory are, at any time, the pieces of files that overlap in time,
and no hour as a whole.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from handful.agent.lines import loads
from handful.agent.minutes import MINUTE, Minutes, add_minutes, count_lines
from handful.agent.pieces import Pieces
from handful.agent.query import Filter, Query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# The agent's container has 96 MB for all that runs in it: so much is held of very long lines.
MOST_BYTES = 16 * 1024**2


class Search:
    """Answers one query; `damaged` are files that could not be read. Raises re.error when its expression is none."""

    def __init__(self, folder: Path, query: Query) -> None:
        """Nothing is read yet."""
        self._query, self._filter = query, Filter(query)
        self._pieces = Pieces(folder, query, self._filter.needle)

    @property
    def damaged(self) -> set[Path]:
        """The files that could not be read until now, and were left out."""
        return self._pieces.damaged

    def records(self) -> Iterator[bytes]:
        """Yield the lines that fit, in the order of time, as JSON with their `app`. Raises TooSlow."""
        for hour in self._pieces.hours():
            pieces = self._pieces.of_hour(hour)
            # Containers are read one after the other: their lines are mixed, and so are the times of pieces.
            waiting: list[tuple[str, int, int, bytes]] = []
            for place, piece in sorted(enumerate(pieces), key=lambda each: each[1].first):
                while waiting and waiting[0][0] < piece.first:
                    yield heapq.heappop(waiting)[3]
                # Of lines of the same moment, the one that was written last is the last.
                for number, (moment, record) in enumerate(self._filter.records(piece.read(), piece.app)):
                    heapq.heappush(waiting, (moment, place, number, record))
            while waiting:
                yield heapq.heappop(waiting)[3]

    def last(self, count: int) -> list[bytes]:
        """Return the last lines that fit, fewer where they are very long; hours before those are not looked at."""
        kept: list[bytes] = []
        for hour in reversed(self._pieces.hours()):
            kept = [*self._newest(hour, count - len(kept)), *kept]
            if len(kept) == count or sum(map(len, kept)) > MOST_BYTES:
                break
        return kept

    def counts(self) -> Minutes:
        """Return how many lines of which level each minute has: by the indexes alone, where nothing else is asked."""
        found = Minutes()
        query = self._query
        simple = not (query.grep or query.regex or query.release or query.instance)
        simple = simple and all(_whole_minute(moment) for moment in (query.since, query.until))
        for path in self._pieces.files():
            if simple:
                minutes, since, until = self._pieces.minutes(path), query.since[:MINUTE], query.until[:MINUTE]
                here = {minute: levels for minute, levels in minutes.items() if since <= minute < until}
                add_minutes(found, _of_levels(here, query) if query.levels else here)
            else:
                for piece in self._pieces.of(path):
                    count_lines((loads(record) for _, record in self._filter.records(piece.read(), piece.app)), found)
        return dict(sorted(found.items()))

    def _newest(self, hour: str, count: int) -> list[bytes]:
        newest: list[tuple[str, int, int, bytes]] = []
        pieces, size = self._pieces.of_hour(hour), 0
        for place, piece in sorted(enumerate(pieces), key=lambda each: each[1].last, reverse=True):
            full = len(newest) >= count or size > MOST_BYTES
            if full and piece.last < newest[0][0]:
                break
            for number, (moment, record) in enumerate(self._filter.records(piece.read(), piece.app)):
                heapq.heappush(newest, (moment, place, number, record))
                size += len(record)
                while len(newest) > count or (size > MOST_BYTES and len(newest) > 1):
                    size -= len(heapq.heappop(newest)[3])
        return [record for *_, record in sorted(newest)]


def search(folder: Path, query: Query) -> Iterator[dict[str, Any]]:
    """Yield the lines that fit, in the order of time, each with its `app`. Raises TooSlow, re.error."""
    yield from map(loads, Search(folder, query).records())


def last(folder: Path, query: Query, count: int) -> list[dict[str, Any]]:
    """Return the last lines that fit. Raises TooSlow, re.error."""
    return [loads(record) for record in Search(folder, query).last(count)]


def counts(folder: Path, query: Query) -> Minutes:
    """Return how many lines that fit of which level each minute has. Raises TooSlow, re.error."""
    return Search(folder, query).counts()


def _whole_minute(moment: str) -> bool:
    """Whether a moment has no seconds, so that the minutes of an index are wholly before it or after."""
    return not moment[MINUTE:].strip(":0.Z")


def _of_levels(minutes: Minutes, query: Query) -> Minutes:
    """Leave out other levels, and minutes that have none then."""
    found = Minutes()
    for minute, levels in minutes.items():
        if asked := {level: number for level, number in levels.items() if level in query.levels}:
            found[minute] = asked
    return found
