"""How do Docker's json-file records become lines: of which moment, stream and text?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

try:
    import orjson

    loads: Callable[[bytes], Any] = orjson.loads
except ImportError:
    loads = json.loads

# Docker writes longer lines in parts of 16 KiB; one that never ends is cut here.
LONGEST = 1 << 20
# How a record of Docker's begins.
BEGIN = b'{"log":'


class Line(NamedTuple):
    """What a container said at once: `time` as Docker has it (RFC 3339, UTC, nanoseconds), `text` without its newline.

    `cut`: it went on for too long, and does so in the next one.
    """

    time: str
    stream: str
    text: str
    cut: bool = False


class Joiner:
    """Makes lines of one container's records; parts of a line wait for their end.

    `broken` counts what was no record of Docker's; `last` is when Docker wrote the last one down.
    """

    def __init__(self, begun: Mapping[str, Sequence[str]]) -> None:
        """`begun`: what waited when another one was asked (see `waiting`), by stream."""
        self._parts = {stream: [text] for stream, (_, text) in begun.items()}
        self._began = {stream: time for stream, (time, _) in begun.items()}
        self._sizes = {stream: len(text) for stream, (_, text) in begun.items()}
        self.broken, self.last = 0, ""

    @property
    def waiting(self) -> dict[str, tuple[str, str]]:
        """The lines that have begun and not ended, by stream: since when, and what there is of them."""
        if not self._parts:
            return {}
        return {stream: (self._began[stream], "".join(parts)) for stream, parts in self._parts.items()}

    def feed(self, record: bytes) -> Sequence[Line]:
        """Take one record, without its newline. One that is no record of Docker's is counted in `broken`."""
        try:
            told = loads(record)
            text, stream, time = told["log"], told["stream"], told["time"]
        except (ValueError, KeyError, TypeError):
            text = stream = time = None
        if not (isinstance(text, str) and isinstance(stream, str) and isinstance(time, str)):
            self.broken += 1
            # A power cut leaves zeros, and Docker writes on behind them.
            begin = record.rfind(BEGIN)
            return self.feed(record[begin:]) if begin > 0 else ()
        self.last = time
        ends = text.endswith("\n")
        if ends and stream not in self._parts:
            return (Line(time, stream, text[:-1]),)
        self._parts.setdefault(stream, []).append(text)
        self._began.setdefault(stream, time)
        self._sizes[stream] = self._sizes.get(stream, 0) + len(text)
        if ends:
            return (self._ended(stream, cut=False),)
        return (self._ended(stream, cut=True),) if self._sizes[stream] >= LONGEST else ()

    def end(self) -> Iterator[Line]:
        """Give out what waits: the container has ended in the middle of a line."""
        for stream in tuple(self._parts):
            yield self._ended(stream, cut=False)

    def _ended(self, stream: str, *, cut: bool) -> Line:
        text, time = "".join(self._parts.pop(stream)), self._began.pop(stream)
        del self._sizes[stream]
        return Line(time, stream, text.removesuffix("\n"), cut)
