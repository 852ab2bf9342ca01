"""Was every request answered, and by whom?"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

from script_poll import DEADLINE, until

if TYPE_CHECKING:
    from types import TracebackType

    from script_machine import Machine


class Traffic:
    """Asks a service address again and again, each time over a new connection, while the `with` block runs.

    `answers` counts what was answered; `failures` holds what was not a 200.
    """

    def __init__(self, machine: Machine, port: int = 8000, address: str = "10.210.0.1", host: str = "web") -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._machine, self._port, self._address, self._host = machine, port, address, host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        self.more()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.more()
        self._stop.set()
        self._thread.join(DEADLINE)

    def more(self) -> None:
        """Wait until a few more requests were answered or failed."""
        before = self._asked()
        until(lambda: self._asked() >= before + 5, "no traffic")

    def _asked(self) -> int:
        return sum(self.answers.values()) + len(self.failures)

    def _ask(self) -> None:
        self._machine.namespace.join()
        while not self._stop.wait(0.005):
            try:
                answer = self._machine.get(address=self._address, port=self._port, host=self._host)
            except OSError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                continue
            if answer.startswith("200 "):
                self.answers[answer.removeprefix("200 ")] += 1
            else:
                self.failures.append(answer)
