"""What is a machine before handful prepares it?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handful.facts.told import document, not_told, read_told

if TYPE_CHECKING:
    from collections.abc import Mapping


# Those that are told by a number, and by a word or none.
BYTES = ("memory", "swap", "disk")
YES = ("firewall", "kernel_wireguard", "wireguard_up", "reboot", "resolves")


@dataclass(frozen=True)
class Survey:
    """One machine, as survey.bash tells it; sizes are bytes.

    `trouble`: the last lines of a cloud-init that failed. `virtual`: the kind of container that the machine is. `login`
    and `keys`: who was let in, and by which public keys; `user` and `user_keys`: whether the one of the file is there.
    `sshd`: its settings by lower-case name; `port`: that of the very session. `listening`: lines of `ss -Hltnup` but
    for those on loopback. `networks`: ranges that lead somewhere, with the device. `firewall`: it is in force, as
    firewall.bash of now would have it; `own_open` is the stack's part of it, `opened` PORT/PROTOCOL of all stacks.
    `kernel_wireguard`: the kernel has it; `wireguard_key` is public, `peers` the stack's part of the private network.
    `dockerd`: the words that its Docker was started with, or "installed" where it is not at work, "" for none.
    `disks`: volumes in their places, by name: whole, or grown since. `prepared`: as in Facts. `shared`: other stacks
    are here, too. `resolves`: it finds the hosts that its packages come from. `files`: those that were asked for, and
    are there.
    """

    machine: str
    os: str = ""
    trouble: str = ""
    virtual: str = ""
    memory: int = 0
    swap: int = 0
    disk: int = 0
    port: int = 22
    sshd: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    login: str = "root"
    keys: tuple[str, ...] = ()
    user: str = ""
    user_keys: tuple[str, ...] = ()
    packages: frozenset[str] = frozenset()
    docker: str = ""
    dockerd: str = ""
    disks: Mapping[str, str] = field(default_factory=dict)
    prepared: Mapping[str, Any] = field(default_factory=dict)
    swarm: bool = False
    keeps_time: bool = False
    firewall: bool = False
    own_open: str = ""
    opened: frozenset[str] = frozenset()
    shared: bool = False
    listening: tuple[str, ...] = ()
    networks: tuple[tuple[str, str], ...] = ()
    kernel_wireguard: bool = False
    wireguard_key: str = ""
    wireguard_up: bool = False
    peers: str = ""
    reboot: bool = False
    resolves: bool = True
    files: Mapping[str, str] = field(default_factory=dict)


def read_survey(machine: str, text: str, stack: str) -> Survey:
    """Read what survey.bash says. Raises ObserveFailed when that is something else."""
    told = read_told(machine, text)
    try:
        return _survey(machine, told, stack)
    except (KeyError, ValueError) as wrong:
        raise not_told(machine, text, wrong) from wrong


def _survey(machine: str, told: Mapping[str, str], stack: str) -> Survey:
    said = {name: value.strip() for name, value in told.items()}
    return Survey(
        machine,
        os=said["os"],
        trouble=said["trouble"],
        virtual=said["virtual"].replace("none", ""),
        sshd=_settings(told["sshd"]),
        keys=_keys(told["keys"]),
        user=told.get("user", "").partition(":")[0],
        user_keys=_keys(told.get("user_keys", "")),
        packages=frozenset(said["packages"].split()),
        docker=said["docker"],
        dockerd=said["dockerd"],
        prepared=document(said["prepared"]),
        disks=dict(_pairs(told["disks"])),
        swarm=said["swarm"] == "active",
        own_open=told["own_open"],
        opened=frozenset(said["opened"].split()),
        shared=bool(set(said["stacks"].split()) - {stack}),
        wireguard_key=said["wireguard_key"],
        peers=told["peers"],
        listening=tuple(told["listening"].splitlines()),
        networks=tuple(_pairs(told["networks"])),
        files=_files(told),
        login=said["login"],
        port=int(said["port"] or 22),
        keeps_time=int(said["time"] or 0) > 0,
        **_numbers_and_words(said),
    )


def _files(told: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("file:"): text for name, text in told.items() if name.startswith("file:")}


def _numbers_and_words(said: Mapping[str, str]) -> dict[str, Any]:
    return {**{name: int(said[name]) for name in BYTES}, **{name: bool(said[name]) for name in YES}}


def _settings(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _pairs(text):
        found[name] = (*found.get(name, ()), value)
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(" ") for line in text.splitlines()) if value]


def _keys(text: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
