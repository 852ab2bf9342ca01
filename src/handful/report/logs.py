"""How are lines of logs shown: for people, and for programs?"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.report.table import table

if TYPE_CHECKING:
    from collections.abc import Mapping

# The stream of what the agent says of a container.
OWN = "handful"
COLOURS = MappingProxyType({"fatal": "1;31", "error": "31", "warn": "33", "debug": "2"})
LEVELS = ("fatal", "error", "warn", "info", "debug", "")
MILLISECONDS = len("2026-01-31T12:00:00.000")


def line_text(machine: str, line: Mapping[str, Any], *, colour: bool) -> str:
    """Return a line for people: when, where, who, and what; lines of the agent's own begin with `--`."""
    moment = line["t"][:MILLISECONDS].ljust(len("2026-01-31T12:00:00"), "0") + "Z"
    mark = "-- " if line["s"] == OWN else ""
    text = f"{mark}{line['x']}"
    level = COLOURS.get(line["l"], "2" if line.get("around") else "")
    if colour and level:
        text = f"\x1b[{level}m{text}\x1b[0m"
    return f"{moment} {machine} {line['i']} {text}"


def line_json(machine: str, line: Mapping[str, Any]) -> str:
    """Return a line for programs."""
    told = {
        "time": f"{line['t']}Z", "machine": machine, "app": line["app"], "instance": line["i"], "release": line["r"],
        "stream": line["s"], "level": line["l"], "text": line["x"],
    }
    return json.dumps({**told, "around": True} if line.get("around") else told, ensure_ascii=False)


def counts_text(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return counts as a table: a row for each span in which something was said, a column for each level there is."""
    shown = [level for level in LEVELS if any(level in levels for levels in counts.values())]
    rows = [
        [f"{begin}Z", str(sum(levels.values())), *(str(levels.get(level, 0)) for level in shown)]
        for begin, levels in counts.items()
    ]
    return table(["since", "lines", *(level or "none" for level in shown)], rows)


def counts_json(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return counts as lines of JSON."""
    told = ({"time": f"{begin}Z", "lines": sum(levels.values()), "levels": levels} for begin, levels in counts.items())
    return "\n".join(json.dumps(each) for each in told)
