"""How do things happen side by side, and how is all of it ended?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from handful.run.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from handful.plan.model import Plan, Work

    Doing = Callable[[], object]
    Stop = threading.Event

T = TypeVar("T")


def nothing() -> None:
    """Do nothing."""


def new_stop() -> threading.Event:
    """Return what `side_by_side` sets at Ctrl-C."""
    return threading.Event()


def side_by_side(
    jobs: Sequence[Callable[[], T]], stop: threading.Event | None = None, meanwhile: Doing = nothing
) -> list[T]:
    """Run jobs in threads; the first Ctrl-C sets `stop` and waits for them to end in order, the second breaks off."""
    if not jobs:
        return []
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            meanwhile()
            return [future.result() for future in futures]
        except KeyboardInterrupt:
            if stop is None:
                raise
            stop.set()
            return [future.result() for future in futures]


def beside(runs: Doing, work: Callable[[], T]) -> T:
    """Work while something runs beside it, which the work itself ends."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(runs)
        return work()


class Crew:
    """The fleet, for many threads at once."""

    def __init__(self, plan: Plan) -> None:
        """Nobody has begun."""
        self._fleet, self._changed = Fleet(plan), threading.Condition()
        self.interrupted = False

    @property
    def culprit(self) -> str:
        """The machine that failed first."""
        return self._fleet.culprit

    def stopped(self) -> bool:
        """Whether all go back."""
        return self._fleet.going_back

    def begins(self, machine: str) -> None:
        """See Fleet."""
        with self._changed:
            self._fleet.begins(machine)

    def asks(self, machine: str, word: str) -> None:
        """See Fleet."""
        with self._changed:
            self._fleet.asks(machine, word)
            self._changed.notify_all()

    def ends(self, machine: str, *, well: bool) -> None:
        """See Fleet."""
        with self._changed:
            self._fleet.ends(machine, well=well)
            self._changed.notify_all()

    def next_word(self, machine: str) -> str:
        """See Fleet."""
        with self._changed:
            return self._fleet.next_word(machine)

    def interrupt(self) -> None:
        """The operator wants no more of it."""
        with self._changed:
            self.interrupted = True
            self._fleet.go_back()

    def wait(self, works: Iterable[Work], *, resting: bool = False) -> None:
        """Return when all works have ended; `resting`: or wait for words that only a later wave can bring about."""
        works = tuple(works)
        done = self._fleet.rests if resting else self._fleet.over
        with self._changed:
            self._changed.wait_for(lambda: done(works))
