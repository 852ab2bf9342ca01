"""`handful history` and `handful diff`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from handful.cli.common import json_option, open_project
from handful.errors import HandfulError, MachineError
from handful.plan.back import chosen_release, history
from handful.report.history import difference_lines, history_lines
from handful.report.status import unfinished
from handful.run.project import facts_of, observed

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("history")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, help="How many deploys, 20 unless told.")
@json_option
def history_command(*, count: int, as_json: bool) -> None:
    """Show who deployed what, when, from where, how it ended and how long it took."""
    project = open_project()
    found = observed(project, whole=False)
    facts = {name: each for name, each in found.items() if not isinstance(each, HandfulError)}
    past = history(project.stack, facts)[-count:]
    if as_json:
        click.echo(
            json.dumps([{**asdict(each), "outcome": each.outcome} for each in past], ensure_ascii=False, indent=2)
        )
    else:
        for line in (*history_lines(past), *unfinished(project.stack, facts, project.config)):
            click.echo(line)
    for each in found.values():
        if isinstance(each, HandfulError):
            raise MachineError(each.message, detail=each.detail, advice=each.advice)


@click.command("diff")
@click.argument("app")
@click.argument("first")
@click.argument("second")
@json_option
def diff_command(app: str, first: str, second: str, *, as_json: bool) -> None:
    """Show what differs between two kept releases of APP: image, env, files, settings.

    FIRST and SECOND are release ids, or their counters.
    """
    project = open_project()
    kept: dict[str, Mapping[str, Any]] = {}
    for machine in facts_of(project, whole=False).values():
        kept |= machine.app(project.stack, app).releases
    before, after = (chosen_release(app, wanted, kept) for wanted in (first, second))
    if as_json:
        click.echo(json.dumps({"before": kept[before], "after": kept[after]}, ensure_ascii=False, indent=2))
        return
    for line in difference_lines(kept[before], kept[after]):
        click.echo(line)
