"""`handful restart`, `stop`, `start` and `remove`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from handful.cli.common import intent, json_option, open_project, operator, show_lines
from handful.cli.deploy import carry
from handful.errors import UsageError
from handful.plan.whole import make_whole_plan
from handful.report.plan import plan_lines
from handful.run.deploy import plan_deploy
from handful.run.engine import carry_out
from handful.run.project import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.facts.model import Facts
    from handful.run.project import Project


@click.command("restart")
@click.argument("apps", nargs=-1, required=True)
@json_option
def restart_command(apps: tuple[str, ...], *, as_json: bool) -> None:
    """Start new instances of the present release, and let the old ones drain."""
    _again("restart", apps, as_json=as_json)


@click.command("start")
@click.argument("apps", nargs=-1, required=True)
@json_option
def start_command(apps: tuple[str, ...], *, as_json: bool) -> None:
    """Start apps that were stopped."""
    _again("start", apps, as_json=as_json)


@click.command("stop")
@click.argument("apps", nargs=-1, required=True)
@json_option
def stop_command(apps: tuple[str, ...], *, as_json: bool) -> None:
    """Stop apps: their traffic ends; releases, volumes and history stay. A reboot does not start them."""
    _whole("stop", apps, as_json=as_json)


@click.command("remove")
@click.argument("apps", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove_command(apps: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Take apps from all their machines: instances, releases, traffic and names. Volumes and history are kept."""
    if not yes and not sys.stdin.isatty():
        message = f"nobody is here to confirm the removal of {', '.join(apps)}"
        raise UsageError(message, advice="Say it beforehand: --yes")
    if not yes:
        click.confirm(f"Remove {', '.join(apps)} from all machines? Volumes are kept.", abort=True, err=True)
    _whole("remove", apps, as_json=as_json)


def present_release(project: Project, facts: Mapping[str, Facts], app: str, what: str) -> str:
    """Return the release that an app runs on all its machines. Raises UsageError when that is none, or several."""
    current = {state.current for each in facts.values() if (state := each.app(project.stack, app)).current}
    if len(current) != 1:
        message = f"{app} is on different releases" if current else f"{app} has no release to {what}"
        raise UsageError(message, advice="See: handful status. Finish it: handful deploy")
    return current.pop()


def _again(what: str, apps: tuple[str, ...], *, as_json: bool) -> None:
    began = time.monotonic()
    project = open_project()
    facts = facts_of(project)
    targets = {app: present_release(project, facts, app, what) for app in apps}
    asked = intent(what, project, targets=targets)
    plan, sources = plan_deploy(project, facts, asked)
    carry(project, facts, plan, sources, asked, show_lines(as_json=as_json), began)


def _whole(what: str, apps: tuple[str, ...], *, as_json: bool) -> None:
    project = open_project()
    lines = show_lines(as_json=as_json)
    asked = intent(what, project, apps=apps)
    plan = make_whole_plan(project.stack, facts_of(project), asked, "stop" if what == "stop" else "remove")
    for line in plan_lines(plan):
        lines.say(line)
    carry_out(plan, project.machines, {}, operator(asked, lines))
