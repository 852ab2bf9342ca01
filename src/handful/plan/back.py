"""What did earlier deploys do, and to which releases does a rollback go?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from handful.errors import PlanRefused, UsageError
from handful.plan.order import need_app, together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts


COUNTED = ("answered", "failed", "retried")


@dataclass(frozen=True)
class Past:
    """One deploy as the machines' histories tell it.

    `apps` maps an app to (release before, release after), "" where there was none; `outcomes` maps a machine
    to `done`, `failed`, `interrupted`, `at work`, or `unfinished` when it began and never ended. `requests` maps an app
    to what its users noticed meanwhile, on all machines: `answered`, `failed`, `retried`.
    """

    number: int
    what: str
    when: str
    who: str
    host: str
    apps: Mapping[str, tuple[str, str]]
    undoes: int | None = None
    origin: str = ""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """The worst of its machines' outcomes."""
        worst = ("at work", "unfinished", "interrupted", "failed", "done")
        return next((each for each in worst if each in self.outcomes.values()), "done")

    @property
    def vain(self) -> bool:
        """Whether no machine took it: all of them went back by themselves."""
        return set(self.outcomes.values()) <= {"failed", "interrupted"}


def history(stack: str, facts: Mapping[str, Facts]) -> tuple[Past, ...]:
    """Return a stack's deploys, oldest first, merged over its machines."""
    begun: dict[int, Mapping[str, Any]] = {}
    outcomes: dict[int, dict[str, str]] = {}
    seconds: dict[int, float] = {}
    kept: dict[int, set[str]] = {}
    requests: dict[int, dict[str, dict[str, int]]] = {}
    for name, machine in facts.items():
        state = machine.stack(stack)
        last = 0
        for entry in state.history:
            number = int(entry.get("deploy", 0))
            if entry.get("event") == "begun":
                begun.setdefault(number, entry)
                outcomes.setdefault(number, {})[name] = "unfinished"
                last = number
            # `counted` is told by an edge that took no part.
            elif number in begun and entry.get("event") != "counted":
                # A machine that takes apps away does so in a session of its own, later on: what was done is done.
                ended = "done" if name in kept.get(number, ()) else str(entry.get("outcome", "failed"))
                outcomes.setdefault(number, {})[name] = ended
                if ended == "done":
                    kept.setdefault(number, set()).add(name)
                seconds[number] = seconds.get(number, 0.0) + float(entry.get("seconds", 0))
            _add(requests.setdefault(number, {}), entry.get("requests", {}))
        if state.holder and outcomes.get(last, {}).get(name) == "unfinished":
            outcomes[last][name] = "at work"
    found = (_past(begun[n], outcomes.get(n, {}), seconds.get(n, 0.0)) for n in sorted(begun))
    return tuple(replace(each, requests=requests.get(each.number, {})) for each in found)


def _add(total: dict[str, dict[str, int]], more: Mapping[str, Mapping[str, Any]]) -> None:
    for app, counts in more.items():
        mine = total.setdefault(app, dict.fromkeys(COUNTED, 0))
        for key in COUNTED:
            mine[key] += int(counts.get(key, 0))


@dataclass(frozen=True)
class Back:
    """Where a rollback goes: releases by app, the deploy it undoes, and the apps that it leaves alone."""

    targets: Mapping[str, str]
    undoes: int | None = None
    kept: tuple[str, ...] = ()


