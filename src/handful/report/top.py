"""How is what machines and apps use right now shown: as tables for people, as lines for programs?"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.report.table import size, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    # As the agent tells it (agent/top.py), by machine.
    Told = Mapping[str, Mapping[str, Any]]

SORTS = ("name", "cpu", "memory", "network", "disk", "requests", "errors", "restarts")
# What a row of an app is the sum of.
SUMMED = ("cpu", "memory", "memory_limit", "received", "sent", "read", "written", "restarts")
REQUESTS = ("requests", "errors")
MACHINE_HEAD = ("machine", "cpu", "load", "memory", "disk", "in/s", "out/s", "read/s", "written/s")
APP_HEAD = (
    "machine", "app", "runs", "cpu", "memory", "in/s", "out/s", "read/s", "written/s", "req/s", "5xx/s", "restarts",
)
NOTHING = "-"


def rows(
    told: Told, stack: str, apps: Iterable[str] = (), *, every: bool = False, split: bool = False
) -> list[dict[str, Any]]:
    """Return a row for each app on each machine, or for each instance when `split`.

    Of `apps` only, when there are any; `every`: also what is not of the stack.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for machine, part in ((machine, part) for machine, each in told.items() for part in each["apps"]):
        mine = part["stack"] == stack
        name = part["app"] if mine else f"{part['stack']}.{part['app']}".removeprefix("_.")
        if not (mine or every) or (apps and part["app"] not in apps):
            continue
        key = (machine, name, part.get("instance", "") if split else "")
        row = found.setdefault(key, {"machine": machine, "app": key[2] or name, "runs": 0})
        row["runs"] += "instance" in part
        for field in (*SUMMED, *REQUESTS):
            if part.get(field) is not None:
                row[field] = row.get(field, 0) + part[field]
    # A proxy knows apps that run elsewhere; those that nobody asks it for are not worth a row.
    return [row for row in found.values() if row["runs"] or (not split and row.get("requests"))]


def ordered(found: Iterable[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Return rows by name, or the largest first."""
    if by == "name":
        return sorted(found, key=lambda row: (row["app"], row["machine"]))
    return sorted(found, key=lambda row: (-_weight(row, by), row["app"], row["machine"]))


def top_text(told: Told, found: Iterable[Mapping[str, Any]]) -> str:
    """Return two tables: machines, and apps."""
    machines = table(MACHINE_HEAD, [_machine(name, each["machine"]) for name, each in sorted(told.items())])
    apps = table(APP_HEAD, [_app(row) for row in found])
    return f"{machines}\n\n{apps}"


def top_json(told: Told, found: Iterable[Mapping[str, Any]]) -> str:
    """Return all of it as one line of JSON: rates per second, sizes in bytes, cpu in cores."""
    machines = [{"machine": name, **each["machine"]} for name, each in sorted(told.items())]
    return json.dumps({"machines": machines, "apps": list(found)})


def fitted(text: str, columns: int, lines: int) -> str:
    """Return as much of a text as a terminal of that size shows without moving on."""
    return "\n".join(line[:columns] for line in text.splitlines()[: lines - 1])


def _weight(row: Mapping[str, Any], by: str) -> float:
    fields = MappingProxyType({"network": ("received", "sent"), "disk": ("read", "written")}).get(by, (by,))
    return float(sum(row.get(field) or 0 for field in fields))


def _machine(name: str, each: Mapping[str, Any]) -> list[str]:
    return [
        name, f"{each['cpu'] / each['cpus']:.0%} of {each['cpus']}", f"{each['load']:.2f}",
        *(f"{size(each[field])} of {size(each[f'{field}_total'])}" for field in ("memory", "disk")),
        *(size(each[field]) for field in ("received", "sent", "read", "written")),
    ]


def _app(row: Mapping[str, Any]) -> list[str]:
    memory = size(row["memory"]) if "memory" in row else NOTHING
    if row.get("memory_limit"):
        memory += f" of {size(row['memory_limit'])}"
    return [
        row["machine"], row["app"], str(row["runs"]), f"{row['cpu']:.0%}" if "cpu" in row else NOTHING, memory,
        *(size(row[field]) if field in row else NOTHING for field in ("received", "sent", "read", "written")),
        *(f"{row[field]:.1f}" if field in row else NOTHING for field in REQUESTS),
        str(row.get("restarts", NOTHING)),
    ]
