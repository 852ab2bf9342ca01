"""Which apps are away for maintenance, and which machines do not know it yet?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.plan.model import Step
from handful.plan.order import edges_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.facts.model import Facts
    from handful.plan.model import Goal


def pages(here: Facts) -> dict[str, str]:
    """Return the page (base64) of each app that is away on a machine, by `STACK.APP`."""
    lines = (line.partition(" ") for line in here.proxy_files.get("maintenance.map", "").splitlines())
    return {app: page for app, _, page in lines if page}


def away(goal: Goal, machine: str, apps: Iterable[str]) -> tuple[Step, ...]:
    """Tell a machine that takes the public traffic of apps from now on which of them are away on the others."""
    elsewhere = {app: page for here in goal.facts.values() for app, page in pages(here).items()}
    unknown = {app: page for app, page in elsewhere.items() if app not in pages(goal.facts[machine])}
    return tuple(
        Step("maintenance", {"stack": goal.stack, "app": app, "page": unknown[f"{goal.stack}.{app}"]})
        for app in apps
        if f"{goal.stack}.{app}" in unknown and machine in edges_of(app, goal.config)
    )
