"""Which of the lines that are kept does somebody ask for?

What can be left out is: hours and frames by their times, frames in which the words are nowhere. Only lines that have
them are read as JSON. In memory are, at any time, the pieces of files that overlap in time, and no hour as a whole.
"""

from __future__ import annotations

import heapq
import re
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.agent.codec import codec_of, dumps
from handful.agent.lines import loads
from handful.agent.store import FRAME_BYTES, HOUR, INDEX, MINUTE, OPEN, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from handful.agent.codec import Codec

FIRST, LAST = "", "~"
# For one line: an expression that explodes is ended.
REGEX_SECONDS = 1.0
# And for all lines together.
REGEX_TOTAL_SECONDS = 60.0
# As the store writes them: the time comes first.
TIMES = re.compile(rb'^\{"t":"([^"]+)"', re.MULTILINE)


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


@dataclass(frozen=True)
class Piece:
    """A piece of a file, of whole lines: its first and last moments, and how it is read."""

    first: str
    last: str
    app: str
    read: Callable[[], bytes]


class Test:
    """Whether a line fits. Raises re.error when the expression is none."""

    def __init__(self, query: Query) -> None:
        """Look at nothing yet."""
        self._query = query
        self._expression = re.compile(query.regex) if query.regex else None
        self.needle = dumps(query.grep)[1:-1] if query.grep else b""
        self._spent = 0.0

    def lines(self, piece: Piece) -> Iterator[dict[str, Any]]:
        """Yield the lines of a piece that fit, each with its app. Raises TooSlow."""
        for record in _with(piece.read(), self.needle):
            line = loads(record)
            if self.fits(line):
                line["app"] = piece.app
                yield line

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
        with _bounded(text):
            found = expression.search(text) is not None
        self._spent += time.monotonic() - began
        if self._spent > REGEX_TOTAL_SECONDS:
            raise TooSlow(text[:200])
        return found


def search(folder: Path, query: Query) -> Iterator[dict[str, Any]]:
    """Yield the lines that fit, in the order of time, each with its `app`. Raises TooSlow, re.error."""
    test = Test(query)
    for hour in sorted({path.name[:HOUR] for path in files(folder, query)}):
        pieces = [piece for path in files(folder, query, hour) for piece in _pieces(path, query, test.needle)]
        # Containers are read one after the other: their lines are mixed, and so are the times of pieces.
        waiting: list[tuple[str, int, int, dict[str, Any]]] = []
        for place, piece in sorted(enumerate(pieces), key=lambda each: each[1].first):
            while waiting and waiting[0][0] < piece.first:
                yield heapq.heappop(waiting)[3]
            # Of lines of the same moment, the one that was written last is the last.
            for number, line in enumerate(test.lines(piece)):
                heapq.heappush(waiting, (line["t"], place, number, line))
        while waiting:
            yield heapq.heappop(waiting)[3]


def last(folder: Path, query: Query, count: int) -> list[dict[str, Any]]:
    """Return the last lines that fit; hours and pieces before those that have enough are not looked at."""
    test, kept = Test(query), list[dict[str, Any]]()
    for hour in sorted({path.name[:HOUR] for path in files(folder, query)}, reverse=True):
        newest: list[tuple[str, int, int, dict[str, Any]]] = []
        pieces = [piece for path in files(folder, query, hour) for piece in _pieces(path, query, test.needle)]
        for place, piece in sorted(enumerate(pieces), key=lambda each: each[1].last, reverse=True):
            if len(newest) == count - len(kept) and piece.last < newest[0][0]:
                break
            # Of lines of the same moment, the one that was written last is the last.
            numbered = ((line["t"], place, number, line) for number, line in enumerate(test.lines(piece)))
            for each in numbered:
                if len(newest) < count - len(kept):
                    heapq.heappush(newest, each)
                elif each[:3] > newest[0][:3]:
                    heapq.heapreplace(newest, each)
        kept = [*(line for *_, line in sorted(newest, key=lambda each: each[:3])), *kept]
        if len(kept) == count:
            break
    return kept


def damaged(folder: Path, query: Query) -> list[Path]:
    """Return the packed hours whose index cannot be read: they are left out of all answers."""
    return [path for path in files(folder, query) if path.suffix != OPEN and not _index(path)]


