"""Which pieces of the files that are kept may have what somebody asks for?

What can be left out is: hours and frames by their times, frames in which the words are nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.agent.codec import codec_of
from handful.agent.disk import read_object
from handful.agent.minutes import Counted, Minutes
from handful.agent.query import Query
from handful.agent.store import FRAME_BYTES, HOUR, INDEX, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from handful.agent.codec import Codec

# Of a frame in an index: offset, size, first and last moment, lines.
FRAME_PARTS = 5
# As the store writes them: the time comes first.
TIMES = re.compile(rb'^\{"t":"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """A piece of a file, of whole lines: its first and last moments, and how it is read."""

    first: str
    last: str
    app: str
    read: Callable[[], bytes]


class Pieces:
    """The pieces of the files below a folder; `damaged` are files that could not be read, and are left out."""

    def __init__(self, folder: Path, query: Query, needle: bytes = b"") -> None:
        """Nothing is read yet. `needle`: bytes that are in each line that fits."""
        self._folder, self._query, self._needle = folder, query, needle
        self.damaged: set[Path] = set()

    def files(self, hour: str = "") -> Iterator[Path]:
        """Yield the files that may have lines that fit, of one hour or all."""
        folder, query = self._folder / self._query.stack, self._query
        for app in query.apps or tuple(sorted(path.name for path in folder.glob("*"))):
            for path in sorted((folder / app).glob(f"{hour}*{OPEN}*")):
                # From the index on, the packed file counts; until then, the open one.
                packed = path.suffix != OPEN
                counts_now = path.suffix != ".new" and _index_path(path).exists() == packed
                # What begins with the hour that `until` names has no line of it.
                if counts_now and query.since[:HOUR] <= path.name[:HOUR] < query.until:
                    yield path

    def hours(self) -> list[str]:
        """Return the hours that may have lines that fit, in their order."""
        return sorted({path.name[:HOUR] for path in self.files()})

    def of_hour(self, hour: str) -> list[Piece]:
        """Return the pieces of an hour, file by file."""
        return [piece for path in self.files(hour) for piece in self.of(path)]

    def of(self, path: Path) -> Iterator[Piece]:
        """Yield the pieces of a file. What was removed meanwhile has none."""
        try:
            if path.suffix != OPEN:
                yield from self._frames(path)
            else:
                yield from self._blocks(path)
        except FileNotFoundError:
            # An open one was packed since it was listed.
            for packed in _packed(path) if path.suffix == OPEN else ():
                yield from self._frames(packed)

    def minutes(self, path: Path) -> Minutes:
        """Return how many lines of which level each minute of a file has."""
        if path.suffix == OPEN:
            counted = Counted.of(path)
            try:
                counted.go_on(path)
            except FileNotFoundError:
                # Packed since it was listed.
                path = next(_packed(path), path)
            else:
                return counted.minutes
        minutes = self._index(path).get("minutes")
        return minutes if isinstance(minutes, dict) else {}

    def _frames(self, path: Path) -> Iterator[Piece]:
        codec, query = codec_of(path.suffix[1:]), self._query
        for offset, size, first, end, _ in self._index(path).get("frames", ()):
            if first < query.until and end >= query.since:
                yield Piece(first, end, path.parent.name, partial(self._unpacked, path, codec, offset, size))

    def _index(self, path: Path) -> dict[str, Any]:
        told = read_object(_index_path(path))
        frames = told.get("frames")
        right = isinstance(frames, list) and all(isinstance(each, list) and len(each) == FRAME_PARTS for each in frames)
        if not right:
            if path.exists():
                self.damaged.add(path)
            return {}
        return told

    def _unpacked(self, path: Path, codec: Codec, offset: int, size: int) -> bytes:
        try:
            return codec.unpack(_bytes(path, offset, size))
        except FileNotFoundError:
            return b""
        except ValueError:
            self.damaged.add(path)
            return b""

    def _blocks(self, path: Path) -> Iterator[Piece]:
        """Yield the pieces of a file that is written to: it has no index, so each is looked through."""
        offset, number, app, query = 0, 0, path.parent.name, self._query
        name = f"{path.parent.parent.name}/{app}/{path.name}"
        end_at = None if query.covered is None else query.covered.get(name, 0)
        # What is packed meanwhile can still be read by whoever has it open.
        with path.open("rb") as file:
            while (end_at is None or offset < end_at) and (lines := file.readlines(FRAME_BYTES)):
                block = b"".join(lines)[: None if end_at is None else end_at - offset]
                # A last line without its end is being written.
                whole = block if block.endswith(b"\n") else block[: block.rfind(b"\n") + 1]
                # A block that a disk has spoilt has no time.
                if self._needle in whole and (times := TIMES.findall(whole)):
                    first, end = min(times).decode(), max(times).decode()
                    if first < query.until and end >= query.since:
                        yield Piece(first, end, app, partial(_again, path, number, offset, len(whole)))
                offset, number = offset + len(block), number + 1


def _again(path: Path, number: int, offset: int, size: int) -> bytes:
    """Return a block once more: all of a file's would be too much. Packed since, it is the frame of its number."""
    try:
        return _bytes(path, offset, size)
    except FileNotFoundError:
        whole = Pieces(path.parent.parent.parent, Query(path.parent.parent.name))
        frames = [piece for packed in _packed(path) for piece in whole.of(packed)]
        return frames[number].read()[:size] if number < len(frames) else b""


def unpacked(path: Path) -> bytes:
    """Return what was in a file that has been packed since."""
    whole = Pieces(path.parent.parent.parent, Query(path.parent.parent.name))
    return b"".join(piece.read() for packed in _packed(path) for piece in whole.of(packed))


def _packed(path: Path) -> Iterator[Path]:
    return (each for each in path.parent.glob(f"{path.name}.*") if each.suffix != ".new")


def _bytes(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _index_path(path: Path) -> Path:
    return path.with_name(path.name.partition(OPEN)[0] + INDEX)
