"""`handful machines`, and how `handful apply` comes to have machines."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.cli.common import intent, json_option, lab_state, load_config, open_project, operator, show_lines, sockets
from handful.cli.provider import provider_of
from handful.errors import MachineError, UsageError
from handful.report.table import table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from handful.config.load import Loaded
    from handful.facts.servers import Server
    from handful.plan.machines import MachineChange
    from handful.provider.border import Provider
    from handful.report.lines import Lines
    from handful.run.project import Project

WORDS = MappingProxyType({"make": "is made", "start": "is started", "left": "is left alone"})


@click.group("machines", context_settings={"help_option_names": ["-h", "--help"]})
def machines_command() -> None:
    """Make machines at the provider, prepare them, show them, throw them away."""


@machines_command.command("list")
def list_command() -> None:
    """Show the machines of the file, and those that the provider has of this stack besides."""
    loaded = load_config()
    provider = provider_of(loaded)
    servers = provider.servers() if provider else {}
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
    """Show which machines `handful machines apply` would make or start. Nothing is changed."""
    loaded = load_config()
    changes = _changes(loaded, provider_of(loaded))
    for each in changes:
        click.echo(f"{each.machine:<8} {WORDS[each.action]}: it {each.reason}")
    if not changes:
        click.echo("nothing to do")


@machines_command.command("apply")
@json_option
def apply_command(*, as_json: bool) -> None:
    """Make the machines that are missing, start those that are stopped, and prepare them all."""
    lines = show_lines(as_json=as_json, verbose=False)
    ensure_machines(lines)
    prepare_named((), lines)


@machines_command.command("destroy")
@click.argument("machines", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All machines of the stack, their network and keys.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy_command(machines: tuple[str, ...], *, every: bool, yes: bool) -> None:
    """Throw machines away, with all that is on them. Their names must be typed, or --yes."""
    loaded = load_config()
    provider = provider_of(loaded)
    if provider is None:
        advice = "Machines that have an address were not made by handful."
        raise UsageError("handful.yml has no provider", advice=advice)
    if every == bool(machines):
        raise UsageError("name machines, or say --all")
    servers = provider.servers()
    if unknown := [name for name in machines if name not in servers]:
        there = ", ".join(servers) or "none"
        raise UsageError(f"{loaded.stack} has no machine {', '.join(unknown)}", advice=f"It has: {there}")
    names = tuple(servers) if every else machines
    _confirm(loaded, names, loaded.stack if every else " ".join(names), yes=yes)
    _forget_connections(loaded, names)
    if every:
        provider.destroy_all(click.echo)
    else:
        provider.destroy(names, click.echo)


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


@machines_command.command("upgrade")
@click.argument("machines", nargs=-1)
@json_option
def upgrade_command(machines: tuple[str, ...], *, as_json: bool) -> None:
    """Upgrade Docker on machines (all, or those named), one after the other; what runs goes on meanwhile.

    To what the machines' package sources have. The next machine's turn comes when the one before serves as it did.
    """
    from handful.run.upgrade import upgrade_all

    project = open_project()
    names = _known(project, machines)
    upgrade_all(project, operator(intent("upgrade", project), show_lines(as_json=as_json, verbose=False)), names)


def ensure_machines(lines: Lines) -> None:
    """Have the provider's machines be there and run. Nothing without a provider."""
    loaded = load_config()
    provider = provider_of(loaded)
    if provider is None:
        return
    changes = _changes(loaded, provider)
    for each in changes:
        if each.action == "left":
            name = each.machine
            lines.say(f"{name} {each.reason}, and left alone. It goes with: handful machines destroy {name}")
    due = {each.machine: loaded.config.machines[each.machine].private for each in changes if each.action != "left"}
    # A machine that is made anew has the address of the one before: a connection to that leads nowhere.
    _forget_connections(loaded, due)
    provider.make(due, lines.say)


def prepare_named(names: tuple[str, ...], lines: Lines, *, dry: bool = False, close: bool = False) -> None:
    """Prepare machines (none named: all). Raises UsageError for one that is not in the file."""
    from handful.run.prepare import prepare_all

    project = open_project()
    names = _known(project, names)
    who = operator(intent("prepare", project), lines)
    prepare_all(project, who, names, __version__, dry=dry, close=close)


def _known(project: Project, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the machines of these names; all, when there are none."""
    if unknown := set(names) - project.config.machines.keys():
        there = ", ".join(project.config.machines)
        raise UsageError(f"there is no machine {', '.join(sorted(unknown))}", advice=f"There are: {there}")
    return names or tuple(project.config.machines)


def _changes(loaded: Loaded, provider: Provider | None) -> tuple[MachineChange, ...]:
    from handful.plan.machines import plan_machines

    return plan_machines(loaded.config, provider.servers()) if provider else ()


def _shown(server: Server) -> tuple[str, str, str, str]:
    return server.name, server.address, server.private, server.state


def _confirm(loaded: Loaded, names: Iterable[str], wanted: str, *, yes: bool) -> None:
    """Have what is destroyed typed. Raises UsageError when something else is, or nobody can be asked."""
    for name in names:
        for app, each in loaded.config.apps.items():
            if each.volumes and name in (each.machines or loaded.config.machines):
                click.echo(f"{name} has the volumes of {app}: {', '.join(each.volumes)}. They go with it.", err=True)
    if yes:
        return
    try:
        typed = click.prompt(f"Type {wanted} to destroy it", err=True)
    except click.Abort:
        raise UsageError("nothing was destroyed", advice="Where nobody types: --yes") from None
    if typed.strip() != wanted:
        raise UsageError("nothing was destroyed: that is another name")


def _forget_connections(loaded: Loaded, names: Collection[str]) -> None:
    from handful.machine.ssh import close
    from handful.provider.machines import reach

    kept, config = sockets(), loaded.config
    for name in names if kept else ():
        machines = {each: machine for each, machine in config.machines.items() if each == name}
        with suppress(MachineError):
            close(reach(config.model_copy(update={"machines": machines}), loaded.stack, lab_state(), kept).values())
