"""Which machines wait for one another, and what is each told?

A machine says which word it waits for (a step with a `word`). A word is told when all machines that have it in their
work wait for it; `back` is told to all once one of them has failed. Pure: the engine keeps the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.plan.model import Plan, Work

BACK = "back"


class Fleet:
    """Who has asked for which word, who has ended, and what has to be told to whom; `culprit` failed first."""

    def __init__(self, plan: Plan) -> None:
        """Nobody has begun."""
        works = [work for wave in plan.waves for work in wave]
        every = {word for work in works for word in words(work)}
        self._expected = {word: {work.machine for work in works if word in words(work)} for word in every}
        self._asked: dict[str, set[str]] = {word: set() for word in self._expected}
        self._waits: dict[str, str] = {}
        self._untold: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        self._going_back = False
        self.culprit = ""

    @property
    def going_back(self) -> bool:
        """Whether a machine has failed, or the operator wants no more of it."""
        return self._going_back

    def begins(self, machine: str) -> None:
        """A session with the machine begins."""
        self._ended.discard(machine)
        self._untold[machine] = [BACK] if self._going_back else []

    def asks(self, machine: str, word: str) -> None:
        """A machine waits for a word from now on."""
        self._waits[machine] = word
        self._asked[word].add(machine)
        if self._asked[word] == self._expected[word] and not self._going_back:
            self._tell(word, (name for name, waits in self._waits.items() if waits == word))

    def ends(self, machine: str, *, well: bool) -> None:
        """A machine's session has ended; one that did not end well takes all others back that still can go."""
        self._ended.add(machine)
        self._waits.pop(machine, None)
        if not well:
            self.culprit = self.culprit or machine
            self.go_back()

    def go_back(self) -> None:
        """Take back all that has not been told to finish."""
        if not self._going_back:
            self._going_back = True
            self._tell(BACK, [name for name in self._untold if name not in self._ended])

    def next_word(self, machine: str) -> str:
        """Return what is to be told to a machine now, once; "" when there is nothing."""
        untold = self._untold.get(machine, [])
        return untold.pop(0) if untold else ""

    def rests(self, wave: Iterable[Work]) -> bool:
        """Whether nothing happens in a wave until others begin: each of its machines has ended, or waits for a word."""
        return all(work.machine in self._ended or work.machine in self._waits for work in wave)

    def over(self, works: Iterable[Work]) -> bool:
        """Whether all of them have ended."""
        return all(work.machine in self._ended for work in works)

    def _tell(self, word: str, machines: Iterable[str]) -> None:
        for machine in tuple(machines):
            self._waits.pop(machine, None)
            self._untold[machine].append(word)


def words(work: Work) -> tuple[str, ...]:
    """Return the words that a machine waits for, in their order."""
    return tuple(step.values["word"] for step in work.steps if "word" in step.values)
