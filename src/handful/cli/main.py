"""Which commands are there, and what happens when one fails?"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import NamedTuple

import click

from handful import __version__
from handful.errors import ConfigError, HandfulError
from handful.secrets.mask import Mask, masked

INTERRUPTED = 130

# Command → (module, one line of help): a module is loaded when its command runs.
COMMANDS = MappingProxyType(
    {
        "init": ("init", "Write a commented handful.yml for this folder."),
        "check": ("check", "Check handful.yml; all problems at once."),
        "schema": ("check", "Print the JSON Schema of handful.yml."),
        "plan": ("plan", "Show what apply would do, and why."),
        "apply": ("deploy", "Make the machines match the file."),
        "deploy": ("deploy", "Build and release apps without downtime."),
        "rollback": ("deploy", "Undo the last deploy, or take one app back."),
        "package": ("package", "Write image and release of an app into one file."),
        "promote": ("promote", "Deploy the image that runs in another environment."),
        "history": ("history", "Show who deployed what, when, and how it ended."),
        "diff": ("history", "Show what differs between two releases of an app."),
        "status": ("status", "Show machines, apps and instances as they are."),
        "logs": ("logs", "Show what apps have said, now and since it is kept."),
        "top": ("top", "Show what machines and apps use right now."),
        "exec": ("inside", "Run a command in a running instance."),
        "run": ("inside", "Run a command in a container of its own."),
        "ssh": ("inside", "Log in to a machine, or run a command there."),
        "restart": ("act", "Start an app's present release anew, without downtime."),
        "stop": ("act", "Stop an app; its release, volumes and history stay."),
        "start": ("act", "Start an app that was stopped."),
        "scale": ("scale", "Start or stop instances of an app now."),
        "maintenance": ("scale", "Give the public a page instead of an app, or the app again."),
        "prune": ("prune", "Remove images that nothing needs any more."),
        "remove": ("act", "Take an app from its machines; volumes are kept."),
        "doctor": ("doctor", "Look whether everything is well, and how what is not is mended."),
        "audit": ("doctor", "Look for what strangers would find."),
        "machines": ("machines", "Make machines, prepare them, throw them away."),
        "secrets": ("secrets", "Keep secrets encrypted beside the code."),
        "lab": ("lab", "Make machines out of containers on this computer."),
    }
)


class Asked(NamedTuple):
    """What holds for the whole command line: the environment, and the values that must not be shown."""

    environment: str | None
    mask: Mask


class Commands(click.Group):
    """The command table: names and help are known without loading the commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module = import_module(f"handful.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what was probably meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, 1)
            hint = f" Did you mean `handful {close[0]}`?" if close else ""
            raise click.UsageError(f"there is no command `{name}`.{hint} See: handful --help", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="handful %(version)s")
@click.option("-e", "--environment", metavar="ENV", envvar="HANDFUL_ENV", help="As in environments/ENV.yml.")
@click.pass_context
def handful(ctx: click.Context, environment: str | None) -> None:
    """Handful builds, deploys and operates containerised apps on a handful of machines, over SSH.

    It reads handful.yml, looks at the machines, writes down what it will do, and does it.
    """
    ctx.obj = Asked(environment, ctx.obj)


def run() -> int:
    """Run the command line; return its exit code. Nothing that is learned as a secret is written by it."""
    mask = Mask()
    sys.stdout, sys.stderr = masked(sys.stdout, mask), masked(sys.stderr, mask)
    try:
        # Outside of its standalone mode, click returns the exit code that a command ended with.
        ended = handful.main(standalone_mode=False, obj=mask)
    except HandfulError as error:
        return _failed(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as no:
        # A question that was answered with no; click makes one of Ctrl-C, too.
        click.echo("interrupted" if no.__cause__ else "nothing was done", err=True)
        return INTERRUPTED
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return ended if isinstance(ended, int) else 0


def _failed(error: HandfulError) -> int:
    # Problems of a file begin with their place, for editors.
    head = "" if isinstance(error, ConfigError) else click.style("error: ", fg="red", bold=True)
    click.echo(head + error.message, err=True)
    if error.detail:
        click.echo("\n".join(f"  {line}" for line in error.detail.splitlines()), err=True)
    if error.advice:
        click.echo(error.advice, err=True)
    return error.code
