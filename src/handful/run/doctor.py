"""Is everything well: this computer, and every machine? And what would strangers find?"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.base_image import has_buildx
from handful.artifact.docker import docker, refuse_podman
from handful.artifact.script import source, stand_alone
from handful.errors import HandfulError, ObserveFailed
from handful.facts.finding import Finding
from handful.facts.told import read_told
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines, run
from handful.machine.ssh import ask
from handful.plan import audit, health
from handful.plan.firewall import open_ports
from handful.plan.prepare import Aim, prepare
from handful.run.prepare import surveyed
from handful.run.project import observed
from handful.run.together import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.machine.access import Access
    from handful.run.project import Project

# What is often open by mistake, besides what a machine says itself.
USUAL_PORTS = (
    21, 22, 23, 25, 80, 111, 443, 2049, 2375, 2376, 2377, 3000, 3306, 4789, 5000, 5432, 5900, 6379, 6443, 7946, 8000,
    8080, 8443, 9000, 9090, 9093, 9100, 9200, 9323, 10250, 11211, 20000, 27017,
)  # fmt: skip
CONNECT_SECONDS = 2.0
AT_ONCE = 64


def doctor(project: Project, handful: str) -> list[Finding]:
    """Look at this computer and at every machine, side by side; good findings are among them."""
    aim = Aim(project.config, project.stack, handful, source("firewall").rstrip("\n"))
    jobs = [partial(_machine, project, aim, name) for name in project.machines]
    found = observed(project)
    told = dict(zip(project.machines, side_by_side(jobs), strict=True))
    findings = list(here())
    for name, facts in found.items():
        if isinstance(facts, HandfulError):
            findings.append(_bad(name, facts))
        else:
            findings += [Finding(name, f"ssh: {facts.os}, as {project.machines[name].user or 'your ssh says'}")]
            findings += [*health.of_facts(facts, project.stack), *told[name]]
    return findings


def here() -> Iterable[Finding]:
    """Look at this computer: ssh, and Docker, which builds and sends images."""
    ssh = run(["ssh", "-V"], check=False).err.strip().partition(",")[0]
    yield Finding("", f"ssh: {ssh}")
    try:
        refuse_podman()
        version = docker("version", "--format", "{{.Server.Version}}").out.strip()
        builder = "BuildKit" if has_buildx() else "the classic builder"
        yield Finding("", f"Docker {version}, with {builder}")
    except HandfulError as wrong:
        yield _bad("", wrong)


def audit_all(project: Project) -> list[Finding]:
    """Look for what strangers would find: on each machine, and at its ports from here. Raises why it cannot be told."""
    jobs = [partial(_audited, project, access) for access in project.machines.values()]
    findings: list[Finding] = []
    for each in side_by_side(jobs):
        if isinstance(each, HandfulError):
            raise each
        findings += each
    return findings


def _machine(project: Project, aim: Aim, name: str) -> list[Finding]:
    try:
        survey = surveyed(project, project.machines[name])
    except HandfulError:
        # It is told already why it cannot be reached.
        return []
    try:
        undone = len([task for task in prepare(aim, name, survey) if task.says])
    except HandfulError as refused:
        return [*health.of_survey(survey, 0), _bad(name, refused)]
    return list(health.of_survey(survey, undone))


def _audited(project: Project, access: Access) -> list[Finding] | HandfulError:
    ended = ask(access, stand_alone("audit", {"stack": project.stack}))
    if ended.cut:
        return unreachable(access, ended.err)
    if ended.status != 0:
        return ObserveFailed(f"{access.name} could not be looked at", detail=last_lines(ended.err))
    try:
        told = read_told(access.name, ended.out)
        survey = surveyed(project, access)
    except HandfulError as wrong:
        return wrong
    wanted = {*open_ports(project.config, access.name, survey), *told["opened"].split()}
    found = open_from_here(access, {*USUAL_PORTS, *audit.listening(told)})
    return [*audit.findings(access.name, told), *audit.reached(access.name, found, told, wanted)]


def open_from_here(access: Access, ports: Iterable[int]) -> set[int]:
    """Return the ports of a machine that take a connection from this computer."""
    ports = sorted(ports)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = pool.map(partial(_is_open, access.host), ports)
        return {port for port, is_open in zip(ports, answers, strict=True) if is_open}


def _is_open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _bad(machine: str, wrong: HandfulError) -> Finding:
    text = " ".join(part for part in (wrong.message, " ".join(wrong.detail.split())) if part)
    return Finding(machine, text, wrong.advice or "See: handful status")
