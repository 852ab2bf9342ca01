"""What is known of a machine at one moment?

Sizes are bytes, clocks seconds since 1970 (`local`: the weekday, 1 is Monday, and the minute of the day where the
machine thinks it is), load and cpus as Linux counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# `uname -m` → Docker's word.
ARCHITECTURES = MappingProxyType({
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386",
})


@dataclass(frozen=True)
class Container:
    """A container on the machine, handful's or not; `instance`, `app` and `stack` are "" for those that are not.

    `memory` (bytes) and `cpus` (billionths of one) are its limits, 0: none.
    """

    name: str
    image: str
    running: bool
    stack: str = ""
    app: str = ""
    release: str = ""
    instance: str = ""
    part: str = ""
    exit_code: int = 0
    started: str = ""
    restarts: int = 0
    restart: str = "no"
    address: str = ""
    memory: int = 0
    cpus: int = 0


@dataclass(frozen=True)
class AppState:
    """What a machine holds of an app: `releases` are the manifests of the kept ones, by release id.

    `released` lists releases in the order in which they came into use; `deploying` names the release of a
    switch that is under way or was interrupted, "" when there is none. `scaled`: how many instances somebody asked
    for, and until when (seconds since 1970). `hours`: what keep_hours.bash wrote down.
    """

    number: int | None = None
    instances: int | None = None
    scaled: tuple[int, float] | None = None
    hours: str = ""
    current: str = ""
    stopped: bool = False
    deploying: str = ""
    released: tuple[str, ...] = ()
    releases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class StackState:
    """What a machine holds of a stack; `holder` says who holds its lock now ("" when nobody does).

    `reach` maps an app to what the machine's proxy knows of it beyond the instances here: see plan/reach.py. `opened`
    and `peers` are its parts of the machine's firewall and of the private network, as firewall.bash and wireguard.bash
    read them, "" for none. `agent` is what the agent is told of it.
    """

    holder: str = ""
    history: tuple[Mapping[str, Any], ...] = ()
    apps: Mapping[str, AppState] = field(default_factory=dict)
    reach: Mapping[str, str] = field(default_factory=dict)
    opened: str = ""
    peers: str = ""
    agent: str = ""


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket; `address` is as ss writes it: `*`, `0.0.0.0`, `[::]`, `127.0.0.1`."""

    address: str
    port: int
    process: str


@dataclass(frozen=True)
class Slot:
    """A server of the running proxy."""

    backend: str
    name: str
    address: str
    up: bool
    ready: bool


# observe.bash's own words for it, where a Docker that does not answer is told in Docker's.
NO_PROGRAM = "there is no program docker"


@dataclass(frozen=True)
class Facts:
    """One machine, as observed once; `docker` is its version, "" when there is none that answers.

    Not `whole`: images, ports, addresses and the service range were not asked for; nothing can be planned with it.
    `prepared`: by which `handful`, and with which `packages`; empty where nobody has prepared it. `volumes`: disks of
    its own that are in their places.
    `drift`: what was changed by hand, by app ("": the machine's own parts), as lib_drift.bash tells it; empty unless
    it was asked for.
    """

    machine: str
    whole: bool = True
    hostname: str = ""
    os: str = ""
    architecture: str = ""
    clock: float = 0.0
    local: tuple[int, int] = (1, 0)
    skew: float = 0.0
    cpus: int = 1
    load: float = 0.0
    memory_total: int = 0
    memory_free: int = 0
    disk_total: int = 0
    disk_free: int = 0
    docker: str = ""
    docker_trouble: str = ""
    prepared: Mapping[str, Any] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    parts: Mapping[str, Any] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    images: tuple[str, ...] = ()
    listening: tuple[Listener, ...] = ()
    addresses: tuple[str, ...] = ()
    service_range_local: bool = True
    slots: tuple[Slot, ...] = ()
    proxy_files: Mapping[str, str] = field(default_factory=dict)
    stacks: Mapping[str, StackState] = field(default_factory=dict)
    drift: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def bare(self) -> bool:
        """Whether nobody has installed Docker yet."""
        return self.docker_trouble.strip() == NO_PROGRAM

    @property
    def platform(self) -> str:
        """What its images are for, in Docker's words: linux/amd64."""
        return f"linux/{ARCHITECTURES.get(self.architecture, self.architecture)}"

    def stack(self, name: str) -> StackState:
        """Return what is here of a stack, empty when nothing is."""
        return self.stacks.get(name, StackState())

    def app(self, stack: str, name: str) -> AppState:
        """Return what is here of an app, empty when nothing is."""
        return self.stack(stack).apps.get(name, AppState())

    def instances(self, stack: str, name: str) -> tuple[Container, ...]:
        """Return an app's instances, stopped ones too."""
        return tuple(c for c in self.containers if (c.stack, c.app) == (stack, name) and c.instance)
