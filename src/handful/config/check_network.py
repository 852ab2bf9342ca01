"""Do the machines' own network and their addresses in it fit together?"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import Config

# Service addresses, the networks of stacks, and Docker's own: docs/decisions/0004.
OWN = (IPv4Network("10.210.0.0/15"), IPv4Network("10.212.0.0/15"))


def check_network(config: Config) -> Iterator[Problem]:
    """Say what is wrong with `network`, and which machines have no address in it, with one that is free."""
    if config.network is None or config.network.join == "none":
        return
    if config.network.join == "auto" and all(each.address is None for each in config.machines.values()):
        return
    spot, written = ("network", "range"), config.network.range
    try:
        inside = IPv4Network(written)
    except ValueError:
        right = IPv4Network(written, strict=False)
        yield Problem(spot, f"{written} does not begin where a range does: write {right}")
        return
    if any(inside.overlaps(own) for own in OWN):
        yield Problem(spot, f"{written} is of handful's own addresses (10.210.0.0 to 10.213.255.255): choose another")
        return
    taken = {each.private for each in config.machines.values() if each.private}
    free = (str(address) for address in inside.hosts() if str(address) not in taken)
    for name, machine in config.machines.items():
        if machine.private is None:
            like = next(free, "none: all are taken")
            sentence = f"machine {code(name)} needs a `private` address in {written}, like {like}"
            yield Problem(("machines", name, KEY), sentence, (("machines", name, "private"), ("network",)))
        elif IPv4Address(machine.private) not in inside:
            yield Problem(("machines", name, "private"), f"{machine.private} is not in the network's range {written}")
