"""Is a machine well, as far as what it told goes? Pure; each finding says what is so, and how what is not is mended."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from handful.errors import HandfulError
from handful.facts.finding import Finding
from handful.plan.conflicts import EDGE_PORT, check_machine, held_ports
from handful.plan.order import edges_of, machines_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from handful.config.model import Config
    from handful.facts.model import Facts
    from handful.facts.survey import Survey

MOST_SKEW = 2.0
GIGABYTE = 1024**3
LEAST_DISK = 2 * GIGABYTE
LEAST_SHARE = 0.1
LEAST_MEMORY = 128 * 1024**2
# Of processes that want to run, for each processor.
MOST_LOAD = 4.0
WHO = "What takes it: handful ssh {} ps aux --sort"


def of_facts(facts: Facts, stack: str, ports: Collection[int]) -> Iterator[Finding]:
    """Tell of Docker, clock, disk, memory, load, ports and locks; `ports`: those that the proxy needs there."""
    name = facts.machine
    try:
        check_machine(facts)
        yield Finding(name, f"Docker {facts.docker}")
    except HandfulError as wrong:
        yield Finding(name, f"{wrong.message} {wrong.detail}".strip(), wrong.advice)
    yield from _room(facts)
    text = f"load {facts.load:.1f} on {facts.cpus} processors"
    yield _measured(name, facts.load <= MOST_LOAD * facts.cpus, text, f"{WHO.format(name)} -pcpu")
    yield from _ports(facts, ports)
    if holder := facts.stack(stack).holder:
        yield Finding(name, f"at work: {holder}", "It ends by itself. Follow it: handful deploy --attach")


def proxy_ports(config: Config, machine: str) -> tuple[int, ...]:
    """Return the ports that the proxy needs on a machine: those of apps there, and 80 on an edge."""
    here = (name for name in config.apps if machine in machines_of(name, config))
    found = {app.port for name in here if (app := config.apps[name]).port and app.network == "stack"}
    edge = any(app.domains and machine in edges_of(name, config) for name, app in config.apps.items())
    return tuple(sorted({each for each in found if each} | ({EDGE_PORT} if edge else set())))


def _ports(facts: Facts, ports: Collection[int]) -> Iterator[Finding]:
    held = list(held_ports(ports, facts))
    for port, process in held:
        mend = f"Stop {process} there, or give the app another port: the proxy needs this one"
        yield Finding(facts.machine, f"port {port} is held by {process}, on all addresses", mend)
    if ports and not held:
        yield Finding(facts.machine, f"nobody else holds {', '.join(map(str, ports))}")


def _room(facts: Facts) -> Iterator[Finding]:
    name = facts.machine
    late = abs(facts.skew)
    text = f"its clock is {'right' if late <= MOST_SKEW else f'{late:.0f} s off this computer'}"
    yield _measured(name, late <= MOST_SKEW, text, "Which is right? There: timedatectl status")
    share = facts.disk_free / (facts.disk_total or 1)
    enough = facts.disk_free >= LEAST_DISK and share >= LEAST_SHARE
    text = f"disk: {facts.disk_free / GIGABYTE:.1f} of {facts.disk_total / GIGABYTE:.1f} GB free"
    yield _measured(name, enough, text, f"Old images go with: handful prune. Else: handful ssh {name} du -xh /")
    text = f"memory: {facts.memory_free / GIGABYTE:.1f} of {facts.memory_total / GIGABYTE:.1f} GB free"
    yield _measured(name, facts.memory_free >= LEAST_MEMORY, text, f"{WHO.format(name)} -rss")


def overlapping(range_: str, routes: str) -> Iterator[str]:
    """Tell where a range leads from the operator's computer; `routes` are lines of `ip -4 route`."""
    mine = IPv4Network(range_)
    for words in (line.split() for line in routes.splitlines()):
        if words and "/" in words[0] and mine.overlaps(IPv4Network(words[0], strict=False)):
            device = words[words.index("dev") + 1] if "dev" in words else "somewhere"
            yield f"the machines' network {range_} overlaps {words[0]}, which leads to {device} from here"


def of_survey(survey: Survey, undone: int) -> Iterator[Finding]:
    """Tell of names, tunnels, upgrades and preparation; `undone`: how many things `prepare` would do."""
    name = survey.machine
    text = "it resolves names" if survey.resolves else "it cannot resolve the names of its package sources"
    yield _measured(name, survey.resolves, text, "See there: /etc/resolv.conf")
    forwards = survey.sshd.get("allowtcpforwarding", ("yes",))[0] in {"yes", "all", "remote"}
    text = "sshd makes tunnels" if forwards else "sshd makes no tunnels: images travel whole"
    yield _measured(name, forwards, text, "Allow them there, in sshd_config: AllowTcpForwarding remote")
    text = "no restart is due" if not survey.reboot else "upgrades wait for a restart"
    yield _measured(name, not survey.reboot, text, f"When it suits: handful ssh {name} reboot")
    text = "it is prepared" if not undone else f"{undone} thing{'s are' if undone > 1 else ' is'} to prepare"
    yield _measured(name, not undone, text, f"handful machines prepare {name} (before, with --plan: what they are)")


def _measured(machine: str, good: bool, text: str, mend: str) -> Finding:  # noqa: FBT001  # private
    return Finding(machine, text, "" if good else mend)


def of_agent(config: Config, facts: Facts) -> Iterator[Finding]:
    """Tell of what keeps logs: whether it runs, where the machine has been set up, and whether they fit on the disk."""
    name, wanted = facts.machine, config.logs.max_size
    if facts.parts:
        runs = any(each.name == "handful-agent" and each.running for each in facts.containers)
        mend = f"What it says: handful ssh {name} docker logs handful-agent. Start it anew: handful apply"
        yield _measured(name, runs, f"the agent {'keeps logs' if runs else 'does not run: no logs are kept'}", mend)
    if facts.disk_total and wanted > facts.disk_total * (1 - LEAST_SHARE):
        disk = f"{facts.disk_total / GIGABYTE:.1f} GB"
        text = f"logs may take {wanted / GIGABYTE:.1f} GB, and its disk has {disk}: the oldest go before it is full"
        yield Finding(name, text, "Write a smaller logs: {max_size}")
