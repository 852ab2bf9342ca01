"""Which containers have changed since the last look: written a line, rotated, ended, come or gone?

Told by the kernel's inotify, so that containers that are silent cost nothing. Where it cannot be had, all have changed.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Of linux/inotify.h: a file was written to, moved here or away, made, removed; too much has happened to be told; a
# folder is not watched any more.
MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE, OVERFLOW, IGNORED = 0x2, 0x40, 0x80, 0x100, 0x200, 0x4000, 0x8000
# What is rare, and waits for nobody: containers come, begin, end and go. And what there is much of: lines.
LIFE, LINES = MOVED_FROM | MOVED_TO | CREATE | DELETE, MODIFY
# The folder of all containers, as the key of one.
ALL = ""
EVENT = struct.Struct("iIII")
BUFFER_BYTES, LONGEST_EVENT = 1 << 14, EVENT.size + 256
# A look at everything is due after so long: what was missed, for whatever reason, is found then.
WHOLE_SECONDS = 5.0


class Notice:
    """Watches Docker's folder of containers."""

    def __init__(self, folder: Path) -> None:
        """Nothing is watched before the first look."""
        self._life, self._lines = Watch(folder, LIFE), Watch(folder, LINES)
        self._whole = float("-inf")
        # Those of the last look that have come, begun, ended or gone; None: any may have.
        self.lived: frozenset[str] | None = None
        # Whether there is something to be told of them.
        self._stirred = True

    def changed(self, now: float) -> frozenset[str] | None:
        """Return the ids of containers that have changed; None: anything may have. `now` is on a clock nobody sets."""
        life = self._life.events() if self._stirred else frozenset[str]()
        lines = self._lines.events()
        if life is None or lines is None or now - self._whole >= WHOLE_SECONDS:
            self._whole, self.lived = now, None
            self._life.add(ALL)
            return None
        self.lived = life
        return life | lines

    def watch(self, keys: Iterable[str]) -> None:
        """Watch the folders of these containers, too."""
        for key in keys:
            self._life.add(key)
            self._lines.add(key)

    def wait(self, seconds: float) -> bool:
        """Return when a container has come, begun, ended or gone, or after so long: one of a moment is soon gone.

        Whether one may have.
        """
        if self._life.file >= 0:
            self._stirred = bool(select.select([self._life.file], [], [], seconds)[0])
        else:
            time.sleep(seconds)
        return self._stirred

    def close(self) -> None:
        """Watch nothing any more."""
        self._life.close()
        self._lines.close()


class Watch:
    """Folders of containers, watched for some kinds of events; `file` is -1 where that cannot be had."""

    def __init__(self, folder: Path, kinds: int) -> None:
        """Nothing is watched yet."""
        self._folder, self._kinds = folder, kinds
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.file: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, key: str) -> None:
        """Watch the folder of a container, or of all."""
        if self.file >= 0 and key not in self._numbers:
            number = self._libc.inotify_add_watch(self.file, os.fsencode(self._folder / key), self._kinds)
            if number >= 0:
                self._names[number], self._numbers[key] = key, number

    def events(self) -> frozenset[str] | None:
        """Return whose files have changed, those that have come or gone among them; None when that is not known."""
        found, names, unpack, size = set[str](), self._names, EVENT.unpack_from, EVENT.size
        while self.file >= 0:
            try:
                data = os.read(self.file, BUFFER_BYTES)
            except BlockingIOError:
                return frozenset(found)
            except OSError:
                return None
            at, end = 0, len(data)
            while at < end:
                number, mask, _, length = unpack(data, at)
                at += size + length
                if mask & OVERFLOW:
                    return None
                key = names.get(number, ALL)
                if key and not mask & IGNORED:
                    found.add(key)
                else:
                    self._take(number, mask, data[at - length : at], found)
            if end < BUFFER_BYTES - LONGEST_EVENT:
                return frozenset(found)
        return None

    def close(self) -> None:
        """Watch nothing any more."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _take(self, number: int, mask: int, name: bytes, found: set[str]) -> None:
        """Take what tells of a folder that is gone, or of one that has come."""
        if mask & IGNORED:
            # Its number is not given again.
            self._numbers.pop(self._names.pop(number, ALL), None)
        elif key := name.rstrip(b"\0").decode(errors="replace"):
            found.add(key)
            if mask & CREATE:
                # Before it is looked into: what is written there meanwhile is told.
                self.add(key)
