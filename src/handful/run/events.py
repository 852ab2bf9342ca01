"""What happened on a machine, as a value?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Event:
    """One thing that happened: `kind` is a machine's word for it, `seconds` counts from the command's start.

    `machine` is "" for what happens on the operator's computer.
    """

    kind: str
    text: str
    machine: str = ""
    seconds: float = 0.0
    data: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the event as one JSON line."""
        return json.dumps(
            {
                "event": self.kind,
                "machine": self.machine,
                "text": self.text,
                "seconds": round(self.seconds, 3),
                **self.data,
            },
            ensure_ascii=False,
        )


def read_event(line: str, machine: str, seconds: float) -> Event:
    """Read a machine's JSON line; a line that is none becomes an `output` event."""
    try:
        told = json.loads(line)
    except ValueError:
        return Event("output", line, machine, seconds)
    if not isinstance(told, dict) or "event" not in told:
        return Event("output", line, machine, seconds)
    data = {key: str(value) for key, value in told.items() if key not in {"event", "text", "machine", "seconds"}}
    return Event(str(told["event"]), str(told.get("text", "")), machine, seconds, data)
