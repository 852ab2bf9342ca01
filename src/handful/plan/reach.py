"""How is an app reached from a machine that does not run it, or not alone?

Every machine with apps of a stack serves all of them, at the same addresses: through its own instances, and through
the fronts of the other machines that run the app. What its proxy must know of that is a text, one file per app:

    number 5                        gives service address and front
    port 8000                       the app's own
    front 10.114.0.1                this machine's private address
    from 10.114.0.2 10.114.0.3      who may come to the front
    peer m2 10.114.0.2 2            a machine that runs the app, and how many instances it has
    here m1                         this machine, for a sticky app's cookies
    edge no                         it runs the app, and takes no public traffic
    route shop.test/                it takes public traffic for the app, and does not run it
    frontend … / backend … / …      as in a release's proxy.cfg
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.plan import drift
from handful.plan.model import Change
from handful.plan.order import machines_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from handful.config.model import Config
    from handful.plan.model import Goal


@dataclass(frozen=True)
class Served:
    """An app with a port: its number, the settings of what is to run, where it will run, and what it leaves.

    `weights`: how many instances each of its machines has, as a rule: hours do not count.
    """

    number: int
    settings: Mapping[str, Any]
    weights: Mapping[str, int]
    runs: tuple[str, ...]
    leaves: tuple[str, ...]


def members(goal: Goal, removed: Collection[tuple[str, str]] = ()) -> tuple[str, ...]:
    """Return the machines that share their apps, in the file's order: with a private address, and an app now or soon.

    `removed`: (machine, app) pairs that do not run any more.
    """
    config = goal.config
    placed = {machine for name in config.apps for machine in machines_of(name, config)}
    placed |= {machine for machine, _ in running(goal) - set(removed)} | set(config.edge or ())
    return tuple(name for name, machine in config.machines.items() if name in placed and machine.private)


def running(goal: Goal) -> set[tuple[str, str]]:
    """Return (machine, app) of what has a release there, whatever the file says."""
    return {
        (machine, app)
        for machine, here in goal.facts.items()
        for app, state in here.stack(goal.stack).apps.items()
        if state.current
    }


def served(goal: Goal, given: Mapping[str, int], removals: Iterable[Change]) -> dict[str, Served]:
    """Return the apps that are, or are about to be, reached at a service address; `given` are their numbers."""
    found, removals = {}, tuple(removals)
    for name, number in given.items():
        settings = _settings(goal, name)
        if settings and settings["port"] is not None and settings["network"] == "stack":
            places = [machine for machine in machines_of(name, goal.config) if machine in goal.facts]
            new = name in goal.releases
            here = [place for place in places if new or goal.facts[place].app(goal.stack, name).current]
            runs = (*here, *_away(goal, name))
            leaves = tuple(change.machine for change in removals if change.app == name)
            weights = {place: _weight(goal, name, place) for place in (*runs, *leaves)}
            found[name] = Served(number, settings, weights, runs, leaves)
    return found


def _away(goal: Goal, name: str) -> list[str]:
    """Return the app's machines that cannot be seen now, and that others know to run it: they may come back."""
    texts_ = [here.stack(goal.stack).reach.get(name, "") for here in goal.facts.values()]
    known = {line.split()[1] for text in texts_ for line in text.splitlines() if line.startswith("peer ")}
    return [place for place in machines_of(name, goal.config) if place not in goal.facts and place in known]


def _weight(goal: Goal, name: str, machine: str) -> int:
    app = goal.config.apps[name]
    if machine not in goal.facts:
        return app.usual
    state = goal.facts[machine].app(goal.stack, name)
    if name in goal.intent.counts and goal.intent.seconds is None:
        return goal.intent.counts[name]
    by_file = name in goal.releases or not isinstance(app.instances, int) or state.hours
    return app.usual if by_file else state.instances or app.usual


def texts(
    goal: Goal, machine: str, apps: Mapping[str, Served], sharing: Sequence[str], *, final: bool
) -> dict[str, str]:
    """Return the text of each app that a machine must know more of than its own instances; `sharing` are the members.

    `final`: as it stands in the end; until then a machine that the app leaves is reached, too.
    """
    if machine not in sharing:
        return {}
    others = [name for name in sharing if name != machine]
    found = {}
    for name, app in apps.items():
        runs = app.runs if final else (*app.runs, *app.leaves)
        peers = [other for other in others if other in runs]
        if peers or (machine in runs and others):
            found[name] = _text(goal.config, machine, others, peers, app, runs=machine in runs)
    return found


