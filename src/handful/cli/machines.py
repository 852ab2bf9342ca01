"""`handful machines`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.cli.common import intent, json_option, load_config, open_project, operator, show_lines
from handful.cli.estate import (
    change_lines,
    confirm,
    ensure_machines,
    forget_connections,
    known,
    planned_machines,
    prepare_named,
)
from handful.cli.provider import provider_of
from handful.errors import UsageError
from handful.report.table import table

if TYPE_CHECKING:
    from handful.config.load import Loaded
    from handful.facts.servers import Server
    from handful.provider.border import Provider


@click.group("machines", context_settings={"help_option_names": ["-h", "--help"]})
def machines_command() -> None:
    """Make machines at the provider, prepare them, show them, throw them away."""


@machines_command.command("list")
def list_command() -> None:
    """Show the machines of the file, and those that the provider has of this stack besides."""
    loaded = load_config()
    provider = provider_of(loaded)
    servers = provider.estate().servers if provider else {}
    rows = []
    for name, machine in loaded.config.machines.items():
        if machine.address is not None:
            rows.append((name, machine.address, machine.private or "", "exists", ""))
        elif name in servers:
            rows.append((*_shown(servers[name]), ""))
        else:
            rows.append((name, "", machine.private or "", "not made yet", ""))
    rows += [(*_shown(each), "not in the file") for name, each in servers.items() if name not in loaded.config.machines]
    click.echo(table(("MACHINE", "ADDRESS", "PRIVATE", "STATE", ""), rows))


@machines_command.command("plan")
def plan_command() -> None:
    """Show what `handful machines apply` would change at the provider. Nothing is changed."""
    changes = planned_machines()
    for line in change_lines(changes):
        click.echo(line)
    if not changes:
        click.echo("nothing to do")


@machines_command.command("apply")
@json_option
def apply_command(*, as_json: bool) -> None:
    """Make the machines that are missing, start those that are stopped, change what differs, and prepare them all.

    A machine of another size is drained and restarted, one after the other. What the file does not name stays, as do
    apps: both are the matter of `handful apply`.
    """
    lines = show_lines(as_json=as_json, verbose=False)
    for name in ensure_machines(lines, resize=True):
        lines.say(f"{name} is not in the file, and left alone: handful apply takes it away, with what runs there")
    prepare_named((), lines)


@machines_command.command("destroy")
@click.argument("machines", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All machines of the stack, their volumes, network and keys.")
@click.option("--keep-volumes", "keep", is_flag=True, help="Leave the provider's volumes for a machine of that name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy_command(machines: tuple[str, ...], *, every: bool, keep: bool, yes: bool) -> None:
    """Throw machines away, with all that is on them. Their names must be typed, or --yes."""
    loaded = load_config()
    provider = _provider(loaded)
    if every == bool(machines) or (every and keep):
        raise UsageError("name machines, or say --all, which keeps nothing")
    estate = provider.estate()
    if unknown := [name for name in machines if name not in estate.servers and not estate.volumes_of(name)]:
        there = ", ".join(estate.servers) or "none"
        raise UsageError(f"{loaded.stack} has no machine {', '.join(unknown)}", advice=f"It has: {there}")
    every_machine = dict.fromkeys([*estate.servers, *(each.machine for each in estate.volumes)])
    names = tuple(every_machine) if every else machines
    confirm(loaded, estate, names, loaded.stack if every else " ".join(names), yes=yes, keep=keep)
    forget_connections(loaded, names)
    if every:
        provider.destroy_all(click.echo)
    else:
        provider.destroy(names, click.echo, volumes=not keep)


@machines_command.command("replace")
@click.argument("machine")
@click.option("--without-volumes", "without", is_flag=True, help="Begin with empty volumes; those of now go.")
@click.option("--yes", is_flag=True, help="Do not ask; the provider's volumes are kept.")
@json_option
def replace_command(machine: str, *, without: bool, yes: bool, as_json: bool) -> None:
    """Make a machine anew that is dead or spoiled, and deploy what belongs there.

    The provider's volumes are attached to the new one, unless you say otherwise; what was on its own disk is lost.
    """
    from handful.cli.deploy import apply_all

    loaded = load_config()
    provider = _provider(loaded)
    if machine not in loaded.config.machines or loaded.config.machines[machine].address is not None:
        made = ", ".join(name for name, each in loaded.config.machines.items() if each.address is None) or "none"
        raise UsageError(f"{machine} is no machine that the provider makes", advice=f"Those are: {made}")
    estate = provider.estate()
    own = estate.volumes_of(machine)
    if own and not without and not yes:
        without = not click.confirm(f"Keep the volumes of {machine} ({', '.join(own)})?", default=True, err=True)
    lines = show_lines(as_json=as_json, verbose=False)
    # What is wrong is told before anything goes.
    provider.check(machine, lines.say)
    confirm(loaded, estate, [machine], machine, yes=yes, keep=not without)
    forget_connections(loaded, [machine])
    provider.destroy([machine], lines.say, volumes=without)
    apply_all(lines)


@machines_command.command("prepare")
@click.argument("machines", nargs=-1)
@click.option("--plan", "dry", is_flag=True, help="Only say what would be done.")
@click.option("--close", is_flag=True, help="Close ports, too, that something on a machine serves the world on.")
@json_option
def prepare_command(machines: tuple[str, ...], *, dry: bool, close: bool, as_json: bool) -> None:
    """Make machines (all, or those named) safe places to run containers, and say what was changed.

    Docker and what handful's scripts need, keys alone for ssh, security upgrades, a firewall that Docker's published
    ports do not get around. Nothing is done twice, and a machine that is prepared is left alone.
    """
    prepare_named(machines, show_lines(as_json=as_json, verbose=False), dry=dry, close=close)


@machines_command.command("forget")
@click.argument("machine")
@json_option
def forget_command(machine: str, *, as_json: bool) -> None:
    """Before a machine of yours leaves the file: take its ports and its place in the private network from the stack.

    Its apps must be gone. What other stacks have there stays, as do Docker, volumes and the user.
    """
    from handful.artifact.script import stand_alone
    from handful.run.prepare import run_through
    from handful.run.together import new_stop

    project = open_project()
    known(project, (machine,))
    who = operator(intent("forget", project), show_lines(as_json=as_json, verbose=False))
    script = stand_alone("forget_stack", {"stack": project.stack})
    run_through(project.machines[machine], script, who, new_stop())


@machines_command.command("upgrade")
@click.argument("machines", nargs=-1)
@json_option
def upgrade_command(machines: tuple[str, ...], *, as_json: bool) -> None:
    """Upgrade Docker and the proxy on machines (all, or those named), one after the other; what runs goes on meanwhile.

    Docker to what the machines' package sources have, the proxy to the image that the file names. The next machine's
    turn comes when the one before serves as it did.
    """
    from handful.run.upgrade import upgrade_all

    project = open_project()
    names = known(project, machines)
    who = operator(intent("upgrade", project), show_lines(as_json=as_json, verbose=False))
    upgrade_all(project, who, names, __version__)


def _provider(loaded: Loaded) -> Provider:
    provider = provider_of(loaded)
    if provider is None:
        advice = "Machines that have an address were not made by handful."
        raise UsageError("handful.yml has no provider", advice=advice)
    return provider


def _shown(server: Server) -> tuple[str, str, str, str]:
    return server.name, server.address, server.private, server.state
