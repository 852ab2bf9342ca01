"""Is everything well: this computer, and every machine?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.base_image import has_buildx
from handful.artifact.docker import docker, refuse_podman
from handful.errors import CommandFailed, HandfulError
from handful.facts.finding import Finding
from handful.machine.local import run
from handful.plan import health, network
from handful.plan.prepare import prepare
from handful.run.prepare import aim_of, surveyed
from handful.run.project import observed
from handful.run.together import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.facts.model import Facts
    from handful.plan.prepare import Aim
    from handful.run.project import Project

def doctor(
    project: Project, handful: str, devices: Mapping[str, Mapping[str, str]],
    found: Mapping[str, Facts | HandfulError] | None = None,
) -> list[Finding]:
    """Look at this computer and at every machine, side by side; good findings are among them. `devices`: as in Aim.

    `found`: what is known already of machines; only these are looked at then.
    """
    aim = aim_of(project, handful, devices)
    found = observed(project) if found is None else found
    told = dict(zip(found, side_by_side([partial(_machine, project, aim, name) for name in found]), strict=True))
    findings, config = list(here(project)), project.config
    for name, facts in found.items():
        if isinstance(facts, HandfulError):
            findings.append(_bad(name, facts))
        else:
            findings += [Finding(name, f"ssh: {facts.os}, as {project.machines[name].user or 'your ssh says'}")]
            findings += health.of_facts(facts, project.stack, health.proxy_ports(config, name))
            findings += [*health.of_agent(config, facts), *told[name]]
    return findings


def here(project: Project) -> Iterable[Finding]:
    """Look at this computer: ssh, Docker, which builds and sends images, and where the machines' range leads."""
    ssh = run(["ssh", "-V"], check=False).err.strip().partition(",")[0]
    yield Finding("", f"ssh: {ssh}")
    try:
        refuse_podman()
        version = docker("version", "--format", "{{.Server.Version}}").out.strip()
        builder = "BuildKit" if has_buildx() else "the classic builder"
        yield Finding("", f"Docker {version}, with {builder}")
    except HandfulError as wrong:
        yield _bad("", wrong)


    yield from _range(project)


def _range(project: Project) -> Iterable[Finding]:
    """Who has machines by a range that leads elsewhere from here, as a company's VPN may, mistakes one for another."""
    config = project.config
    if config.network is None or (config.provider and config.provider.name == "lab"):
        return
    try:
        routes = run(["ip", "-4", "route", "show"], check=False).out
    except CommandFailed:
        return
    for text in health.overlapping(config.network.range, routes):
        yield Finding("", text, "Choose another range: network: {range: …}. Or is this the machines' own network?")


def _machine(project: Project, aim: Aim, name: str) -> list[Finding]:
    try:
        survey = surveyed(project, project.machines[name])
    except HandfulError:
        # It is told already why it cannot be reached.
        return []
    try:
        undone = len([task for task in prepare(aim, name, survey) if task.says])
        undone += not network.follows(project.config, survey.peers, project.machines)
    except HandfulError as refused:
        return [*health.of_survey(survey, 0), _bad(name, refused)]
    return list(health.of_survey(survey, undone))


def _bad(machine: str, wrong: HandfulError) -> Finding:
    text = " ".join(part for part in (wrong.message, " ".join(wrong.detail.split())) if part)
    return Finding(machine, text, wrong.advice or "See: handful status")