def _text(
    config: Config, machine: str, others: Iterable[str], peers: Iterable[str], app: Served, *, runs: bool
) -> str:
    private = {name: str(config.machines[name].private) for name in config.machines}
    sticky = any(line.startswith("sticky ") for line in app.settings["proxy"])
    lines = [
        f"number {app.number}", f"port {app.settings['port']}", f"front {private[machine]}",
        f"from {' '.join(private[name] for name in others)}",
        *(f"peer {name} {private[name]} {app.weights[name]}" for name in peers),
        *((f"here {machine}",) if sticky else ()),
        *_edge_lines(config, machine, app.settings, runs=runs),
        *app.settings["proxy"],
    ]
    return "\n".join(lines)


def _edge_lines(config: Config, machine: str, settings: Mapping[str, Any], *, runs: bool) -> list[str]:
    """Where the app runs, its release brings its routes, and an edge alone has them otherwise."""
    if config.edge is None or not settings["domains"]:
        return []
    if runs:
        return [] if machine in config.edge else ["edge no"]
    path = settings["path"].rstrip("/")
    return [f"route {domain}{path}/" for domain in settings["domains"]] if machine in config.edge else []


@dataclass(frozen=True)
class Known:
    """What a machine learns of apps: texts before anything moves, and those that change in the end.

    An empty text: nothing beyond the instances here. `edited`: of whose text somebody has changed what became of it.
    """

    first: Mapping[str, str]
    last: Mapping[str, str]
    edited: Collection[str] = ()


def changes(goal: Goal, apps: Mapping[str, Served], removals: Iterable[Change]) -> dict[str, Known]:
    """Return what each machine has to learn; nothing for one that never was, and is not about to be, set up."""
    found = {}
    removed = {(change.machine, change.app) for change in removals}
    now, then, runs = members(goal), members(goal, removed), running(goal)
    # What runs and is no business of this plan stays known, whatever the file says.
    stay = {app for _, app in runs}
    stay_then = {app for _, app in runs - removed if app not in goal.releases}
    for machine, here in goal.facts.items():
        present = here.stack(goal.stack).reach
        first = _kept(present, stay) | texts(goal, machine, apps, now, final=False)
        last = _kept(present, stay_then) | texts(goal, machine, apps, then, final=True)
        placed = machine in then or any(machine in machines_of(name, goal.config) for name in goal.releases)
        if here.docker and (placed or here.parts):
            edited = {name for name, told in here.drift.items() if "reach" in told and (machine, name) not in runs}
            first = {name: text for name, text in first.items() if present.get(name) != text or name in edited}
            found[machine] = Known(first, _differences({**present, **first}, last), edited)
        else:
            found[machine] = Known({}, {})
    return found


def _kept(texts_: Mapping[str, str], apps: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in texts_.items() if name in apps}


def told(known: Mapping[str, Known], others: Iterable[Change]) -> list[Change]:
    """Return what a plan says of it, where nothing else is said of the app on the machine."""
    busy = {(change.machine, change.app) for change in others if change.action != "nothing"}
    return [
        Change(machine, app, "reach", reasons=(drift.DIFFERS if app in each.edited else _places(text),))
        for machine, each in known.items()
        for app, text in (dict(each.first) | dict(each.last)).items()
        if (machine, app) not in busy
    ]


def _places(text: str) -> str:
    if not text:
        return "it is not reached from here any more"
    names = [line.split()[1] for line in text.splitlines() if line.startswith("peer ")]
    return f"it runs on {', '.join(names)}" if names else "it runs on no other machine"


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that differ; an empty one for what is not there any more."""
    names = sorted(before.keys() | after.keys())
    return {name: after.get(name, "") for name in names if before.get(name, "") != after.get(name, "")}


def _settings(goal: Goal, name: str) -> Mapping[str, Any] | None:
    """Return the settings of the release that is to run, or of the one that runs somewhere; None when none does."""
    if name in goal.releases:
        settings: Mapping[str, Any] = goal.releases[name].manifest["settings"]
        return settings
    states = (here.app(goal.stack, name) for here in goal.facts.values())
    manifests = (state.releases.get(state.current, {}) for state in states if state.current)
    return next((manifest["settings"] for manifest in manifests if manifest), None)
