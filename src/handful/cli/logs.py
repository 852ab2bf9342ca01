"""`handful logs`."""

from __future__ import annotations

import sys
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from handful.artifact.script import stand_alone
from handful.cli.common import chosen, json_option, open_project
from handful.errors import Interrupted, UsageError
from handful.logs.asked import USUAL_LINES, Asked, check, every, moment, words
from handful.logs.following import Following
from handful.logs.merge import merged, skew, summed
from handful.report.logs import counts_json, counts_text, line_json, line_text
from handful.run.ask import ask_as_they_come, ask_in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from handful.config.model import Config
    from handful.errors import HandfulError
    from handful.machine.access import Access

LEVELS = ("debug", "info", "warn", "error", "fatal")


@click.command("logs")
@click.argument("apps", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--since", default="", metavar="TIME", help="Since then, or for how long: 10m, 2026-01-31T12:00 (UTC).")
@click.option("--until", default="", metavar="TIME", help="Until then.")
@click.option("--grep", default="", metavar="WORDS", help="Lines with these words, as they stand.")
@click.option("--regex", default="", metavar="REGEX", help="Lines in which this expression (Python's) is found.")
@click.option("--level", type=click.Choice(LEVELS), default=None, help="Lines as bad as this, or worse.")
@click.option("--release", default="", metavar="RELEASE", help="Of this release, like 0003-5c9733.")
@click.option("--machine", metavar="MACHINE", help="Of this machine only.")
@click.option("--instance", default="", metavar="INSTANCE", help="Of this instance, like web-2.")
@click.option("-n", "lines", type=click.IntRange(min=1), help=f"The last ones; {USUAL_LINES} without a time.")
@click.option("-C", "context", type=click.IntRange(0, 1000), default=0, metavar="N", help="And N lines around each.")
@click.option("--count-by", default="", metavar="SPAN", help="Count lines by level instead, for each 1m or 1h.")
@json_option
def logs_command(
    apps: tuple[str, ...], *, machine: str | None, since: str, until: str, level: str | None, lines: int | None,
    count_by: str, as_json: bool, **given: Any,  # noqa: ANN401  # as click gives them
) -> None:
    """Show what APPs (all, unless named) have said, on all machines, in the order of time.

    Also of apps, releases and instances that are gone. Lines that begin with `--` tell how a container began and ended.
    """
    project = open_project()
    now = datetime.now(UTC)
    begin, end = moment(since, now), moment(until, now)
    usual = 0 if begin or end or count_by else USUAL_LINES
    asked = Asked(apps, begin, end, level=level or "", lines=lines or usual, every=every(count_by), **given)
    check(asked)
    machines = chosen(project, machine)
    project.vault.learn_all()
    answer = Answer(asked, project.config, as_json=as_json)
    try:
        failed = _ask(machines, stand_alone("ask_agent", {"words": words(asked, project.stack, now)}), answer)
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    answer.end(whole=failed is None)
    if failed is not None:
        raise failed


def _ask(machines: Sequence[Access], script: str, answer: Answer) -> HandfulError | None:
    if not answer.asked.follow:
        return ask_in_turn(machines, script, answer.take)
    following, silent = Following(answer.header, answer.show), {access.name for access in machines}

    def take(machine: str, told: dict[str, Any]) -> None:
        following.take(machine, told)
        if silent == {machine}:
            # The last one that was waited for.
            answer.check_apps()
        silent.discard(machine)

    def ended(machine: str, error: HandfulError | None) -> None:
        answer.say(f"{error.message if error else f'{machine} says no more'}: it is not followed any more")
        silent.discard(machine)

    failed = ask_as_they_come(machines, script, take, following.pause, ended)
    following.end()
    return failed


class Answer:
    """Shows what the machines answer, and says what else is to be known."""

    def __init__(self, asked: Asked, config: Config, *, as_json: bool) -> None:
        """Nothing was answered yet."""
        self.asked, self._config, self._json = asked, config, as_json
        self._colour = not as_json and sys.stdout.isatty()
        self._known: set[str] = set(config.apps)
        self._shown = 0

    def take(self, streams: Mapping[str, Iterator[dict[str, Any]]]) -> None:
        """Show the answers of all machines as one."""
        skews = {}
        for machine, stream in streams.items():
            header = next(stream, None)
            skews[machine] = self.header(machine, header) if header is not None else 0.0
        if self.asked.every:
            told = [(machine, each) for machine, stream in streams.items() for each in stream]
            for machine, each in told:
                if "damaged" in each:
                    self.show(machine, each)
            answers = [each["minutes"] for _, each in told if "minutes" in each]
            counts = summed(answers, self.asked.every)
            self._shown = len(counts)
            if counts:
                click.echo(counts_json(counts) if self._json else counts_text(counts))
            return
        lines = merged(streams, skews)
        # Each machine has sent its last ones: of all of them, so many are the last.
        limited = self.asked.lines and not self.asked.context and len(streams) > 1
        for machine, line in deque(lines, maxlen=self.asked.lines) if limited else lines:
            self.show(machine, line)

    def header(self, machine: str, told: Mapping[str, Any]) -> float:
        """Say what a machine tells before its lines; return how far its clock is off."""
        self._known |= set(told["apps"])
        for app, since in told["gone"].items():
            if app in self.asked.apps or app not in self._config.apps:
                self.say(f"{app} is gone from {machine}" + (f", since {since}" if since else ""))
        off = skew(told["now"], told["came"])
        if off:
            where = "ahead" if off > 0 else "behind"
            self.say(f"the clock of {machine} is {abs(off):.0f} s {where}: its lines are put where they belong")
        return off

    def show(self, machine: str, line: dict[str, Any]) -> None:
        """Show a line, or say what a machine tells behind its lines."""
        if "damaged" in line:
            for path in line["damaged"]:
                self.say(f"left out, as it is damaged: {path} on {machine}")
            return
        self._shown += 1
        click.echo(line_json(machine, line) if self._json else line_text(machine, line, colour=self._colour))

    def end(self, *, whole: bool) -> None:
        """Say what was not found; `whole`: all machines have answered. Raises UsageError, see check_apps."""
        if whole:
            self.check_apps()
        if not self._shown and whole:
            self.say("no line fits")

    def check_apps(self) -> None:
        """Refuse an app that nobody knows, once all machines were heard. Raises UsageError."""
        unknown = [app for app in self.asked.apps if app not in self._known]
        if unknown:
            known = ", ".join(sorted(self._known)) or "none"
            raise UsageError(f"there are no logs of {', '.join(unknown)}", advice=f"There are: {known}.")

    def say(self, text: str) -> None:
        """Say what is no line of a log."""
        click.echo(text, err=True)
