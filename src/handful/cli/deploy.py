"""`handful deploy`, `handful apply` and `handful rollback`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handful.cli.common import intent, json_option, now, open_project, operator, show_lines, verbose_option
from handful.cli.ready import WAIT_SECONDS, farewell, holders, look_at, ready
from handful.errors import UsageError
from handful.run.project import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.artifact.image import Wish
    from handful.facts.model import Facts
    from handful.plan.model import AppSource, Intent, Plan
    from handful.report.lines import Lines
    from handful.run.deploy import Foreign
    from handful.run.project import Project

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


def apply_all(lines: Lines) -> None:
    """As `handful apply`, for other commands; machines that the file does not name stay."""
    _deploy("apply", (), lines, _wish(pull=False, rebuild=False), wait=False, skip_down=False, depart=False)


def _wish(*, pull: bool, rebuild: bool) -> Wish:
    from handful.artifact.image import Wish

    # What is built again must differ from what was built of the same before.
    return Wish(pull=now() if pull else "", rebuild=now() if rebuild else "")


def _deploy(
    what: str, apps: tuple[str, ...], lines: Lines, wish: Wish, *, wait: bool, skip_down: bool, resume: bool = False,
    depart: bool = True,
) -> None:
    began = time.monotonic()
    project, facts, gone = ready(what, lines, wait=wait, skip_down=skip_down, depart=depart)
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
    farewell(project, gone, lines)


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
    held, told = holders(project, facts_of(project, whole=False)), ""
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
        held = holders(project, facts_of(project, whole=False))


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
