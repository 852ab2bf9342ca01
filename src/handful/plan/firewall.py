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

SSH_PORT = "22/tcp"
EDGE_PORTS = ("80/tcp", "443/tcp")
DHCP = frozenset({"68/udp", "546/udp"})
SS_WORDS = 5


def ssh_ports(survey: Survey) -> tuple[str, ...]:
    """Return PORT/PROTOCOL of where sshd listens, and of the session that asked."""
    return tuple(sorted({f"{port}/tcp" for port in (*survey.sshd.get("port", ()), survey.port)}, key=_by_number))


def file_ports(config: Config, machine: str) -> tuple[str, ...]:
    """Return PORT/PROTOCOL of what the file opens to the world on a machine: an edge's ports, and its own."""
    edges = {edge for name, app in config.apps.items() if app.domains for edge in edges_of(name, config)}
    found = set(EDGE_PORTS if machine in edges else ())
    if network.is_joined(config):
        found.add(f"{network.PORT}/udp")
    found.update(each if "/" in each else f"{each}/tcp" for each in config.machines[machine].open)
    return tuple(sorted(found, key=_by_number))


def provider_ports(config: Config) -> tuple[str, ...]:
    """Return PORT/PROTOCOL of what the firewall before the provider's machines lets in; each one's own is closer."""
    made = (name for name, machine in config.machines.items() if machine.address is None)
    return tuple(sorted({SSH_PORT}.union(*(file_ports(config, name) for name in made)), key=_by_number))


def open_ports(config: Config, machine: str, survey: Survey) -> tuple[str, ...]:
    """Return PORT/PROTOCOL of all that is open to the world on a machine."""
    return tuple(sorted({*ssh_ports(survey), *file_ports(config, machine)}, key=_by_number))


def opening(config: Config, machine: str, ssh: Iterable[str]) -> str:
    """Return a stack's part of the firewall, as firewall.bash reads it; `ssh`: PORT/PROTOCOL of sshd."""
    lines = [f"ssh {each.partition('/')[0]}" for each in ssh]
    split = (each.partition("/") for each in file_ports(config, machine))
    lines += [f"{protocol} {port}" for port, _, protocol in split]
    machines = [each.private for each in config.machines.values() if each.private]
    # Nobody else's packets come out of the tunnel; elsewhere, an address can be made up.
    kind = "tunnel" if network.is_joined(config) else "from"
    return "\n".join([*lines, *(f"{kind} {address}" for address in machines)])


def follows(config: Config, machine: str, opened: str) -> bool:
    """Whether a machine's part, `opened`, is what the file says; where sshd listens is the machine's matter."""
    present = {line for line in opened.splitlines() if not line.startswith("ssh ")}
    return present == set(opening(config, machine, ()).splitlines())


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
        if not inside and f"{port}/{words[0]}" not in stays:
            found.append(f"{port}/{words[0]} ({program})")
    return tuple(dict.fromkeys(found))


def _by_number(port: str) -> tuple[str, int]:
    number, _, protocol = port.partition("/")
    return protocol, int(number)
