"""How do machines get the images they lack: only the missing layers where that can be, else whole?"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

from handful.artifact.docker_config import auth
from handful.artifact.image import SMALL_BYTES, layers_of
from handful.artifact.own_registry import OwnRegistry
from handful.artifact.script import stand_alone
from handful.errors import DeployFailed, HandfulError, Interrupted, NoRegistry, NoTunnel
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import ask, through
from handful.machine.stream import send_whole
from handful.machine.tunnel import Relay
from handful.run.events import read_event
from handful.run.together import beside, new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handful.artifact.registry import Registry, Stored
    from handful.machine.access import Access
    from handful.machine.session import Ended
    from handful.plan.model import Plan
    from handful.run.engine import Operator
    from handful.run.events import Event
    from handful.run.together import Stop

# Of the machine's loopback address; below those that Linux gives to connections that go out.
PORTS = range(20_000, 32_000)
TRIES = 5
SECONDS_BETWEEN_PROGRESS = 2.0
MEGABYTE = 1_000_000
OLD_SERVES = "The old release still serves."


@dataclass(frozen=True)
class Home:
    """A machine that has an image, and the image's name there."""

    access: Access
    name: str


@dataclass
class Delivery:
    """Images on their way to one machine; `sent` counts bytes."""

    images: tuple[str, ...]
    access: Access
    operator: Operator
    stop: Stop
    sent: Callable[[], int] = int
    # Whether they come from the machine to this computer.
    comes: bool = False
    _told: float = 0.0
    _shown: int = 0
    _began: float = 0.0

    def begins(self, text: str) -> None:
        """Say that they go."""
        self._told = self._began = time.monotonic()
        self.tell("sending", text)

    def tell(self, kind: str, text: str, **data: str) -> None:
        """Pass on an event of this machine."""
        self.operator.tell(kind, text, self.access.name, **data)

    def stopped(self) -> bool:
        """Whether somebody wants no more of it; called all the time, it also says now and then how far it is."""
        now, sent = time.monotonic(), self.sent()
        if now - self._told > SECONDS_BETWEEN_PROGRESS and sent != self._shown:
            self._told, self._shown = now, sent
            self.tell("progress", f"{_size(sent)} have {'come from' if self.comes else 'gone to'} {self.access.name}")
        return self.stop.is_set()

    def arrived(self) -> None:
        """Say that all are there."""
        seconds = time.monotonic() - self._began
        what = "images have come from {}" if self.comes else "{} has its images"
        text = f"{what.format(self.access.name)}: {_size(self.sent())} in {seconds:.1f} s"
        self.tell("collected" if self.comes else "sent", text, bytes=str(self.sent()))


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
        errors = side_by_side([partial(_whole, each) for each in deliveries], stop)
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
) -> list[HandfulError | None]:
    """Send missing layers alone; whole images where there can be no registry here."""
    first = deliveries[0]
    with ExitStack() as opened:
        try:
            running: Registry | OwnRegistry = registry()
            opened.enter_context(running)
            stored = {image: running.store(image) for image in images if image not in homes}
            if isinstance(running, OwnRegistry):
                return side_by_side([partial(_directly, each, running, stored) for each in deliveries], first.stop)
            stored |= _collected(first, running, {image: homes[image] for image in images if image in homes})
        except NoRegistry as why:
            if homes or why.advice:
                raise
            first.operator.tell("image", f"images travel whole: {' '.join(str(why).split())}")
            return side_by_side([partial(_whole, each) for each in deliveries], first.stop)
        return side_by_side([partial(_by_layers, each, running, stored) for each in deliveries], first.stop)


def _collected(some: Delivery, registry: Registry, homes: Mapping[str, Home]) -> dict[str, Stored]:
    """Have machines put images into the registry here that only they have."""
    stored: dict[str, Stored] = {}
    for access in dict.fromkeys(home.access for home in homes.values()):
        names = [image for image, home in homes.items() if home.access == access]
        fetching = Delivery(tuple(names), access, some.operator, some.stop, comes=True)
        fetching.begins(f"{len(names)} image{'s come' if len(names) > 1 else ' comes'} from {access.name}")
        values = {"login": auth(registry.login), "images": "\n".join(f"{homes[each].name} {each}" for each in names)}
        with Relay(registry.port) as relay:
            fetching.sent = partial(getattr, relay, "received")
            error = beside(relay.run, partial(_tunnelled, fetching, "push_images", values, relay))
        if error is not None:
            raise error
        stored |= {name: registry.stored(name) for name in names}
    return stored


def _directly(delivery: Delivery, registry: OwnRegistry, stored: Mapping[str, Stored]) -> HandfulError | None:
    """Have a machine fetch what it lacks from the user's own registry."""
    images = [stored[name] for name in delivery.images]
    delivery.begins(f"{_count(images)} to {delivery.access.name}, from {registry.server}")
    values = {"server": registry.server, "login": auth(registry.login) if registry.login else ""}
    lines = "\n".join(line for each in images for line in _lines(each))
    keep = "yes" if registry.keep_login else ""
    said: list[Event] = []
    text = stand_alone("pull_images", {**values, "images": lines, "keep_login": keep})
    hear = partial(_hear, delivery, said)
    return _outcome(delivery, through(delivery.access, f"HANDFUL_JSON=1\n{text}", hear, delivery.stopped), said)


