"""What does a container use: read from the kernel's own files, of cgroup v1 and v2, and of its network?

Names and meanings are cAdvisor's (google/cadvisor), so that public dashboards fit. Sizes are bytes, times seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from handful.agent.proc import lines_of, read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

Read = Callable[[str], bytes]
# In v1, no limit is a number of this size or more: the largest that fits, in pages.
NO_LIMIT = 1 << 60
NANO, MICRO, HERTZ = 1e9, 1e6, 100.0
NETWORK_COLUMNS = 16


class Network(NamedTuple):
    """What went over one interface; counters."""

    interface: str
    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


class Usage(NamedTuple):
    """What a container has used or uses; None: this kernel does not tell. Limits are 0 where there are none."""

    cpu: float | None = None
    cpu_user: float | None = None
    cpu_system: float | None = None
    periods: float | None = None
    throttled_periods: float | None = None
    throttled: float | None = None
    memory: float | None = None
    working_set: float | None = None
    rss: float | None = None
    cache: float | None = None
    swap: float | None = None
    memory_limit: float | None = None
    ooms: float | None = None
    read_bytes: float | None = None
    written_bytes: float | None = None
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Group:
    """Where the kernel tells of a container: `path` is its cgroup as cAdvisor names it, the others are folders.

    On cgroup v2 all folders are the same one. `network`: a file.
    """

    path: str
    version: int
    memory: str
    cpu: str
    account: str
    blocks: str
    network: str


def group_of(proc: Path, cgroup: Path, pid: int) -> Group | None:
    """Return where the container of a process is told of; None when it has ended. `cgroup`: where those are mounted."""
    paths = {}
    for line in lines_of(f"{proc}/{pid}/cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    if not paths:
        return None
    network = f"{proc}/{pid}/net/dev"
    # On a hybrid machine v2 is there as well, and has no controllers.
    if "memory" not in paths:
        path = paths.get("", "/")
        folder = f"{cgroup}{path}"
        return Group(path, 2, folder, folder, folder, folder, network)
    cpu, account, blocks = (_controller(cgroup, paths, name) for name in ("cpu", "cpuacct", "blkio"))
    return Group(paths["memory"], 1, f"{cgroup}/memory{paths['memory']}", cpu, account, blocks, network)


class Groups:
    """Where containers are told of; that stays the same as long as their processes do, and is found out once."""

    def __init__(self, proc: Path, cgroup: Path) -> None:
        """Nothing is known yet. See `group_of`."""
        self._proc, self._cgroup = proc, cgroup
        self._known: dict[str, tuple[int, Group]] = {}

    def of(self, key: str, pid: int) -> Group | None:
        """Return where a container is told of, whose process this is (0: none); None when it has ended."""
        known = self._known.get(key)
        if known is not None and known[0] == pid:
            return known[1]
        self._known.pop(key, None)
        group = group_of(self._proc, self._cgroup, pid) if pid else None
        if group is not None:
            self._known[key] = pid, group
        return group

    def forget_but(self, keys: Collection[str]) -> None:
        """Forget those that are gone."""
        for key in [key for key in self._known if key not in keys]:
            del self._known[key]


def usage(group: Group, read: Read = read) -> Usage | None:
    """Return what a container uses; None when it has ended. `read` reads a small file of the kernel's."""
    networks = tuple(_networks(group.network))
    told = (_v1 if group.version == 1 else _v2)(group, networks, read)
    # Of a root that has no limits, v2 tells nothing but times.
    return None if told.memory is None and told.cpu is None else told


def memory_of(group: Group, read: Read = read) -> tuple[int, int] | None:
    """Return the memory that counts towards a container's limit, and the limit (0: none); None when it is not known."""
    names = ("usage_in_bytes", "limit_in_bytes") if group.version == 1 else ("current", "max")
    used, limit = (_number(read, f"{group.memory}/memory.{name}") for name in names)
    return None if used is None or limit is None else (used, 0 if limit >= NO_LIMIT else limit)