def counts(folder: Path, query: Query) -> dict[str, dict[str, int]]:
    """Return how many lines of which level each minute has: from the indexes alone, where nothing else is asked."""
    found: dict[str, dict[str, int]] = {}
    simple = not (query.grep or query.regex or query.release or query.instance)
    simple = simple and all(_whole_minute(moment) for moment in (query.since, query.until))
    test = Test(query)
    for path in files(folder, query):
        if simple and path.suffix != OPEN:
            for minute, levels in _index(path).get("minutes", {}).items():
                if query.since[:MINUTE] <= minute < query.until[:MINUTE]:
                    _add(found, minute, levels, query)
        else:
            for piece in _pieces(path, query, test.needle):
                for line in test.lines(piece):
                    _add(found, line["t"][:MINUTE], {line["l"]: 1}, query)
    return dict(sorted(found.items()))


def files(folder: Path, query: Query, hour: str = "") -> Iterator[Path]:
    """Yield the files that may have lines of a query, of one hour or all."""
    for app in query.apps or tuple(sorted(path.name for path in (folder / query.stack).glob("*"))):
        for path in sorted((folder / query.stack / app).glob(f"{hour}*{OPEN}*")):
            # From the index on, the packed file counts; until then, the open one.
            packed = path.suffix != OPEN
            counts_now = path.suffix != ".new" and _index_path(path).exists() == packed
            if counts_now and query.since[:HOUR] <= path.name[:HOUR] <= query.until[:HOUR]:
                yield path


def _whole_minute(moment: str) -> bool:
    """Whether a moment has no seconds, so that the minutes of an index are wholly before it or after."""
    return not moment[MINUTE:].strip(":0.Z")


def _add(found: dict[str, dict[str, int]], minute: str, levels: dict[str, int], query: Query) -> None:
    for level, count in levels.items():
        if not query.levels or level in query.levels:
            here = found.setdefault(minute, {})
            here[level] = here.get(level, 0) + count


def _pieces(path: Path, query: Query, needle: bytes) -> Iterator[Piece]:
    """Yield the pieces of a file that may have what is asked for. What was removed meanwhile has none."""
    try:
        if path.suffix != OPEN:
            yield from _frames(path, query)
        else:
            yield from _blocks(path, query, needle)
    except FileNotFoundError:
        # An open one was packed since it was listed.
        for packed in path.parent.glob(f"{path.name}.*") if path.suffix == OPEN else ():
            if packed.suffix != ".new":
                yield from _frames(packed, query)


def _frames(path: Path, query: Query) -> Iterator[Piece]:
    codec, app = codec_of(path.suffix[1:]), path.parent.name
    for offset, size, first, end, _ in _index(path).get("frames", ()):
        if first < query.until and end >= query.since:
            yield Piece(first, end, app, partial(_unpacked, path, codec, offset, size))


def _unpacked(path: Path, codec: Codec, offset: int, size: int) -> bytes:
    try:
        return codec.unpack(_bytes(path, offset, size))
    except FileNotFoundError:
        return b""


def _blocks(path: Path, query: Query, needle: bytes) -> Iterator[Piece]:
    """Yield the pieces of a file that is written to: it has no index, so each is looked through."""
    offset, app = 0, path.parent.name
    name = f"{path.parent.parent.name}/{app}/{path.name}"
    end_at = None if query.covered is None else query.covered.get(name, 0)
    # What is packed meanwhile can still be read by whoever has it open.
    with path.open("rb") as file:
        while (end_at is None or offset < end_at) and (lines := file.readlines(FRAME_BYTES)):
            block = b"".join(lines)[: None if end_at is None else end_at - offset]
            # A last line without its end is being written.
            whole = block if block.endswith(b"\n") else block[: block.rfind(b"\n") + 1]
            if whole and needle in whole:
                times = TIMES.findall(whole)
                first, end = min(times).decode(), max(times).decode()
                if first < query.until and end >= query.since:
                    yield Piece(first, end, app, partial(_again, path, offset, len(whole)))
            offset += len(block)


def _again(path: Path, offset: int, size: int) -> bytes:
    """Return a block once more: all of a file's would be too much to keep."""
    try:
        return _bytes(path, offset, size)
    except FileNotFoundError:
        return unpacked(path)[offset : offset + size]


def unpacked(path: Path) -> bytes:
    """Return what was in a file that has been packed since."""
    packed = (each for each in path.parent.glob(f"{path.name}.*") if each.suffix != ".new")
    return b"".join(piece.read() for each in packed for piece in _frames(each, Query("")))


def _bytes(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


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


@contextmanager
def _bounded(text: str) -> Iterator[None]:
    """End what takes too long. Python looks for signals while it matches."""

    def over(*_: object) -> None:
        raise TooSlow(text[:200])

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, REGEX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _index_path(path: Path) -> Path:
    return path.with_name(path.name.partition(OPEN)[0] + INDEX)


def _index(path: Path) -> dict[str, Any]:
    """Return a packed file's index; nothing when it is damaged."""
    return read_object(_index_path(path))
