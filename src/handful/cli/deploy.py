"""`handful deploy`, `handful apply` and `handful rollback`."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handful.cli.common import intent, json_option, now, open_project, operator, show_lines, verbose_option
from handful.errors import LoginRefused, UsageError
from handful.run.project import facts_of, facts_of_those_up, observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.artifact.image import Wish
    from handful.facts.model import Facts
    from handful.plan.model import AppSource, Intent, Plan
    from handful.report.lines import Lines
    from handful.run.deploy import Foreign
    from handful.run.project import Project

# Between two looks at a machine on which another deploy is at work.
WAIT_SECONDS = 1.0

pull_option = click.option("--pull", is_flag=True, help="Take what image references stand for now.")
rebuild_option = click.option("--rebuild", is_flag=True, help="Build again what has not changed.")
skip_option = click.option("--skip-down", is_flag=True, help="Leave out machines that cannot be reached.")
wait_option = click.option("--wait", is_flag=True, help="While another deploy is at work, wait until it has ended.")


@click.command("deploy")
@click.argument("apps", nargs=-1)
@click.option("--resume", is_flag=True, help="Finish a deploy that was cut short, on all its machines.")
@click.option("--attach", is_flag=True, help="Follow the deploy that is at work.")
@click.option("--package", type=click.Path(path_type=Path), help="Deploy what `handful package` wrote.")
@pull_option
@rebuild_option
@skip_option
@wait_option
@verbose_option
@json_option
def deploy_command(  # noqa: PLR0913  # one for each option
    apps: tuple[str, ...], *, resume: bool, attach: bool, package: Path | None, pull: bool, rebuild: bool,
    skip_down: bool, wait: bool, verbose: bool, as_json: bool,
) -> None:
    """Build what changed and release it without downtime: all apps, or those named."""
    lines = show_lines(as_json=as_json, verbose=verbose)
    if resume + attach + bool(package) > 1 or ((resume or attach or package) and (apps or pull or rebuild)):
        raise UsageError("--resume, --attach and --package stand alone: each says by itself what is deployed")
    if attach:
        _attach(lines)
    elif package:
        from handful.cli.package import deploy_package

        deploy_package(package, lines, wait=wait, skip_down=skip_down)
    else:
        _deploy("deploy", apps, lines, _wish(pull=pull, rebuild=rebuild), wait=wait, skip_down=skip_down, resume=resume)


@click.command("rollback")
@click.argument("app", required=False)
@click.option("--to", "goal", metavar="RELEASE", help="A kept release, by its id or its counter.")
@click.option("--all", "every", is_flag=True, help="Every app, to what it was at --to: a deploy's number, or a time.")
@skip_option
@wait_option
@verbose_option
@json_option
def rollback_command(
    app: str | None, *, goal: str | None, every: bool, skip_down: bool, wait: bool, verbose: bool, as_json: bool
) -> None:
    """Undo the last deploy, all its apps together; or take one app back to an earlier release.

    With --all, --to is the number of a deploy, a time in UTC (2026-01-31T12:00), or how long ago (2h).
    Env and files come back with the release. Nothing is built.
    """
    began = time.monotonic()
    if goal and not app and not every:
        raise UsageError("--to belongs to one app, or to --all", advice="Say which: handful rollback APP --to RELEASE")
    if every and (app or not goal):
        raise UsageError("--all goes with --to, and without an app", advice="Like: handful rollback --all --to 2h")
    project = open_project()
    lines = show_lines(as_json=as_json, verbose=verbose)
    facts = look_at(project, lines, wait=wait, skip_down=skip_down)
    from handful.plan.back import way_back
    from handful.plan.past import way_to
    from handful.run.deploy import plan_deploy

    if every and goal:
        back = way_to(project.config, project.stack, facts, _moment(goal))
    else:
        back = way_back(project.config, project.stack, facts, app, goal)
    for name in back.kept:
        lines.say(f"{name} is newer and keeps running; `handful remove {name}` takes it away")
    asked = intent("rollback", project, targets=back.targets, undoes=back.undoes)
    plan, sources = plan_deploy(project, facts, asked)
    carry(project, facts, plan, sources, asked, lines, began)


@click.command("apply")
@pull_option
@rebuild_option
@skip_option
@wait_option
@verbose_option
@json_option
def apply_command(*, pull: bool, rebuild: bool, skip_down: bool, wait: bool, verbose: bool, as_json: bool) -> None:
    """Make the machines match the file: their parts, every app, and nothing that the file does not name."""
    lines = show_lines(as_json=as_json, verbose=verbose)
    _deploy("apply", (), lines, _wish(pull=pull, rebuild=rebuild), wait=wait, skip_down=skip_down)


def load_planner() -> None:
    """Load what makes and carries out plans: it is done while the machines answer."""
    for name in ("artifact.system_image", "plan.past", "report.plan", "report.status", "run.deploy"):
        import_module(f"handful.{name}")


def look_at(
    project: Project, lines: Lines, *, wait: bool, skip_down: bool = False, check: bool = False
) -> dict[str, Facts]:
    """Return what is known of the machines; `wait`: once no deploy of the stack is at work on any of them."""
    if skip_down:
        facts = facts_of_those_up(project, lines.say, check=check, meanwhile=load_planner)
    else:
        facts = facts_of(project, check=check, meanwhile=load_planner)
    told: list[str] = []
    while wait and (held := list(_holders(project, facts).values())):
        if held != told:
            lines.say(f"waiting for {held[0]}")
            told = held
        time.sleep(WAIT_SECONDS)
        facts = facts_of(project, tuple(facts), check=check)
    return facts


def _holders(project: Project, facts: Mapping[str, Facts]) -> dict[str, str]:
    """Return who is at work on the stack, by machine."""
    return {name: holder for name, here in facts.items() if (holder := here.stack(project.stack).holder)}


def _wish(*, pull: bool, rebuild: bool) -> Wish:
    from handful.artifact.image import Wish

    # What is built again must differ from what was built of the same before.
    return Wish(pull=now() if pull else "", rebuild=now() if rebuild else "")


def _deploy(
    what: str, apps: tuple[str, ...], lines: Lines, wish: Wish, *, wait: bool, skip_down: bool, resume: bool = False
) -> None:
    began = time.monotonic()
    project, facts = _ready(what, lines, wait=wait, skip_down=skip_down)
    from handful.report.status import unfinished
    from handful.run.deploy import plan_deploy, same_source

    asked = intent(what, project, apps=apps)
    for line in unfinished(project.stack, facts, project.config):
        lines.say(line)
    if resume:
        from handful.plan.past import left_over

        left = left_over(project.config, project.stack, facts)
        if left.undoes is not None:
            asked = intent("rollback", project, targets=left.targets, undoes=left.undoes)
        elif same_source(project, facts, left.targets):
            # From an unchanged project the same release is made again, for machines that have not got it.
            asked = intent(what, project, apps=tuple(left.targets))
        else:
            asked = intent(what, project, targets=left.targets)
    plan, sources = plan_deploy(project, facts, asked, wish)
    carry(project, facts, plan, sources, asked, lines, began)


def _ready(what: str, lines: Lines, *, wait: bool, skip_down: bool) -> tuple[Project, dict[str, Facts]]:
    """Return the project and its machines, once these can be used: made, for `apply`, and prepared."""
    if what == "apply":
        from handful.cli.machines import ensure_machines

        ensure_machines(lines)
    project = open_project()
    try:
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=what == "apply")
    except LoginRefused as refused:
        _let_in(project, lines, refused)
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=what == "apply")
    if fresh := _fresh(project, facts, what):
        from handful.cli.machines import prepare_named

        prepare_named(fresh, lines)
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=what == "apply")
    _warn_at_first(project, facts, lines)
    return project, facts


def _let_in(project: Project, lines: Lines, refused: LoginRefused) -> None:
    """Prepare new machines, which do not know the user of the file yet; one in use waits for a person to say so."""
    from handful.cli.machines import prepare_named
    from handful.run.prepare import first_look

    found = observed(project, whole=False)
    names = tuple(name for name, each in found.items() if isinstance(each, LoginRefused))
    for name in names:
        _, survey = first_look(project, name)
        if survey.docker and project.config.machines[name].address is not None:
            make = f"If {project.config.ssh.user} is to be made there: handful machines prepare {name}"
            raise LoginRefused(refused.message, detail=refused.detail, advice=f"{refused.advice}\n{make}")
    # A login that only failed for a moment names nobody, and nobody would be everybody.
    if names:
        prepare_named(names, lines)


def _warn_at_first(project: Project, facts: Mapping[str, Facts], lines: Lines) -> None:
    """Before a stack's first deploy, say what `handful doctor` would say is bad, as far as the facts tell it."""
    if any(here.stack(project.stack).history for here in facts.values()):
        return
    from handful.cli.doctor import finding_lines
    from handful.plan.health import lasting

    for line in finding_lines(each for here in facts.values() for each in lasting(here) if not each.good):
        lines.say(line)


