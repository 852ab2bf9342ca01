"""How much CPU does handful need before it does anything?

`median_s` is the CPU time (user and system) of `handful --help`, `by_hand_s` that of `python -c pass`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from harness.pairs import Limit, Pairs, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.site import Site

RUNS = 15


def measure(site: Site) -> Result:
    """Run the three in turn; the first turn, which writes byte code, does not count."""
    handful = str(Path(sys.executable).parent / "handful")
    lines = ([sys.executable, "-c", "pass"], [handful, "--version"], [handful, "--help"])
    taken = [[cpu_seconds(line) for line in lines] for _ in range(RUNS + 1)][1:]
    bare, version, text = zip(*taken, strict=True)
    version_ms, help_ms = [1000 * (median(each) - median(bare)) for each in (version, text)]
    bare_ms = 1000 * median(bare)
    site.say(f"{RUNS} runs: bare python {bare_ms:.0f} ms, --version +{version_ms:.0f} ms, --help +{help_ms:.0f} ms")
    limits = (
        Limit("--version over bare Python", version_ms, 80, " ms"),
        Limit("--help over bare Python", help_ms, 150, " ms"),
    )
    return Result("cli", Pairs(text, bare), limits, {"version_cpu_ms": version_ms, "help_cpu_ms": help_ms})


def cpu_seconds(words: Sequence[str]) -> float:
    """Run a program to its end and return the CPU time that it took, in user and system mode together."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, words)
    return used.ru_utime + used.ru_stime
