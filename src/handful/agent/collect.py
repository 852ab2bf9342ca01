"""What has every container said since the last look? It is read, joined, given a level, and kept."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.agent.levels import level_of
from handful.agent.lines import Joiner
from handful.agent.tail import Mark, Tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handful.agent.containers import Container
    from handful.agent.lines import Line
    from handful.agent.store import Source, Store

CHECKPOINT_SECONDS = 1.0
# Of one container in one round, so that one that floods does not keep the others waiting.
MOST_CHUNKS = 16


@dataclass
class Reading:
    """A container whose log is read."""

    source: Source
    tail: Tail
    joiner: Joiner
    gone: bool = False


class Collector:
    """Reads all logs of a machine into a store. `rules`: levels by app, as `level_of` takes them.

    `lines` counts what was kept by (stack, app, level), `gaps` how often something may have been lost.
    """

    def __init__(self, store: Store, rules: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> None:
        """Nothing is read yet."""
        self._store, self._rules = store, rules
        self._readings: dict[str, Reading] = {}
        self._checkpoint = 0.0
        self._dirty = False
        self.lines: Counter[tuple[str, str, str]] = Counter()
        self.gaps: Counter[tuple[str, str]] = Counter()

    def know(self, containers: Mapping[str, Container]) -> None:
        """Take up those that have come, and let go of those that are gone once they are read to their end."""
        for key, container in containers.items():
            if key not in self._readings and container.log is not None:
                tail = Tail(container.log, self._store.marks.get(key, Mark()))
                self._readings[key] = Reading(container.source, tail, Joiner(self._store.begun.get(key, {})))
        for key, reading in self._readings.items():
            reading.gone = key not in containers

    def read(self, now: float) -> int:
        """Read what there is, and hand it to the store; return how many lines that were.

        `now` is on a clock that nobody sets.
        """
        count = 0
        for key, reading in tuple(self._readings.items()):
            found = self._read(reading, now)
            count += found
            if reading.gone and not found:
                count += self._ended(key, reading, now)
        self._store.flush()
        self._dirty |= count > 0
        if self._dirty and now - self._checkpoint >= CHECKPOINT_SECONDS:
            self.checkpoint(now)
        return count

    def checkpoint(self, now: float) -> None:
        """Write down how far all was read."""
        marks = {key: reading.tail.mark for key, reading in self._readings.items()}
        begun = {key: waiting for key, reading in self._readings.items() if (waiting := reading.joiner.waiting)}
        self._store.checkpoint(marks, begun)
        self._checkpoint, self._dirty = now, False
        self._store.seal(now, time.strftime("%Y-%m-%dT%H", time.gmtime()))

    def drop(self) -> None:
        """Let go of all files, and write nothing down: the next agent goes on from the last checkpoint."""
        for reading in self._readings.values():
            reading.tail.close()

    def _read(self, reading: Reading, now: float) -> int:
        gaps, count = reading.tail.gaps, 0
        reading.tail.look()
        for _ in range(MOST_CHUNKS):
            before = reading.tail.mark
            for record in reading.tail.read():
                for line in reading.joiner.feed(record):
                    self._keep(reading.source, line, now)
                    count += 1
            if before == reading.tail.mark:
                break
        if reading.tail.gaps > gaps:
            self.gaps[reading.source.stack, reading.source.app] += reading.tail.gaps - gaps
        return count

    def _ended(self, key: str, reading: Reading, now: float) -> int:
        """Nothing comes any more: what has begun is all there will be."""
        rest = list(reading.joiner.end())
        for line in rest:
            self._keep(reading.source, line, now)
        reading.tail.close()
        del self._readings[key]
        self._dirty = True
        return len(rest)

    def _keep(self, source: Source, line: Line, now: float) -> None:
        level = level_of(line.text, self._rules.get((source.stack, source.app), ()))
        self._store.append(source, line, level, now)
        self.lines[source.stack, source.app, level] += 1
