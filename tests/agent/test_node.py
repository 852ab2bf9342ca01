"""Are the machine's metrics those of node_exporter, to the letter?"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handful.agent.exposition import text
from handful.agent.node import node_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Host

EXPORTER = "prometheus-node-exporter"
DEADLINE = 20.0


def described(told: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the type and the labels' names of each metric of a text."""
    kinds = {words[2]: words[3] for line in told.splitlines() if line.startswith("# TYPE") and (words := line.split())}
    labels: dict[str, set[str]] = {}
    for line in told.splitlines():
        if not line.startswith("#"):
            name = re.split(r"[{ ]", line, maxsplit=1)[0]
            labels.setdefault(name, set()).update(re.findall(r'(\w+)="', line))
    return {name: (kinds[name], frozenset(labels[name])) for name in kinds if name in labels}


@pytest.fixture
def exporter(free_port: int, tmp_path: Path) -> Iterator[str]:
    """What the real one tells of this computer."""
    program = shutil.which(EXPORTER)
    if program is None and "CI" not in os.environ:
        pytest.skip(f"{EXPORTER} is not here")
    assert program
    with (tmp_path / "said").open("wb") as said:
        work = subprocess.Popen([program, f"--web.listen-address=127.0.0.1:{free_port}"], stdout=said, stderr=said)
    try:
        yield fetched(free_port)
    finally:
        work.terminate()
        work.wait()


def fetched(port: int) -> str:
    """Return what is answered, once it is."""
    deadline = time.monotonic() + DEADLINE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            told = connection.getresponse().read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return told
        finally:
            connection.close()


def test_each_metric_is_one_of_node_exporters(exporter: str) -> None:
    """By its name, its type and its labels, all on this computer."""
    theirs, ours = described(exporter), described(text(node_metrics(Path("/proc"), Path("/"))))
    assert len(ours) > 60
    assert {name: told for name, told in ours.items() if theirs.get(name) != told} == {}


def sample(told: str, name: str, labels: str = "") -> float:
    """Return the value of one sample."""
    (found,) = [line for line in told.splitlines() if line.startswith(f"{name}{labels and '{' + labels + '}'} ")]
    return float(found.rpartition(" ")[2])


def test_what_stays_is_as_they_tell_it(exporter: str) -> None:
    """Sizes and moments that do not change from one look to the next are the same numbers."""
    ours = text(node_metrics(Path("/proc"), Path("/")))
    for name in ("node_memory_MemTotal_bytes", "node_boot_time_seconds", "node_filefd_maximum"):
        assert sample(ours, name) == sample(exporter, name)
    assert sample(ours, "node_load15") == pytest.approx(sample(exporter, "node_load15"), abs=1)
    for mode in ("user", "idle", "system"):
        mine, other = (sample(told, "node_cpu_seconds_total", f'cpu="0",mode="{mode}"') for told in (ours, exporter))
        assert mine == pytest.approx(other, abs=10)
    (mine,), (other,) = ([line for line in told.splitlines() if line.startswith("node_uname_info")] for told in (ours, exporter))
    assert re.findall(r'(\w+="[^"]*")', mine) == re.findall(r'(\w+="[^"]*")', other)


