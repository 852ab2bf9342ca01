"""How do commands come to have the machines that the file names, and how do others go?"""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.cli.common import intent, lab_state, load_config, open_project, operator, sockets
from handful.cli.provider import provider_of
from handful.errors import HandfulError, MachineError, UsageError
from handful.facts.servers import Estate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from handful.config.load import Loaded
    from handful.machine.access import Access
    from handful.plan.machines import MachineChange
    from handful.provider.border import Provider
    from handful.report.lines import Lines
    from handful.run.project import Project

WORDS = MappingProxyType({
    "make": "is made", "start": "is started", "resize": "is drained and restarted", "volume": "gets a volume",
    "address": "keeps its address", "firewall": "have the provider's firewall", "kept": "is left alone",
    "gone": "goes, with the next handful apply",
})


def change_lines(changes: Iterable[MachineChange]) -> Iterator[str]:
    """Return changes as lines."""
    for each in changes:
        yield f"{each.machine or 'all':<8} {WORDS[each.action]}: it {each.reason}"


def planned_machines() -> tuple[MachineChange, ...]:
    """Return what makes the provider's machines those of the file; nothing without a provider."""
    loaded = load_config()
    provider = provider_of(loaded)
    return _changes(loaded, provider) if provider else ()


def _changes(loaded: Loaded, provider: Provider) -> tuple[MachineChange, ...]:
    from handful.plan.machines import plan_machines

    return plan_machines(loaded.config, provider.estate())


def ensure_machines(lines: Lines, *, resize: bool) -> tuple[str, ...]:
    """Have the provider's machines be there and run; nothing without a provider. Return those that are not in the file.

    Without `resize`, machines of another size are only told of: it restarts them.
    """
    loaded = load_config()
    provider = provider_of(loaded)
    if provider is None:
        return ()
    changes = _changes(loaded, provider)
    for each in changes:
        if each.action == "kept":
            lines.say(f"{each.machine} is left alone: it {each.reason}")
        elif each.action == "resize" and not resize:
            lines.say(f"{each.machine} {each.reason}. It is drained and restarted for that by: handful machines apply")
    due = {
        each.machine: loaded.config.machines[each.machine].private
        for each in changes if each.action in {"make", "start"}
    }
    # A machine that is made anew has the address of the one before: a connection to that leads nowhere.
    forget_connections(loaded, due)
    provider.make(due, lines.say)
    for each in changes:
        if each.action == "resize" and resize:
            _resize(each, provider, lines)
    return tuple(each.machine for each in changes if each.action == "gone")


def _resize(change: MachineChange, provider: Provider, lines: Lines) -> None:
    """One machine after the other: the next one waits until this one serves again."""
    from handful.run.restart import restarted

    project, name = open_project(), change.machine
    # What cannot be had is told before anything is drained.
    provider.check(name, lines.say)
    lines.say(f"{name} {change.reason}: it is drained and restarted")

    def restart() -> Access:
        provider.resize(name, lines.say)
        # Some providers give another address then.
        return open_project().machines[name]

    restarted(project.machines[name], operator(intent("resize", project), lines), restart)


def prepare_named(names: tuple[str, ...], lines: Lines, *, dry: bool = False, close: bool = False) -> None:
    """Prepare machines (none named: all). Raises UsageError for one that is not in the file."""
    from handful.run.prepare import prepare_all

    own = open_project()
    # Those that are not in the file stay joined, and are otherwise left as they are.
    names, project = known(own, names), with_leftover(own)
    who = operator(intent("prepare", project), lines)
    prepare_all(project, who, names, __version__, devices=found_devices(project), dry=dry, close=close)


def found_devices(project: Project) -> dict[str, dict[str, str]]:
    """Return where volumes are on the provider's machines; a lab has them in their places."""
    from handful.provider.cloud import devices
    from handful.provider.machines import folder_of

    return devices(folder_of(lab_state(), project.stack))