def _v2(group: Group, networks: tuple[Network, ...], read: Read) -> Usage:
    folder = group.memory
    cpu, memory = _table(read, f"{folder}/cpu.stat"), _table(read, f"{folder}/memory.stat")
    used, inactive = _number(read, f"{folder}/memory.current"), memory(b"inactive_file") or 0
    reads, writes = _io(read, f"{folder}/io.stat")
    return Usage(
        cpu=_part(cpu(b"usage_usec"), MICRO),
        cpu_user=_part(cpu(b"user_usec"), MICRO),
        cpu_system=_part(cpu(b"system_usec"), MICRO),
        periods=cpu(b"nr_periods"),
        throttled_periods=cpu(b"nr_throttled"),
        throttled=_part(cpu(b"throttled_usec"), MICRO),
        memory=used,
        working_set=None if used is None else max(0, used - inactive),
        rss=memory(b"anon"),
        cache=memory(b"file"),
        swap=_number(read, f"{folder}/memory.swap.current"),
        memory_limit=_number(read, f"{folder}/memory.max"),
        ooms=_table(read, f"{folder}/memory.events")(b"oom_kill"),
        read_bytes=reads,
        written_bytes=writes,
        networks=networks,
    )


def _v1(group: Group, networks: tuple[Network, ...], read: Read) -> Usage:
    stat, times = _table(read, f"{group.memory}/memory.stat"), _table(read, f"{group.account}/cpuacct.stat")
    periods = _table(read, f"{group.cpu}/cpu.stat")
    used, inactive = _number(read, f"{group.memory}/memory.usage_in_bytes"), stat(b"total_inactive_file") or 0
    limit = _number(read, f"{group.memory}/memory.limit_in_bytes")
    reads, writes = _blkio(read, f"{group.blocks}/blkio.throttle.io_service_bytes")
    return Usage(
        cpu=_part(_number(read, f"{group.account}/cpuacct.usage"), NANO),
        cpu_user=_part(times(b"user"), HERTZ),
        cpu_system=_part(times(b"system"), HERTZ),
        periods=periods(b"nr_periods"),
        throttled_periods=periods(b"nr_throttled"),
        throttled=_part(periods(b"throttled_time"), NANO),
        memory=used,
        working_set=None if used is None else max(0, used - inactive),
        rss=stat(b"total_rss"),
        cache=stat(b"total_cache"),
        swap=stat(b"total_swap"),
        memory_limit=0 if limit is not None and limit >= NO_LIMIT else limit,
        ooms=_table(read, f"{group.memory}/memory.oom_control")(b"oom_kill"),
        read_bytes=reads,
        written_bytes=writes,
        networks=networks,
    )


def _controller(cgroup: Path, paths: dict[str, str], name: str) -> str:
    """Return the folder of a controller, which may be mounted together with others: cpu,cpuacct."""
    mounts = (f"{cgroup}/{mounted}" for mounted in (name, "cpu,cpuacct", "cpuacct,cpu"))
    return next((each for each in mounts if os.path.isdir(each)), f"{cgroup}/{name}") + paths.get(name, "/")  # noqa: PTH112  # see proc.py


def _table(read: Read, path: str) -> Callable[[bytes], int | None]:
    """Read lines of a word and a number; return what gives the number of a word, if it has one."""
    words = read(path).split()
    found = dict(zip(words[::2], words[1::2], strict=False))

    def number(name: bytes) -> int | None:
        value = found.get(name, b"")
        return int(value) if value.isdigit() else None

    return number


def _number(read: Read, path: str) -> int | None:
    """Read a number; `max` is 0, as cAdvisor tells it."""
    told = read(path).strip()
    if told.isdigit():
        return int(told)
    return 0 if told == b"max" else None


def _part(value: float | None, whole: float) -> float | None:
    return None if value is None else value / whole


def _io(read: Read, path: str) -> tuple[int | None, int | None]:
    """Read `8:0 rbytes=1 wbytes=2 …`, summed over devices; it is empty before the first one was used."""
    told = read(path)
    if not told and not os.path.exists(path):  # noqa: PTH110  # see proc.py
        return None, None
    words = [word.partition(b"=") for word in told.split()]
    reads, writes = (sum(int(value) for name, _, value in words if name == key) for key in (b"rbytes", b"wbytes"))
    return reads, writes


def _blkio(read: Read, path: str) -> tuple[int | None, int | None]:
    """Read `8:0 Read 1`, summed over devices, and a total."""
    words = read(path).split()
    if not words:
        return None, None
    rows = list(pairwise(words))
    reads, writes = (sum(int(value) for name, value in rows if name == key) for key in (b"Read", b"Write"))
    return reads, writes


def _networks(path: str) -> Iterator[Network]:
    """Read /proc/PID/net/dev, but for the loopback."""
    for line in lines_of(path)[2:]:
        interface, _, rest = line.strip().partition(":")
        numbers = rest.split()
        if interface != "lo" and len(numbers) >= NETWORK_COLUMNS:
            yield Network(interface, *map(int, numbers[:4] + numbers[8:12]))
