"""`handful plan`."""

from __future__ import annotations

import click

from handful.artifact.image import Wish
from handful.artifact.script import run_app, work_script
from handful.cli.common import intent, json_option, now, open_project
from handful.errors import DifferencesFound, MachineError
from handful.report.plan import plan_json, plan_lines
from handful.report.status import unfinished
from handful.run.deploy import plan_deploy
from handful.run.project import facts_of_those_up


@click.command("plan")
@click.argument("apps", nargs=-1)
@click.option("--script", "scripts", is_flag=True, help="Show the exact scripts that the machines would run.")
@click.option("--check", is_flag=True, help="End with exit code 3 when there is something to do.")
@click.option("--pull", is_flag=True, help="Look up image references anew.")
@json_option
def plan_command(apps: tuple[str, ...], *, scripts: bool, check: bool, pull: bool, as_json: bool) -> None:
    """Show what `handful apply` would do, and why. Nothing is built or changed."""
    project = open_project()
    away: list[str] = []
    facts = facts_of_those_up(project, away.append, check=True)
    plan, _ = plan_deploy(project, facts, intent("apply", project, apps=apps), Wish(pull=now() if pull else ""))
    left = unfinished(project.stack, facts, project.config)
    if as_json:
        click.echo(plan_json(plan))
    else:
        for line in (*plan_lines(plan), *left, *away):
            click.echo(line)
    for work in (work for wave in plan.waves for work in wave if scripts):
        click.echo(f"\n# ---- {work.machine}: work.bash\n{work_script(plan, work, 'handful plan')}")
        for release in work.releases:
            click.echo(f"\n# ---- {work.machine}: {release.app} {release.id}/run_app.bash\n{run_app(release)}")
    if away:
        raise MachineError(away[0], advice="The plan is for the others: handful apply --skip-down")
    if check and (not plan.empty or left):
        raise DifferencesFound("the machines differ from the file", advice="Make them match: handful apply")
