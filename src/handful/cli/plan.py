"""`handful plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handful.artifact.image import Wish
from handful.artifact.script import run_app, work_script
from handful.cli.common import intent, json_option, now, open_project
from handful.cli.estate import change_lines, leaving, planned_machines
from handful.cli.ready import fresh
from handful.errors import DifferencesFound, MachineError
from handful.report.plan import plan_json, plan_lines
from handful.report.status import unfinished
from handful.run.deploy import plan_deploy
from handful.run.project import facts_of_those_up

if TYPE_CHECKING:
    from collections.abc import Collection

    from handful.plan.machines import MachineChange
    from handful.plan.model import Plan


@click.command("plan")
@click.argument("apps", nargs=-1)
@click.option("--script", "scripts", is_flag=True, help="Show the exact scripts that the machines would run.")
@click.option("--check", is_flag=True, help="End with exit code 3 when there is something to do.")
@click.option("--pull", is_flag=True, help="Look up image references anew.")
@json_option
def plan_command(apps: tuple[str, ...], *, scripts: bool, check: bool, pull: bool, as_json: bool) -> None:
    """Show what `handful apply` would do, and why. Nothing is built or changed."""
    changes = () if apps else planned_machines()
    lines = list(change_lines(changes))
    missing = [each.machine for each in changes if each.action in {"make", "start"}]
    due = bool(changes) and any(each.action != "kept" for each in changes)
    if missing:
        _first(lines, f"What is deployed follows once {', '.join(missing)} can be looked at", as_json=as_json)
    else:
        due |= _plan(apps, changes, lines, Wish(pull=now() if pull else ""), scripts=scripts, as_json=as_json)
    if check and due:
        raise DifferencesFound("the machines differ from the file", advice="Make them match: handful apply")


def _plan(
    apps: tuple[str, ...], changes: Collection[MachineChange], lines: list[str], wish: Wish, *, scripts: bool,
    as_json: bool,
) -> bool:
    """Show what is done to machines that are there, and return whether anything is."""
    away: list[str] = []
    gone = [each.machine for each in changes if each.action == "gone"]
    project = leaving(open_project(), gone, lines.append)
    facts = facts_of_those_up(project, away.append, check=True)
    due = [name for name in fresh(project, facts, "apply") if name not in gone]
    lines += [f"{name:<8} is prepared: see handful machines prepare --plan" for name in due]
    if any(here.bare for here in facts.values()):
        _first(lines, "What is deployed follows once they have Docker", as_json=as_json)
        return True
    plan, _ = plan_deploy(project, facts, intent("apply", project, apps=apps), wish)
    left = unfinished(project.stack, facts, project.config)
    for line in (plan_json(plan),) if as_json else (*lines, *plan_lines(plan), *left, *away):
        click.echo(line)
    if scripts:
        _show_scripts(plan)
    if away:
        raise MachineError(away[0], advice="The plan is for the others: handful apply --skip-down")
    return bool(due or left or not plan.empty)


def _first(lines: list[str], then: str, *, as_json: bool) -> None:
    """Say what comes before anything can be planned; JSON has no place for it."""
    for line in (*lines, f"{then}: handful apply"):
        click.echo(line, err=as_json)


def _show_scripts(plan: Plan) -> None:
    for work in (work for wave in plan.waves for work in wave):
        click.echo(f"\n# ---- {work.machine}: work.bash\n{work_script(plan, work, 'handful plan')}")
        for release in work.releases:
            click.echo(f"\n# ---- {work.machine}: {release.app} {release.id}/run_app.bash\n{run_app(release)}")
