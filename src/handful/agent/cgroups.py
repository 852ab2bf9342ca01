"""What does a container use: read from the kernel's own files, of cgroup v1 and v2, and of its network?

Names and meanings are cAdvisor's (google/cadvisor), so that public dashboards fit. Sizes are bytes, times seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.agent.proc import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In v1, no limit is a number of this size or more: the largest that fits, in pages.
NO_LIMIT = 1 << 60
NANO, MICRO, HERTZ = 1e9, 1e6, 100.0
NETWORK_COLUMNS = 16


@dataclass(frozen=True)
class Network:
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


@dataclass(frozen=True)
class Usage:
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


def usage(proc: Path, cgroup: Path, pid: int) -> Usage | None:
    """Return what the container of a process uses; None when it has ended. `cgroup` is where cgroups are mounted."""
    paths = _paths(proc, pid)
    if not paths:
        return None
    networks = tuple(_networks(proc / str(pid) / "net" / "dev"))
    # On a hybrid machine v2 is there as well, and has no controllers.
    if "memory" in paths:
        return _v1(cgroup, paths, networks)
    return _v2(cgroup / paths.get("", ""), networks)


def cgroup_path(proc: Path, pid: int) -> str:
    """Return the cgroup of a process as cAdvisor names it: /docker/ID, /system.slice/docker-ID.scope."""
    paths = _paths(proc, pid)
    return "/" + paths.get("memory", paths.get("", ""))


def memory_of(proc: Path, cgroup: Path, pid: int) -> tuple[int, int] | None:
    """Return the memory that counts towards a container's limit, and the limit (0: none); None when it is not known."""
    paths = _paths(proc, pid)
    if "memory" in paths:
        folder = cgroup / "memory" / paths["memory"]
        used, limit = _number(folder / "memory.usage_in_bytes"), _number(folder / "memory.limit_in_bytes")
    else:
        folder = cgroup / paths.get("", "")
        used, limit = _number(folder / "memory.current"), _number(folder / "memory.max")
    return None if used is None or limit is None else (used, 0 if limit >= NO_LIMIT else limit)


def _paths(proc: Path, pid: int) -> dict[str, str]:
    """Return the path of a process in each hierarchy, "" for that of v2; nothing when it has ended."""
    paths = {}
    for line in lines_of(proc / str(pid) / "cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    return paths


def _v2(folder: Path, networks: tuple[Network, ...]) -> Usage:
    cpu, memory = _table(folder / "cpu.stat"), _table(folder / "memory.stat")
    used, inactive = _number(folder / "memory.current"), memory.get("inactive_file", 0)
    reads, writes = _io(folder / "io.stat")
    return Usage(
        cpu=_part(cpu.get("usage_usec"), MICRO),
        cpu_user=_part(cpu.get("user_usec"), MICRO),
        cpu_system=_part(cpu.get("system_usec"), MICRO),
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled=_part(cpu.get("throttled_usec"), MICRO),
        memory=used,
        working_set=None if used is None else max(0, used - inactive),
        rss=memory.get("anon"),
        cache=memory.get("file"),
        swap=_number(folder / "memory.swap.current"),
        memory_limit=_number(folder / "memory.max"),
        ooms=_table(folder / "memory.events").get("oom_kill"),
        read_bytes=reads,
        written_bytes=writes,
        networks=networks,
    )


def _v1(cgroup: Path, paths: dict[str, str], networks: tuple[Network, ...]) -> Usage:
    memory, cpu = cgroup / "memory" / paths["memory"], _controller(cgroup, paths, "cpu")
    account, stat = _controller(cgroup, paths, "cpuacct"), _table(cgroup / "memory" / paths["memory"] / "memory.stat")
    times, periods = _table(account / "cpuacct.stat"), _table(cpu / "cpu.stat")
    used, inactive = _number(memory / "memory.usage_in_bytes"), stat.get("total_inactive_file", 0)
    limit = _number(memory / "memory.limit_in_bytes")
    reads, writes = _blkio(_controller(cgroup, paths, "blkio") / "blkio.throttle.io_service_bytes")
    return Usage(
        cpu=_part(_number(account / "cpuacct.usage"), NANO),
        cpu_user=_part(times.get("user"), HERTZ),
        cpu_system=_part(times.get("system"), HERTZ),
        periods=periods.get("nr_periods"),
        throttled_periods=periods.get("nr_throttled"),
        throttled=_part(periods.get("throttled_time"), NANO),
        memory=used,
        working_set=None if used is None else max(0, used - inactive),
        rss=stat.get("total_rss"),
        cache=stat.get("total_cache"),
        swap=stat.get("total_swap"),
        memory_limit=0 if limit is not None and limit >= NO_LIMIT else limit,
        ooms=_table(memory / "memory.oom_control").get("oom_kill"),
        read_bytes=reads,
        written_bytes=writes,
        networks=networks,
    )


def _controller(cgroup: Path, paths: dict[str, str], name: str) -> Path:
    """Return the folder of a controller, which may be mounted together with others: cpu,cpuacct."""
    path = paths.get(name, "")
    for mounted in (name, "cpu,cpuacct", "cpuacct,cpu"):
        if (cgroup / mounted).is_dir():
            return cgroup / mounted / path
    return cgroup / name / path


def _table(path: Path) -> dict[str, int]:
    """Read lines of a word and a number."""
    found = {}
    for line in lines_of(path):
        name, _, value = line.partition(" ")
        if value.strip().isdecimal():
            found[name] = int(value)
    return found


def _number(path: Path) -> int | None:
    """Read a number; `max` is 0, as cAdvisor tells it."""
    lines = lines_of(path)
    if lines and lines[0].isdecimal():
        return int(lines[0])
    return 0 if lines and lines[0] == "max" else None


def _part(value: float | None, whole: float) -> float | None:
    return None if value is None else value / whole


def _io(path: Path) -> tuple[int | None, int | None]:
    """Read `8:0 rbytes=1 wbytes=2 …`, summed over devices."""
    if not path.exists():
        return None, None
    words = [word.partition("=") for line in lines_of(path) for word in line.split()[1:]]
    sums = {key: sum(int(value) for name, _, value in words if name == key) for key in ("rbytes", "wbytes")}
    return sums["rbytes"], sums["wbytes"]


def _blkio(path: Path) -> tuple[int | None, int | None]:
    """Read `8:0 Read 1`, summed over devices."""
    if not path.exists():
        return None, None
    rows = [line.split() for line in lines_of(path)]
    sums = {key: sum(int(row[2]) for row in rows if row[1:2] == [key]) for key in ("Read", "Write")}
    return sums["Read"], sums["Write"]


def _networks(path: Path) -> Iterator[Network]:
    """Read /proc/PID/net/dev, but for the loopback."""
    for line in lines_of(path)[2:]:
        interface, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split() if word.isdecimal()]
        if interface.strip() != "lo" and len(numbers) >= NETWORK_COLUMNS:
            yield Network(interface.strip(), *numbers[:4], *numbers[8:12])