def known(project: Project, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the machines of these names; all, when there are none."""
    if unknown := set(names) - project.config.machines.keys():
        there = ", ".join(project.config.machines)
        raise UsageError(f"there is no machine {', '.join(sorted(unknown))}", advice=f"There are: {there}")
    return names or tuple(project.config.machines)


def leaving(project: Project, gone: Collection[str], say: Callable[[str], None]) -> Project:
    """Return the project with machines that are to go, so that what runs there is taken from there as from any other.

    One that does not answer is left alone, and said.
    """
    if not gone:
        return project
    from handful.config.model import Machine
    from handful.provider.machines import reach_made
    from handful.run.restart import reachable, with_leaving

    reached = reach_made(project.config, project.stack, lab_state(), sockets())
    found = {}
    for name in gone:
        access = reached.get(name)
        why: HandfulError | str | None = reachable(access) if access else "nobody knows where it is"
        if why or access is None:
            say(f"{name} is not in the file, and left alone: {why}")
            say(f"It goes with: handful machines destroy {name}")
        else:
            say(f"{name} is not in the file: what runs there is taken away, and then the machine")
            found[name] = (Machine(private=access.private), access)
    return with_leaving(project, found) if found else project


def with_leftover(project: Project) -> Project:
    """Return the project with machines that were made for it, and that its file does not name any more.

    As long as they are there they may be at work: the others stay open to them, and joined with them.
    """
    from handful.config.model import Machine
    from handful.provider.machines import reach_made
    from handful.run.restart import with_leaving

    if project.config.provider is None:
        return project
    reached = reach_made(project.config, project.stack, lab_state(), sockets())
    more = {name: each for name, each in reached.items() if name not in project.config.machines and each.private}
    if not more:
        return project
    return with_leaving(project, {name: (Machine(private=each.private), each) for name, each in more.items()})


def take_away(project: Project, gone: Iterable[str], lines: Lines) -> bool:
    """Destroy machines on which nothing is left; others are kept, and said. Return whether any went."""
    from handful.run.restart import left_on

    loaded, went = load_config(), []
    provider = provider_of(loaded)
    estate = provider.estate() if provider else Estate()
    for name in gone:
        try:
            left = str(left_on(project.machines[name], project.stack))
        except HandfulError as unknown:
            left = f"what nobody can tell ({unknown.message})"
        left = left or ", ".join(f"the volume {each} at the provider" for each in estate.volumes_of(name))
        if left:
            lines.say(f"{name} is kept: it has {left}. It goes with: handful machines destroy {name}")
        else:
            went.append(name)
    forget_connections(loaded, went)
    if provider and went:
        provider.destroy(went, lines.say, volumes=False)
    return bool(went)


def confirm(loaded: Loaded, estate: Estate, names: Collection[str], wanted: str, *, yes: bool, keep: bool) -> None:
    """Have what is destroyed typed. Raises UsageError when something else is, or nobody can be asked.

    `keep`: what is on the provider's volumes stays.
    """
    for line in _lost(loaded, estate, names, keep=keep):
        click.echo(line, err=True)
    if yes:
        return
    try:
        typed = click.prompt(f"Type {wanted} to destroy it", err=True)
    except click.Abort:
        raise UsageError("nothing was destroyed", advice="Where nobody types: --yes") from None
    if typed.strip() != wanted:
        raise UsageError("nothing was destroyed: that is another name")


def _lost(loaded: Loaded, estate: Estate, names: Iterable[str], *, keep: bool) -> Iterable[str]:
    """Say what goes with machines: asked of those that answer."""
    from handful.provider.machines import reach_made
    from handful.run.restart import left_on

    reached = reach_made(loaded.config, loaded.stack, lab_state(), sockets())
    for name in names:
        if own := estate.volumes_of(name):
            yield f"{name} has the volumes {', '.join(own)}. {'They are kept' if keep else 'They go with it'}."
        try:
            left = left_on(reached[name], loaded.stack) if name in reached else None
        except HandfulError:
            left = None
        if left is not None:
            if left.own:
                yield f"{name} has on its own disk the volumes {', '.join(left.own)}. They go with it."
        elif name in estate.servers:
            yield f"{name} does not say what is on it: all that is on its own disk goes with it."


def forget_connections(loaded: Loaded, names: Collection[str]) -> None:
    """End connections to machines that stay open: they will lead nowhere."""
    from handful.machine.ssh import close
    from handful.provider.machines import reach_made

    kept = sockets()
    if kept and names:
        with suppress(MachineError):
            reached = reach_made(loaded.config, loaded.stack, lab_state(), kept)
            close([access for name, access in reached.items() if name in names])
