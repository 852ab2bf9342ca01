"""What is said of a container that it cannot say itself: that it began, how it ended, and what memory it had before?"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from handful.agent.lines import Line
from handful.agent.store import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handful.agent.containers import Container

# The stream of such lines, beside stdout and stderr.
STREAM = "handful"
# As Docker writes the time of what has never been.
NEVER = "0001-01-01T00:00:00Z"
# A container that has ended may have said more than Docker could write down: after ten seconds it lets go of the rest
# (moby, container/monitor.go: loggerCloseTimeout; measured: the last line comes 10.2 to 10.9 s after the end). It may
# have waited for two other things before, and what is later still is of another run that is not written down yet.
PATIENCE, NEXT_RUN = timedelta(seconds=9.5), timedelta(seconds=45)
SIGNALS_FROM = 128
# Whoever is stopped ends by these: SIGINT and SIGTERM.
STOPPED = frozenset({0, 130, 143})
MEBIBYTE = 1 << 20
# Of the memory: how many samples are kept, and how many are told.
SAMPLES, TOLD_SAMPLES = 60, 6


@dataclass(frozen=True)
class Known:
    """What was said of a container until now; `whole`: it has ended, and all that it wrote was read."""

    source: Source
    started: str = ""
    finished: str = ""
    whole: bool = False

    @classmethod
    def read_from(cls, told: object) -> Known | None:
        """Return what a checkpoint holds; None for what another version has written, or nobody."""
        match told:
            case [[str(stack), str(app), str(instance), str(release)], str(started), str(finished), bool(whole)]:
                return cls(Source(stack, app, instance, release), started, finished, whole)
        return None

    @property
    def told(self) -> list[object]:
        """What a checkpoint holds."""
        source = self.source
        names = [source.stack, source.app, source.instance, source.release]
        return [names, self.started, self.finished, self.whole]

    @property
    def ended(self) -> bool:
        """Whether it does not run, as far as anybody has seen."""
        return self.finished.removesuffix("Z") >= self.started.removesuffix("Z")

    def read(self, *, behind: bool) -> Known:
        """Return this after its log was read; `behind`: not to its end."""
        whole = self.ended and not behind
        return self if whole == self.whole else replace(self, whole=whole)


class Memory:
    """What memory containers had in the last minutes, in bytes; `limit` of the last sample, 0: none."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._samples: dict[str, deque[int]] = {}
        self._limits: dict[str, int] = {}

    def sample(self, key: str, used: int, limit: int) -> None:
        """Add a sample of a container."""
        self._samples.setdefault(key, deque(maxlen=SAMPLES)).append(used)
        self._limits[key] = limit

    def forget(self, key: str) -> str:
        """Return what is to be said of a container that has ended, and begin anew."""
        samples, limit = tuple(self._samples.pop(key, ())), self._limits.pop(key, 0)
        if not samples:
            return ""
        told = " → ".join(f"{each / MEBIBYTE:.0f}" for each in _some(samples))
        return f"; its memory before: {told} MiB" + (f" of {limit / MEBIBYTE:.0f}" if limit else "")


def life(known: Known | None, container: Container, memory: Memory, since: str) -> Iterator[tuple[Line, str]]:
    """Yield what is new in a container's life, each with its level; what began before `since` is not told."""
    before = known or Known(container.source)
    new = known is None and container.started < since
    again = f" again (restart {container.restarts})" if container.restarts else ""
    started = container.started not in {"", NEVER, before.started} and not new
    if started and not container.running:
        # It has ended again since.
        yield Line(container.started, STREAM, f"started{again}"), "info"
    if container.finished not in {"", NEVER, before.finished} and not (new and container.running):
        yield _ended(before.started if container.running else container.started, container, memory)
    if started and container.running:
        yield Line(container.started, STREAM, f"started{again}"), "info"


def gone(key: str, known: Known, memory: Memory, now: str) -> Iterator[tuple[Line, str]]:
    """Yield what is said of a container that was removed while it ran, as far as anybody has seen."""
    if known.started and not known.ended:
        yield Line(now, STREAM, f"removed; how it ended was not seen{memory.forget(key)}"), "info"


def cut_off(last: str, finished: str) -> bool:
    """Whether Docker may have let go of a container's last lines: it wrote some down (`last`) long after the end."""
    try:
        return PATIENCE < datetime.fromisoformat(last) - datetime.fromisoformat(finished) < NEXT_RUN
    except (ValueError, TypeError):
        # No time, or one without a zone: anything may stand in a log.
        return False


def now_told(seconds: float) -> str:
    """Return a moment (seconds since 1970) as Docker writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _ended(started: str, container: Container, memory: Memory) -> tuple[Line, str]:
    code, seen = container.exit_code, not container.running
    level = "info" if code in STOPPED or not seen else "error"
    if not seen:
        how = "ended, and was started again before its exit code was seen"
    elif container.killed_for_memory:
        how, level = f"killed for memory (exit code {code})", "fatal"
    elif code > SIGNALS_FROM:
        how = f"ended by signal {code - SIGNALS_FROM} (exit code {code})"
    else:
        how = f"ended with exit code {code}"
    text = f"{how}{_after(started, container.finished)}{memory.forget(container.id)}"
    return Line(container.finished, STREAM, text), level


def _after(started: str, finished: str) -> str:
    try:
        seconds = (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return ""
    # Started again already: since when it had run is not known.
    return f" after {span(seconds)}" if seconds >= 0 else ""


def span(seconds: float) -> str:
    """Return a time as people say it: 3 h 12 min."""
    units = (("d", 86400), ("h", 3600), ("min", 60))
    for (name, size), (smaller, part) in zip(units, (*units[1:], ("s", 1)), strict=True):
        if seconds >= size:
            rest = int(seconds % size // part)
            return f"{int(seconds // size)} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds:.1f} s"


def _some(samples: Sequence[int]) -> list[int]:
    """Return a few samples, evenly over all, the last one among them."""
    step = max(1, -(-len(samples) // TOLD_SAMPLES))
    return list(samples[::-1][::step][::-1])
