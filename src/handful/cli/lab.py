"""`handful lab`: machines made of containers on this computer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from handful.cli.common import lab_state, load_config, sockets
from handful.errors import MachineError, UsageError
from handful.report.table import table

if TYPE_CHECKING:
    from handful.config.load import Loaded


@click.group("lab", context_settings={"help_option_names": ["-h", "--help"]})
def lab_command() -> None:
    """Make the machines of handful.yml as real Debian machines in containers on this computer.

    It needs `provider: {name: lab}` in handful.yml, and a Docker engine here.
    """


@lab_command.command("up")
@click.option("--bare", is_flag=True, help="Machines without Docker.")
def up(*, bare: bool) -> None:
    """Make or start the machines."""
    from handful.provider.lab import up as lab_up

    loaded = _lab()
    provider = loaded.config.provider
    wanted = {name: machine.private for name, machine in loaded.config.machines.items() if machine.address is None}
    image = provider.image if provider else "debian-13"
    volumes = {name: tuple(machine.volumes) for name, machine in loaded.config.machines.items()}
    lab_up(loaded.stack, wanted, state=lab_state(), say=click.echo, image=image, bare=bare, volumes=volumes)


@lab_command.command("status")
def status() -> None:
    """Show the machines of the lab."""
    from handful.provider.lab import machines

    loaded = _lab()
    found = machines(loaded.stack)
    rows = [(each.name, each.address, each.state, each.image) for each in found.values()]
    click.echo(
        table(("MACHINE", "ADDRESS", "STATE", "IMAGE"), rows)
        if rows
        else f"no lab of {loaded.stack}. Make it: handful lab up"
    )


@lab_command.command("ssh")
@click.argument("machine")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def ssh(machine: str, words: tuple[str, ...]) -> None:
    """Log in to a machine of the lab, or run a command there."""
    from handful.cli.inside import go_inside, shell
    from handful.provider.lab_access import access

    loaded = _lab()
    go_inside(access(loaded.stack, lab_state()), machine, shell(words))


@lab_command.command("down")
def down() -> None:
    """Remove the machines and everything of theirs."""
    from handful.machine.ssh import close
    from handful.provider.lab import down as lab_down
    from handful.provider.lab_access import access

    stack, kept = _lab().stack, sockets()
    # A lab made anew has the same addresses: a connection that waits for the next session would lead nowhere.
    with suppress(MachineError):
        close(replace(each, sockets=str(kept)) for each in access(stack, lab_state()).values() if kept)
    lab_down(stack, lab_state(), click.echo)


def _lab() -> Loaded:
    loaded = load_config()
    if loaded.config.provider is None or loaded.config.provider.name != "lab":
        raise UsageError("handful.yml has no lab", advice="Say so in it: provider: {name: lab}")
    return loaded
