"""How do images that only machines have come to this computer?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.docker import docker
from handful.artifact.docker_config import auth
from handful.artifact.script import stand_alone
from handful.errors import HandfulError, NoTunnel
from handful.machine.stream import receive_whole
from handful.machine.tunnel import Relay
from handful.run.delivery import Delivery, by_tunnel, outcome
from handful.run.together import beside, side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.artifact.registry import Registry
    from handful.machine.access import Access


@dataclass(frozen=True)
class Home:
    """A machine that has an image, and the image's name there."""

    access: Access
    name: str


def collect(some: Delivery, registry: Registry | None, homes: Mapping[str, Home]) -> list[HandfulError]:
    """Have machines put images into the registry here that only they have, side by side; return what went wrong.

    Without one, or where a machine makes no tunnels, they come whole into the engine here. `some` is a delivery of
    the same command.
    """
    by_machine: dict[Access, dict[str, str]] = {}
    for image, home in homes.items():
        by_machine.setdefault(home.access, {})[image] = home.name
    jobs = [
        partial(_fetch, Delivery(tuple(names), access, some.operator, some.stop, comes=True), registry, names)
        for access, names in by_machine.items()
    ]
    return [error for error in side_by_side(jobs, some.stop) if error is not None]


def _fetch(delivery: Delivery, registry: Registry | None, names: Mapping[str, str]) -> HandfulError | None:
    """`names`: here → there."""
    delivery.begins(f"{len(names)} image{'s come' if len(names) > 1 else ' comes'} from {delivery.access.name}")
    if registry is not None:
        values = {"login": auth(registry.login), "images": "\n".join(f"{names[image]} {image}" for image in names)}
        with Relay(registry.port) as relay:
            delivery.sent = partial(getattr, relay, "received")
            error = beside(relay.run, partial(by_tunnel, delivery, "push_images", values, relay))
        if not isinstance(error, NoTunnel):
            return error
        delivery.tell("image", f"{error.message}: what only it has comes whole")
    try:
        return _whole(delivery, registry, names)
    except HandfulError as failed:
        return failed


def _whole(delivery: Delivery, registry: Registry | None, names: Mapping[str, str]) -> HandfulError | None:
    received = [0]
    delivery.sent = lambda: received[0]
    script = stand_alone("save_images", {"images": tuple(names.values())})
    ended = receive_whole(delivery.access, script, delivery.stopped, partial(received.__setitem__, 0))
    if ended.status != 0 or delivery.stop.is_set():
        return outcome(delivery, ended, ())
    for image, there in names.items():
        docker("tag", there, image)
        if registry is not None:
            registry.store(image)
            docker("rmi", image, check=False)
        # Without a registry it is sent from here, under its name here.
        if there != image:
            docker("rmi", there, check=False)
    return outcome(delivery, ended, ())
