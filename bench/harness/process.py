"""What do processes cost: CPU time and memory, of one that runs, and of one from its beginning to its end?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTALL_SECONDS = 200
# Linux numbers a process's own clock by its id: two's complement of it, and that all of its threads count.
CLOCK_BITS, ALL_THREADS = 3, 2
MEGABYTE = 1_000_000
ENVIRON = {**os.environ, "LC_ALL": "C"}


@dataclass(frozen=True)
class Used:
    """What a program and all those it has waited for took; `peak` is the resident memory of the largest, in bytes."""

    wall: float
    cpu: float
    peak: int
    lines: int


def cpu(pid: int) -> float:
    """Return how many seconds of CPU a process has had, with all its threads, those that have ended too."""
    return time.clock_gettime(~pid << CLOCK_BITS | ALL_THREADS)


def resident(pid: int, which: str = "VmRSS") -> int:
    """Return a process's resident memory in bytes; VmHWM: the most it has been."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(text.partition(f"{which}:")[2].split()[0]) * 1024


def have(command: str, package: str) -> None:
    """Have a program, from the distribution where it is missing. Raises CalledProcessError."""
    if shutil.which(command) is None:
        line = ["apt-get", "install", "--yes", "--no-install-recommends", package]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(line, env=environ, stdout=sys.stderr, timeout=INSTALL_SECONDS, check=True)


def run(words: Sequence[str], out: Path) -> Used:
    """Run a program to its end, with its output in a file, and return what it took.

    A small process starts it: what this one has ever had in memory would count as the program's otherwise.
    """
    line = [sys.executable, "-S", "-E", __file__, str(out), *words]
    done = subprocess.run(line, env=ENVIRON, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout)
    with out.open("rb") as file:
        return Used(told["wall"], told["cpu"], told["peak"], sum(1 for _ in file))


def _main(out: str, words: Sequence[str]) -> int:
    began = time.monotonic()
    with open(out, "wb") as file:  # noqa: PTH123  # as few modules as can be
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
