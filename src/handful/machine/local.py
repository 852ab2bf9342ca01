"""How is a program run on this computer, and what did it say?"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LAST_LINES = 10


@dataclass(frozen=True)
class Said:
    """A finished program: its exit status and what it wrote."""

    status: int
    out: str
    err: str


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> Said:
    """Run `argv` (never through a shell) to its end.

    `env` replaces the whole environment when given; `timeout` is in seconds.
    Raises CommandFailed when the program is missing, takes too long, or, with `check`, ends with an error.
    """
    try:
        done = subprocess.run(
            list(argv), input=stdin.encode(), cwd=cwd, env=env, timeout=timeout, capture_output=True, check=False
        )
    except FileNotFoundError as missing:
        message = f"{argv[0]}: no such program on this computer"
        raise CommandFailed(message, status=127, advice=f"Install {argv[0]}, or put it on PATH.") from missing
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{argv[0]} took longer than {timeout} s", status=124) from late
    said = Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if check and said.status != 0:
        message = f"{' '.join(argv[:3])} ended with exit code {said.status}"
        raise CommandFailed(message, status=said.status, detail=last_lines(said.err or said.out))
    return said


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """Return the last `count` lines of `text` that are not blank."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])
