"""What ran at an earlier moment, and what was an act that did not end to bring about?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import PlanRefused, UsageError
from handful.plan.back import Back, came_to_nothing, history
from handful.plan.order import machines_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts


def way_to(config: Config, stack: str, facts: Mapping[str, Facts], moment: int | str) -> Back:
    """Return what takes every app to the release that it had after a deploy, or at a time (UTC, as history has it).

    Apps that are newer stay as they are, and are told as kept. Raises UsageError for a deploy that never was, and
    PlanRefused when nothing ran then, or when all is as it was.
    """
    past = history(stack, facts)
    if isinstance(moment, int):
        if moment not in {each.number for each in past}:
            known = f"The last one is {past[-1].number}." if past else "There is none yet."
            raise UsageError(f"there is no deploy {moment}", advice=f"{known} See: handful history")
        until = [each for each in past if each.number <= moment]
    else:
        until = [each for each in past if each.when <= moment]
    state: dict[str, str] = {}
    for each in until:
        nothing = each.vain or came_to_nothing(each, stack, facts)
        state |= {} if nothing else {app: after for app, (_, after) in each.apps.items()}
    ran = {app: release for app, release in state.items() if release and app in config.apps}
    if not ran:
        raise PlanRefused("no app of the file ran then", advice="See: handful history")
    current = {app: _current(app, config, stack, facts) for app in config.apps}
    targets = {app: release for app, release in ran.items() if current[app] != {release}}
    if not targets:
        raise PlanRefused("every app is on the release that it had then: there is nothing to do")
    return Back(targets, None, tuple(app for app in config.apps if app not in ran and current[app] - {""}))


def left_over(config: Config, stack: str, facts: Mapping[str, Facts]) -> Back:
    """Return the releases that an act was to bring about that did not end on all machines; what it undoes, if it does.

    Raises PlanRefused when nothing is unfinished.
    """
    found: dict[str, str] = {}
    past = [each for each in history(stack, facts) if not each.vain]
    undoes = None
    for app in config.apps:
        states = [facts[name].app(stack, app) for name in machines_of(app, config) if name in facts]
        seen = {state.current for state in states} | {state.deploying for state in states if state.deploying}
        if len(seen) > 1 or any(state.deploying for state in states):
            act = next((each for each in reversed(past) if app in each.apps and each.apps[app][1] in seen), None)
            if act is not None:
                found[app], undoes = act.apps[app][1], act.undoes
    if not found:
        raise PlanRefused("nothing is unfinished: there is nothing to resume", advice="See: handful status")
    return Back(found, undoes)


def _current(app: str, config: Config, stack: str, facts: Mapping[str, Facts]) -> set[str]:
    return {facts[name].app(stack, app).current for name in machines_of(app, config) if name in facts}
