"""What has every container said since the last look? It is read, joined, given a level, and kept."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handful.agent.ends import STREAM, Known, Memory, cut_off, gone, life, now_told
from handful.agent.levels import level_of
from handful.agent.lines import Joiner, Line
from handful.agent.tail import Mark, Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from handful.agent.containers import Container
    from handful.agent.store import Source, Store

    # (stack, app) → (level, words), as `level_of` takes them.
    Rules = Mapping[tuple[str, str], Sequence[tuple[str, str]]]
    # Takes what a container writes to stdout, instead of the store.
    Takes = Callable[[bytes], None]

# Between two checkpoints, and two that are safe from a power cut: so much is read again after a kill, or a power cut.
CHECKPOINT_SECONDS, SAFE_SECONDS = 1.0, 10.0
# Lines that wait in memory for the next checkpoint.
MOST_UNKEPT = 10_000
# Of so many files, a container that handful starts has removed some, or will (deploy's max-file).
MOST_FILES = 5
# The key, in a checkpoint, of when an agent first looked here.
SINCE = ""
GAP = "lines may be missing here: Docker had removed them before they were read"
CUT = "lines may be missing here: ten seconds after a container's end, Docker lets go of what it had not written down"
BROKEN = "lines may be missing here: Docker's log has something here that is no line"


@dataclass
class Reading:
    """A container whose log is read; `takes`: who is given what it writes to stdout.

    `max_size`: see Container. `gone`: the container is; `ended`: it does not run; `behind`: there is more. `gaps`,
    `broken`: so many of the tail's, and of the joiner's, were told.
    """

    source: Source
    tail: Tail
    joiner: Joiner
    takes: Takes | None
    max_size: int
    gone: bool = False
    ended: bool = False
    behind: bool = True
    gaps: int = 0
    broken: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether it is its turn in each round."""
        return self.behind or self.gone or self.tail.much


