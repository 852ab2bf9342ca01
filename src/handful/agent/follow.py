"""What is said from now on: lines as they are kept, each once, also over a kill of the agent?

Given out is what a checkpoint covers: what is behind it, the agent that begins next may cut off and write again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from handful.agent.checkpoint import CHECKPOINT
from handful.agent.disk import read_object
from handful.agent.pieces import unpacked
from handful.agent.query import Filter, Query
from handful.agent.store import FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Opened:
    """A file that is followed, up to where it was given out."""

    path: Path
    file: BinaryIO
    offset: int


class Follower:
    """Gives out what is new of the lines that fit. Raises re.error when the expression is none."""

    def __init__(self, folder: Path, query: Query) -> None:
        """Begin behind what the checkpoint of now covers, which is `covered`: bytes, by file."""
        self._folder, self._query, self._filter = folder, query, Filter(query)
        self._opened: dict[str, Opened] = {}
        self._stamp, self.covered = self._checkpoint()
        for name, size in self.covered.items():
            self._open(name, size)

    def look(self) -> Iterator[bytes]:
        """Yield the lines that have come since, as JSON: those of a piece of a file by time. Raises TooSlow."""
        stamp, sizes = self._checkpoint()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._filter.begin()
        for name, opened in tuple(self._opened.items()):
            if name not in sizes:
                # It was packed: all of it had been covered.
                yield from self._new(opened, None)
                opened.file.close()
                del self._opened[name]
        for name, size in sizes.items():
            yield from self._new(self._open(name, 0), size)

    def close(self) -> None:
        """Follow no more."""
        for opened in self._opened.values():
            opened.file.close()

    def _checkpoint(self) -> tuple[tuple[int, int], dict[str, int]]:
        """Return which checkpoint there is, and how many bytes it covers of each file asked for."""
        path = self._folder / CHECKPOINT
        try:
            told = path.stat()
        except OSError:
            return (0, 0), {}
        sizes = read_object(path).get("sizes") or {}
        asked = {name: size for name, size in sizes.items() if self._is_asked(*name.split("/"))}
        return (told.st_ino, told.st_mtime_ns), asked

    def _is_asked(self, stack: str, app: str, _: str) -> bool:
        return stack == self._query.stack and (not self._query.apps or app in self._query.apps)

    def _open(self, name: str, offset: int) -> Opened:
        if name not in self._opened:
            path = self._folder / name
            try:
                file: BinaryIO = path.open("rb")
            except OSError:
                # It was packed as soon as it was covered.
                file = io.BytesIO(unpacked(path))
            self._opened[name] = Opened(path, file, offset)
        return self._opened[name]

    def _new(self, opened: Opened, size: int | None) -> Iterator[bytes]:
        """Yield what fits of a file from where it was given out, up to `size`, or to its end: by time in each piece."""
        opened.file.seek(opened.offset)
        while (size is None or opened.offset < size) and (lines := opened.file.readlines(FRAME_BYTES)):
            block = b"".join(lines)[: None if size is None else size - opened.offset]
            opened.offset += len(block)
            found = sorted(self._filter.records(block, opened.path.parent.name), key=_moment)
            for _, record in found:
                yield record


def _moment(found: tuple[str, bytes]) -> str:
    return found[0]
