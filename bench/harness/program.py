"""How is a program that works in a lab started and ended, and where does it tell how far it is?"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130


def start(main: Callable[[Sequence[str]], int]) -> None:
    """Run a program's `main` and exit with its code; Ctrl-C and SIGTERM let it take its lab down first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)
