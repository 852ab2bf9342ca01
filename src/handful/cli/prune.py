"""`handful prune`."""

from __future__ import annotations

import click

from handful.artifact.leftover import leftovers, remove
from handful.artifact.registry import forget_kept
from handful.artifact.script import stand_alone
from handful.cli.common import open_project
from handful.config.values import span
from handful.errors import NoDocker, UsageError
from handful.run.engine import stream
from handful.run.project import facts_of


@click.command("prune")
@click.option("--dry-run", "dry", is_flag=True, help="Show what would be removed.")
@click.option("--older-than", "older", metavar="TIME", default="1h", help="Leave younger ones (1h unless told).")
def prune_command(*, dry: bool, older: str) -> None:
    """Remove images that nothing needs any more, from all machines and, of this stack, from this computer.

    Images of kept releases stay, of every stack on a machine, and those that a container uses; here, those that a
    machine has. What this computer has packed for transfers goes.
    """
    seconds = span(older)
    if seconds is None:
        raise UsageError(f"{older} is no time", advice="Write how long: 30m, 2h, 7d.")
    project = open_project()
    script = stand_alone("prune_images", {"dry": "yes" if dry else "", "older": str(round(seconds))})
    would = "would remove" if dry else "removed"
    nothing = "nothing to remove"

    def show(machine: str, line: str) -> None:
        click.echo(f"{machine:<8} {line if line == nothing else f'{would} {line}'}")

    stream(project.machines.values(), script, show)
    there = {image for each in facts_of(project).values() for image in each.images}
    try:
        for name, size in leftovers(project.stack, there, seconds).items():
            if dry or remove(name):
                show("here", f"{name} ({size // 1_000_000} MB)")
        if not dry and forget_kept():
            click.echo("here     removed what was packed for transfers")
    except NoDocker as none:
        click.echo(f"here     {none.message}")
