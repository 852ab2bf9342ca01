"""How is an app stopped, or taken away?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from handful.errors import UsageError
from handful.plan.back import history
from handful.plan.conflicts import check_lock, check_machine
from handful.plan.model import Change, Plan, Work
from handful.plan.steps import end, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.facts.model import Facts
    from handful.plan.model import Intent


def make_whole_plan(stack: str, facts: Mapping[str, Facts], intent: Intent, action: Literal["stop", "remove"]) -> Plan:
    """Return what stops or removes the apps of `intent` wherever they are, machines side by side.

    An app need not be in the file any more. Raises UsageError when no machine has it.
    """
    for name in intent.apps:
        if not any(name in {**here.stack(stack).apps, **here.stack(stack).reach} for here in facts.values()):
            known = sorted({app for machine in facts.values() for app in machine.stack(stack).apps})
            message = f"no machine has an app {name} of {stack}"
            raise UsageError(message, advice=f"There are: {', '.join(known) or 'none'}.")
    works, changes = [], []
    for here in facts.values():
        check_lock(here, stack)
    for machine, here in facts.items():
        mine = [name for name in intent.apps if name in here.stack(stack).apps]
        known = [name for name in intent.apps if name in here.stack(stack).reach and action == "remove"]
        if mine or known:
            check_machine(here)
            ends = (end(action, stack, name, here) for name in mine)
            works.append(Work(machine, (*(reach(stack, name, "") for name in known), *ends)))
            changes += [_change(machine, name, here.app(stack, name).current, action) for name in mine]
    past = history(stack, facts)
    number = past[-1].number + 1 if past else 1
    begun = {
        "deploy": number, "event": "begun", "what": intent.what, "when": intent.when, "who": intent.who,
        "from": intent.host, "machines": [work.machine for work in works],
        "apps": {c.app: {"from": c.before, "to": c.after} for c in changes},
    }
    return Plan(stack, number, intent.what, begun, (tuple(works),) if works else (), tuple(changes))


def _change(machine: str, name: str, current: str, action: str) -> Change:
    if action == "stop":
        return Change(machine, name, "stop", current, current, ("asked for",))
    return Change(machine, name, "remove", current, "", ("asked for",))
