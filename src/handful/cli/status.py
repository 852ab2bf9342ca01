"""`handful status`."""

from __future__ import annotations

import click

from handful.cli.common import json_option, open_project
from handful.errors import HandfulError, MachineError
from handful.report.status import status_json, status_text
from handful.run.project import observed


@click.command("status")
@json_option
def status_command(*, as_json: bool) -> None:
    """Show machines, apps and instances: release, health, since when, and what is unfinished or drifted."""
    project = open_project()
    found = observed(project, whole=False)
    show = status_json if as_json else status_text
    click.echo(show(project.config, project.stack, found))
    first = next((each for each in found.values() if isinstance(each, HandfulError)), None)
    if first is not None:
        raise MachineError(first.message, detail=first.detail, advice=first.advice)
