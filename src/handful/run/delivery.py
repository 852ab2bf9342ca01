"""How do images travel between this computer and one machine: by a tunnel to a registry here, or whole?"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.errors import DeployFailed, HandfulError, NoTunnel
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import ask, through
from handful.machine.stream import send_whole
from handful.run.events import read_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handful.artifact.registry import Stored
    from handful.machine.access import Access
    from handful.machine.session import Ended
    from handful.machine.tunnel import Relay
    from handful.run.engine import Operator
    from handful.run.events import Event
    from handful.run.together import Stop

# Of the machine's loopback address; below those that Linux gives to connections that go out.
PORTS = range(20_000, 32_000)
TRIES = 5
SECONDS_BETWEEN_PROGRESS = 2.0
MEGABYTE = 1_000_000
OLD_SERVES = "The old release still serves."


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

    def tell_here(self, text: str) -> None:
        """Pass on what concerns the images, and no machine."""
        self.operator.tell("image", text)

    def stopped(self) -> bool:
        """Whether somebody wants no more of it; called all the time, it also says now and then how far it is."""
        now, sent = time.monotonic(), self.sent()
        if now - self._told > SECONDS_BETWEEN_PROGRESS and sent != self._shown:
            self._told, self._shown = now, sent
            self.tell("progress", f"{size(sent)} have {'come from' if self.comes else 'gone to'} {self.access.name}")
        return self.stop.is_set()

    def arrived(self) -> None:
        """Say that all are there."""
        seconds = time.monotonic() - self._began
        what = "images have come from {}" if self.comes else "{} has its images"
        text = f"{what.format(self.access.name)}: {size(self.sent())} in {seconds:.1f} s"
        self.tell("collected" if self.comes else "sent", text, bytes=str(self.sent()))


def by_tunnel(delivery: Delivery, script: str, values: Mapping[str, str], relay: Relay) -> HandfulError | None:
    """Run a script on a machine that reaches the registry here by a port of its own: one that is free there."""
    ended = None
    try:
        for _ in range(TRIES):
            port = SystemRandom().choice(PORTS)
            said: list[Event] = []
            text = stand_alone(script, {**values, "server": f"127.0.0.1:{port}"})
            hear = partial(_hear, delivery, said)
            ended = through(delivery.access, f"HANDFUL_JSON=1\n{text}", hear, delivery.stopped, (port, relay.port))
            if said or not ended.cut or delivery.stop.is_set():
                return outcome(delivery, ended, said)
            there = ask(delivery.access, "true")
            if there.cut:
                return unreachable(delivery.access, there.err)
            # A tunnel logs in anew. Whoever types a password, or touches a key, is asked for the first login alone.
            if delivery.access.sockets is not None and ask(replace(delivery.access, sockets=None), "true").cut:
                message = f"{delivery.access.name} lets nobody in a second time unasked"
                return NoTunnel(message, detail=last_lines(ended.err))
    finally:
        relay.close()
    return NoTunnel(f"sshd of {delivery.access.name} makes no tunnels", detail=last_lines(ended.err) if ended else "")


def by_itself(delivery: Delivery, script: str, values: Mapping[str, str]) -> HandfulError | None:
    """Run a script on a machine that needs no way to this computer for it."""
    said: list[Event] = []
    text = stand_alone(script, values)
    hear = partial(_hear, delivery, said)
    return outcome(delivery, through(delivery.access, f"HANDFUL_JSON=1\n{text}", hear, delivery.stopped), said)


def whole(delivery: Delivery, images: Sequence[Stored]) -> HandfulError | None:
    """Send whole images, of the engine here."""
    sent = [0]
    delivery.begins(f"{counted(images)} to {delivery.access.name}")
    delivery.sent = lambda: sent[0]
    said: list[Event] = []
    text = stand_alone("load_images", {"images": told(images), "packer": best_packer()})
    hear = partial(_hear, delivery, said)
    names = tuple(image.name for image in images)
    try:
        ended = send_whole(
            delivery.access, f"HANDFUL_JSON=1\n{text}", names, hear, delivery.stopped, partial(sent.__setitem__, 0)
        )
    except HandfulError as failed:
        return failed
    if ended.cut and not said and not delivery.stop.is_set():
        return unreachable(delivery.access, ended.err)
    return outcome(delivery, ended, said)


def best_packer() -> str:
    """Return what this computer packs with: zstd takes a sixth of the time, where both sides have it."""
    return "zstd" if shutil.which("zstd") else "gzip"


def told(images: Sequence[Stored]) -> str:
    """Return what scripts are told of images; see lib_images.bash."""
    return "\n".join(line for each in images for line in _lines(each))


def outcome(delivery: Delivery, ended: Ended, said: Sequence[Event]) -> HandfulError | None:
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
        way = "came" if delivery.comes else "were sent"
        message = f"the connection to {name} was lost while its images {way}"
        advice = f"{OLD_SERVES} What has arrived is kept: try again."
        return DeployFailed(message, detail=last_lines(ended.err), advice=advice)
    could = "give its images away" if delivery.comes else "take its images"
    return DeployFailed(f"{name} could not {could}", detail=last_lines(ended.err), advice=OLD_SERVES)


def size(count: int) -> str:
    """Return a count of bytes for people."""
    return f"{count / MEGABYTE:.1f} MB" if count >= MEGABYTE / 10 else f"{count / 1000:.1f} kB"


def counted(images: Sequence[object]) -> str:
    """Return how many go, as a sentence begins."""
    return f"{len(images)} image{'s go' if len(images) > 1 else ' goes'}"


def _lines(image: Stored) -> list[str]:
    """Return what pull_images.bash is told of an image."""
    parts = [f"+ {reference} {count}" for reference, count in image.parts]
    layers = [f"- {layer} {size}" for layer, size in image.layers]
    return [f"{image.name} {image.reference} {image.size}", *parts, *layers]


def _hear(delivery: Delivery, said: list[Event], line: str) -> None:
    said.append(read_event(line, delivery.access.name, time.monotonic() - delivery.operator.started))
