"""What does a deploy wait for: machines that are there, prepared, known, and that nobody else is at work on?"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING

from handful import __version__
from handful.cli.common import open_project
from handful.errors import LoginRefused
from handful.run.project import facts_of, facts_of_those_up, observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.facts.model import Facts
    from handful.report.lines import Lines
    from handful.run.project import Project

# Between two looks at a machine on which another deploy is at work.
WAIT_SECONDS = 1.0


def ready(
    what: str, lines: Lines, *, wait: bool, skip_down: bool, depart: bool = True
) -> tuple[Project, dict[str, Facts], tuple[str, ...]]:
    """Return the project, its machines once they can be used, and those that are to go, for `apply`.

    Without `depart`, none are.
    """
    gone: tuple[str, ...] = ()
    check = what == "apply"
    if check:
        from handful.cli.estate import ensure_machines, leaving

        gone = ensure_machines(lines, resize=False)
        gone = gone if depart else ()
    project = open_project()
    if gone:
        project = leaving(project, gone, lines.say)
        gone = tuple(name for name in gone if name in project.machines)
    try:
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=check)
    except LoginRefused as refused:
        _let_in(project, lines, refused)
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=check)
    if due := tuple(name for name in fresh(project, facts, what) if name not in gone):
        from handful.cli.estate import prepare_named

        prepare_named(due, lines)
        facts = look_at(project, lines, wait=wait, skip_down=skip_down, check=check)
    _warn_at_first(project, facts, lines)
    return project, facts, gone


def farewell(project: Project, gone: tuple[str, ...], lines: Lines) -> None:
    """Have machines go from which everything was taken away; those that stay forget them."""
    if gone:
        from handful.cli.estate import prepare_named, take_away, with_leftover
        from handful.plan.prepared import behind

        if take_away(project, gone, lines):
            rest = open_project()
            if due := behind(with_leftover(rest).config, rest.stack, facts_of(rest, whole=False)):
                prepare_named(due, lines)


def load_planner() -> None:
    """Load what makes and carries out plans: it is done while the machines answer."""
    for name in ("artifact.system_image", "plan.past", "report.plan", "report.status", "run.deploy"):
        import_module(f"handful.{name}")


def look_at(
    project: Project, lines: Lines, *, wait: bool, skip_down: bool = False, check: bool = False
) -> dict[str, Facts]:
    """Return what is known of the machines; `wait`: once no deploy of the stack is at work on any of them."""
    if skip_down:
        facts = facts_of_those_up(project, lines.say, check=check, meanwhile=load_planner)
    else:
        facts = facts_of(project, check=check, meanwhile=load_planner)
    told: list[str] = []
    while wait and (held := list(holders(project, facts).values())):
        if held != told:
            lines.say(f"waiting for {held[0]}")
            told = held
        time.sleep(WAIT_SECONDS)
        facts = facts_of(project, tuple(facts), check=check)
    return facts


def holders(project: Project, facts: Mapping[str, Facts]) -> dict[str, str]:
    """Return who is at work on the stack, by machine."""
    return {name: holder for name, here in facts.items() if (holder := here.stack(project.stack).holder)}


def _let_in(project: Project, lines: Lines, refused: LoginRefused) -> None:
    """Prepare new machines, which do not know the user of the file yet; one in use waits for a person to say so."""
    from handful.cli.estate import prepare_named
    from handful.run.prepare import first_look

    found = observed(project, whole=False)
    names = tuple(name for name, each in found.items() if isinstance(each, LoginRefused))
    for name in names:
        _, survey = first_look(project, name)
        if survey.docker and project.config.machines[name].address is not None:
            make = f"If {project.config.ssh.user} is to be made there: handful machines prepare {name}"
            raise LoginRefused(refused.message, detail=refused.detail, advice=f"{refused.advice}\n{make}")
    # A login that only failed for a moment names nobody, and nobody would be everybody.
    if names:
        prepare_named(names, lines)


def _warn_at_first(project: Project, facts: Mapping[str, Facts], lines: Lines) -> None:
    """Before a stack's first deploy, say what `handful doctor` says is bad."""
    if any(here.stack(project.stack).history for here in facts.values()):
        return
    from handful.cli.doctor import finding_lines
    from handful.cli.estate import found_devices
    from handful.run.doctor import doctor

    findings = doctor(project, __version__, found_devices(project), dict(facts))
    for line in finding_lines(each for each in findings if not each.good):
        lines.say(line)


def fresh(project: Project, facts: Mapping[str, Facts], what: str) -> tuple[str, ...]:
    """Return machines that cannot be used yet: nobody has prepared them, or they are not what the file says any more.

    One that exists, and has Docker, may serve others on ports that would be closed: a person says that.
    """
    from handful.cli.estate import with_leftover
    from handful.plan.network import is_joined
    from handful.plan.prepared import behind, outdated

    config = with_leftover(project).config
    # Whoever writes `network` wants machines joined, those that exist, too.
    joined = is_joined(config)
    made = {name for name, each in config.machines.items() if what == "apply" and (each.address is None or joined)}
    due = {name for name, here in facts.items() if here.bare or (name in made and not here.prepared)}
    due.update(behind(config, project.stack, facts))
    if what == "apply":
        due.update(outdated(config, facts, __version__))
    return tuple(name for name in facts if name in due)
