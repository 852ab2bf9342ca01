"""Which network does a lab live in, and which address does each of its machines get?"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.artifact.docker import docker
from handful.errors import CommandFailed, MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

POOL = IPv4Network("10.114.0.0/16")
HANDFUL_OWN = (IPv4Network("10.210.0.0/15"), IPv4Network("10.212.0.0/15"))
FIRST_MACHINE = 11
ROUTES = Path("/proc/net/route")
ATTEMPTS = 5


@dataclass(frozen=True)
class Network:
    """A range of addresses that is taken on this computer, and who holds it; `lab` is the stack, when it is a lab's."""

    holder: str
    subnet: IPv4Network
    lab: str = ""


def ensure_network(stack: str, wanted: Iterable[str]) -> IPv4Network:
    """Return the range of the lab's network, made now when there is none; all `wanted` addresses are inside it.

    Raises MachineError when the range is taken by somebody else, UsageError when the addresses share no /24.
    """
    addresses = [IPv4Address(address) for address in wanted]
    for _ in range(ATTEMPTS):
        taken = _taken()
        here = [network.subnet for network in taken if network.lab == stack]
        if here:
            return _holding(addresses, here[0], stack)
        subnet = _of_wanted(addresses, taken) if addresses else _free(taken)
        label = f"--label=handful.lab={stack}"
        made = docker("network", "create", *_shape(subnet, addresses), label, network_name(stack), check=False)
        if made.status == 0:
            return subnet
    raise CommandFailed(f"The network {network_name(stack)} could not be made.", status=made.status, detail=made.err)


def network_name(stack: str) -> str:
    """Return the name of the lab's network."""
    return f"handful-lab-{stack}"


def give_addresses(wanted: Mapping[str, str | None], subnet: IPv4Network, held: Mapping[str, str]) -> dict[str, str]:
    """Return an address for each machine of `wanted`: the one it holds, the one it wants, or .11, .12, … in order.

    `held` has the addresses of the machines that exist. Raises MachineError when two machines want the same.
    """
    given = dict(held)
    for name, address in wanted.items():
        if address is not None:
            _refuse_second_holder(name, address, given)
            given[name] = address
    free = (str(subnet[last]) for last in range(FIRST_MACHINE, subnet.num_addresses - 1))
    for name in wanted:
        if name not in given:
            given[name] = next(address for address in free if address not in given.values())
    return {name: given[name] for name in wanted}


def _taken() -> list[Network]:
    """Return every range that is taken on this computer, Docker's first, because Docker tells who holds them."""
    ids = docker("network", "ls", "--quiet").out.split()
    shown: list[dict[str, Any]] = json.loads(docker("network", "inspect", *ids, check=False).out)
    networks = [
        Network(_holder(network), IPv4Network(part["Subnet"]), (network["Labels"] or {}).get("handful.lab", ""))
        for network in shown
        for part in network["IPAM"]["Config"] or ()
        if ":" not in part["Subnet"]
    ]
    return networks + _routes()


def _holder(network: dict[str, Any]) -> str:
    lab = (network["Labels"] or {}).get("handful.lab")
    return f"the lab {lab}" if lab else f"the Docker network {network['Name']}"


def _routes() -> list[Network]:
    """Return the computer's own networks: a lab on the address range of an office would cut the office off."""
    lines = ROUTES.read_text(encoding="ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    found = [Network(f"the interface {row[0]}", IPv4Network((_address(row[1]), _address(row[7])))) for row in rows]
    return [network for network in found if network.subnet.prefixlen > 0]


def _address(little_endian: str) -> str:
    """Return 10.0.0.1 for 0100000A, as the kernel writes it."""
    return socket.inet_ntoa(struct.pack("<L", int(little_endian, 16)))


def _holding(addresses: list[IPv4Address], subnet: IPv4Network, stack: str) -> IPv4Network:
    outside = [str(address) for address in addresses if address not in subnet]
    if outside:
        raise MachineError(
            f"The lab {stack} has the addresses {subnet}, and {', '.join(outside)} is not one of them.",
            advice="Remove the lab and make it anew: handful lab down, then handful lab up.",
        )
    return subnet


def _of_wanted(addresses: list[IPv4Address], taken: list[Network]) -> IPv4Network:
    subnets = {IPv4Network((address, 24), strict=False) for address in addresses}
    if len(subnets) > 1:
        names = ", ".join(str(subnet) for subnet in sorted(subnets))
        raise UsageError(
            f"The private addresses of a lab's machines share one /24, and these are in {names}.",
            advice="Give the machines addresses from one /24, or leave them out.",
        )
    subnet = subnets.pop()
    own = [Network("handful itself, on every machine", part) for part in HANDFUL_OWN]
    for network in own + taken:
        if network.subnet.overlaps(subnet):
            raise MachineError(
                f"The addresses {subnet} are taken: {network.subnet} belongs to {network.holder}.",
                advice="Give the lab's machines other private addresses, or none.",
            )
    return subnet


def _free(taken: list[Network]) -> IPv4Network:
    for subnet in POOL.subnets(new_prefix=24):
        if not any(network.subnet.overlaps(subnet) for network in taken):
            return subnet
    raise MachineError(f"All of {POOL} is taken on this computer.", advice="Remove a lab: handful lab down.")


def _shape(subnet: IPv4Network, addresses: list[IPv4Address]) -> tuple[str, str]:
    """Return the words for the range, where the computer's own address is .1 unless a machine wants that."""
    gateway = next(subnet[last] for last in (1, -2, -3) if subnet[last] not in addresses)
    return f"--subnet={subnet}", f"--gateway={gateway}"


def _refuse_second_holder(name: str, address: str, given: Mapping[str, str]) -> None:
    if given.get(name, address) != address:
        raise MachineError(
            f"The machine {name} has the address {given[name]}, and {address} is wanted.",
            advice="Remove the lab and make it anew: handful lab down, then handful lab up.",
        )
    for other, its_address in given.items():
        if other != name and its_address == address:
            raise MachineError(
                f"The machines {other} and {name} would both have the address {address}.",
                advice="Give each machine an address of its own.",
            )
