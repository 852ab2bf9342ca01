"""What do providers elsewhere have in common: what is wanted of them, and where their machines were found last?"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from handful.errors import MachineError
from handful.machine.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from handful.facts.servers import Estate

SSH_PORT = 22
UP_SECONDS = 300.0
Seen = TypeVar("Seen")
ADVICE = "Is it there, and at this address still? handful machines list looks at the provider."
USUAL_RANGE = "10.114.0.0/24"
# A stack's name and a machine's are labels of everything that is theirs, at every provider; a volume has its own, too.
STACK, MACHINE, VOLUME = "handful-stack", "handful-machine", "handful-volume"


@dataclass(frozen=True)
class Spec:
    """A machine as the file wants it: `private` is its address in the stack's network, "" for any.

    `volumes`: gigabytes by name; `fixed`: its public address outlives it.
    """

    size: str
    region: str
    image: str
    private: str = ""
    volumes: Mapping[str, int] = field(default_factory=dict)
    fixed: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a stack wants of a provider: its machines by name, the range of their network, and who is let in.

    `range` is "" for whatever the provider gives. `ports`: PORT/PROTOCOL that are open to the world on all of them;
    `keys`: public keys of those who log in first.
    """

    stack: str
    machines: Mapping[str, Spec]
    range: str
    ports: tuple[str, ...]
    keys: tuple[str, ...]


def need_keys(wanted: Wanted) -> None:
    """Raise MachineError when nobody could log in on a new machine."""
    if not wanted.keys:
        message = "there is no public key to let you in on new machines: neither the ssh agent nor ~/.ssh has one"
        raise MachineError(message, advice="Make one: ssh-keygen -t ed25519")


def remember(folder: Path, estate: Estate) -> None:
    """Write down where a stack's machines are, so that other commands ask nobody; the provider knows better, always."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {
        name: {
            "address": each.address, "private": each.private,
            "volumes": {key: volume.device for key, volume in estate.volumes_of(name).items() if volume.attached},
        }
        for name, each in estate.servers.items() if each.address
    }
    fresh = folder / f"servers.{os.getpid()}.new"
    fresh.write_text(json.dumps(told, indent=1), encoding="utf-8")
    fresh.replace(folder / "servers.json")


def remembered(folder: Path, user: str | None, port: int | None) -> dict[str, Access]:
    """Return how the machines are reached that were found last, by name."""
    # Host names in plain text: an address that is given anew is forgotten by its name.
    known = str(folder / "known_hosts").replace("%", "%%")
    options = (f'UserKnownHostsFile="{known}"', "HashKnownHosts=no")
    return {
        name: Access(name, each["address"], each["private"] or None, user or "root", port, options, advice=ADVICE)
        for name, each in _told(folder).items()
    }


def devices(folder: Path) -> dict[str, dict[str, str]]:
    """Return the paths of the volumes' devices that were found last, by machine and volume."""
    return {name: dict(each["volumes"]) for name, each in _told(folder).items()}


def _told(folder: Path) -> dict[str, Any]:
    path = folder / "servers.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return told


def forget_host_keys(folder: Path, addresses: Iterable[str]) -> None:
    """An address that is given anew has another host key."""
    path, gone = folder / "known_hosts", set(addresses)
    if path.exists():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line.split(" ")[0] not in gone]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def bare_key(public: str) -> tuple[str, ...]:
    """Return kind and key of a public key, without the comment."""
    return tuple(public.split()[:2])


def settled(ready: Callable[[], Seen | None], seconds: float, poll: float) -> Seen | None:
    """Return what is seen once there is something to see; what is nothing, after that time."""
    deadline = time.monotonic() + seconds
    while not (seen := ready()) and time.monotonic() < deadline:
        time.sleep(poll)
    return seen


def until(ready: Callable[[], Seen | None], late: str, seconds: float, poll: float) -> Seen:
    """As `settled`. Raises MachineError when it took too long; `late` says what has not come."""
    if not (seen := settled(ready, seconds, poll)):
        advice = "What was made is kept: look at the provider's console, then: handful machines apply"
        raise MachineError(f"{late} after {seconds:.0f} s", advice=advice)
    return seen


def wait_for_ssh(addresses: Mapping[str, str], say: Callable[[str], None], seconds: float = UP_SECONDS) -> None:
    """Return when sshd answers at each address, by machine. Raises MachineError, naming those where it does not."""
    deadline, waiting = time.monotonic() + seconds, dict(addresses)
    if waiting:
        say(f"waiting for ssh of {', '.join(waiting)}")
    while waiting:
        waiting = {name: address for name, address in waiting.items() if not _answers(address)}
        if waiting and time.monotonic() > deadline:
            names = ", ".join(f"{name} ({address})" for name, address in waiting.items())
            message = f"ssh does not answer after {seconds:.0f} s: {names}"
            advice = "They are kept: look at the provider's console, then: handful machines apply"
            raise MachineError(message, advice=advice)
        time.sleep(0.2 if waiting else 0)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, SSH_PORT), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
