"""What tests of the agent share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from handful.agent.store import Store


def seal_all(store: Store, now: float, hour: str) -> list[Path]:
    """Pack all hours that are due; the store does it one by one."""
    packed: list[Path] = []
    while found := store.seal(now, hour):
        packed += found
    return packed
