"""How is a program run on this computer, and what did it say?"""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from handful.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
    except OSError as wrong:
        raise _not_run(argv[0], wrong) from wrong
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{argv[0]} took longer than {timeout} s", status=124) from late
    said = Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if check and said.status != 0:
        message = f"{' '.join(argv[:3])} ended with exit code {said.status}"
        raise CommandFailed(message, status=said.status, detail=last_lines(said.err or said.out))
    return said


def _not_run(program: str, wrong: OSError) -> CommandFailed:
    if isinstance(wrong, FileNotFoundError):
        message = f"{program}: no such program on this computer"
        return CommandFailed(message, status=127, advice=f"Install {program}, or put it on PATH.")
    message = f"{program} cannot be run: {wrong.strerror}"
    return CommandFailed(message, status=126, advice=f"Is it a program? Try: chmod +x {program}")


def foreground(argv: Sequence[str]) -> int:
    """Give the terminal to a program until it ends; return its exit status. Raises CommandFailed when it is missing."""
    try:
        return subprocess.run(list(argv), check=False).returncode
    except OSError as wrong:
        raise _not_run(argv[0], wrong) from wrong


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave Ctrl-C to the program that has the terminal; a terminal that closes ends this one in order."""

    def ended(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    handlers = {signal.SIGINT: lambda *_: None, signal.SIGHUP: ended, signal.SIGTERM: ended}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """Return the last `count` lines of `text` that are not blank."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])
