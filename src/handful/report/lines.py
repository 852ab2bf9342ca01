"""How does an event look in a terminal, and to a program?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from handful.run.events import Event

# Failures are told once, at the end, with their detail and what to do.
TOLD_LATER = frozenset({"failed", "ended"})
# Of a build's many lines, one now and then shows that it goes on.
SECONDS_BETWEEN_OUTPUT = 3.0


class Lines:
    """Shows events as they come: a line each with seconds and machine, or JSON."""

    def __init__(self, write: Callable[[str], object], *, as_json: bool, verbose: bool) -> None:
        """`write` takes one line without its end."""
        self._write = write
        self._json = as_json
        self._verbose = verbose
        self._shown = 0.0

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._json:
            self._write(event.as_json())
        elif event.text and event.kind not in TOLD_LATER and not self._skipped(event):
            self._shown = event.seconds
            self._write(f"{event.seconds:6.1f} s  {event.machine:<8} {event.text}".rstrip())

    def _skipped(self, event: Event) -> bool:
        return event.kind == "output" and not self._verbose and event.seconds - self._shown < SECONDS_BETWEEN_OUTPUT

    def say(self, text: str) -> None:
        """Show a sentence of the command itself; programs do not need it."""
        if not self._json:
            self._write(text)