class Collector:
    """Reads all logs of a machine into a store, and says there when a container began and ended.

    `rules` are the levels of the apps' own words; `parts`: who takes what a part of handful's writes to stdout.
    `lines` counts what was kept by (stack, app, level), `gaps` how often something may have been lost.
    """

    def __init__(self, store: Store, rules: Rules, parts: Mapping[str, Takes], memory: Memory) -> None:
        """Nothing is read yet."""
        self._store, self.rules, self._parts, self._memory = store, rules, parts, memory
        self._readings: dict[str, Reading] = {}
        # Whose turn it is in each round; who has written since their turn; who may write to another file since.
        self._busy, self._changed, self._lived = set[str](), set[str](), set[str]()
        self._written_at = self._safe_at = float("-inf")
        # The first one says from which boot on what is written counts.
        self._dirty, self._unkept, self._is_safe = True, 0, False
        self.lines: Counter[tuple[str, str, str]] = Counter()
        self.gaps: Counter[tuple[str, str]] = Counter()
        told = dict(store.known)
        self._since: str = told.pop(SINCE, "") or now_told(time.time())
        self._known = {key: known for key, each in told.items() if (known := Known.read_from(each)) is not None}

    def see(
        self, containers: Mapping[str, Container], now: float,
        changed: Collection[str] | None = None, lived: Collection[str] | None = None,
    ) -> None:
        """Take in what has happened, and open what may be gone when it is its turn.

        `containers`: all that are there. `changed`: those that have written; `lived`: those that have come or gone, or
        may write to another file now; None: any may. `now` is on a clock that nobody sets.
        """
        if lived is None or lived:
            self._know(containers, now)
        if changed is None or lived is None:
            changed = lived = self._readings.keys()
        self._changed.update(changed)
        self._lived.update(lived)
        for key in lived:
            if key in self._readings:
                self._readings[key].tail.look()

    def read(self, now: float) -> int:
        """Read what there is of what was seen, and hand it to the store; return how many lines that were.

        `now` is on a clock that nobody sets.
        """
        count = 0
        for key in self._turn(now):
            reading = self._readings[key]
            if reading.is_busy:
                reading.tail.look()
            found = self._read(key, reading, now)
            count += found
            if reading.is_busy:
                self._busy.add(key)
            else:
                self._busy.discard(key)
            if reading.gone and not found and not reading.behind:
                count += self._ended(key, reading, now)
        self._dirty |= count > 0
        self._unkept += count
        self._write_down(now)
        return count

    def _turn(self, now: float) -> list[str]:
        """Return whose turn it is: who writes much, or may write to another file; before a checkpoint, all that wrote.

        Nobody sees their lines before that, and two lines at once cost little more than one.
        """
        keys = self._busy.union(self._lived, self._changed if now - self._written_at >= CHECKPOINT_SECONDS else ())
        self._changed -= keys
        self._lived.clear()
        return [key for key in self._readings if key in keys]

    def _write_down(self, now: float) -> None:
        """Write a checkpoint when it is time, and pack what is over."""
        if now - self._written_at >= CHECKPOINT_SECONDS:
            due = now - self._safe_at >= SAFE_SECONDS or self._store.wants_safety
            if self._dirty or (due and not self._is_safe):
                self.checkpoint(now, safe=due)
            self._written_at = now
            self._store.seal(now, time.strftime("%Y-%m-%dT%H", time.gmtime()))
        elif self._unkept > MOST_UNKEPT:
            # So that a flood does not fill the memory.
            self.flush()

    def flush(self) -> None:
        """Hand all that was read to the kernel: whoever searches finds it."""
        self._store.flush()
        self._unkept = 0

    def is_due(self, now: float) -> bool:
        """Whether something is to be read: of who writes much, or may write to another file, or for a checkpoint."""
        return bool(self._busy or self._lived) or now - self._written_at >= CHECKPOINT_SECONDS

    @property
    def behind(self) -> bool:
        """Whether there is more to be read at once."""
        return any(self._readings[key].behind for key in self._busy)

    def checkpoint(self, now: float, *, safe: bool = True) -> None:
        """Write down how far all was read; `safe`: also for the case that the power fails."""
        marks = {key: reading.tail.mark for key, reading in self._readings.items()}
        begun = {key: waiting for key, reading in self._readings.items() if (waiting := reading.joiner.waiting)}
        known: dict[str, Any] = {key: each.told for key, each in self._known.items()}
        # What happens while the disk is waited for is in none of these: it is for the next one.
        self._written_at, self._dirty, self._unkept, self._is_safe = now, False, 0, safe
        if safe:
            self._safe_at = now
        self._store.checkpoint(marks, begun, {**known, SINCE: self._since}, safe=safe)

    def drop(self) -> None:
        """Let go of all files, and write nothing down: the next agent goes on from the last checkpoint."""
        for reading in self._readings.values():
            reading.tail.close()

    def _know(self, containers: Mapping[str, Container], now: float) -> None:
        """Take up those that have come, and let go of those that are gone once they are read to their end."""
        for key, container in containers.items():
            if key not in self._readings:
                self._take_up(key, container)
            self._live(key, container, now)
        for key, reading in self._readings.items():
            reading.gone = key not in containers
            if reading.gone:
                self._busy.add(key)
        for key in [key for key in self._known if key not in containers and key not in self._readings]:
            self._left(key, self._known.pop(key), now)

    def _take_up(self, key: str, container: Container) -> None:
        tail, joiner = Tail(container.log, self._store.marks.get(key, Mark())), Joiner(self._store.begun.get(key, {}))
        takes = self._parts.get(container.part)
        self._readings[key] = Reading(container.source, tail, joiner, takes, container.max_size)
        self._busy.add(key)
        # One of a moment may be gone when it is its turn.
        tail.look()
        if tail.files >= MOST_FILES and key not in self._store.marks and container.started > self._since:
            # It came while no agent looked, and has written as much as is kept of it, or more.
            tail.gaps += 1

    def _live(self, key: str, container: Container, now: float) -> None:
        """Say what is new of a container's life."""
        known = self._known.get(key)
        if known is None or (known.started, known.finished) != (container.started, container.finished):
            for line, level in life(known, container, self._memory, self._since):
                self._keep(container.source, line, now, level)
            self._known[key] = known = Known(container.source, container.started, container.finished)
            self._dirty = True
        self._readings[key].ended = known.ended

    def _left(self, key: str, known: Known, now: float) -> None:
        """Say of a container that is gone what was not seen of it."""
        moment = now_told(time.time())
        for line, level in gone(key, known, self._memory, moment):
            self._keep(known.source, line, now, level)
        if not known.whole and key in self._store.marks:
            self._gap(known.source, 1, now, GAP)
        self._dirty = True

    def _read(self, key: str, reading: Reading, now: float) -> int:
        tail, source, count = reading.tail, reading.source, 0
        records = tail.read()
        if not records and not tail.behind:
            # Nothing was written, or the file was emptied.
            tail.look()
            records = tail.read()
        rules = self.rules.get((source.stack, source.app), ())
        for record in records:
            if reading.takes is not None and b'"stream":"stdout"' in record[-100:]:
                reading.takes(record)
                count += 1
                continue
            for line in reading.joiner.feed(record):
                self._keep(source, line, now, level_of(line.text, rules))
                count += 1
        # One chunk in each round: there may be more, and others have their turn first.
        reading.behind = tail.behind
        self._tell_gaps(reading, now)
        if reading.ended and (read := self._known[key].read(behind=reading.behind)) is not self._known[key]:
            if read.whole and cut_off(reading.joiner.last, read.finished):
                self._gap(source, 1, now, CUT)
            self._known[key], self._dirty = read, True
        return count

    def _ended(self, key: str, reading: Reading, now: float) -> int:
        """Nothing comes any more: what has begun is all there will be."""
        source, rest = reading.source, list(reading.joiner.end())
        rules = self.rules.get((source.stack, source.app), ())
        for line in rest:
            self._keep(source, line, now, level_of(line.text, rules))
        if 0 < reading.max_size <= reading.tail.mark.offset:
            # There was another file, most likely, and it was gone before anybody saw it.
            self._gap(source, 1, now, GAP)
        reading.tail.close()
        del self._readings[key]
        self._busy.discard(key)
        if (known := self._known.get(key)) is not None:
            # To its end, whether or not it was seen how it ended.
            self._known[key] = replace(known, whole=True)
        self._dirty = True
        return len(rest)

    def _tell_gaps(self, reading: Reading, now: float) -> None:
        """Say what may be missing that was not told yet."""
        gaps, broken = reading.tail.gaps, reading.joiner.broken
        if gaps > reading.gaps:
            self._gap(reading.source, gaps - reading.gaps, now, GAP)
        if broken > reading.broken:
            self._gap(reading.source, 1, now, BROKEN)
        reading.gaps, reading.broken = gaps, broken

    def _gap(self, source: Source, count: int, now: float, text: str) -> None:
        self.gaps[source.stack, source.app] += count
        self._keep(source, Line(now_told(time.time()), STREAM, text), now, "warn")

    def _keep(self, source: Source, line: Line, now: float, level: str) -> None:
        self._store.append(source, line, level, now)
        self.lines[source.stack, source.app, level] += 1
