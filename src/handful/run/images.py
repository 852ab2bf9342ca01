"""How do machines get the images they lack: only the missing layers where that can be, else whole?"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.docker_config import auth
from handful.artifact.image import SMALL_BYTES
from handful.artifact.own_registry import OwnRegistry
from handful.artifact.registry import image_here
from handful.errors import HandfulError, Interrupted, NoRegistry, NoTunnel
from handful.machine.tunnel import Relay
from handful.run.collect import Home, collect
from handful.run.delivery import Delivery, by_itself, by_tunnel, counted, size, told, whole
from handful.run.together import beside, new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handful.artifact.registry import Registry, Stored
    from handful.machine.access import Access
    from handful.plan.model import Plan
    from handful.run.engine import Operator


def send(
    plan: Plan, machines: Mapping[str, Access], operator: Operator, sizes: Mapping[str, int],
    registry: Callable[[], Registry | OwnRegistry], homes: Mapping[str, Home],
) -> None:
    """Bring each machine the images that it lacks, all machines side by side. Raises the first machine's error.

    `sizes` are unpacked bytes, by image, of those that the engine here has; `homes` tells which machine has another.
    `registry` makes one for the length of this call, not started yet.
    """
    wanted = _wanted(plan, machines, homes)
    if not wanted:
        return
    operator.tell("shipping", "")
    stop = new_stop()
    deliveries = [Delivery(tuple(images), machines[name], operator, stop) for name, images in wanted.items()]
    needed = tuple(dict.fromkeys(image for images in wanted.values() for image in images))
    if set(needed) <= sizes.keys() and sum(sizes[image] for image in needed) <= SMALL_BYTES:
        errors: Sequence[HandfulError | None] = side_by_side([partial(_whole, each) for each in deliveries], stop)
    else:
        errors = _layers(deliveries, needed, registry, homes)
    if stop.is_set():
        raise Interrupted("interrupted while images were sent", advice="Nothing was changed: the old release serves.")
    for error in filter(None, errors):
        raise error


def _wanted(
    plan: Plan, machines: Mapping[str, Access], homes: Mapping[str, Home]
) -> dict[str, dict[str, None]]:
    """Return the images that each machine lacks, in the order in which it needs them."""
    wanted: dict[str, dict[str, None]] = {}
    for work in (work for wave in plan.waves for work in wave):
        for image in work.images:
            if image not in homes or homes[image] != Home(machines[work.machine], image):
                wanted.setdefault(work.machine, {})[image] = None
    return wanted


def _layers(
    deliveries: Sequence[Delivery], images: Sequence[str], registry: Callable[[], Registry | OwnRegistry],
    homes: Mapping[str, Home],
) -> Sequence[HandfulError | None]:
    """Send missing layers alone; whole images where there can be no registry here."""
    first, here = deliveries[0], [image for image in images if image not in homes]
    with ExitStack() as opened:
        try:
            running: Registry | OwnRegistry = registry()
            opened.enter_context(running)
            stored = {image: running.store(image) for image in here}
        except NoRegistry as why:
            if why.advice:
                raise
            first.tell_here(f"images travel whole: {' '.join(str(why).split())}")
            errors = collect(first, None, homes)
            return errors or side_by_side([partial(_whole, each) for each in deliveries], first.stop)
        if isinstance(running, OwnRegistry):
            return side_by_side([partial(_directly, each, running, stored) for each in deliveries], first.stop)
        if errors := collect(first, running, {image: homes[image] for image in images if image in homes}):
            return errors
        stored |= {image: running.stored(image) for image in images if image in homes}
        return side_by_side([partial(_by_layers, each, running, stored) for each in deliveries], first.stop)


def _directly(delivery: Delivery, registry: OwnRegistry, stored: Mapping[str, Stored]) -> HandfulError | None:
    """Have a machine fetch what it lacks from the user's own registry."""
    images = [stored[name] for name in delivery.images]
    delivery.begins(f"{counted(images)} to {delivery.access.name}, from {registry.server}")
    login, keep = auth(registry.login) if registry.login else "", "yes" if registry.keep_login else ""
    values = {"server": registry.server, "login": login, "images": told(images), "keep_login": keep}
    return by_itself(delivery, "pull_images", values)


def _by_layers(delivery: Delivery, registry: Registry, stored: Mapping[str, Stored]) -> HandfulError | None:
    """Have a machine fetch what it lacks from the registry here; where that cannot be, its images travel whole."""
    images = [stored[name] for name in delivery.images]
    most = size(sum(each.packed for each in images))
    delivery.begins(f"{counted(images)} to {delivery.access.name}, those layers that it lacks: {most} at most")
    values = {"login": auth(registry.login), "images": told(images), "keep_login": ""}
    with Relay(registry.port) as relay:
        delivery.sent = partial(getattr, relay, "sent")
        error = beside(relay.run, partial(by_tunnel, delivery, "pull_images", values, relay))
    if not isinstance(error, NoTunnel):
        return error
    delivery.tell("image", f"{error.message}: its images travel whole")
    try:
        registry.bring(delivery.images)
    except HandfulError as failed:
        return failed
    return _whole(delivery)


def _whole(delivery: Delivery) -> HandfulError | None:
    try:
        return whole(delivery, [image_here(name) for name in delivery.images])
    except HandfulError as failed:
        return failed
