"""`handful logs`."""

from __future__ import annotations

import click

from handful.artifact.script import stand_alone
from handful.cli.common import open_project
from handful.plan.order import machines_of, need_app
from handful.run.engine import stream


@click.command("logs")
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--since", default="", metavar="TIME", help="Since then, or for how long: 10m, 2026-01-31T12:00:00.")
@click.option("-n", "count", type=click.IntRange(min=1), help="The last lines of each instance; 100 unless told.")
@click.option("--machine", metavar="MACHINE", help="Of this machine only.")
def logs_command(app: str, *, follow: bool, since: str, count: int | None, machine: str | None) -> None:
    """Show what the instances of APP wrote, on all its machines at once, in the order of time."""
    project = open_project()
    need_app(project.config, app)
    names = [name for name in machines_of(app, project.config) if machine in {None, name}]
    lines = str(count) if count else "all" if since else "100"
    values = {"stack": project.stack, "app": app, "follow": "yes" if follow else "", "since": since, "lines": lines}
    script = stand_alone("logs", values)
    project.vault.learn_all()
    stream([project.machines[name] for name in names], script, _show, merge=not follow)


def _show(machine: str, line: str) -> None:
    click.echo(f"{machine} {line}")
