"""What does the machine use and have: read from /proc, and told by the names of node_exporter's metrics, to the letter.

So that public dashboards and alerts fit (prometheus/node_exporter 1.5: names, labels, meanings).
"""

from __future__ import annotations

import ctypes
import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.agent.exposition import Metric
from handful.agent.node_devices import disks, filesystems, networks
from handful.agent.proc import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERTZ = os.sysconf("SC_CLK_TCK")
MICRO, KIBI = 1e6, 1024
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
LOADS = ("node_load1", "node_load5", "node_load15")
STAT = MappingProxyType({
    "ctxt": ("node_context_switches_total", "counter", "Total number of context switches."),
    "intr": ("node_intr_total", "counter", "Total number of interrupts serviced."),
    "btime": ("node_boot_time_seconds", "gauge", "Node boot time, in unixtime."),
    "processes": ("node_forks_total", "counter", "Total number of forks."),
    "procs_running": ("node_procs_running", "gauge", "Number of processes in runnable state."),
    "procs_blocked": ("node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete."),
})
VMSTAT = ("oom_kill", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault")
# PSI: (file, line) → name.
PRESSURE = MappingProxyType({
    ("cpu", "some"): "node_pressure_cpu_waiting_seconds_total",
    ("io", "some"): "node_pressure_io_waiting_seconds_total",
    ("io", "full"): "node_pressure_io_stalled_seconds_total",
    ("memory", "some"): "node_pressure_memory_waiting_seconds_total",
    ("memory", "full"): "node_pressure_memory_stalled_seconds_total",
})
SINGLE = MappingProxyType({
    "sys/net/netfilter/nf_conntrack_count": "node_nf_conntrack_entries",
    "sys/net/netfilter/nf_conntrack_max": "node_nf_conntrack_entries_limit",
})
NETSTAT = frozenset({
    "IpExt_InOctets", "IpExt_OutOctets", "TcpExt_ListenDrops", "TcpExt_ListenOverflows", "TcpExt_TCPSynRetrans",
    "TcpExt_TCPTimeouts", "Tcp_ActiveOpens", "Tcp_CurrEstab", "Tcp_InErrs", "Tcp_InSegs", "Tcp_OutRsts", "Tcp_OutSegs",
    "Tcp_PassiveOpens", "Tcp_RetransSegs",
    "Udp_InDatagrams", "Udp_InErrors", "Udp_NoPorts", "Udp_OutDatagrams", "Udp_RcvbufErrors", "Udp_SndbufErrors",
})
# Of adjtimex(2): the clock is not disciplined by anybody.
UNSYNCHRONISED, TIME_ERROR, NANO_STATUS = 0x40, 5, 0x2000


def node_metrics(proc: Path, host: Path) -> Iterator[Metric]:
    """Yield what is known of the machine; `host` is where its root is seen, "/" on the machine itself."""
    yield from _stat(proc)
    yield from _memory(proc)
    yield from _load(proc)
    yield from _counters(proc)
    yield from _sockets(proc)
    yield from _clock()
    yield from _names()
    yield from filesystems(proc, host)
    yield from disks(proc)
    yield from networks(proc, host)


def _stat(proc: Path) -> Iterator[Metric]:
    cpus = Metric("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.")
    rest = []
    for line in lines_of(proc / "stat"):
        name, *values = line.split()
        if name.startswith("cpu") and name != "cpu":
            for mode, value in zip(MODES, values, strict=False):
                cpus.add(int(value) / HERTZ, cpu=name[3:], mode=mode)
        elif name in STAT:
            told, kind, text = STAT[name]
            rest.append(Metric(told, "counter" if kind == "counter" else "gauge", text))
            rest[-1].add(int(values[0]))
    yield cpus
    yield from rest


def _memory(proc: Path) -> Iterator[Metric]:
    for line in lines_of(proc / "meminfo"):
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        told = name.replace("(", "_").replace(")", "")
        told = f"node_memory_{told}_bytes" if unit == "kB" else f"node_memory_{told}"
        metric = Metric(told, "gauge", f"Memory information field {name}.")
        metric.add(int(number) * (KIBI if unit == "kB" else 1))
        yield metric


def _load(proc: Path) -> Iterator[Metric]:
    for line in lines_of(proc / "loadavg"):
        for name, value in zip(LOADS, line.split(), strict=False):
            metric = Metric(name, "gauge", f"{name.removeprefix('node_load')}m load average.")
            metric.add(float(value))
            yield metric


def _counters(proc: Path) -> Iterator[Metric]:
    table = dict(line.split(" ", 1) for line in lines_of(proc / "vmstat") if " " in line)
    for name in VMSTAT:
        if name in table:
            yield _one(f"node_vmstat_{name}", "untyped", f"/proc/vmstat information field {name}.", float(table[name]))
    for (file, kind), name in PRESSURE.items():
        for line in lines_of(proc / "pressure" / file):
            if line.startswith(f"{kind} "):
                value = int(line.rpartition("total=")[2]) / MICRO
                yield _one(name, "counter", f"Total time in seconds of pressure: {file}, {kind}.", value)
    for path, name in SINGLE.items():
        for line in lines_of(proc / path):
            yield _one(name, "gauge", f"As /proc/{path} has it.", float(line))
    for line in lines_of(proc / "sys/fs/file-nr"):
        allocated, _, most = line.split()
        yield _one("node_filefd_allocated", "gauge", "File descriptor statistics: allocated.", float(allocated))
        yield _one("node_filefd_maximum", "gauge", "File descriptor statistics: maximum.", float(most))


def _sockets(proc: Path) -> Iterator[Metric]:
    for line in lines_of(proc / "net/sockstat"):
        kind, _, rest = line.partition(":")
        words = rest.split()
        for name, value in zip(words[::2], words[1::2], strict=False):
            text = f"Number of {kind} sockets in state {name}."
            yield _one(f"node_sockstat_{kind}_{name}", "gauge", text, float(value))
    for file in ("snmp", "netstat"):
        lines = lines_of(proc / "net" / file)
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            kind = names.partition(":")[0]
            for name, value in zip(names.split()[1:], values.split()[1:], strict=False):
                if f"{kind}_{name}" in NETSTAT:
                    told = f"node_netstat_{kind}_{name}"
                    yield _one(told, "untyped", f"Statistic {kind}{name}.", float(value))


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), with room for what follows."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256),
    )


