"""A Docker's folder of containers, and a machine's own files, as the agent sees them."""

from __future__ import annotations

import json
import shutil
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    2000      20    3    4    0     0          0         0     5000      50    6    7    0     0       0          0
"""


class Docker:
    """Docker's folder of containers, with the files that Docker writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def run(self, key: str, name: str, labels: dict[str, str], *, restarts: int = 0, **state: Any) -> Path:
        """Start a container; return its log."""
        path = self.folder / key / f"{key}-json.log"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        told = {
            "ID": key, "Name": f"/{name}", "Config": {"Image": "x:1", "Labels": labels}, "RestartCount": restarts,
            "LogPath": f"/var/lib/docker/containers/{key}/{key}-json.log",
            "State": {"Running": True, "Pid": 42, "StartedAt": "2026-01-01T00:00:00Z", "ExitCode": 0, "OOMKilled": False, **state},
        }
        (path.parent / "config.v2.json").write_text(json.dumps(told))
        return path

    def change(self, key: str, restarts: int = 0, **state: Any) -> None:
        """Write down what has become of a container, as Docker does: a new file in the old one's place."""
        path = self.folder / key / "config.v2.json"
        told = json.loads(path.read_bytes())
        told["State"] |= state
        told["RestartCount"] = restarts
        fresh = path.with_name(".tmp-config.v2.json")
        fresh.write_text(json.dumps(told))
        fresh.replace(path)

    def remove(self, key: str) -> None:
        """As `docker rm`."""
        shutil.rmtree(self.folder / key)


class Host:
    """A machine's files below a folder: /proc and /sys, with cgroups of v1 or v2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write({
            "proc/stat": "cpu  100 0 50 800 10 0 5 0 0 0\ncpu0 100 0 50 800 10 0 5 0 0 0\nintr 77 1 2\nctxt 88\nbtime 1700000000\nprocesses 99\nprocs_running 2\nprocs_blocked 1\n",
            "proc/meminfo": "MemTotal:        1000 kB\nMemAvailable:     400 kB\nActive(anon):      10 kB\nHugePages_Total:       3\n",
            "proc/loadavg": "0.50 0.25 0.10 1/100 12345\n",
            "proc/1/net/dev": NET,
            "proc/diskstats": "   8       0 sda 10 1 100 20 30 2 300 40 5 60 70\n   8       1 sda1 1 0 1 1 1 0 1 1 0 1 1\n",
            "sys/block/sda/device/model": "x",
            "sys/class/net/eth0/operstate": "up\n",
        })

    def write(self, files: dict[str, str]) -> None:
        """Write files."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def container(self, pid: int, key: str, version: int, *, cpu: float = 1.5, memory: int = 1000, received: int = 2000) -> None:
        """A container's process and what it uses: seconds of one core, and bytes."""
        self.write({f"proc/{pid}/net/dev": NET.replace("2000", str(received))})
        (self._v1 if version == 1 else self._v2)(pid, key, cpu, memory)

    def _v2(self, pid: int, key: str, cpu: float, memory: int) -> None:
        path, below = f"system.slice/docker-{key}.scope", f"sys/fs/cgroup/system.slice/docker-{key}.scope"
        self.write({
            f"proc/{pid}/cgroup": f"0::/{path}\n",
            f"{below}/cpu.stat": f"usage_usec {int(cpu * 1e6)}\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 250000\n",
            f"{below}/memory.current": f"{memory}\n", f"{below}/memory.max": "4000\n", f"{below}/memory.swap.current": "7\n",
            f"{below}/memory.events": "low 0\noom 3\noom_kill 1\n", f"{below}/memory.stat": "anon 300\nfile 600\ninactive_file 400\n",
            f"{below}/io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n",
        })

    def _v1(self, pid: int, key: str, cpu: float, memory: int) -> None:
        path = f"docker/{key}"
        self.write({
            f"proc/{pid}/cgroup": f"5:memory:/{path}\n4:blkio:/{path}\n3:cpu,cpuacct:/{path}\n1:name=systemd:/{path}\n0::/{path}\n",
            f"sys/fs/cgroup/cpu,cpuacct/{path}/cpuacct.usage": f"{int(cpu * 1e9)}\n",
            f"sys/fs/cgroup/cpu,cpuacct/{path}/cpuacct.stat": "user 100\nsystem 50\n",
            f"sys/fs/cgroup/cpu,cpuacct/{path}/cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 250000000\n",
            f"sys/fs/cgroup/memory/{path}/memory.usage_in_bytes": f"{memory}\n",
            f"sys/fs/cgroup/memory/{path}/memory.limit_in_bytes": "4000\n",
            f"sys/fs/cgroup/memory/{path}/memory.stat": "total_cache 600\ntotal_rss 300\ntotal_swap 7\ntotal_inactive_file 400\n",
            f"sys/fs/cgroup/memory/{path}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            f"sys/fs/cgroup/blkio/{path}/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 20\n8:16 Read 1\n8:16 Write 2\nTotal 33\n",
        })


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A machine's Docker."""
    return Docker(tmp_path / "containers")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine's files."""
    return Host(tmp_path / "host")


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
