"""`handful doctor` and `handful audit`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.cli.common import json_option, open_project
from handful.errors import DifferencesFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handful.facts.finding import Finding


@click.command("doctor")
@json_option
def doctor_command(*, as_json: bool) -> None:
    """Look whether this computer and every machine are well: each line is good, or says how it is mended.

    Ends with 3 when something is to be mended. Nothing is changed.
    """
    from handful.cli.estate import found_devices
    from handful.run.doctor import doctor

    project = open_project()
    _show(doctor(project, __version__, found_devices(project)), as_json=as_json, bad="to be mended")


@click.command("audit")
@json_option
def audit_command(*, as_json: bool) -> None:
    """Look for what strangers would find: open ports, from here and between machines, and what else lets them in.

    Ends with 3 when it finds something. Nothing is changed.
    """
    from handful.run.audit import audit_all

    _show(audit_all(open_project()), as_json=as_json, bad="found")


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Return findings as lines, what is bad with how to mend it."""
    for each in findings:
        yield f"{'ok ' if each.good else 'BAD'}  {each.machine or 'here':<8} {each.text}"
        if not each.good:
            yield f"{'':<14}→ {each.mend}"


def _show(findings: list[Finding], *, as_json: bool, bad: str) -> None:
    if as_json:
        rows = [{"machine": each.machine, "good": each.good, "text": each.text, "mend": each.mend} for each in findings]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        for line in finding_lines(findings):
            click.echo(line)
    count = sum(not each.good for each in findings)
    if count:
        raise DifferencesFound(f"{count} {'thing' if count == 1 else 'things'} {bad}")
    if not as_json and not findings:
        click.echo("nothing found")