def test_a_machines_files(host: Host) -> None:
    """Pressure, connections that are tracked, sockets, and counters of the network."""
    host.write({
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n",
        "proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
        "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=3\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
        "proc/sys/net/netfilter/nf_conntrack_count": "17\n", "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
        "proc/sys/fs/file-nr": "1216\t0\t9223372036854775807\n",
        "proc/vmstat": "nr_free_pages 5\noom_kill 4\npswpin 3\n",
        "proc/net/sockstat": "sockets: used 290\nTCP: inuse 6 orphan 0 tw 2 alloc 8 mem 1\n",
        "proc/net/snmp": "Tcp: RtoMin CurrEstab RetransSegs\nTcp: 200 4 9\n",
        "proc/net/netstat": "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 1 5\nIpExt: InOctets\nIpExt: 1000\n",
    })
    told = text(node_metrics(host.folder / "proc", host.folder))
    for line in (
        "node_pressure_cpu_waiting_seconds_total 1.5", "node_pressure_io_waiting_seconds_total 2", "node_pressure_io_stalled_seconds_total 0.5",
        "node_pressure_memory_waiting_seconds_total 3e-06", "node_pressure_memory_stalled_seconds_total 2e-06",
        "node_nf_conntrack_entries 17", "node_nf_conntrack_entries_limit 262144", "node_filefd_allocated 1216", "node_vmstat_oom_kill 4", "node_vmstat_pswpin 3",
        "node_sockstat_sockets_used 290", "node_sockstat_TCP_tw 2", "node_netstat_Tcp_CurrEstab 4", "node_netstat_Tcp_RetransSegs 9",
        "node_netstat_TcpExt_ListenDrops 5", "node_netstat_IpExt_InOctets 1000",
        'node_cpu_seconds_total{cpu="0",mode="idle"} 8', 'node_cpu_seconds_total{cpu="0",mode="steal"} 0', "node_boot_time_seconds 1700000000", "node_procs_running 2",
        "node_intr_total 77", "node_context_switches_total 88", "node_forks_total 99", "node_load5 0.25",
        "node_memory_MemTotal_bytes 1024000", "node_memory_Active_anon_bytes 10240", "node_memory_HugePages_Total 3",
        'node_disk_read_bytes_total{device="sda"} 51200', 'node_disk_io_time_seconds_total{device="sda"} 0.06', 'node_disk_io_now{device="sda"} 5',
        'node_network_receive_bytes_total{device="eth0"} 2000', 'node_network_transmit_drop_total{device="eth0"} 7', 'node_network_up{device="eth0"} 1',
    ):
        assert f"{line}\n" in told, line
    assert "nr_free_pages" not in told
    assert 'device="sda1"' not in told
    assert "RtoMin" not in told


def test_what_is_mounted(host: Host) -> None:
    """A place with a space in it; the upper one of two; what is none of a machine's disks is left out; what cannot be seen from here is said."""
    there = host.folder / "data disk é"
    there.mkdir()
    device = there.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    host.write({"proc/1/mountinfo": "\n".join((
        f"1 0 {numbers} / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        f"2 1 {numbers} / /data\\040disk\\040é rw - tmpfs under rw", f"3 1 {numbers} / /data\\040disk\\040é ro,noatime - xfs /dev/sdb rw",
        "4 1 0:77 / /elsewhere rw - nfs4 server:/x rw", f"5 1 {numbers} / /gone rw - ext4 /dev/sdc rw",
        "6 1 0:5 / /proc rw - proc proc rw", "7 1 0:6 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "8 1 0:7 / /dev/shm rw - tmpfs tmpfs rw",
        "9 1 0:8 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw", "",
    ))})
    (host.folder / "elsewhere").mkdir()
    told = text(node_metrics(host.folder / "proc", host.folder))
    errors = {line for line in told.splitlines() if line.startswith("node_filesystem_device_error{")}
    assert errors == {
        'node_filesystem_device_error{device="/dev/sda1",fstype="ext4",mountpoint="/"} 0',
        'node_filesystem_device_error{device="/dev/sdb",fstype="xfs",mountpoint="/data disk é"} 0',
        'node_filesystem_device_error{device="server:/x",fstype="nfs4",mountpoint="/elsewhere"} 1',
        'node_filesystem_device_error{device="/dev/sdc",fstype="ext4",mountpoint="/gone"} 1',
    }
    size = os.statvfs(there)
    labels = 'device="/dev/sdb",fstype="xfs",mountpoint="/data disk é"'
    assert sample(told, "node_filesystem_size_bytes", labels) == size.f_blocks * size.f_frsize
    assert sample(told, "node_filesystem_files", labels) == size.f_files
    assert sample(told, "node_filesystem_readonly", labels) == 1
    assert "/elsewhere" not in "".join(line for line in told.splitlines() if "size_bytes" in line)
