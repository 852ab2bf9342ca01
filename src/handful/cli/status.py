"""`handful status`."""

from __future__ import annotations

import click

from handful.cli.common import json_option, open_project, stacks_facts
from handful.errors import HandfulError, MachineError
from handful.report.status import status_json, status_text


@click.command("status")
@json_option
def status_command(*, as_json: bool) -> None:
    """Show machines, apps and instances: release, health, since when, and what is unfinished or drifted."""
    project = open_project()
    found = stacks_facts(project)
    show = status_json if as_json else status_text
    click.echo(show(project.config, project.stack, found))
    silent = [name for name, each in found.items() if isinstance(each, HandfulError)]
    if silent:
        first = found[silent[0]]
        raise MachineError(first.message, detail=first.detail, advice=first.advice)
