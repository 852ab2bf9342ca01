"""How are lines kept on a machine: appended at once, packed by the hour, and each once, whoever is killed?

    STACK/APP/2026-01-31T12.jsonl        the hour that is written to: one JSON object a line
    STACK/APP/2026-01-31T12.jsonl.zst    one that is over: frames of some 256 KiB that stand alone
    STACK/APP/2026-01-31T12.idx          where its frames begin, and how many lines of which level each minute has
    STACK/APP/2026-01-31T12.minutes      of an open one: see minutes.py
    .agent/                              see checkpoint.py

What was appended after the checkpoint that counts is cut off when the next agent begins, and read again from Docker's
own files: so each line is there once. Waiting for the disk costs more than all other work: so a safe one is rare.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.agent.checkpoint import OWN, Checkpoints
from handful.agent.codec import dumps
from handful.agent.disk import append, meanwhile, put, sync
from handful.agent.minutes import Counted, Minutes, beside, count_lines, records_of
from handful.agent.tail import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from handful.agent.codec import Codec
    from handful.agent.lines import Line

MARK_PARTS = 3
FRAME_BYTES = 256 * 1024
OPEN, INDEX = ".jsonl", ".idx"
# An open file that has become so large is packed before its hour is over.
MOST_OPEN = 32 * 1024 * 1024
# What waits for the disk is in memory, which is the agent's own: its container has 96 MB. And the more it is, the
# longer no log is looked at while it is written.
MOST_UNSAFE = 1024 * 1024
# An hour that is over is packed when nobody has written to it for so long.
QUIET_SECONDS = 120.0
HOUR = len("2026-01-31T12")
# What has been written to a file since its lines were counted, before they are again.
COUNT_BYTES = 128 * 1024


@dataclass(frozen=True)
class Source:
    """Who said it: names of handful's, or those of a container that is not."""

    stack: str
    app: str
    instance: str
    release: str = ""


@dataclass
class Hour:
    """A file that is written to; `name` is its path below the store's folder."""

    path: Path
    name: str
    size: int = 0
    touched: float = 0.0
    waiting: list[bytes] = field(default_factory=list)
    # So many bytes are known to be on the disk; of so many, the lines were counted.
    safe: int = -1
    counted: int = 0

    @property
    def unsafe(self) -> int:
        """So many bytes may not be on the disk yet."""
        return self.size - max(0, self.safe)


