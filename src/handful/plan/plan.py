"""What will be done, on which machine, in which order, and why?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from handful.errors import PlanRefused
from handful.plan import drift, reach, steps
from handful.plan.back import history
from handful.plan.conflicts import check_apps, check_lock, check_machine
from handful.plan.model import Change, Goal, Plan, Release
from handful.plan.order import edges_of, machines_of, need_app, needed, together
from handful.plan.release import describe, reasons, release
from handful.plan.work import make_waves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts
    from handful.plan.model import AppSource, Intent, Work


NOT_PLACED = ("the file does not place it here",)


def make_plan(
    config: Config, stack: str, facts: Mapping[str, Facts], sources: Mapping[str, AppSource], intent: Intent
) -> Plan:
    """Return what brings the chosen apps to what the file (or `intent.targets`) asks for.

    `facts` must hold every machine of the chosen apps, `sources` every app that is not a target.
    Raises PlanRefused, Locked, NoDocker or UsageError; nothing has been touched then.
    """
    if not all(each.whole for each in facts.values()):
        raise ValueError("a plan needs whole facts")
    chosen = choose(config, intent)
    strays = _strays(config, stack, facts, intent)
    facts = _in_turn(config, facts)
    for machine, here in facts.items():
        check_lock(here, stack)
        if _touches(machine, chosen, strays, config):
            check_machine(here)
    releases = {name: _wanted(name, config, stack, facts, sources, intent) for name in chosen}
    goal = Goal(config, stack, facts, releases, intent)
    check_apps(goal, reach.members(goal))
    changes = [
        _change(goal, name, machine)
        for machine, here in facts.items()
        for name in chosen
        if machine in machines_of(name, config) and (not intent.machines or machine in intent.machines)
    ]
    changes += strays
    waves, learned = make_waves(goal, changes)
    return _plan(stack, facts, waves, (*changes, *learned), intent)


def choose(config: Config, intent: Intent) -> tuple[str, ...]:
    """Return the apps a command is about, with those that share an image with them. Raises UsageError."""
    wanted = tuple(intent.targets) or intent.apps
    for name in wanted:
        need_app(config, name)
    if intent.targets:
        return tuple(name for name in config.apps if name in intent.targets)
    return together(wanted, config.apps) if wanted else tuple(config.apps)


def _in_turn(config: Config, facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """Return the machines in the order in which they take their turn.

    It is that of the file, but a machine comes after those that it needs apps of; where they need each other, the file
    decides.
    """
    waiting = [name for name in config.machines if name in facts]
    before = {name: needed(name, config) for name in waiting}
    order: list[str] = []
    while waiting:
        order.append(next((name for name in waiting if not before[name] & set(waiting) - {name}), waiting[0]))
        waiting.remove(order[-1])
    return {name: facts[name] for name in order}


def _touches(machine: str, chosen: Iterable[str], strays: Iterable[Change], config: Config) -> bool:
    """Whether a plan may do something on a machine; a broken machine beside it is no reason to refuse."""
    places = {place for name in chosen for place in (*machines_of(name, config), *_edges(name, config))}
    return machine in places or any(c.machine == machine for c in strays)


def _edges(name: str, config: Config) -> tuple[str, ...]:
    return edges_of(name, config) if config.apps[name].domains else ()


def _wanted(
    name: str, config: Config, stack: str, facts: Mapping[str, Facts], sources: Mapping[str, AppSource], intent: Intent
) -> Release:
    """Return the release an app is to run: a kept one with the same hash is taken again, under its old id."""
    kept: dict[str, Mapping[str, Any]] = {}
    for machine in facts.values():
        kept |= machine.app(stack, name).releases
    if name in intent.targets:
        identifier = intent.targets[name]
        if identifier not in kept:
            message = f"{name} has no release {identifier}"
            raise PlanRefused(message, advice=f"Kept releases of {name}: {', '.join(sorted(kept)) or 'none'}.")
        return release(stack, identifier, kept[identifier])
    manifest = describe(name, config, sources[name])
    same = [identifier for identifier in sorted(kept) if kept[identifier].get("hash") == manifest["hash"]]
    if same and any(here.app(stack, name).current == same[-1] for here in facts.values()):
        # What runs is right, also where its image would have another name by now: that of an app with the same build.
        return release(stack, same[-1], kept[same[-1]])
    counters = [int(identifier.split("-")[0]) for identifier in kept] + _counters(stack, name, facts)
    identifier = same[-1] if same else f"{max(counters, default=0) + 1:04d}-{manifest['hash'][:6]}"
    return release(stack, identifier, manifest)


def _counters(stack: str, name: str, facts: Mapping[str, Facts]) -> list[int]:
    """Return the counters of an app's releases in history: a pruned or failed one's is not given again."""
    used = [after for past in history(stack, facts) for app, (_, after) in past.apps.items() if app == name]
    return [int(after.split("-")[0]) for after in used if after.split("-")[0].isdigit()]


def _change(goal: Goal, name: str, machine: str) -> Change:
    wanted, intent = goal.releases[name], goal.intent
    state = goal.facts[machine].app(goal.stack, name)
    if name in intent.targets and intent.what != "deploy" and not state.current and wanted.id not in state.releases:
        return Change(machine, name, "nothing", "", wanted.id, ("it has never run here",))
    why, same = _reasons(goal, name, machine), state.current == wanted.id
    if state.stopped and same and not state.deploying and intent.what not in {"start", "restart"}:
        return Change(machine, name, "nothing", state.current, wanted.id, ("it is stopped",))
    if intent.what == "restart" or (intent.what == "start" and why):
        why = (*why, "asked for")
    return Change(machine, name, _action(goal, name, machine, why, same=same), state.current, wanted.id, why)


def _action(
    goal: Goal, name: str, machine: str, why: tuple[str, ...], *, same: bool
) -> Literal["nothing", "restart", "scale", "mend", "deploy"]:
    """With the right release, only what is missing starts, unless there is something to put right or to start anew."""
    state = goal.facts[machine].app(goal.stack, name)
    if not why:
        return "nothing"
    if not same or state.current not in state.releases:
        return "deploy"
    if state.deploying or state.stopped or goal.intent.what in {"restart", "start"}:
        return "restart"
    if why == drift.gaps(goal, name, machine):
        return "mend"
    return "restart" if drift.edits(goal, name, machine) else "scale"


def _reasons(goal: Goal, name: str, machine: str) -> tuple[str, ...]:
    wanted, state = goal.releases[name], goal.facts[machine].app(goal.stack, name)
    if state.current != wanted.id:
        return reasons(state.releases.get(state.current, {}), wanted.manifest) or (f"release {wanted.id} is wanted",)
    if wanted.id not in state.releases:
        return ("the folder of its release is not there",)
    if state.deploying:
        return ("an interrupted deploy is put right",)
    return _shortage(goal, name, machine) or drift.edits(goal, name, machine) or drift.gaps(goal, name, machine)


def _shortage(goal: Goal, name: str, machine: str) -> tuple[str, ...]:
    """Say when other than the wanted number of instances runs, or would run at other hours."""
    count, facts = goal.count(name, machine), goal.facts[machine]
    state = facts.app(goal.stack, name)
    lasting = [c for c in facts.instances(goal.stack, name) if c.running and c.restart != "no"]
    running = [c for c in lasting if c.release == state.current]
    if state.instances is not None and state.instances != count:
        return (f"instances {state.instances} → {count}",)
    if len(running) != count:
        return (f"{len(running)} of {count} instances run",)
    return ("its hours changed",) if steps.keeps_hours(goal, name, machine) else ()


def _strays(config: Config, stack: str, facts: Mapping[str, Facts], intent: Intent) -> list[Change]:
    """Return apps that the file does not place where they are; only `apply` takes them away."""
    if intent.what != "apply" or intent.apps:
        return []
    return [
        Change(machine, name, "remove", facts[machine].app(stack, name).current, "", NOT_PLACED)
        for machine in sorted(facts)
        for name in sorted(facts[machine].stack(stack).apps)
        if name not in config.apps or machine not in machines_of(name, config)
    ]


def _plan(
    stack: str, facts: Mapping[str, Facts], waves: tuple[tuple[Work, ...], ...], changes: tuple[Change, ...],
    intent: Intent,
) -> Plan:
    past = history(stack, facts)
    number = past[-1].number + 1 if past else 1
    apps = _apps_told(changes)
    begun: dict[str, Any] = {
        "deploy": number, "event": "begun", "what": intent.what, "when": intent.when, "who": intent.who,
        "from": intent.host, "machines": _acting(waves), "apps": apps,
    }
    if intent.undoes is not None:
        begun["undoes"] = intent.undoes
    if intent.origin:
        begun["origin"] = intent.origin
    set_up = tuple(
        Change(work.machine, "", "setup", reasons=steps.why_set_up(work.steps))
        for wave in waves for work in wave if work.steps and work.steps[0].script.startswith("setup")
    )
    mended = tuple(
        Change(machine, "", "mend", reasons=told)
        for machine, here in facts.items() if (told := drift.parts(here)) and _works(machine, waves)
    )
    return Plan(stack, number, intent.what, begun, waves, (*set_up, *mended, *changes))


def _works(machine: str, waves: Iterable[Iterable[Work]]) -> bool:
    return any(work.machine == machine for wave in waves for work in wave)


def _acting(waves: Iterable[Iterable[Work]]) -> list[str]:
    """Return the machines that do more than learn where apps are."""
    return list(dict.fromkeys(work.machine for wave in waves for work in wave if not work.learns))


def _apps_told(changes: Iterable[Change]) -> dict[str, dict[str, str]]:
    """Return what history says of each app: from which release to which, as its first machine that changes sees it.

    An app that leaves a machine and stays on another keeps its release.
    """
    told: dict[str, dict[str, str]] = {}
    staying = {change.app for change in changes if change.action != "remove"}
    for change in sorted(changes, key=lambda each: each.before == each.after):
        if change.action == "remove" and change.app in staying:
            told.setdefault(change.app, {"from": change.before, "to": change.before})
        elif change.action not in {"nothing", "reach"}:
            told.setdefault(change.app, {"from": change.before, "to": change.after})
    return told
