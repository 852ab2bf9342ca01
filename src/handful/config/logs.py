"""What can be written of logs: how long they are kept, and what an app's own words mean."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from handful.config.part import Part
from handful.config.values import Long, Name, Phrase, Size

DAY = 86400.0
Level = Literal["debug", "info", "warn", "error", "fatal"]


class Logs(Part):
    """How the agent on each machine keeps what the apps' containers say."""

    keep: Long = 14 * DAY
    """How long lines are kept, like 14d; by the hour."""
    max_size: Size = 5 * 1024**3
    """The most disk that the stack's logs take on each machine, packed; the oldest go first."""
    levels: dict[Name, dict[Level, tuple[Phrase, ...]]] = Field(default_factory=dict)
    """What an app's own words mean, as APP: {error: ["Traceback"]}; these come before what a line says itself."""