def _fresh(project: Project, facts: Mapping[str, Facts], what: str) -> tuple[str, ...]:
    """Return machines that cannot be used yet, and those that handful has made and nobody has prepared.

    One that exists, and has Docker, may serve others on ports that would be closed: a person says that.
    """
    from handful.plan.network import is_joined

    config = project.config
    # Whoever writes `network` wants machines joined, those that exist, too.
    joined = is_joined(config)
    made = {name for name, each in config.machines.items() if what == "apply" and (each.address is None or joined)}
    return tuple(name for name, here in facts.items() if here.bare or (name in made and not here.prepared))


def carry(
    project: Project, facts: Mapping[str, Facts], plan: Plan, sources: Mapping[str, AppSource], asked: Intent,
    lines: Lines, began: float, foreign: Foreign | None = None,
) -> None:
    """Show a plan, carry it out, and say how long it took; `began` is on the monotonic clock."""
    from handful.report.plan import plan_lines
    from handful.report.status import addresses
    from handful.run.deploy import NOTHING, fulfil

    for line in plan_lines(plan):
        lines.say(line)
    if plan.empty:
        return
    fulfil(project, plan, sources, facts, operator(asked, lines), foreign or NOTHING)
    lines.say(f"{asked.what} {plan.deploy} of {plan.stack} is done in {time.monotonic() - began:.1f} s")
    released = {change.app for change in plan.changes if change.action in {"deploy", "restart"}}
    for line in addresses(project.config, project.machines, released):
        lines.say(line)


