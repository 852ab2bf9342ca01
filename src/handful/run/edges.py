"""What did users notice at edges that do not run the apps which were deployed?"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.machine.ssh import ask
from handful.plan.order import edges_of, machines_of
from handful.run.events import read_event
from handful.run.together import side_by_side

if TYPE_CHECKING:
    from handful.plan.model import Plan
    from handful.run.engine import Operator
    from handful.run.project import Project


def count_at_edges(project: Project, plan: Plan, operator: Operator) -> None:
    """Let edges that took no part in a deploy tell of its time; one that does not answer now is passed over."""
    seconds = math.ceil(time.monotonic() - operator.started)
    released = {change.app for change in plan.changes if change.action in {"deploy", "restart", "scale"}}
    apps: dict[str, list[str]] = {}
    for name in sorted(released):
        app = project.config.apps[name]
        for machine in edges_of(name, project.config) if app.domains else ():
            if machine not in machines_of(name, project.config):
                apps.setdefault(machine, []).append(name)
    side_by_side([partial(_count, project, plan, operator, machine, names, seconds) for machine, names in apps.items()])


def _count(
    project: Project, plan: Plan, operator: Operator, machine: str, names: list[str], seconds: int
) -> None:
    values = {"stack": plan.stack, "deploy": str(plan.deploy), "apps": " ".join(names), "seconds": str(seconds)}
    ended = ask(project.machines[machine], "export HANDFUL_JSON=1\n" + stand_alone("count_requests", values))
    for line in ended.out.splitlines():
        operator.on_event(read_event(line, machine, time.monotonic() - operator.started))
