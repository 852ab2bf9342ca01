"""How do containers on this computer become machines (a lab), and how do they go again?

Linux only: a machine is reached at its own address, which Docker on macOS and Windows does not let through.
"""

from __future__ import annotations

import shutil
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.artifact.docker import docker
from handful.provider.lab_access import access
from handful.provider.lab_image import image_name, machine_image
from handful.provider.lab_keys import ensure_key, write_addresses, write_host_keys
from handful.provider.lab_machines import LabMachine, container_name, labels, machines
from handful.provider.lab_network import ensure_network, give_addresses, network_name
from handful.provider.lab_ready import wait_ready
from handful.provider.lab_volumes import mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from handful.machine.access import Access

__all__ = ["LabMachine", "access", "down", "machines", "remove", "up"]

# Enough for systemd and a Docker of its own; `--privileged` is refused where CAP_SYS_RESOURCE is missing.
FLAGS = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=private",
    "--tmpfs=/run:mode=755",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec,mode=1777",
    "--stop-timeout=30",
    "--env=container=docker",
)
NO_VOLUMES: Mapping[str, Collection[str]] = MappingProxyType({})


def up(
    stack: str,
    wanted: Mapping[str, str | None],
    *,
    state: Path,
    say: Callable[[str], None],
    image: str = "debian-13",
    bare: bool = False,
    volumes: Mapping[str, Collection[str]] = NO_VOLUMES,
) -> dict[str, Access]:
    """Have the machines `wanted` run (name → private address, None for a free one); return how to reach them.

    Running machines stay, stopped ones start, missing ones are made from `image` (debian-13 or debian-12; `bare`
    leaves Docker out), with `volumes` by machine. `state` is the folder of all labs' keys. Returns when all are ready.
    Raises NoDocker, BuildFailed, UsageError or MachineError (no such image, an address is taken, a machine is not up).
    """
    started = time.monotonic()
    made_from, here = image_name(image, bare=bare), machines(stack)
    subnet = ensure_network(stack, [address for address in wanted.values() if address])
    addresses = give_addresses(wanted, subnet, {name: machine.address for name, machine in here.items()})
    missing = [LabMachine(name, addresses[name], "stopped", made_from) for name in wanted if name not in here]
    if missing:
        _make(stack, missing, machine_image(image, say, bare=bare), volumes, say)
    _start(stack, [name for name in wanted if name not in here or not here[name].running])
    folder, public = state / stack, ensure_key(state / stack)
    write_addresses(folder, {**{name: machine.address for name, machine in here.items()}, **addresses})
    write_host_keys(folder, wait_ready(stack, wanted, public))
    listed = ", ".join(f"{name} {address}" for name, address in addresses.items())
    say(f"the lab {stack} is up: {listed} ({time.monotonic() - started:.1f} s)")
    return {name: reached for name, reached in access(stack, state).items() if name in wanted}


def down(stack: str, state: Path, say: Callable[[str], None]) -> None:
    """Remove the lab, and all that is in it: machines, their volumes, network and keys. The machine images stay.

    Whatever is missing already is no error. Raises NoDocker when no engine answers.
    """
    names = ", ".join(machines(stack)) or "no machines"
    mine = f"--filter=label=handful.lab={stack}"
    _remove(("rm", "--force", "--volumes"), ("ps", "--all", "--quiet", mine))
    _remove(("volume", "rm", "--force"), ("volume", "ls", "--quiet", mine))
    _remove(("network", "rm"), ("network", "ls", "--quiet", mine))
    shutil.rmtree(state / stack, ignore_errors=True)
    say(f"removed the lab {stack} ({names}) with its volumes, network and keys; its machine image is kept")


def remove(stack: str, name: str) -> None:
    """Remove one machine and what is in it, but for its volumes; its address is free then.

    One that is missing is no error.
    """
    docker("rm", "--force", "--volumes", container_name(stack, name), check=False)


def _make(
    stack: str, missing: list[LabMachine], tag: str, volumes: Mapping[str, Collection[str]],
    say: Callable[[str], None],
) -> None:
    """Create the containers. Overlay does not work on overlay: what Docker stores inside gets a volume of its own."""
    volume = f"--mount=type=volume,target=/var/lib/docker,volume-label=handful.lab={stack}"
    for machine in missing:
        say(f"making the machine {machine.name} ({machine.address}, {machine.image})")
        place = (f"--network={network_name(stack)}", f"--ip={machine.address}", f"--hostname={machine.name}")
        name = f"--name={container_name(stack, machine.name)}"
        own = mounts(stack, machine.name, volumes.get(machine.name, ()))
        docker("create", name, *place, *labels(stack, machine), volume, *own, *FLAGS, tag)


def _start(stack: str, names: list[str]) -> None:
    if names:
        docker("start", *(container_name(stack, name) for name in names))


def _remove(remove: tuple[str, ...], find: tuple[str, ...]) -> None:
    found = docker(*find).out.split()
    if found:
        docker(*remove, *found)
