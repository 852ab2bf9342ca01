"""What keeps an instance busy: a request that lasts."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from script_poll import DEADLINE, until

if TYPE_CHECKING:
    from script_machine import Machine


class Slow:
    """A request that is under way: its instance answers when `finish` is called."""

    def __init__(self, machine: Machine) -> None:
        self.answer = ""
        self._instance = max(machine.instances(running=True), key=lambda each: each.id)
        before = len(self._instance.behaviour.heard)
        self._thread = threading.Thread(target=self._ask, args=(machine,))
        self._thread.start()
        until(lambda: any("/slow" in head for head in self._instance.behaviour.heard[before:]))

    def _ask(self, machine: Machine) -> None:
        with contextlib.suppress(OSError):
            self.answer = machine.get("/slow")

    def finish(self) -> str:
        """Let the instance answer; return what came."""
        self._instance.behaviour.slow.set()
        return self.wait()

    def wait(self) -> str:
        """Return what came."""
        self._thread.join(DEADLINE)
        return self.answer