def way_back(config: Config, stack: str, facts: Mapping[str, Facts], app: str | None, wanted: str | None) -> Back:
    """Return where a rollback goes: of everything, of one app and those that share its image, or to a named release.

    A rollback that some machines did not take is finished before anything goes further back.
    Raises PlanRefused or UsageError, naming the releases that are kept.
    """
    if app is not None:
        need_app(config, app)
    past = tuple(each for each in history(stack, facts) if not came_to_nothing(each, stack, facts))
    releases = {identifier for each in facts.values() for identifier in each.app(stack, app or "").releases}
    if app is not None and wanted is not None:
        return Back({app: chosen_release(app, wanted, releases)})
    half = _half_undone(past, stack, facts)
    if half is not None and (app is None or app in half.apps):
        return _back(config, {name: after for name, (_, after) in half.apps.items()}, half.undoes)
    if app is None:
        undone = last_deploy(past)
        targets, kept = undo(undone)
        if not targets:
            message = f"deploy {undone.number} was the first of {', '.join(kept)}: there is nothing to go back to"
            raise PlanRefused(message, advice="See: handful history")
        return _back(config, _reached(targets, past, stack, facts), undone.number, kept)
    current = {release for each in facts.values() if (release := each.app(stack, app).current)}
    undone = deploy_of(app, current, past, releases)
    shared = together([app], config.apps)
    targets = {name: to for name, to in undo(undone)[0].items() if name in shared}
    return _back(config, _reached(targets, past, stack, facts), undone.number)


def _reached(
    targets: Mapping[str, str], past: Iterable[Past], stack: str, facts: Mapping[str, Facts]
) -> dict[str, str]:
    """Return releases that every machine has had: one that a deploy did not bring to all of them is undone, too."""
    return {app: _on_all(app, to, tuple(past), stack, facts) for app, to in targets.items()}


def _on_all(app: str, to: str, past: tuple[Past, ...], stack: str, facts: Mapping[str, Facts]) -> str:
    states = {name: state for name, each in facts.items() if (state := each.app(stack, app)).current}
    found = to
    while lacking := [name for name, state in states.items() if found not in state.releases]:
        brought = [each for each in past if app in each.apps and each.apps[app][1] == found]
        # Where it was done and is not kept any more, or nothing was before it, only the user knows what to do instead.
        if not found or not brought or any(each.outcomes.get(name) == "done" for each in brought for name in lacking):
            return to
        # What the first of them replaced came earlier: this ends.
        found = brought[0].apps[app][0]
    return found


def last_deploy(past: Iterable[Past]) -> Past:
    """Return the last deploy that released something and was not undone since.

    Raises PlanRefused when there is none.
    """
    standing = _standing(past)
    if not standing:
        message = "there is no deploy to undo"
        raise PlanRefused(message, advice="See: handful history")
    return standing[-1]