def _clock() -> Iterator[Metric]:
    yield _one("node_time_seconds", "gauge", "System time in seconds since epoch (1970).", time.time())
    told = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    if state >= 0:
        part = 1e9 if told.status & NANO_STATUS else MICRO
        synchronised = state != TIME_ERROR and not told.status & UNSYNCHRONISED
        text = "Is clock synchronized to a reliable server (1 = yes, 0 = no)."
        yield _one("node_timex_sync_status", "gauge", text, float(synchronised))
        text = "Time offset in between local system and reference clock."
        yield _one("node_timex_offset_seconds", "gauge", text, told.offset / part)
        yield _one("node_timex_maxerror_seconds", "gauge", "Maximum error in seconds.", told.maxerror / MICRO)
        yield _one("node_timex_estimated_error_seconds", "gauge", "Estimated error in seconds.", told.esterror / MICRO)


def _names() -> Iterator[Metric]:
    told = os.uname()
    metric = Metric("node_uname_info", "gauge", "Labeled system information as provided by the uname system call.")
    metric.add(
        1, domainname="(none)", machine=told.machine, nodename=told.nodename, release=told.release,
        sysname=told.sysname, version=told.version,
    )
    yield metric


def _one(name: str, kind: str, text: str, value: float) -> Metric:
    metric = Metric(name, "counter" if kind == "counter" else "untyped" if kind == "untyped" else "gauge", text)
    metric.add(value)
    return metric