def _by_layers(delivery: Delivery, registry: Registry, stored: Mapping[str, Stored]) -> HandfulError | None:
    """Have a machine fetch what it lacks from the registry here."""
    images = [stored[name] for name in delivery.images]
    most = _size(sum(each.packed for each in images))
    delivery.begins(f"{_count(images)} to {delivery.access.name}, those layers that it lacks: {most} at most")
    with Relay(registry.port) as relay:
        delivery.sent = partial(getattr, relay, "sent")
        return beside(relay.run, partial(_fetch, delivery, registry.login, images, relay))


def _fetch(delivery: Delivery, login: str, images: Sequence[Stored], relay: Relay) -> HandfulError | None:
    """Have a machine fetch images; where its sshd makes no tunnels, they travel whole."""
    values = {"login": auth(login), "images": "\n".join(line for each in images for line in _lines(each))}
    error = _tunnelled(delivery, "pull_images", {**values, "keep_login": ""}, relay)
    if not isinstance(error, NoTunnel):
        return error
    delivery.tell("image", f"{error.message}: its images travel whole")
    delivery.sent = int
    return _whole(delivery)


def _tunnelled(delivery: Delivery, script: str, values: Mapping[str, str], relay: Relay) -> HandfulError | None:
    """Run a script on a machine that reaches the registry here by a port of its own: one that is free there."""
    try:
        for _ in range(TRIES):
            port = SystemRandom().choice(PORTS)
            said: list[Event] = []
            text = stand_alone(script, {**values, "server": f"127.0.0.1:{port}"})
            hear = partial(_hear, delivery, said)
            ended = through(delivery.access, f"HANDFUL_JSON=1\n{text}", hear, delivery.stopped, (port, relay.port))
            if said or not ended.cut or delivery.stop.is_set():
                return _outcome(delivery, ended, said)
            there = ask(delivery.access, "true")
            if there.cut:
                return unreachable(delivery.access, there.err)
    finally:
        relay.close()
    advice = "An image that only this machine has comes over one: allow it there (AllowTcpForwarding) for that."
    return NoTunnel(f"sshd of {delivery.access.name} makes no tunnels", detail=last_lines(ended.err), advice=advice)


def _lines(image: Stored) -> list[str]:
    """Return what pull_images.bash is told of an image."""
    parts = [f"+ {reference} {count}" for reference, count in image.parts]
    layers = [f"- {layer} {size}" for layer, size in image.layers]
    return [f"{image.name} {image.reference} {image.size}", *parts, *layers]


def _hear(delivery: Delivery, said: list[Event], line: str) -> None:
    said.append(read_event(line, delivery.access.name, time.monotonic() - delivery.operator.started))


def _outcome(delivery: Delivery, ended: Ended, said: Sequence[Event]) -> HandfulError | None:
    """Return what went wrong; None when nothing did, or nobody wants to know any more."""
    name = delivery.access.name
    if delivery.stop.is_set():
        return None
    if ended.status == 0:
        delivery.arrived()
        return None
    failed = next((event for event in said if event.kind == "failed"), None)
    if failed is not None:
        data = failed.data
        return DeployFailed(f"{name}: {failed.text}", detail=data.get("detail", ""), advice=data.get("advice", ""))
    if ended.cut or ended.status < 0:
        message = f"the connection to {name} was lost while its images were sent"
        advice = f"{OLD_SERVES} What has arrived is kept: try again."
        return DeployFailed(message, detail=last_lines(ended.err), advice=advice)
    return DeployFailed(f"{name} could not fetch its images", detail=last_lines(ended.err), advice=OLD_SERVES)


def _whole(delivery: Delivery) -> HandfulError | None:
    """Send whole images; the machine must end up with the layers that the engine here has."""
    access, sent = delivery.access, [0]
    delivery.begins(f"{_count(delivery.images)} to {access.name}")
    delivery.sent = lambda: sent[0]
    try:
        images = {name: layers_of(name) for name in delivery.images}
        ended = send_whole(access, images, delivery.stopped, lambda count: sent.__setitem__(0, count))
    except HandfulError as failed:
        return failed
    if delivery.stop.is_set():
        return None
    if ended.status == 0:
        delivery.arrived()
        return None
    if ended.cut:
        return unreachable(access, ended.err)
    advice = f"{OLD_SERVES} Is there disk left? See: handful status"
    return DeployFailed(f"{access.name} could not load the images", detail=last_lines(ended.err), advice=advice)


def _size(count: int) -> str:
    return f"{count / MEGABYTE:.1f} MB" if count >= MEGABYTE / 10 else f"{count / 1000:.1f} kB"


def _count(images: Sequence[object]) -> str:
    return f"{len(images)} image{'s go' if len(images) > 1 else ' goes'}"
