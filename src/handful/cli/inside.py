"""`handful exec`, `handful run` and `handful ssh`: a person inside a machine or an app."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click

from handful.cli.common import open_project
from handful.errors import MachineError, UsageError
from handful.machine.ssh import command
from handful.plan.order import machines_of, need_app
from handful.run.project import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handful.machine.access import Access
    from handful.run.project import Project

machine_option = click.option("--machine", metavar="MACHINE", help="On this machine; the app's first unless told.")


@click.command("ssh", context_settings={"allow_interspersed_args": False})
@click.argument("machine")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def ssh_command(machine: str, words: tuple[str, ...]) -> None:
    """Log in to a machine, or run a command there (as root, read by its shell, as with ssh itself)."""
    go_inside(open_project().machines, machine, shell(words))


@click.command("exec", context_settings={"allow_interspersed_args": False})
@machine_option
@click.option("--instance", metavar="INSTANCE", help="In this instance, like web-2; the first unless told.")
@click.argument("app")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(app: str, words: tuple[str, ...], *, machine: str | None, instance: str | None) -> None:
    """Run a command in a running instance of APP."""
    project = open_project()
    name = _machine_of(project, app, machine)
    here = facts_of(project, [name], whole=False)[name]
    running = [c for c in here.instances(project.stack, app) if c.running and c.restart != "no"]
    found = [c.name for c in sorted(running, key=lambda c: c.name) if instance in {None, c.instance}]
    if not found:
        message = f"no instance {instance or ''} of {app} runs on {name}".replace("  ", " ")
        known = ", ".join(sorted(c.instance for c in running))
        begin = "start" if here.app(project.stack, app).current else "deploy"
        raise UsageError(message, advice=f"Running: {known}." if known else f"Try: handful {begin} {app}")
    terminal = ["--interactive", "--tty"] if _terminal() else ["--interactive"]
    go_inside(project.machines, name, ["docker", "exec", *terminal, found[0], *plain(words)])


@click.command("run", context_settings={"allow_interspersed_args": False})
@machine_option
@click.argument("app")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(app: str, words: tuple[str, ...], *, machine: str | None) -> None:
    """Run a command in a container of its own: APP's present release, with its env, files and volumes."""
    project = open_project()
    name = _machine_of(project, app, machine)
    current = facts_of(project, [name], whole=False)[name].app(project.stack, app).current
    if not current:
        raise UsageError(f"{app} has no release on {name}", advice=f"Deploy it first: handful deploy {app}")
    script = f"/var/lib/handful/stacks/{project.stack}/apps/{app}/current/run_app.bash"
    terminal = ["env", "HANDFUL_TERMINAL=1"] if _terminal() else ["env"]
    go_inside(project.machines, name, [*terminal, "bash", script, "one_off", *plain(words)])


def go_inside(machines: Mapping[str, Access], machine: str, words: Sequence[str]) -> None:
    """Hand the terminal to ssh; end with the exit code of what ran there. Raises UsageError."""
    if machine not in machines:
        raise UsageError(f"there is no machine {machine}", advice=f"There are: {', '.join(machines)}.")
    access = machines[machine]
    line = command(access, words, terminal=_terminal(), batch=False)
    # 255 is ssh's own, which has told the user why on this terminal; or that of what ran there.
    raise click.exceptions.Exit(subprocess.run(line, check=False).returncode)


def shell(words: Sequence[str]) -> list[str]:
    """Return a command line that the machine's shell reads, as ssh does it; without words, a login shell."""
    return ["bash", "-c", " ".join(plain(words))] if words else []


def plain(words: Sequence[str]) -> list[str]:
    """Return the words of a command without the `--` that may stand before it."""
    return list(words[1:] if words[:1] == ("--",) else words)


def _machine_of(project: Project, app: str, machine: str | None) -> str:
    need_app(project.config, app)
    placed = machines_of(app, project.config)
    if not placed:
        raise MachineError(f"{app} is on no machine")
    if machine not in {None, *placed}:
        raise UsageError(f"{app} is not on {machine}", advice=f"It is on: {', '.join(placed)}.")
    return machine or placed[0]


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
