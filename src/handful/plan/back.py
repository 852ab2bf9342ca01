"""What did earlier deploys do, and to which releases does a rollback go?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from handful.errors import PlanRefused, UsageError
from handful.plan.order import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts


@dataclass(frozen=True)
class Past:
    """One deploy as the machines' histories tell it.

    `apps` maps an app to (release before, release after), "" where there was none; `outcomes` maps a machine
    to `done`, `failed`, `interrupted`, or `unfinished` when it began and never ended.
    """

    number: int
    what: str
    when: str
    who: str
    host: str
    apps: Mapping[str, tuple[str, str]]
    undoes: int | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """The worst of its machines' outcomes."""
        worst = ("unfinished", "interrupted", "failed", "done")
        return next((each for each in worst if each in self.outcomes.values()), "done")


def history(stack: str, facts: Mapping[str, Facts]) -> tuple[Past, ...]:
    """Return a stack's deploys, oldest first, merged over its machines."""
    begun: dict[int, Mapping[str, Any]] = {}
    outcomes: dict[int, dict[str, str]] = {}
    seconds: dict[int, float] = {}
    for name, machine in facts.items():
        state = machine.stack(stack)
        for entry in state.history:
            number = int(entry.get("deploy", 0))
            if entry.get("event") == "begun":
                begun.setdefault(number, entry)
                outcomes.setdefault(number, {})[name] = "at work" if state.holder else "unfinished"
            elif number in begun:
                outcomes.setdefault(number, {})[name] = str(entry.get("outcome", "failed"))
                seconds[number] = seconds.get(number, 0.0) + float(entry.get("seconds", 0))
    return tuple(_past(begun[n], outcomes.get(n, {}), seconds.get(n, 0.0)) for n in sorted(begun))


@dataclass(frozen=True)
class Back:
    """Where a rollback goes: releases by app, the deploy it undoes, and the apps that it leaves alone."""

    targets: Mapping[str, str]
    undoes: int | None = None
    kept: tuple[str, ...] = ()


def way_back(config: Config, stack: str, facts: Mapping[str, Facts], app: str | None, wanted: str | None) -> Back:
    """Return where a rollback goes: of everything, of one app (with those that share its image), or to a named release.

    Raises PlanRefused or UsageError, naming the releases that are kept.
    """
    past = history(stack, facts)
    if app is None:
        undone = last_deploy(past)
        targets, kept = undo(undone)
        if not targets:
            message = f"deploy {undone.number} was the first of {', '.join(kept)}: there is nothing to go back to"
            raise PlanRefused(message, advice="See: handful history")
        return Back({name: to for name, to in targets.items() if name in config.apps}, undone.number, kept)
    if app not in config.apps:
        message = f"there is no app {app} in handful.yml"
        raise UsageError(message, advice=f"Its apps: {', '.join(config.apps)}.")
    releases = {identifier for machine in facts.values() for identifier in machine.app(stack, app).releases}
    if wanted is not None:
        return Back({app: chosen_release(app, wanted, releases)})
    current = next((c for machine in facts.values() if (c := machine.app(stack, app).current)), "")
    undone = deploy_of(app, current, past, releases)
    shared = together([app], config.apps)
    return Back({name: to for name, to in undo(undone)[0].items() if name in shared}, undone.number)


def last_deploy(past: Iterable[Past]) -> Past:
    """Return the last deploy that released something and was not undone since. Raises PlanRefused when there is none."""
    standing = _standing(past)
    if not standing:
        message = "there is no deploy to undo"
        raise PlanRefused(message, advice="See: handful history")
    return standing[-1]


def undo(past: Past) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the releases that a deploy replaced, by app, and the apps that it brought for the first time."""
    targets = {app: before for app, (before, after) in past.apps.items() if before and before != after}
    return targets, tuple(app for app, (before, _) in past.apps.items() if not before)


def deploy_of(app: str, current: str, past: Iterable[Past], kept: Iterable[str]) -> Past:
    """Return the standing deploy that brought an app's present release in place of an earlier one.

    Raises PlanRefused, naming the releases that are kept.
    """
    for each in reversed(_standing(past)):
        before, after = each.apps.get(app, ("", ""))
        if before and after == current and before != after:
            return each
    message = f"{app} has no release before {current or 'this one'}"
    raise PlanRefused(message, advice=_kept_advice(app, kept))


def chosen_release(app: str, wanted: str, kept: Iterable[str]) -> str:
    """Return the kept release that `wanted` names: whole, or by its counter. Raises UsageError, naming those that are."""
    kept = tuple(kept)
    found = [each for each in kept if wanted in {each, each.split("-")[0], each.split("-")[0].lstrip("0")}]
    if len(found) == 1:
        return found[0]
    message = f"{app} has no release {wanted}" if not found else f"{wanted} names more than one release of {app}"
    raise UsageError(message, advice=_kept_advice(app, found or kept))


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
        outcomes=outcomes, seconds=seconds,
    )


def _standing(past: Iterable[Past]) -> list[Past]:
    """Return deploys in force: a rollback takes away what it undid, and itself."""
    standing: list[Past] = []
    for each in past:
        if set(each.outcomes.values()) <= {"failed", "interrupted"}:
            continue
        if each.undoes is not None:
            standing = [left for other in standing if (left := _without(other, each)) is not None]
        elif any(before != after for before, after in each.apps.values()):
            standing.append(each)
    return standing


def _without(past: Past, rollback: Past) -> Past | None:
    """Return what is left of a deploy after a rollback; None when nothing is left to undo."""
    if past.number != rollback.undoes:
        return past
    left = {app: change for app, change in past.apps.items() if app not in rollback.apps}
    return replace(past, apps=left) if any(before for before, _ in left.values()) else None
