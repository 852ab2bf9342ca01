"""Which of the lines that are kept does somebody ask for?

What can be left out is: hours and frames by their times, frames in which the words are nowhere. Only lines that have
them are read as JSON.
"""

from __future__ import annotations

import heapq
import re
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.agent.codec import codec_of, dumps
from handful.agent.lines import loads
from handful.agent.store import FRAME_BYTES, HOUR, INDEX, MINUTE, OPEN, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from handful.agent.codec import Codec

FIRST, LAST = "", "~"
# For one line: an expression that explodes is ended.
REGEX_SECONDS = 1.0


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


def search(folder: Path, query: Query) -> Iterator[dict[str, Any]]:
    """Yield the lines that fit, in the order of time, each with its `app`. Raises TooSlow, re.error.

    Those of one hour are in memory at once.
    """
    expression = re.compile(query.regex) if query.regex else None
    for hour in sorted({path.name[:HOUR] for path in _files(folder, query)}):
        found = [line for path in _files(folder, query, hour) for line in _file(path, query, expression)]
        # Containers are read one after the other: within an hour, their lines are mixed.
        found.sort(key=_moment)
        yield from found


def last(folder: Path, query: Query, count: int) -> list[dict[str, Any]]:
    """Return the last lines that fit; hours before those that have enough are not looked at."""
    expression, kept = re.compile(query.regex) if query.regex else None, list[dict[str, Any]]()
    for hour in sorted({path.name[:HOUR] for path in _files(folder, query)}, reverse=True):
        found = (line for path in _files(folder, query, hour) for line in _file(path, query, expression))
        # Of lines of the same moment, the one that was written last is the last.
        numbered = ((line["t"], number, line) for number, line in enumerate(found))
        newest = heapq.nlargest(count - len(kept), numbered, key=_order)
        kept = [*(line for _, _, line in reversed(newest)), *kept]
        if len(kept) == count:
            break
    return kept


def damaged(folder: Path, query: Query) -> list[Path]:
    """Return the packed hours whose index cannot be read: they are left out of all answers."""
    return [path for path in _files(folder, query) if path.suffix != OPEN and not _index(path)]


def _order(numbered: tuple[str, int, dict[str, Any]]) -> tuple[str, int]:
    return numbered[:2]


def counts(folder: Path, query: Query) -> dict[str, dict[str, int]]:
    """Return how many lines of which level each minute has: from the indexes alone, where nothing else is asked."""
    found: dict[str, dict[str, int]] = {}
    simple = not (query.grep or query.regex or query.release or query.instance)
    simple = simple and all(_whole_minute(moment) for moment in (query.since, query.until))
    expression = re.compile(query.regex) if query.regex else None
    for path in _files(folder, query):
        if simple and path.suffix != OPEN:
            for minute, levels in _index(path).get("minutes", {}).items():
                if query.since[:MINUTE] <= minute < query.until[:MINUTE]:
                    _add(found, minute, levels, query)
        else:
            for line in _file(path, query, expression):
                _add(found, line["t"][:MINUTE], {line["l"]: 1}, query)
    return dict(sorted(found.items()))


def _whole_minute(moment: str) -> bool:
    """Whether a moment has no seconds, so that the minutes of an index are wholly before it or after."""
    return not moment[MINUTE:].strip(":0.Z")


def _add(found: dict[str, dict[str, int]], minute: str, levels: dict[str, int], query: Query) -> None:
    for level, count in levels.items():
        if not query.levels or level in query.levels:
            here = found.setdefault(minute, {})
            here[level] = here.get(level, 0) + count


def _moment(line: dict[str, Any]) -> str:
    time: str = line["t"]
    return time


def _files(folder: Path, query: Query, hour: str = "") -> Iterator[Path]:
    """Yield the files that may have lines of a query, of one hour or all."""
    for app in query.apps or tuple(sorted(path.name for path in (folder / query.stack).glob("*"))):
        for path in sorted((folder / query.stack / app).glob(f"{hour}*{OPEN}*")):
            # From the index on, the packed file counts; until then, the open one.
            packed = path.suffix != OPEN
            counts_now = path.suffix != ".new" and _index_path(path).exists() == packed
            if counts_now and query.since[:HOUR] <= path.name[:HOUR] <= query.until[:HOUR]:
                yield path


def _file(path: Path, query: Query, expression: re.Pattern[str] | None) -> Iterator[dict[str, Any]]:
    needle = dumps(query.grep)[1:-1] if query.grep else b""
    for block in _blocks(path, query):
        for record in _with(block, needle):
            line = loads(record)
            if _fits(line, query, expression):
                line["app"] = path.parent.name
                yield line


def _blocks(path: Path, query: Query) -> Iterator[bytes]:
    """Yield pieces of whole lines that may have what is asked for. What was removed meanwhile has none."""
    try:
        if path.suffix != OPEN:
            yield from _frames(path, query)
            return
        with path.open("rb") as file:
            while lines := file.readlines(FRAME_BYTES):
                yield b"".join(lines)
    except FileNotFoundError:
        # An open one was packed since it was listed.
        for packed in path.parent.glob(f"{path.name}.*") if path.suffix == OPEN else ():
            if packed.suffix != ".new":
                yield from _frames(packed, query)


def _frames(path: Path, query: Query) -> Iterator[bytes]:
    codec: Codec = codec_of(path.suffix[1:])
    with path.open("rb") as file:
        for offset, size, first, end, _ in _index(path).get("frames", ()):
            if first < query.until and end >= query.since:
                file.seek(offset)
                yield codec.unpack(file.read(size))


def _with(block: bytes, needle: bytes) -> Iterable[bytes]:
    """Return the records in which the needle is; a last one without its end is being written."""
    if not needle:
        yield from block[: block.rfind(b"\n") + 1].splitlines()
        return
    at = block.find(needle)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        if end < 0:
            return
        yield block[begin:end]
        at = block.find(needle, end)


def _fits(line: dict[str, Any], query: Query, expression: re.Pattern[str] | None) -> bool:
    text: str = line["x"]
    if not query.since <= line["t"] < query.until or query.grep not in text:
        return False
    if query.levels and line["l"] not in query.levels:
        return False
    if (query.release and line["r"] != query.release) or (query.instance and line["i"] != query.instance):
        return False
    return expression is None or _found(expression, text)


def _found(expression: re.Pattern[str], text: str) -> bool:
    with _bounded(text):
        return expression.search(text) is not None


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