def _attach(lines: Lines) -> None:
    """Show what the deploy says that is at work, by whomever. Raises DeployFailed when it does not end well."""
    from handful.run.follow import follow

    project = open_project()
    held, told = _holders(project, facts_of(project, whole=False)), ""
    if not held:
        raise UsageError(f"no deploy is at work on {project.stack}", advice="See: handful status, handful history")
    while held:
        holder = next(iter(held.values()))
        if holder != told:
            lines.say(holder)
        else:
            # What somebody runs by hand on a machine cannot be followed; its end is waited for.
            time.sleep(WAIT_SECONDS)
        told = holder
        follow([project.machines[name] for name in held], project.stack, lines.show)
        # Machines follow one another.
        held = _holders(project, facts_of(project, whole=False))


def _moment(text: str) -> int | str:
    """Return a deploy's number, or a time as history has it. Raises UsageError."""
    from datetime import UTC, datetime, timedelta

    from handful.config.values import span

    if text.isdecimal():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    except ValueError:
        ago = span(text)
        if ago is None:
            advice = "Write a deploy's number, a time in UTC (2026-01-31T12:00), or how long ago (2h)."
            raise UsageError(f"{text} is no moment", advice=advice) from None
        when = datetime.now(UTC) - timedelta(seconds=ago)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
