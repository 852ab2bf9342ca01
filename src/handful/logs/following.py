"""How are lines shown that come from several machines at this moment, as far as can be in the order of time?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from handful.logs.merge import LAST, ours

if TYPE_CHECKING:
    from collections.abc import Callable

# A line waits at least so long, and at most twice, for those of other machines that were said before it.
HOLD_SECONDS = 0.3


class Following:
    """Takes answers as they come, and hands lines on a moment later."""

    def __init__(
        self, header: Callable[[str, dict[str, Any]], float], show: Callable[[str, dict[str, Any]], None]
    ) -> None:
        """`header` takes what each machine says first, and returns how far its clock is off."""
        self._header, self._show = header, show
        self._skews: dict[str, float] = {}
        # (moment, number, machine, line); those up to the number `ripe` have waited long enough at the next pause.
        self._waiting: list[tuple[str, int, str, dict[str, Any]]] = []
        self._number = self._ripe = 0
        self._handed = time.monotonic()

    def take(self, machine: str, told: dict[str, Any]) -> None:
        """Take an answer."""
        if machine not in self._skews:
            self._skews[machine] = self._header(machine, told)
            return
        self._number += 1
        moment = ours(told["t"], self._skews[machine]) if "t" in told else LAST
        self._waiting.append((moment, self._number, machine, told))

    def pause(self) -> None:
        """Hand on what has waited long enough, and what was said before it."""
        if time.monotonic() - self._handed >= HOLD_SECONDS:
            self._hand(self._ripe)
            self._ripe, self._handed = self._number, time.monotonic()

    def end(self) -> None:
        """Hand on all there is."""
        self._hand(self._number)

    def _hand(self, ripe: int) -> None:
        self._waiting.sort()
        count = max((place for place, each in enumerate(self._waiting, 1) if each[1] <= ripe), default=0)
        for _, _, machine, line in self._waiting[:count]:
            self._show(machine, line)
        del self._waiting[:count]
