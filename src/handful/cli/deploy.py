"""`handful deploy`, `handful apply` and `handful rollback`."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING

import click

from handful.cli.common import intent, json_option, open_project, operator, show_lines, verbose_option
from handful.errors import UsageError
from handful.run.project import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.facts.model import Facts
    from handful.plan.model import AppSource, Intent, Plan
    from handful.report.lines import Lines
    from handful.run.project import Project

# Between two looks at a machine on which another deploy is at work.
WAIT_SECONDS = 1.0

pull_option = click.option("--pull", is_flag=True, help="Take what image references stand for now.")
wait_option = click.option("--wait", is_flag=True, help="While another deploy is at work, wait until it has ended.")


@click.command("deploy")
@click.argument("apps", nargs=-1)
@pull_option
@wait_option
@verbose_option
@json_option
def deploy_command(apps: tuple[str, ...], *, pull: bool, wait: bool, verbose: bool, as_json: bool) -> None:
    """Build what changed and release it without downtime: all apps, or those named."""
    _deploy("deploy", apps, pull=pull, wait=wait, verbose=verbose, as_json=as_json)


@click.command("rollback")
@click.argument("app", required=False)
@click.option("--to", "release", metavar="RELEASE", help="A kept release, by its id or its counter.")
@wait_option
@verbose_option
@json_option
def rollback_command(app: str | None, *, release: str | None, wait: bool, verbose: bool, as_json: bool) -> None:
    """Undo the last deploy, all its apps together; or take one app back to an earlier release.

    Env and files come back with the release. Nothing is built.
    """
    began = time.monotonic()
    if release and not app:
        raise UsageError("--to belongs to one app", advice="Say which: handful rollback APP --to RELEASE")
    project = open_project()
    lines = show_lines(as_json=as_json, verbose=verbose)
    facts = _facts(project, lines, wait=wait)
    from handful.plan.back import way_back
    from handful.run.deploy import plan_deploy

    back = way_back(project.config, project.stack, facts, app, release)
    for name in back.kept:
        lines.say(f"{name} was new in that deploy and keeps running; `handful remove {name}` takes it away")
    asked = intent("rollback", project, targets=back.targets, undoes=back.undoes)
    plan, sources = plan_deploy(project, facts, asked)
    carry(project, facts, plan, sources, asked, lines, began)


@click.command("apply")
@pull_option
@wait_option
@verbose_option
@json_option
def apply_command(*, pull: bool, wait: bool, verbose: bool, as_json: bool) -> None:
    """Make the machines match the file: their parts, every app, and nothing that the file does not name."""
    _deploy("apply", (), pull=pull, wait=wait, verbose=verbose, as_json=as_json)


def load_planner() -> None:
    """Load what makes and carries out plans: it is done while the machines answer."""
    for name in ("artifact.system_image", "plan.back", "report.plan", "report.status", "run.deploy"):
        import_module(f"handful.{name}")


def _facts(project: Project, lines: Lines, *, wait: bool) -> dict[str, Facts]:
    """Return what is known of the machines; `wait`: once no deploy of the stack is at work on any of them."""
    facts = facts_of(project, meanwhile=load_planner)
    told = ""
    while wait and (holder := next((h for here in facts.values() if (h := here.stack(project.stack).holder)), "")):
        if holder != told:
            lines.say(f"waiting for {holder}")
            told = holder
        time.sleep(WAIT_SECONDS)
        facts = facts_of(project)
    return facts


def _deploy(what: str, apps: tuple[str, ...], *, pull: bool, wait: bool, verbose: bool, as_json: bool) -> None:
    began = time.monotonic()
    project = open_project()
    lines = show_lines(as_json=as_json, verbose=verbose)
    facts = _facts(project, lines, wait=wait)
    from handful.report.status import unfinished
    from handful.run.deploy import plan_deploy

    asked = intent(what, project, apps=apps)
    for line in unfinished(project.stack, facts, project.config):
        lines.say(line)
    plan, sources = plan_deploy(project, facts, asked, pull=pull)
    carry(project, facts, plan, sources, asked, lines, began)


def carry(
    project: Project, facts: Mapping[str, Facts], plan: Plan, sources: Mapping[str, AppSource], asked: Intent,
    lines: Lines, began: float,
) -> None:
    """Show a plan, carry it out, and say how long it took; `began` is on the monotonic clock."""
    from handful.report.plan import plan_lines
    from handful.report.status import addresses
    from handful.run.deploy import fulfil

    for line in plan_lines(plan):
        lines.say(line)
    if plan.empty:
        return
    fulfil(project, plan, sources, facts, operator(asked, lines))
    lines.say(f"{asked.what} {plan.deploy} of {plan.stack} is done in {time.monotonic() - began:.1f} s")
    released = {change.app for change in plan.changes if change.action in {"deploy", "restart"}}
    for line in addresses(project.config, project.machines, released):
        lines.say(line)
