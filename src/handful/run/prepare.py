"""How do machines become safe places to run containers?"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import in_turn, source, stand_alone
from handful.errors import DeployFailed, HandfulError, Interrupted, LoginRefused, ObserveFailed, PlanRefused
from handful.facts.survey import Survey, read_survey
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import ask, through
from handful.plan.network import is_joined, join, part_of
from handful.plan.prepare import FILES, Aim, prepare, wanted_packages
from handful.run.events import read_event
from handful.run.together import new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handful.machine.access import Access
    from handful.plan.model import Step, Value
    from handful.plan.task import Task
    from handful.run.engine import Operator
    from handful.run.events import Event
    from handful.run.project import Project
    from handful.run.together import Stop

# Who is let in on a new machine, when the user of the file is not: by providers and distributions.
FIRST_USERS = ("root", "debian", "ubuntu", "admin")


@dataclass(frozen=True)
class Work:
    """What holds for all machines; `dry`: only say what would be done."""

    project: Project
    operator: Operator
    aim: Aim
    stop: Stop
    dry: bool


def prepare_all(
    project: Project, operator: Operator, names: Iterable[str], handful: str, *,
    devices: Mapping[str, Mapping[str, str]], dry: bool = False, close: bool = False,
) -> None:
    """Prepare machines side by side, or only say what would be done. Raises the first one's error, after all ended.

    `handful` is its version; `devices`, `close`: see plan/prepare.py.
    """
    stop = new_stop()
    aim = replace(aim_of(project, handful, devices), close=close)
    work = Work(project, operator, aim, stop, dry)
    errors = side_by_side([partial(_prepare, work, name) for name in names], stop)
    if is_joined(project.config) and not dry and not stop.is_set():
        errors += _join(work)
    if stop.is_set():
        raise Interrupted("interrupted while machines were prepared", advice="Go on with: handful machines prepare")
    for error in filter(None, errors):
        raise error


def aim_of(project: Project, handful: str, devices: Mapping[str, Mapping[str, str]]) -> Aim:
    """Return what machines are prepared for."""
    told = project.config.docker
    key = (project.folder / told.key).read_text(encoding="utf-8") if told else ""
    firewall = source("firewall").rstrip("\n")
    return Aim(project.config, project.stack, handful, firewall, devices=devices, docker_key=key)


def _join(work: Work) -> list[HandfulError | None]:
    """Have every machine know the keys of all the others that answer: a new one is told to those of before."""
    machines, surveys = work.project.machines, dict[str, Survey]()
    looked = side_by_side([partial(_seen, work.project, access) for access in machines.values()])
    for name, seen in zip(machines, looked, strict=True):
        if isinstance(seen, Survey) and seen.wireguard_key:
            surveys[name] = seen
        else:
            again = f"did not tell its key: to join it, once it is there: handful machines prepare {name}"
            work.operator.tell("prepared", again, name)
    try:
        hosts = {name: _resolved(access) for name, access in machines.items()}
    except HandfulError as unknown:
        return [unknown]
    return side_by_side([partial(_joined, work, survey, surveys, hosts) for survey in surveys.values()], work.stop)


def _joined(
    work: Work, survey: Survey, surveys: Mapping[str, Survey], hosts: Mapping[str, str]
) -> HandfulError | None:
    part = part_of(work.project.config, survey.machine, surveys, hosts)
    step = join(work.project.stack, survey, part, source("wireguard").rstrip("\n"))
    try:
        _run(work, work.project.machines[survey.machine], [step] if step else [])
    except HandfulError as failed:
        return failed
    return None


def _seen(project: Project, access: Access) -> Survey | HandfulError:
    try:
        return surveyed(project, access)
    except HandfulError as wrong:
        return wrong


def _resolved(access: Access) -> str:
    """Return the address by which other machines find one. Raises PlanRefused for a name that only ssh here knows."""
    try:
        found = socket.getaddrinfo(access.host, None, type=socket.SOCK_DGRAM)
    except OSError:
        message = f"{access.host} is a name that only your ssh knows: other machines find {access.name} by its address"
        raise PlanRefused(message, advice="Write the address itself into handful.yml.") from None
    address = str(found[0][4][0])
    return f"[{address}]" if ":" in address else address


def surveyed(project: Project, access: Access) -> Survey:
    """Look at a machine before it is prepared. Raises ObserveFailed, or why it cannot be reached."""
    user = project.config.ssh.user or ""
    packages = wanted_packages(project.config)
    values: dict[str, Value] = {"stack": project.stack, "packages": packages, "files": FILES, "user": user}
    script = stand_alone("survey", values)
    ended = ask(access, script)
    if ended.cut:
        raise unreachable(access, ended.err)
    if ended.status != 0:
        message = f"{access.name} did not tell what it is (exit code {ended.status})"
        advice = "handful works as root, or as a user with password-less sudo."
        raise ObserveFailed(message, detail=last_lines(ended.err), advice=advice)
    return read_survey(access.name, ended.out, project.stack)


def _prepare(work: Work, name: str) -> HandfulError | None:
    began = time.monotonic()
    try:
        access, survey = first_look(work.project, name)
        tasks = prepare(work.aim, name, survey)
        if work.dry:
            for task in tasks:
                work.operator.tell("would", task.says, name)
        else:
            _carry_out(work, access, tasks)
    except HandfulError as failed:
        return failed
    if not tasks:
        work.operator.tell("prepared", "is prepared", name)
    elif not work.dry and not work.stop.is_set():
        work.operator.tell("prepared", f"is prepared, in {time.monotonic() - began:.1f} s", name)
    if survey.reboot:
        work.operator.tell("prepared", f"wants to be restarted, for upgrades: handful ssh {name} reboot", name)
    return None


def first_look(project: Project, name: str) -> tuple[Access, Survey]:
    """Return by which login a machine was seen, and what it is: a new one does not know the user of the file yet."""
    access = project.machines[name]
    try:
        return access, surveyed(project, access)
    except LoginRefused as refused:
        for user in FIRST_USERS if access.user not in {None, "root"} else ():
            other = replace(access, user=user)
            # root of a cloud image is let in only to be told to log in as somebody else.
            if ask(other, "true").status == 0:
                return other, surveyed(project, other)
        raise refused from None


def _carry_out(work: Work, access: Access, tasks: Sequence[Task]) -> None:
    own = work.project.machines[access.name]
    _run(work, access, [task.step for task in tasks if not task.closes])
    closing = [task.step for task in tasks if task.closes]
    if not closing or work.stop.is_set():
        return
    # Only a login of its own tells that there is a way in when the old one is closed.
    fresh = replace(own, sockets=None, options=(*own.options, "ControlPath=none"))
    tried = ask(fresh, "true")
    if tried.cut or tried.status != 0:
        message = f"{own.name} does not let {own.user or 'this user'} in yet: its sshd stays as it is"
        detail = last_lines(tried.err)
        raise DeployFailed(message, detail=detail, advice=f"Mend it, then: handful machines prepare {own.name}")
    _run(work, own, closing)


def _run(work: Work, access: Access, steps: Sequence[Step]) -> None:
    """Carry steps out on a machine, in one session. Whoever goes away meanwhile does not stop it."""
    if steps:
        run_through(access, in_turn(steps), work.operator, work.stop)


def run_through(access: Access, script: str, operator: Operator, stop: Stop) -> None:
    """Run a script that says what it does in events. Raises why it failed."""
    failed: list[Event] = []

    def hear(line: str) -> None:
        event = read_event(line, access.name, time.monotonic() - operator.started)
        if event.kind == "failed":
            failed.append(event)
        operator.on_event(event)

    ended = through(access, f"HANDFUL_JSON=1\n{script}", hear, stop.is_set)
    if failed:
        data = failed[0].data
        message = f"{access.name}: {failed[0].text}"
        raise DeployFailed(message, detail=data.get("detail", ""), advice=data.get("advice", ""))
    if ended.cut:
        raise unreachable(access, ended.err)
    if ended.status != 0:
        message = f"{access.name}: the script ended with exit code {ended.status}"
        raise DeployFailed(message, detail=last_lines(ended.err), advice="Try again; what was done is not done twice.")
