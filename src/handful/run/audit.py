"""What would strangers find: on each machine, and at its ports, from here and from another machine?"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.errors import HandfulError, ObserveFailed
from handful.facts.told import read_told
from handful.machine.diagnose import unreachable, way
from handful.machine.local import last_lines
from handful.machine.ssh import ask
from handful.plan import audit
from handful.plan.firewall import open_ports
from handful.run.prepare import surveyed
from handful.run.together import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.facts.finding import Finding
    from handful.facts.survey import Survey
    from handful.machine.access import Access
    from handful.plan.model import Value
    from handful.run.project import Project

# What is often open by mistake, besides what a machine says itself.
USUAL_PORTS = (
    21, 22, 23, 25, 80, 111, 443, 2049, 2375, 2376, 2377, 3000, 3306, 4789, 5000, 5432, 5900, 6379, 6443, 7946, 8000,
    8080, 8443, 9000, 9090, 9093, 9100, 9200, 9323, 10250, 11211, 20000, 27017,
)  # fmt: skip
CONNECT_SECONDS = 2.0
AT_ONCE = 64


@dataclass(frozen=True)
class Told:
    """What a machine told of itself; `host` is where the world finds it, "" when it is reached over another one."""

    access: Access
    told: Mapping[str, str]
    survey: Survey
    host: str


def audit_all(project: Project) -> list[Finding]:
    """Look at all machines, side by side. Raises why one cannot be told."""
    told = []
    for each in side_by_side([partial(_told, project, access) for access in project.machines.values()]):
        if isinstance(each, HandfulError):
            raise each
        told.append(each)
    jobs = [partial(_audited, project, each, _neighbour(project, told, index)) for index, each in enumerate(told)]
    return [finding for found in side_by_side(jobs) for finding in found]


def _told(project: Project, access: Access) -> Told | HandfulError:
    ended = ask(access, stand_alone("audit", {"stack": project.stack}))
    if ended.cut:
        return unreachable(access, ended.err)
    if ended.status != 0:
        return ObserveFailed(f"{access.name} could not be looked at", detail=last_lines(ended.err))
    try:
        return Told(access, read_told(access.name, ended.out), surveyed(project, access), way(access))
    except HandfulError as wrong:
        return wrong


def _neighbour(project: Project, told: list[Told], index: int) -> Access | None:
    """Return another machine that is a stranger at this one's address: in their own network, all is open to it."""
    mine = told[index]
    other = told[(index + 1) % len(told)].access
    private = project.config.machines[mine.access.name].private
    return other if other is not mine.access and mine.host not in {"", private} else None


def _audited(project: Project, machine: Told, neighbour: Access | None) -> list[Finding]:
    name, told = machine.access.name, machine.told
    wanted = {*open_ports(project.config, name, machine.survey), *told["opened"].split()}
    ports = {*USUAL_PORTS, *audit.listening(told)}
    findings = list(audit.findings(name, told))
    if machine.host:
        findings += audit.reached(name, open_from_here(machine.host, ports), told, wanted)
    if neighbour is not None:
        found = _open_from(neighbour, machine.host, ports)
        known = {each.text for each in findings}
        further = [audit.unasked(name, neighbour.name)] if found is None else audit.reached(name, found, told, wanted)
        findings += [each for each in further if each.text not in known]
    if not machine.host:
        findings.append(audit.untried(name))
    return findings


def _open_from(neighbour: Access, host: str, ports: Iterable[int]) -> set[int] | None:
    """Return the ports that take a connection from another machine; None when it cannot be asked."""
    values: dict[str, Value] = {"address": host, "ports": tuple(str(port) for port in sorted(ports))}
    ended = ask(neighbour, stand_alone("try_ports", values))
    return None if ended.cut or ended.status != 0 else {int(port) for port in ended.out.split()}


def open_from_here(host: str, ports: Iterable[int]) -> set[int]:
    """Return the ports of a machine that take a connection from this computer."""
    ports = sorted(ports)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = pool.map(partial(_is_open, host), ports)
        return {port for port, is_open in zip(ports, answers, strict=True) if is_open}


def _is_open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
