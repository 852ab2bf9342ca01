"""`handful top`."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from handful.artifact.script import stand_alone
from handful.cli.common import chosen, json_option, open_project
from handful.config.values import span
from handful.errors import Interrupted, UsageError
from handful.plan.order import need_app
from handful.report.top import SORTS, fitted, ordered, rows, top_json, top_text
from handful.run.ask import ask_as_they_come
from handful.run.together import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from handful.errors import HandfulError
    from handful.machine.access import Access

# Of a terminal, as all of them know it (xterm's alternate screen).
ENTER, LEAVE, HOME = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H"
TO_NEXT_LINE, TO_END = "\x1b[K\r\n", "\x1b[K\x1b[J"
# How long is measured before something is shown once.
ONCE_SECONDS = 1.0


@click.command("top")
@click.argument("apps", nargs=-1)
@click.option("--machine", metavar="MACHINE", help="Of this machine only.")
@click.option("--sort", type=click.Choice(SORTS), default="cpu", help="What comes first.", show_default=True)
@click.option("--instances", "split", is_flag=True, help="A row for each instance.")
@click.option("--all", "whole", is_flag=True, help="Also what is not of this stack.")
@click.option("--every", default="2s", metavar="SPAN", help="Between two looks.", show_default=True)
@click.option("--once", is_flag=True, help="Look once, and end; as without a terminal.")
@json_option
def top_command(
    apps: tuple[str, ...], *, machine: str | None, sort: str, split: bool, whole: bool, every: str, once: bool,
    as_json: bool,
) -> None:
    """Show what machines and APPs (all, unless named) use right now: cpu, memory, network, disk, requests, restarts.

    Cpu is of one processor; requests are those that came in through the machine's own proxy.
    """
    project, seconds = open_project(), span(every)
    if seconds is None:
        raise UsageError(f"--every {every} is no time", advice="Write 1s, 2s or 1m.")
    for app in apps:
        need_app(project.config, app)
    machines = chosen(project, machine)
    told: dict[str, dict[str, Any]] = {}

    def text() -> str:
        found = ordered(rows(told, project.stack, apps, every=whole, split=split), sort)
        return top_json(told, found) if as_json else top_text(told, found)

    if once or not sys.stdout.isatty():
        failed = _ask(machines, told, ONCE_SECONDS, 1, nothing)
        click.echo(text())
        if failed is not None:
            raise failed
    elif as_json:
        _ask(machines, told, seconds, 0, lambda: click.echo(text()))
    else:
        with _screen() as show:
            _ask(machines, told, seconds, 0, lambda: show(text()))


def _ask(
    machines: Sequence[Access], told: dict[str, dict[str, Any]], seconds: float, times: int, show: Callable[[], None]
) -> HandfulError | None:
    """Have `told` hold what each machine says last, and call `show` each time; return the first one's error.

    Raises that error when no machine answers, and Interrupted.
    """

    def take(machine: str, answer: dict[str, Any]) -> None:
        # One that nobody has set up has nothing to tell.
        if "machine" in answer:
            told[machine] = answer
            show()

    def ended(machine: str, error: HandfulError | None) -> None:
        # What it said last must not pass for what is so now.
        if times == 0 and error is not None:
            told.pop(machine, None)
            click.echo(error.message, err=True)

    script = stand_alone("ask_agent", {"words": ("top", f"--every={seconds}", f"--times={times}")})
    try:
        failed = ask_as_they_come(machines, script, take, nothing, ended)
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    if failed is not None and not told:
        raise failed
    return failed


@contextmanager
def _screen() -> Iterator[Callable[[str], None]]:
    """Give what shows a text on a screen of its own; the terminal is as it was before afterwards."""

    def show(text: str) -> None:
        columns, lines = shutil.get_terminal_size()
        click.echo(HOME + fitted(text, columns, lines).replace("\n", TO_NEXT_LINE) + TO_END, nl=False)

    click.echo(ENTER, nl=False)
    try:
        yield show
    finally:
        click.echo(LEAVE, nl=False)
