"""How is a container's log file read on, over rotations and restarts, so that no record is lost or comes twice?

Docker rotates by renaming: x-json.log becomes x-json.log.1, .1 becomes .2, the last goes; then it makes a new file, and
writes no more to the old one. So a file is known by its inode, and each is opened as soon as it is seen: what is open
can be read to its end, whatever it is called by then, also when it was deleted.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

# At once, so that a log of which much is unread neither fills the memory nor keeps the others waiting. Most often there
# are a few lines, and room for so much more would cost more than reading them.
CHUNK_BYTES, FEW_BYTES = 1 << 18, 1 << 12
MOST_SIBLINGS = 100
# Of files that are open and that Docker has deleted: they keep their room on the disk until they are read.
MOST_HELD_BYTES = 512 * 1024 * 1024
SIGN_BYTES = 128


class Mark(NamedTuple):
    """Up to where a log was read: the file, by its inode, and how many of its bytes, up to a record's end.

    `sign` is made of the file's first bytes: inodes are given again. 0: it was too short for one.
    """

    inode: int = 0
    offset: int = 0
    sign: int = 0


@dataclass
class Opened:
    """A file that is read, or waits for its turn."""

    file: FileIO
    inode: int
    offset: int


class Tail:
    """One container's log, read on from a mark; `gaps`: how often files may have been gone before they were seen."""

    def __init__(self, path: Path, mark: Mark) -> None:
        """Nothing is opened yet. `path` is where Docker writes now; a mark without an inode is before the beginning."""
        self._path, self._mark = path, mark
        self._queue: deque[Opened] = deque()
        # The begin of a record whose end was not read yet; and as a text: a Path is looked at more slowly.
        self._rest, self._more, self._written = b"", True, str(path)
        # Signs of files that were read to their end, by inode, the newest last: when a log is removed file by file,
        # those that are left are no new ones.
        self._read: dict[int, int] = {}
        self.gaps = 0
        # Whether much was read the last time.
        self.much = False

    @property
    def behind(self) -> bool:
        """Whether there is more to be read at once."""
        return self._more

    @property
    def files(self) -> int:
        """How many files are open."""
        return len(self._queue)

    @property
    def mark(self) -> Mark:
        """Up to where records were given out."""
        return self._mark

    def look(self) -> None:
        """Open files that have come since the last look."""
        if self._is_last():
            return
        found = self._siblings()
        inodes = [inode for inode, _ in found]
        if self._queue:
            last = self._queue[-1].inode
            if last in inodes:
                found = found[inodes.index(last) + 1 :]
            else:
                found = [each for each in found if not self._was_read(*each)]
                # As many came as Docker keeps, or more: nobody can tell.
                self.gaps += bool(found)
        elif self._mark.inode:
            found = self._from_mark(found)
        for inode, path in found:
            if not self._open(inode, path):
                # Rotated in this very moment: those that follow must not be read before it.
                break
        if found:
            self._let_go()

    def _from_mark(self, found: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
        """Return the files from that of the mark on; all of them when it is not among them any more."""
        inodes = [inode for inode, _ in found]
        at = inodes.index(self._mark.inode) if self._mark.inode in inodes else len(found)
        rest = found[at:]
        same = self._is_of_mark(rest[0][1]) if rest else False
        if same:
            for inode, path in found[:at]:
                with suppress(OSError), path.open("rb") as file:
                    self._remember(inode, file)
            return rest
        # Without the file that is written to, the log is being rotated or removed at this moment.
        if same is None or not self._path.exists():
            return []
        if found:
            self.gaps += 1
            self._mark = Mark()
        return found

    def read(self) -> list[bytes]:
        """Return records that came since, without their newlines: a chunk of them at most. The mark moves behind them.

        Call it again while it returns some.
        """
        # Of a container that has not begun there is nothing.
        self._more, self.much = bool(self._queue), False
        while self._queue:
            opened = self._queue[0]
            chunk = _chunk(opened.file)
            self._more, self.much = len(chunk) == CHUNK_BYTES or len(self._queue) > 1, len(chunk) >= FEW_BYTES
            if chunk:
                if records := self._records(opened, chunk):
                    return records
            elif len(self._queue) == 1:
                break
            else:
                self._remember(opened.inode, opened.file)
                opened.file.close()
                self._queue.popleft()
                self._rest = b""
        return []

    def close(self) -> None:
        """Let go of all files."""
        while self._queue:
            self._queue.popleft().file.close()

    def _records(self, opened: Opened, chunk: bytes) -> list[bytes]:
        end = chunk.rfind(b"\n")
        if end < 0:
            self._rest += chunk
            return []
        whole, self._rest = self._rest + chunk[:end], chunk[end + 1 :]
        opened.offset += len(whole) + 1
        sign = self._mark.sign if self._mark.inode == opened.inode else 0
        if not sign and opened.offset >= SIGN_BYTES:
            sign = _sign(opened.file)
        self._mark = Mark(opened.inode, opened.offset, sign)
        return whole.split(b"\n")

    def _is_last(self) -> bool:
        """Whether the file that is written to now is the last one that is open: nothing was rotated then."""
        if not self._queue:
            return False
        opened = self._queue[-1]
        try:
            told = os.stat(self._written)  # noqa: PTH116  # see there
        except OSError:
            return False
        if told.st_ino != opened.inode:
            return False
        self._emptied(opened, told.st_size)
        return True

    def _emptied(self, opened: Opened, size: int) -> None:
        """Begin again where somebody has emptied the file that is written to, as people do when a disk is full."""
        if size < opened.offset:
            self.gaps += 1
            opened.file.seek(0)
            opened.offset = 0
            self._mark = Mark(opened.inode)
            if len(self._queue) == 1:
                self._rest = b""

    def _open(self, inode: int, path: Path) -> bool:
        try:
            file = path.open("rb", buffering=0)
        except OSError:
            return False
        if os.fstat(file.fileno()).st_ino != inode:
            file.close()
            return False
        offset = self._mark.offset if inode == self._mark.inode and not self._queue else 0
        file.seek(offset)
        self._queue.append(Opened(file, inode, offset))
        return True

    def _let_go(self) -> None:
        """Close the oldest files that Docker has deleted, where it is too much: it writes faster than is read."""
        told = [os.fstat(opened.file.fileno()) for opened in self._queue]
        sizes = [each.st_size for each in told if not each.st_nlink]
        held = sum(sizes)
        for size in sizes:
            if held <= MOST_HELD_BYTES:
                break
            held -= size
            self._queue.popleft().file.close()
            self._rest = b""
            self.gaps += 1

    def _was_read(self, inode: int, path: Path) -> bool:
        """Whether a file is one that is open, or was read to its end; inodes are given again."""
        if any(opened.inode == inode for opened in self._queue):
            return True
        try:
            with path.open("rb") as file:
                return inode in self._read and self._read[inode] == _sign(file)
        except OSError:
            # Gone meanwhile.
            return True

    def _remember(self, inode: int, file: BinaryIO | FileIO) -> None:
        """Keep in mind that a file was read, as long as Docker may keep it."""
        self._read[inode] = _sign(file)
        if len(self._read) > MOST_SIBLINGS:
            del self._read[next(iter(self._read))]

    def _is_of_mark(self, path: Path) -> bool | None:
        """Whether a file of the mark's inode is the one that was read; None when it cannot be told now."""
        try:
            with path.open("rb") as file:
                told = os.fstat(file.fileno())
                if told.st_ino != self._mark.inode:
                    return None
                return told.st_size >= self._mark.offset and self._mark.sign in {0, _sign(file)}
        except OSError:
            return None

    def _siblings(self) -> list[tuple[int, Path]]:
        """Return the log's files as they are now, oldest first, each with its inode."""
        found = []
        for number in range(MOST_SIBLINGS):
            path = self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")
            try:
                found.append((path.stat().st_ino, path))
            except OSError:
                if number:
                    break
        return found[::-1]


def _chunk(file: FileIO) -> bytes:
    """Read what comes next, CHUNK_BYTES at most; fewer: it is all there is now."""
    few = file.read(FEW_BYTES)
    if len(few) < FEW_BYTES:
        return few
    return few + file.read(CHUNK_BYTES - FEW_BYTES)


def _sign(file: BinaryIO | FileIO) -> int:
    """Return a number made of a file's first bytes, never 0."""
    return zlib.crc32(os.pread(file.fileno(), SIGN_BYTES, 0)) or 1