def undo(past: Past) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the releases that a deploy replaced, by app, and the apps that it brought for the first time."""
    targets = {app: before for app, (before, after) in past.apps.items() if before and before != after}
    return targets, tuple(app for app, (before, _) in past.apps.items() if not before)


def deploy_of(app: str, current: Collection[str], past: Iterable[Past], kept: Iterable[str]) -> Past:
    """Return the standing deploy that brought an app's present release in place of an earlier one.

    `current` holds what the app's machines run: more than one release in a fleet that was left unfinished.
    Raises PlanRefused, naming the releases that are kept.
    """
    for each in reversed(_standing(past)):
        before, after = each.apps.get(app, ("", ""))
        if before and after in current and before != after:
            return each
    message = f"{app} has no release before {', '.join(sorted(current)) or 'this one'}"
    raise PlanRefused(message, advice=_kept_advice(app, kept))


def chosen_release(app: str, wanted: str, kept: Iterable[str]) -> str:
    """Return the kept release that `wanted` names: whole, or by its counter.

    Raises UsageError, naming those that are kept.
    """
    kept = tuple(kept)
    found = [each for each in kept if wanted in {each, each.split("-")[0], each.split("-")[0].lstrip("0")}]
    if len(found) == 1:
        return found[0]
    message = f"{app} has no release {wanted}" if not found else f"{wanted} names more than one release of {app}"
    raise UsageError(message, advice=_kept_advice(app, found or kept))


def _back(config: Config, targets: Mapping[str, str], undoes: int | None, kept: tuple[str, ...] = ()) -> Back:
    """Leave out apps that are not in the file any more: nothing says where they would run."""
    found = {name: to for name, to in targets.items() if name in config.apps}
    if not found:
        message = f"deploy {undoes} was of {', '.join(targets)}, which handful.yml does not name any more"
        raise PlanRefused(message, advice="Name the app to take back: handful rollback APP. See: handful history")
    return Back(found, undoes, kept)


def _kept_advice(app: str, kept: Iterable[str]) -> str:
    known = ", ".join(sorted(kept))
    return f"Kept releases of {app}: {known}." if known else f"No release of {app} is kept."


def _past(entry: Mapping[str, Any], outcomes: Mapping[str, str], seconds: float) -> Past:
    apps = {
        app: (str(change.get("from", "")), str(change.get("to", "")))
        for app, change in entry.get("apps", {}).items()
    }
    return Past(
        number=int(entry["deploy"]), what=str(entry.get("what", "deploy")), when=str(entry.get("when", "")),
        who=str(entry.get("who", "")), host=str(entry.get("from", "")), apps=apps, undoes=entry.get("undoes"),
        origin=str(entry.get("origin", "")),
        outcomes=outcomes, seconds=seconds,
    )


def came_to_nothing(past: Past, stack: str, facts: Mapping[str, Facts]) -> bool:
    """Whether a deploy began, never ended, and no machine shows anything of it."""
    states = [(each.app(stack, app), after) for each in facts.values() for app, (_, after) in past.apps.items()]
    # A later deploy may have finished it, and gone on from there.
    seen = any(after in {state.current, state.deploying, *state.released} for state, after in states)
    return past.outcome == "unfinished" and "done" not in past.outcomes.values() and not seen


def _half_undone(past: Iterable[Past], stack: str, facts: Mapping[str, Facts]) -> Past | None:
    """Return the last act when it is a rollback and a machine still runs what it was to take away."""
    last = next((each for each in reversed(tuple(past)) if not each.vain), None)
    if last is None or last.undoes is None:
        return None
    changed = {app: before for app, (before, after) in last.apps.items() if before != after}
    left = any(each.app(stack, app).current == before for each in facts.values() for app, before in changed.items())
    return last if left else None


def _standing(past: Iterable[Past]) -> list[Past]:
    """Return deploys in force, each with the apps that it still has to answer for.

    A rollback takes away what it undid, what that had finished, and itself. A removal takes an app out of all earlier
    deploys: its releases are gone. A deploy that only finishes an earlier one on more machines takes its place.
    """
    standing: list[Past] = []
    for each in past:
        if each.vain:
            continue
        if each.undoes is not None:
            undone = each.undoes
            standing = [_less(other, _taken_back(other, each, standing)) for other in standing]
            standing = [other for other in standing if other.apps and (other.number != undone or undo(other)[0])]
            continue
        gone = {app for app, (_, after) in each.apps.items() if not after}
        new = {app: pair for app, pair in each.apps.items() if app not in gone and pair[0] != pair[1]}
        standing = _before(standing, new, gone)
        standing = [other for other in [*standing, replace(each, apps=new)] if other.apps]
    return standing


def _taken_back(other: Past, rollback: Past, standing: Iterable[Past]) -> set[str]:
    """Return the apps that a rollback took away from a deploy: the one it undid, or one since that which it went to."""
    if other.number >= (undone := rollback.undoes or 0):
        return set(rollback.apps) if other.number == undone else set()
    brought: dict[str, int] = {}
    for each in standing:
        for app, (_, to) in rollback.apps.items():
            if each.apps.get(app, ("", ""))[1] == to:
                brought.setdefault(app, each.number)
    return {app for app, number in brought.items() if other.number > number}


def _before(standing: Iterable[Past], new: Mapping[str, tuple[str, str]], gone: Collection[str]) -> list[Past]:
    """Return what earlier deploys still answer for, once a later one releases `new` and removes `gone`."""
    left: list[Past] = []
    finished = dict(new)
    for each in reversed(tuple(standing)):
        again = {app for app in each.apps if finished.pop(app, None) == each.apps[app]}
        left.insert(0, _less(each, again | set(gone)))
    return left


def _less(past: Past, apps: Collection[str]) -> Past:
    """Return a deploy without some of its apps."""
    return replace(past, apps={app: pair for app, pair in past.apps.items() if app not in apps})
