"""How is a plan shown before it is carried out?"""

from __future__ import annotations

import json
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handful.plan.model import Change, Plan

# Actions that are not their own word.
VERBS = MappingProxyType({"setup": "set up", "nothing": "nothing to do"})


def plan_lines(plan: Plan) -> list[str]:
    """Return a line per app and machine: what happens, and why."""
    if not plan.changes:
        return [f"{plan.stack}: no apps in handful.yml yet"]
    return [_line(change) for change in plan.changes] + list(plan.notes)


def plan_json(plan: Plan) -> str:
    """Return the plan as one JSON document: changes, and the steps of each wave."""
    told = {
        "stack": plan.stack, "deploy": plan.deploy, "what": plan.what, "empty": plan.empty,
        "changes": [asdict(change) for change in plan.changes],
        "waves": [
            [
                {"machine": work.machine, "images": work.images, "releases": [release.id for release in work.releases],
                 "steps": [{"script": step.script, **step.values} for step in work.steps]}
                for work in wave
            ]
            for wave in plan.waves
        ],
        "notes": plan.notes,
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def _line(change: Change) -> str:
    what = VERBS.get(change.action, change.action)
    if change.action == "deploy":
        what += f" {change.after}" + (f" in place of {change.before}" if change.before else "")
    elif change.action in {"restart", "scale", "stop", "remove"}:
        what += f" {change.before}".rstrip()
    why = f": {', '.join(change.reasons)}" if change.reasons else ""
    if change.action == "nothing" and change.before:
        what += f" ({change.before})"
    return f"{change.machine:<8} {change.app:<12} {what}{why}"
