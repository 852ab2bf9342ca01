"""Which ports of a machine does a stack open to the world, and who else serves it there?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handful.plan import network
from handful.plan.order import edges_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.config.model import Config
    from handful.facts.survey import Survey

EDGE_PORTS = (80, 443)
# What handful itself runs is meant to be closed to the world, but for what it opens.
OWN_PROGRAMS = frozenset({"haproxy", "dnsmasq", "wireguard-go"})
DHCP = frozenset({"68/udp", "546/udp"})
SS_WORDS = 5


def open_ports(config: Config, machine: str, survey: Survey) -> tuple[str, ...]:
    """Return PORT/PROTOCOL of what is open to the world on a machine: ssh, an edge's ports, and the file's own."""
    found = {f"{port}/tcp" for port in (*survey.sshd.get("port", ()), survey.port)}
    edges = {edge for name, app in config.apps.items() if app.domains for edge in edges_of(name, config)}
    found.update(f"{port}/tcp" for port in (EDGE_PORTS if machine in edges else ()))
    if network.is_joined(config):
        found.add(f"{network.PORT}/udp")
    found.update(each if "/" in each else f"{each}/tcp" for each in config.machines[machine].open)
    return tuple(sorted(found, key=lambda each: (each.partition("/")[2], int(each.partition("/")[0]))))


def opening(ports: Iterable[str], config: Config) -> str:
    """Return a stack's part of the firewall, as firewall.bash reads it."""
    lines = [f"{protocol} {port}" for port, _, protocol in (each.partition("/") for each in ports)]
    machines = [each.private for each in config.machines.values() if each.private]
    # Nobody else's packets come out of the tunnel; elsewhere, an address can be made up.
    kind = "tunnel" if network.is_joined(config) else "from"
    return "\n".join([*lines, *(f"{kind} {address}" for address in machines)])


def would_close(survey: Survey, ports: Iterable[str], private: str | None) -> tuple[str, ...]:
    """Return `PORT/PROTOCOL (PROGRAM)` of what serves the world now, and would not any more.

    What other stacks have opened stays open. `private` is the machine's address in a network of its own.
    """
    stays, found = {*ports, *survey.opened, *DHCP}, []
    for words in (line.split() for line in survey.listening):
        if len(words) < SS_WORDS:
            continue
        address, _, port = words[4].rpartition(":")
        named = re.search(r'\(\("([^"]+)"', words[-1])
        program = named[1] if named else "a program"
        inside = address.partition("%")[0] == private or address.startswith("10.210.")
        if not inside and f"{port}/{words[0]}" not in stays and program not in OWN_PROGRAMS:
            found.append(f"{port}/{words[0]} ({program})")
    return tuple(dict.fromkeys(found))
