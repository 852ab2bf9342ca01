"""What machines at Hetzner Cloud have besides themselves: volumes, and addresses that outlive them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.facts.servers import Volume
from handful.provider.cloud import MACHINE, STACK, VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hcloud import Client
    from hcloud.primary_ips.client import BoundPrimaryIP
    from hcloud.servers.client import BoundServer
    from hcloud.volumes.client import BoundVolume

    from handful.provider.cloud import Wanted


def volumes(client: Client, stack: str) -> tuple[Volume, ...]:
    """Return the volumes of a stack, attached or not."""
    return tuple(
        Volume(
            labels[VOLUME], labels[MACHINE], each.size or 0, each.linux_device or "", attached=each.server is not None
        )
        for (labels, each) in _labelled(client, stack)
    )


def _labelled(client: Client, stack: str) -> list[tuple[Mapping[str, str], BoundVolume]]:
    found = client.volumes.get_all(label_selector=f"{STACK}={stack}")
    return [(each.labels, each) for each in found if each.labels and {MACHINE, VOLUME} <= each.labels.keys()]


def ensure_volumes(
    client: Client, wanted: Wanted, servers: Mapping[str, BoundServer], say: Callable[[str], None]
) -> None:
    """Have the volumes of machines that are there be made, attached, and as large as the file says; none shrinks."""
    there = {(labels[MACHINE], labels[VOLUME]): each for labels, each in _labelled(client, wanted.stack)}
    for machine, spec in wanted.machines.items():
        for name, size in spec.volumes.items() if machine in servers else ():
            found = there.get((machine, name))
            if found is None:
                say(f"making the volume {name} of {machine}: {size} GB")
                labels: Any = {STACK: wanted.stack, MACHINE: machine, VOLUME: name}
                made = client.volumes.create(
                    size, f"{wanted.stack}-{machine}-{name}", labels=labels, server=servers[machine], automount=False
                )
                for action in (made.action, *made.next_actions):
                    action.wait_until_finished()
                continue
            if found.server is None or found.server.id != servers[machine].id:
                say(f"attaching the volume {name} to {machine}")
                _detach(found)
                found.attach(servers[machine], automount=False).wait_until_finished()
            if (found.size or 0) < size:
                say(f"the volume {name} of {machine} grows from {found.size} to {size} GB")
                found.resize(size).wait_until_finished()


def remove_volumes(client: Client, stack: str, machine: str | None, say: Callable[[str], None]) -> None:
    """Remove a machine's volumes, or all of the stack's (None). Nobody uses them any more."""
    for labels, each in _labelled(client, stack):
        if machine in {None, labels[MACHINE]}:
            _detach(each)
            each.delete()
            say(f"removed the volume {labels[VOLUME]} of {labels[MACHINE]}")


def _detach(volume: BoundVolume) -> None:
    if volume.server is not None:
        volume.detach().wait_until_finished()


def fixed(client: Client, stack: str) -> dict[str, BoundPrimaryIP]:
    """Return the stack's addresses that outlive their machines, by machine."""
    found = client.primary_ips.get_all(label_selector=f"{STACK}={stack}")
    return {name: each for each in found if (name := (each.labels or {}).get(MACHINE))}


def ensure_fixed(
    client: Client, wanted: Wanted, servers: Mapping[str, BoundServer], say: Callable[[str], None]
) -> None:
    """Have the addresses stay that are to outlive their machines: each is a thing of its own, and goes with them."""
    there = fixed(client, wanted.stack)
    for name, spec in wanted.machines.items():
        if spec.fixed and name in servers and name not in there:
            public = servers[name].public_net
            if public is not None and (address := public.primary_ipv4) is not None:
                say(f"the address {address.ip} of {name} stays, whatever becomes of the machine")
                address.update(auto_delete=False, labels={STACK: wanted.stack, MACHINE: name})
