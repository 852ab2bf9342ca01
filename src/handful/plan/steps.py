"""Which steps does a machine take, and in which order?"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Literal

from handful.plan.conflicts import PARTS
from handful.plan.drift import parts_differ
from handful.plan.hours import lines, spans
from handful.plan.model import Step
from handful.plan.order import levels
from handful.plan.traffic import NAMES_ADDRESS, RANGE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from handful.config.model import App
    from handful.facts.model import AppState, Facts
    from handful.plan.model import Goal, Intent

USUAL_PLATFORM = "linux/amd64"


def needed_images(facts: Facts, intent: Intent) -> dict[str, str]:
    """Return the images of the parts that an act needs on a machine.

    A rollback, a restart and the like have no time for an agent, and must not fail for it.
    """
    found = system_images(facts, intent.images)
    return {part: name for part, name in found.items() if part != "agent" or intent.what in {"deploy", "apply"}}


def system_images(facts: Facts, images: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of the system's images on a machine, by part: those of other platforms than most end in it."""
    tail = "" if facts.platform == USUAL_PLATFORM else f"-{facts.platform.partition('/')[2].replace('/', '-')}"
    return {part: f"{name}{tail}" for part, name in images.items()}


def setup(facts: Facts, stack: str, told: str, images: Mapping[str, str], handful: str) -> tuple[Step, ...]:
    """Return the machine-wide steps that are missing; none when the machine's parts are as they should be.

    `told`: what the agent is to know of the stack; `images`: the parts' tags on this machine. Where the agent is not
    among them, it is left as it is.
    """
    with_agent = "agent" in images
    tell = () if facts.stack(stack).agent == told else (Step("setup_logs", {"stack": stack, "text": told}),)
    if setup_is_done(facts, images):
        return tell if with_agent else ()
    here = facts.parts.get("parts", {})
    parts = {part: version for part, version in PARTS.items() if part != "agent" or with_agent or part in here}
    machine = {"format": 1, "handful": handful, "parts": parts, "images": dict(images)}
    agent = (*tell, Step("setup_agent", {"image": images["agent"]})) if with_agent else ()
    return (
        Step("setup_network", {"range": RANGE}),
        Step("setup_names", {"image": images["names"], "address": NAMES_ADDRESS}),
        Step("setup_proxy", {"image": images["proxy"]}),
        *agent,
        Step("setup_done", {"machine": json.dumps(machine)}),
    )


def why_set_up(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what the steps of a machine set up there."""
    if steps[0].script == "setup_logs":
        return ("how logs are kept",)
    agent = any(step.script == "setup_agent" for step in steps)
    return (f"proxy, names{', agent' if agent else ''} and service addresses",)


def setup_is_done(facts: Facts, images: Mapping[str, str]) -> bool:
    """Whether the parts of `images` and the service range are there, run, and are of the right image."""
    # By name: while an older proxy drains, two containers are the part `proxy`.
    parts = {c.name: c.image for c in facts.containers if c.running and c.part}
    same = all(parts.get(f"handful-{part}") == image for part, image in images.items())
    here = facts.parts.get("parts", {})
    right = all(here.get(part) == version for part, version in PARTS.items() if part != "agent" or part in images)
    return same and facts.service_range_local and right and not parts_differ(facts)


def place(stack: str, name: str, number: int | None, count: int, keep: int) -> Step:
    """Write down an app's number, its count of instances, and how many releases are kept."""
    values = {"stack": stack, "app": name, "number": "" if number is None else str(number)}
    return Step("place_app", {**values, "instances": str(count), "keep": str(keep)})


def keeps_hours(goal: Goal, name: str, machine: str, *, again: bool = False) -> tuple[Step, ...]:
    """Write down when an app has how many instances, where that differs from what the machine has, or `again`."""
    here, app, intent = goal.facts[machine], goal.config.apps[name], goal.intent
    state, scaled = here.app(goal.stack, name), ""
    if name in intent.counts and intent.seconds is not None:
        scaled = f"{intent.counts[name]} {round(here.clock + intent.seconds)}"
    elif name not in intent.counts and state.scaled is not None and here.clock < state.scaled[1]:
        scaled = _scaled(state)
    hours = lines(app) if scaled or spans(app) else ""
    if not again and (hours, scaled) == (state.hours, _scaled(state)):
        return ()
    return (Step("keep_hours", {"stack": goal.stack, "app": name, "hours": hours, "scaled": scaled}),)


def _scaled(state: AppState) -> str:
    return f"{state.scaled[0]} {round(state.scaled[1])}" if state.scaled else ""


def end(action: Literal["stop", "remove"], stack: str, name: str, here: Facts) -> Step:
    """Stop an app, or take it away, with the patience that its present release asks for."""
    state = here.app(stack, name)
    settings = state.releases.get(state.current, {}).get("settings", {})
    timeout = str(math.ceil(settings.get("stop_timeout", 10)))
    return Step(f"{action}_app", {"stack": stack, "app": name, "stop_timeout": timeout})


def reach(stack: str, app: str, text: str) -> Step:
    """Write down how an app is reached (see plan/reach.py); an empty text: in no way any more."""
    return Step("reach_app", {"stack": stack, "app": app, "text": text})


def receive(stack: str, app: str, release: str, *, again: bool = False) -> Step:
    """Put an uploaded release into its place; `again`: over the files of the same one, which were edited there."""
    name = "replace_release" if again else "receive_release"
    return Step(name, {"stack": stack, "app": app, "release": release})


def mend(stack: str, app: str) -> Step:
    """Give the proxy an app's part anew."""
    return Step("mend_app", {"stack": stack, "app": app})


def mend_names(stack: str) -> Step:
    """Write a stack's names anew."""
    return Step("mend_names", {"stack": stack})


def run(
    stack: str, releases: Mapping[str, str], apps: Mapping[str, App], commands: Collection[str] = (),
    *, together: Collection[str] = (), fleet: bool = False, scaled: Collection[str] = (),
) -> tuple[Step, ...]:
    """Bring releases (by app) into use: each level of needs as a whole, and nothing final before all have switched.

    `scaled` are the apps of which only other numbers of instances are wanted.

    `commands` are the apps whose release command runs here, `together` those that switch on all machines at once.
    `fleet`: other machines change in the same deploy, and nothing is final here before they have switched, too.
    """
    steps: list[Step] = []
    for level in levels(releases, apps):
        steps += [_phase(stack, app, releases[app], "release_command") for app in level if app in commands]
        steps += [_phase(stack, app, releases[app], "scale" if app in scaled else "start") for app in level]
        steps += [_phase(stack, app, releases[app], "wait") for app in level]
        steps += [_switch(stack, app, releases[app], together=app in together) for app in level]
    order = [app for level in levels(releases, apps) for app in level]
    steps += [_phase(stack, app, releases[app], "promote") for app in order]
    steps += [Step("await_word", {"word": "finish"})] if fleet else []
    return (*steps, *(_phase(stack, app, releases[app], "finish") for app in order))


def _switch(stack: str, app: str, release: str, *, together: bool) -> Step:
    if not together:
        return _phase(stack, app, release, "switch")
    return Step("switch_together", {"stack": stack, "app": app, "release": release, "word": f"switch-{app}"})


def _phase(stack: str, app: str, release: str, phase: str) -> Step:
    return Step("run_release", {"stack": stack, "app": app, "release": release, "phase": phase})
