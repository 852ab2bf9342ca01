"""How is something written so that it is there whole, or not at all?"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from handful.agent.lines import loads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONLY_OURS = 0o600
# A container of a second has come and gone soon.
BETWEEN_SECONDS = 0.02


def put(path: Path, data: bytes, *, safe: bool = True) -> None:
    """Write a file in the place of what is there; `safe`: whole or not at all also when the power fails."""
    fresh = f"{path}.new"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, ONLY_OURS)
    try:
        _write(file, data)
        if safe:
            os.fsync(file)
    finally:
        os.close(file)
    os.replace(fresh, path)  # noqa: PTH105  # each second: a Path costs as much as the rest


def append(path: Path, data: bytes) -> int:
    """Write at the end of a file, and return how long it is then; its folder may have been removed by somebody."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        file = os.open(path, flags, ONLY_OURS)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, flags, ONLY_OURS)
    try:
        _write(file, data)
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


def sync(path: Path) -> None:
    """Have on the disk what was written to a file, if it is still there."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)


def meanwhile(work: Callable[[], object], between: Callable[[], None]) -> None:
    """Do work that waits for the disk, and call `between` again and again until it is done.

    Raises what either does, once the work has ended.
    """
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(work)
        while not wait([job], BETWEEN_SECONDS).done:
            between()
    job.result()


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is damaged is as good as nothing."""
    try:
        told = loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(file: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(file, data[written:] if written else data)