class Store:
    """The lines of one machine, below a folder; `codec` packs what is over, `boot`: see Checkpoints."""

    def __init__(self, folder: Path, codec: Codec, boot: str = "") -> None:
        """Cut off what the checkpoint that counts does not cover. Another agent must not be at work."""
        self._folder, self._codec, self._checkpoints = folder, codec, Checkpoints(folder, boot)
        # Called again and again in all that takes long, in the thread of whoever asked for it; it may append.
        self.between: Callable[[], None] = lambda: None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / OWN).mkdir(mode=0o700, exist_ok=True)
        told = self._checkpoints.read()
        marks = _inner(told, "marks")
        self.marks: dict[str, Mark] = {key: Mark(*mark) for key, mark in marks.items() if _is_mark(mark)}
        self.begun: dict[str, dict[str, list[str]]] = _inner(told, "begun")
        self.known: dict[str, Any] = _inner(told, "known")
        self._hours: dict[str, Hour] = {}
        self._recover(None if told is None else _inner(told, "sizes"))
        if told != {}:
            # Whoever follows goes by the newest: it may be one that does not count. A full disk has other cares.
            with suppress(OSError):
                self._checkpoints.write(self._state(self.marks, self.begun, self.known), safe=False)

    def append(self, source: Source, line: Line, level: str, now: float) -> None:
        """Keep a line; it is on its way to the disk with the next `flush`."""
        # Without its Z, a moment compares as text: Docker leaves out zeros at the end.
        time = line.time.removesuffix("Z")
        told = {"t": time, "i": source.instance, "r": source.release, "s": line.stream, "l": level, "x": line.text}
        hour = self._hour(f"{source.stack}/{source.app}/{line.time[:HOUR]}")
        hour.waiting.append(dumps(told) + b"\n")
        hour.touched = now

    def flush(self) -> None:
        """Hand what waits to the kernel: whoever follows sees it."""
        for hour in self._hours.values():
            if hour.waiting:
                hour.size = append(hour.path, b"".join(hour.waiting))
                hour.waiting.clear()

    @property
    def wants_safety(self) -> bool:
        """Whether a safe checkpoint is due: a file is to be packed, or much is not on the disk yet."""
        hours = self._hours.values()
        return any(hour.size > MOST_OPEN for hour in hours) or sum(hour.unsafe for hour in hours) > MOST_UNSAFE

    def checkpoint(
        self, marks: Mapping[str, Mark], begun: Mapping[str, Mapping[str, Sequence[str]]],
        known: Mapping[str, Any] | None = None, *, safe: bool = True,
    ) -> None:
        """Write down how far each container was read, after all that was appended until now.

        `begun`: lines that have not ended, by container and stream: since when, and what there is of them. `known`:
        what else the next agent is to know, as JSON. `safe`: all is to be on the disk when this returns.
        """
        self.flush()
        self.marks = dict(marks)
        told = self._state(marks, begun, known or {})
        if safe:
            # What is appended in between is for the next one.
            unsafe = [hour for hour in self._hours.values() if hour.safe != hour.size]
            meanwhile(partial(self._save, unsafe, told), self.between)
        else:
            self._checkpoints.write(told, safe=False)
        for hour in tuple(self._hours.values()):
            # Only what is never cut off, and what nobody has removed.
            if hour.safe - hour.counted > COUNT_BYTES and hour.path.exists():
                _count(hour, self.between)

    def seal(self, now: float, hour_now: str) -> list[Path]:
        """Pack an hour that is over, or too large, once a safe checkpoint has covered it. Return the packed file.

        One at a time: logs are not read meanwhile. `now` is on the clock of `append`, `hour_now` like 2026-01-31T12.
        """
        for key, hour in self._hours.items():
            over = key.rpartition("/")[2][:HOUR] < hour_now and now - hour.touched > QUIET_SECONDS
            if (over or hour.size > MOST_OPEN) and not hour.waiting and hour.safe == hour.size:
                # Somebody may have removed it.
                packed = [pack(hour.path, self._codec, self.between)] if hour.path.exists() else []
                del self._hours[key]
                if hour.waiting:
                    # They came meanwhile, and go to the next file of their hour.
                    fresh = self._hour(key)
                    fresh.waiting, fresh.touched = hour.waiting, hour.touched
                return packed
        return []

    def _save(self, unsafe: Iterable[Hour], told: Mapping[str, Any]) -> None:
        """Have all that was written on the disk, and a checkpoint after it."""
        for hour in unsafe:
            sync(hour.path)
            hour.safe = hour.size
        self._checkpoints.write(told, safe=True)

    def _state(
        self, marks: Mapping[str, Mark], begun: Mapping[str, Mapping[str, Sequence[str]]], known: Mapping[str, Any]
    ) -> dict[str, Any]:
        sizes = {hour.name: hour.size for hour in self._hours.values()}
        written = {key: list(mark) for key, mark in marks.items()}
        return {"marks": written, "begun": begun, "known": known, "sizes": sizes}

    def _hour(self, key: str) -> Hour:
        if key not in self._hours:
            path = self._folder / f"{key}{OPEN}"
            number = 1
            # Lines that came late, after their hour was packed.
            while path.with_name(path.name.removesuffix(OPEN) + INDEX).exists():
                path = self._folder / f"{key}.{number}{OPEN}"
                number += 1
            name = str(path.relative_to(self._folder))
            self._hours[key] = Hour(path, name, path.stat().st_size if path.exists() else 0)
        return self._hours[key]

    def _recover(self, sizes: Mapping[str, int] | None) -> None:
        """Cut off what is behind `sizes`; None: nobody can read them any more, and what is there stays."""
        for path in self._folder.glob(f"*/*/*{OPEN}"):
            name = str(path.relative_to(self._folder))
            if path.with_name(path.name.removesuffix(OPEN) + INDEX).exists():
                # Packed, and killed before the open one went.
                _remove(path)
            elif sizes is not None and name not in sizes:
                _remove(path)
            else:
                os.truncate(path, _whole_lines(path) if sizes is None else min(sizes[name], path.stat().st_size))
                key = name.removesuffix(OPEN)
                stem = key.rpartition("/")[2]
                base = f"{key.rpartition('/')[0]}/{stem[:HOUR]}"
                self._hours[base] = Hour(path, name, path.stat().st_size)


def pack(path: Path, codec: Codec, between: Callable[[], None] = lambda: None) -> Path:
    """Pack an hour's file into frames with an index, and remove it; whoever is killed meanwhile leaves one of both."""
    stem = path.name.removesuffix(OPEN)
    packed = path.with_name(f"{stem}{OPEN}.{codec.ending}")
    fresh, offset, frames, minutes = packed.with_suffix(".new"), 0, list[list[Any]](), Minutes()
    with fresh.open("wb") as file:
        for block in _blocks(path):
            between()
            frame = codec.pack(block)
            records = list(records_of(block))
            times = [record["t"] for record in records] or [""]
            frames.append([offset, len(frame), min(times), max(times), len(records)])
            count_lines(records, minutes)
            file.write(frame)
            offset += len(frame)
        file.flush()
        meanwhile(partial(os.fsync, file.fileno()), between)
    fresh.replace(packed)
    index = dumps({"frames": frames, "minutes": minutes, "bytes": path.stat().st_size})
    meanwhile(partial(put, path.with_name(f"{stem}{INDEX}"), index), between)
    _remove(path)
    return packed


def _count(hour: Hour, between: Callable[[], None]) -> None:
    """Write down how many lines its minutes have."""
    counted = Counted.of(hour.path)
    counted.go_on(hour.path, hour.safe, between)
    put(beside(hour.path), dumps(counted.told), safe=False)
    hour.counted = hour.safe


def _remove(path: Path) -> None:
    """Remove a file that was written to."""
    beside(path).unlink(missing_ok=True)
    path.unlink()


def _whole_lines(path: Path) -> int:
    """Return how many bytes of a file are whole lines."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1


def _inner(told: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    found = (told or {}).get(key)
    return found if isinstance(found, dict) else {}


def _is_mark(told: object) -> bool:
    return isinstance(told, list) and len(told) == MARK_PARTS and all(isinstance(each, int) for each in told)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces of whole lines."""
    with path.open("rb") as file:
        while lines := file.readlines(FRAME_BYTES):
            yield b"".join(lines)
