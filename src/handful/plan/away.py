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
    """Tell a machine that takes the public traffic of apps from now on which of them are away on the others.

    One that has taken it before knows better: somebody may have brought the app back there.
    """
    here, config = goal.facts[machine], goal.config
    led = {line.rpartition(" ")[2] for line in here.proxy_files.get("routes.map", "").splitlines()}
    elsewhere = {app: page for each in goal.facts.values() for app, page in pages(each).items()}
    known = led | pages(here).keys()
    told = {app: elsewhere.get(f"{goal.stack}.{app}", "") for app in apps if f"{goal.stack}.{app}" not in known}
    return tuple(
        Step("maintenance", {"stack": goal.stack, "app": app, "page": page})
        for app, page in told.items()
        if page and app in config.apps and machine in edges_of(app, config)
    )
