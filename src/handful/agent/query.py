"""What does somebody ask of the logs, and which line fits?"""

from __future__ import annotations

import re
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.agent.codec import dumps
from handful.agent.lines import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FIRST, LAST = "", "~"
# Whether an expression has exploded is looked at so often: one line takes twice that at most.
REGEX_SECONDS = 1.0
# And for all lines together.
REGEX_TOTAL_SECONDS = 60.0


class TooSlow(Exception):
    """An expression took too long on one line, which is `text`."""


@dataclass(frozen=True)
class Query:
    """What is asked for; "" and nothing: all. Times: 2026-01-31T12:00:00.5 or less of it, UTC; `until` is outside.

    `grep`: words that are in the line; `regex`: an expression that is found in it; `levels`: those it may have.
    """

    stack: str
    apps: tuple[str, ...] = ()
    since: str = FIRST
    until: str = LAST
    grep: str = ""
    regex: str = ""
    levels: frozenset[str] = frozenset()
    release: str = ""
    instance: str = ""
    # Of files that are written to, only so many bytes: by STACK/APP/FILE.
    covered: Mapping[str, int] | None = None


class Filter:
    """Whether a line fits. Raises re.error when the expression is none."""

    def __init__(self, query: Query) -> None:
        """Look at nothing yet."""
        self._query = query
        self._expression = re.compile(query.regex) if query.regex else None
        self.needle = dumps(query.grep)[1:-1] if query.grep else b""
        self._spent = 0.0
        # The line that is being matched, its number, and that of the last look.
        self._text: str | None = None
        self._number = self._seen = 0

    def records(self, block: bytes, app: str) -> Iterator[tuple[str, bytes]]:
        """Yield the lines of a block that fit, as JSON with their app, each with its moment. Raises TooSlow."""
        tail = b',"app":' + dumps(app) + b"}"
        with self.watched():
            for record in _with(block, self.needle):
                try:
                    line = loads(record)
                    fits = self.fits(line)
                except (ValueError, KeyError, TypeError):
                    # Spoilt on the disk.
                    continue
                if fits:
                    yield line["t"], record[:-1] + tail

    def begin(self) -> None:
        """Let the expression take its time anew."""
        self._spent = 0.0

    def fits(self, line: dict[str, Any]) -> bool:
        """Whether this line does. Raises TooSlow."""
        query, text = self._query, line["x"]
        if not query.since <= line["t"] < query.until or query.grep not in text:
            return False
        if query.levels and line["l"] not in query.levels:
            return False
        if (query.release and line["r"] != query.release) or (query.instance and line["i"] != query.instance):
            return False
        return self._expression is None or self._found(self._expression, text)

    def _found(self, expression: re.Pattern[str], text: str) -> bool:
        began = time.monotonic()
        self._text, self._number = text, self._number + 1
        found = expression.search(text) is not None
        self._text = None
        self._spent += time.monotonic() - began
        if self._spent > REGEX_TOTAL_SECONDS:
            raise TooSlow(text[:200])
        return found

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have an expression that takes too long on one line raise TooSlow, wherever `fits` is asked in the block.

        Python looks for signals while it matches. A timer for each line would cost more than most expressions.
        """
        if self._expression is None:
            yield
            return
        before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, REGEX_SECONDS, REGEX_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _look(self, *_: object) -> None:
        """Look up, each second: is it still the same line?"""
        if self._text is None:
            return
        if self._number == self._seen:
            raise TooSlow(self._text[:200])
        self._seen = self._number


def _with(block: bytes, needle: bytes) -> Iterable[bytes]:
    """Return the records in which the needle is."""
    if not needle:
        yield from block.splitlines()
        return
    at = block.find(needle)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        yield block[begin:end]
        at = block.find(needle, end)
