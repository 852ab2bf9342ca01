"""How long may a test wait, and for what?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
DEADLINE = 20.0


def until(true: Callable[[], T], what: str = "", seconds: float = DEADLINE) -> T:
    """Ask again and again until the answer is true; return it. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, what or "it did not become true in time"
        time.sleep(0.01)
    return found
