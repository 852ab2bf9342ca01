"""Two machines with a private network between them, and what one is told of an app on the other."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from script_machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from script_release import Made

PRIVATE = {"m1": "10.114.0.1", "m2": "10.114.0.2"}


@contextmanager
def two_machines(folder: Callable[[str], Path]) -> Iterator[tuple[Machine, Machine]]:
    """Give two machines that are set up; `folder` makes a folder of that name."""
    made = [Machine(folder(name)) for name in PRIVATE]
    try:
        first, second = (str(machine.namespace.first) for machine in made)
        subprocess.run(["ip", "link", "add", "private", "netns", first, "type", "veth", "peer", "private", "netns", second], check=True)
        for machine, address in zip(made, PRIVATE.values(), strict=True):
            machine.inside("ip", "address", "add", f"{address}/24", "dev", "private")
            machine.inside("ip", "link", "set", "private", "up")
            machine.set_up()
        yield made[0], made[1]
    finally:
        for machine in made:
            machine.close()


def learn(
    machine: Machine, made: Made, here: str, runs_on: tuple[str, ...] = ("m1", "m2"), *, weight: int = 1, more: tuple[str, ...] = ()
) -> None:
    """Tell a machine where an app runs, as a deploy does, and how many instances the other one has; `more` lines."""
    other = next(address for name, address in PRIVATE.items() if name != here)
    peers = [f"peer {name} {PRIVATE[name]} {weight}" for name in runs_on if name != here]
    head = [f"number {made.number}", f"port {made.config.apps[made.app].port}", f"front {PRIVATE[here]}", f"from {other}"]
    text = "\n".join([*head, *peers, *more, *made.release.manifest["settings"]["proxy"]]) if runs_on else ""
    assert machine.alone("ensure_network", stack=made.stack).code == 0
    said = machine.alone("reach_app", stack=made.stack, app=made.app, text=text)
    assert said.code == 0, said
