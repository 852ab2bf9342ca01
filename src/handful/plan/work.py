"""Which machine takes which steps, and when?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import PlanRefused
from handful.plan import drift, reach, steps
from handful.plan.agent import agent_text
from handful.plan.away import away
from handful.plan.conflicts import check_disk, check_machine
from handful.plan.model import Step, Work
from handful.plan.order import machines_of, needed
from handful.plan.traffic import numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from handful.config.model import App
    from handful.facts.model import Facts
    from handful.plan.model import Change, Goal, Intent, Release


ALL = 1_000_000


def make_waves(goal: Goal, changes: Sequence[Change]) -> tuple[tuple[tuple[Work, ...], ...], list[Change]]:
    """Return who works when, and the changes that come of it where nothing else happens to an app.

    First all learn, side by side, where apps run and will run. Then machines change, in turn. Then all forget, side by
    side, the places that an app is about to leave; last it goes from there.
    """
    given = numbers(goal.stack, _sharing(goal), goal.facts)
    removals = [change for change in changes if change.action == "remove"]
    known = reach.changes(goal, reach.served(goal, given, removals), removals)
    names = {machine for machine, here in goal.facts.items() if "names" in here.drift.get("", ())}
    learning = tuple(
        _learn(goal, machine, each.first, names) for machine, each in known.items() if each.first or machine in names
    )
    set_up = {work.machine for work in learning}
    works = [_turn(goal, machine, changes, given, set_up) for machine in goal.facts]
    turns = _turns(goal, _moves(changes), [work for work in works if work.steps])
    last = {machine: each.last for machine, each in known.items() if each.last}
    forgetting = tuple(Work(machine, _written(goal, machine, texts)) for machine, texts in last.items())
    leaving = [_leave(goal, machine, removals) for machine in goal.facts]
    waves = (learning, *turns, forgetting, *((work,) for work in leaving if work.steps))
    return tuple(wave for wave in waves if wave), reach.told(known, changes)


def _learn(goal: Goal, machine: str, texts: Mapping[str, str], names: Collection[str]) -> Work:
    """Set a machine up, when it is not, and write texts down."""
    check_machine(goal.facts[machine])
    system = steps.needed_images(goal.facts[machine], goal.intent)
    first = steps.setup(
        goal.facts[machine], goal.stack, agent_text(goal.config, machine), system, goal.intent.handful
    )
    images = _images(goal.facts[machine], (), first, system)
    mended = (steps.mend_names(goal.stack),) if machine in names else ()
    return Work(machine, (*first, *_written(goal, machine, texts), *mended), images=images)


def _written(goal: Goal, machine: str, texts: Mapping[str, str]) -> tuple[Step, ...]:
    written = (steps.reach(goal.stack, app, text) for app, text in texts.items())
    # Before the machine takes an app's public traffic.
    return (Step("ensure_network", {"stack": goal.stack}), *away(goal, machine, texts), *written)


def _leave(goal: Goal, machine: str, removals: Iterable[Change]) -> Work:
    gone = [change.app for change in removals if change.machine == machine]
    return Work(machine, tuple(steps.end("remove", goal.stack, app, goal.facts[machine]) for app in gone))


def _moves(changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """Return the apps that are brought into use on each machine; none for a machine where nothing is."""
    found: dict[str, tuple[str, ...]] = {}
    for change in changes:
        if change.action in {"deploy", "restart", "scale"}:
            found[change.machine] = (*found.get(change.machine, ()), change.app)
    return found


def _turns(goal: Goal, moves: Mapping[str, tuple[str, ...]], works: Iterable[Work]) -> list[tuple[Work, ...]]:
    """Return the machines that change, those together that may: as many as their apps allow, and none needs another."""
    turns: list[tuple[Work, ...]] = []
    for work in works:
        last = turns[-1] if turns else ()
        names = {each.machine for each in (*last, work)}
        limits = [_limit(goal.config.apps[app]) for name in names for app in moves.get(name, ())]
        if last and len(names) <= min(limits, default=1) and not needed(work.machine, goal.config) & names:
            turns[-1] = (*last, work)
        else:
            turns.append((work,))
    return turns


def _limit(app: App) -> int:
    return ALL if app.strategy == "all" else app.deploy.batch


def _turn(
    goal: Goal, machine: str, changes: Sequence[Change], given: Mapping[str, int], set_up: Collection[str]
) -> Work:
    """Return what a machine does when it changes; `set_up` are those that have been set up before."""
    here, intent = goal.facts[machine], goal.intent
    moving = _moves(changes).get(machine, ())
    placed = machine in reach.members(goal) or any(machine in machines_of(app, goal.config) for app in goal.releases)
    needs_setup = machine not in set_up and placed and (moving or intent.what in {"deploy", "apply"})
    system = steps.needed_images(here, intent)
    told = agent_text(goal.config, machine)
    first = steps.setup(here, goal.stack, told, system, intent.handful) if needs_setup else ()
    wanted = [goal.releases[app] for app in moving]
    uploads = tuple(each for each in wanted if each.id not in here.app(goal.stack, each.app).releases)
    _check_uploads(machine, uploads, intent)
    edited = tuple(each for each in wanted if each not in uploads and drift.edited_files(here, each.app))
    mending = [change.app for change in changes if change.machine == machine and change.action == "mend"]
    images = _images(here, [*wanted, *(goal.releases[app] for app in mending)], first, system)
    if images:
        check_disk(here, 0)
    inner = _app_steps(goal, machine, changes, (*uploads, *edited), given) if moving else ()
    mends = tuple(step for app in mending for step in _mend(goal, app, machine))
    return Work(machine, (*first, *away(goal, machine, moving), *mends, *inner), (*uploads, *edited), images)


def _check_uploads(machine: str, uploads: tuple[Release, ...], intent: Intent) -> None:
    """Refuse to go to a release that the machine does not keep: it cannot be made again from the source of today."""
    if any(upload.app in intent.targets for upload in uploads):
        names = ", ".join(f"{upload.app} {upload.id}" for upload in uploads)
        message = f"{machine} does not keep {names}"
        advice = "See: handful history. A deploy of the older source brings it back."
        if intent.what == "deploy":
            advice = "The project has changed since. Deploy it as it is now: handful deploy. Or: handful rollback"
        raise PlanRefused(message, advice=advice)


def _app_steps(
    goal: Goal, machine: str, changes: Sequence[Change], uploads: Iterable[Release], given: Mapping[str, int]
) -> tuple[Step, ...]:
    stack, apps, moves = goal.stack, goal.config.apps, _moves(changes)
    moving = moves[machine]
    others = {app for name, each in moves.items() if name != machine for app in each}
    together = [app for app in moving if app in others and apps[app].strategy == "all"]
    releases = {app: goal.releases[app].id for app in moving}
    commands = [app for app in moving if _runs_command(goal, app, machine)]
    scaled = [change.app for change in changes if change.machine == machine and change.action == "scale"]
    return (
        Step("ensure_network", {"stack": stack}),
        *(_place(goal, app, machine, given) for app in moving),
        *(step for app in moving for step in _hours(goal, app, machine)),
        *(steps.receive(stack, each.app, each.id, again=each.id in _kept(goal, machine, each.app)) for each in uploads),
        *steps.run(stack, releases, apps, commands, together=together, fleet=len(moves) > 1, scaled=scaled),
    )


def _mend(goal: Goal, app: str, machine: str) -> tuple[Step, ...]:
    only_hours = goal.facts[machine].drift.get(app) == ("hours",)
    return (*(() if only_hours else (steps.mend(goal.stack, app),)), *_hours(goal, app, machine))


def _hours(goal: Goal, app: str, machine: str) -> tuple[Step, ...]:
    return steps.keeps_hours(goal, app, machine, again="hours" in goal.facts[machine].drift.get(app, ()))


def _kept(goal: Goal, machine: str, app: str) -> Collection[str]:
    return goal.facts[machine].app(goal.stack, app).releases


def _place(goal: Goal, app: str, machine: str, given: Mapping[str, int]) -> Step:
    return steps.place(goal.stack, app, given.get(app), goal.count(app, machine), goal.config.apps[app].deploy.keep)


def _sharing(goal: Goal) -> dict[str, tuple[str, ...]]:
    """Return the apps that have a service address, or get one now, and the machines on which it must be free."""
    everywhere, facts = reach.members(goal), goal.facts.values()
    known = {name for name in goal.config.apps if any(here.app(goal.stack, name).number is not None for here in facts)}
    return {
        name: tuple(dict.fromkeys([*machines_of(name, goal.config), *everywhere]))
        for name in goal.config.apps
        if _is_served(goal, name) and (name in goal.releases or name in known)
    }


def _is_served(goal: Goal, name: str) -> bool:
    """Whether an app has a service address: what is to run decides, which for a rollback is not what the file says."""
    app = goal.config.apps[name]
    if name in goal.releases:
        settings = goal.releases[name].manifest["settings"]
        return settings["port"] is not None and settings["network"] == "stack"
    return app.port is not None and app.network == "stack"


def _runs_command(goal: Goal, app: str, machine: str) -> bool:
    """Once per deploy, on the first of its machines, and not for a release that runs somewhere already."""
    if goal.intent.targets or not goal.config.apps[app].release_command:
        return False
    here = [name for name in goal.facts if name in machines_of(app, goal.config)]
    wanted = goal.releases[app].id
    return machine == here[0] and all(goal.facts[name].app(goal.stack, app).current != wanted for name in here)


def _images(
    here: Facts, releases: Iterable[Release], first: tuple[Step, ...], system: Mapping[str, str]
) -> tuple[str, ...]:
    needed = [str(each.settings["image"]) for each in releases] + (list(system.values()) if first else [])
    return tuple(dict.fromkeys(image for image in needed if image not in here.images))
