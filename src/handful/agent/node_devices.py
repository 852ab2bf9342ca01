"""What do the machine's disks, file systems and network interfaces have and do, by node_exporter's names?"""

from __future__ import annotations

import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.agent.exposition import Metric, labels_text
from handful.agent.proc import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What node_exporter leaves out unless it is told otherwise.
NO_TYPE = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|"
    r"proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs"
)
NO_PLACE = re.compile(r"/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)")
NO_DISK = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
# As the kernel writes spaces and the like.
ESCAPED = re.compile(r"\\([0-7]{3})")
SECTOR, MILLI = 512, 1e3
FILESYSTEM = MappingProxyType({
    "size_bytes": "Filesystem size in bytes.", "free_bytes": "Filesystem free space in bytes.",
    "avail_bytes": "Filesystem space available to non-root users in bytes.", "files": "Filesystem total file nodes.",
    "files_free": "Filesystem total free file nodes.", "readonly": "Filesystem read-only status.",
    "device_error": "Whether an error occurred while getting statistics for the given device.",
})
# Columns of /proc/diskstats, from the fourth on: name, factor.
DISK = (
    ("reads_completed_total", 1), ("reads_merged_total", 1), ("read_bytes_total", SECTOR),
    ("read_time_seconds_total", 1 / MILLI),
    ("writes_completed_total", 1), ("writes_merged_total", 1), ("written_bytes_total", SECTOR),
    ("write_time_seconds_total", 1 / MILLI),
    ("io_now", 1), ("io_time_seconds_total", 1 / MILLI), ("io_time_weighted_seconds_total", 1 / MILLI),
)
# One end of a container's cable: which one's, nobody can tell from its name, and the next container has another. What
# goes over it is told of the container.
NO_INTERFACE = "veth"
NETWORK = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
SENT = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")


def filesystems(proc: Path, host: Path) -> Iterator[Metric]:
    """Yield how full each file system of the machine is, once for each place where it is mounted."""
    metrics = {name: Metric(f"node_filesystem_{name}", "gauge", text) for name, text in FILESYSTEM.items()}
    for device, place, kind, options, numbers in _mounts(proc / "1/mountinfo"):
        told = _measured(host / place.lstrip("/"), numbers)
        metrics["device_error"].add(float(told is None), device=device, fstype=kind, mountpoint=place)
        if told is None:
            continue
        values = {
            "size_bytes": told.f_blocks * told.f_frsize, "free_bytes": told.f_bfree * told.f_frsize,
            "avail_bytes": told.f_bavail * told.f_frsize, "files": told.f_files, "files_free": told.f_ffree,
            "readonly": int("ro" in options.split(",")),
        }
        for name, value in values.items():
            metrics[name].add(value, device=device, fstype=kind, mountpoint=place)
    yield from metrics.values()


def _mounts(path: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (device, place, type, options, MAJOR:MINOR) of what is mounted; of two in one place, the upper one."""
    found = {}
    for line in lines_of(path):
        first, _, second = line.partition(" - ")
        words, more = first.split(), second.split()
        if NO_TYPE.fullmatch(more[0]):
            continue
        place = ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[4])
        if not NO_PLACE.match(place):
            found[place] = (more[1], place, more[0], words[5], words[2])
    yield from found.values()


def _measured(path: Path, numbers: str) -> os.statvfs_result | None:
    """Return how full it is; None when something else is seen there.

    What was mounted since is not always seen from a container.
    """
    try:
        device = path.stat().st_dev
        if f"{os.major(device)}:{os.minor(device)}" != numbers:
            return None
        return os.statvfs(path)
    except OSError:
        return None


def disks(proc: Path) -> Iterator[Metric]:
    """Yield what each disk has done; parts of disks are left out."""
    metrics = [
        Metric(f"node_disk_{name}", "gauge" if name == "io_now" else "counter", f"As /proc/diskstats has it: {name}.")
        for name, _ in DISK
    ]
    for line in lines_of(proc / "diskstats"):
        words = line.split()
        if not NO_DISK.fullmatch(words[2]):
            for metric, (_, factor), value in zip(metrics, DISK, words[3:], strict=False):
                metric.add(int(value) * factor, device=words[2])
    yield from metrics


def networks(proc: Path, host: Path) -> Iterator[Metric]:
    """Yield what went over each interface of the machine, and whether it is up; see NO_INTERFACE."""
    told = [f"receive_{name}" for name in NETWORK] + [f"transmit_{name}" for name in SENT]
    metrics = [Metric(f"node_network_{name}_total", "counter", f"Network device statistic {name}.") for name in told]
    up = Metric("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.")
    for line in lines_of(proc / "1/net/dev")[2:]:
        name, _, rest = line.strip().partition(":")
        if name.startswith(NO_INTERFACE):
            continue
        numbers = list(map(int, rest.split()))
        labels = labels_text({"device": name})
        for metric, value in zip(metrics, numbers, strict=False):
            metric.add_at(labels, value)
        state = lines_of(f"{host}/sys/class/net/{name}/operstate")
        if state:
            up.add_at(labels, float(state[0] == "up"))
    yield from (*metrics, up)
