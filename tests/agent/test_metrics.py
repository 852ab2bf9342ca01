"""Are measurements those of the kernel's files, in Prometheus' words?"""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import pytest

from handful.agent.cgroups import Network, Usage, group_of, usage
from handful.agent.exposition import Metric, text
from handful.agent.proc import Files

NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    2000      20    3    4    0     0          0         0     5000      50    6    7    0     0       0          0
"""
ETH0 = (Network("eth0", 2000, 20, 3, 4, 5000, 50, 6, 7),)


def tree(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def used(proc: Path, cgroup: Path, pid: int) -> Usage | None:
    """Return what the container of a process uses."""
    group = group_of(proc, cgroup, pid)
    return usage(group) if group else None


def test_a_container_of_cgroup_v2(tmp_path: Path) -> None:
    """The limit `max` is 0, and page cache that nobody uses is not of the working set."""
    tree(tmp_path, {
        "proc/42/cgroup": "0::/system.slice/docker-abc.scope\n", "proc/42/net/dev": NET,
        "cg/system.slice/docker-abc.scope/cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 250000\n",
        "cg/system.slice/docker-abc.scope/memory.current": "1000\n", "cg/system.slice/docker-abc.scope/memory.max": "max\n",
        "cg/system.slice/docker-abc.scope/memory.swap.current": "7\n", "cg/system.slice/docker-abc.scope/memory.events": "low 0\noom 3\noom_kill 1\n",
        "cg/system.slice/docker-abc.scope/memory.stat": "anon 300\nfile 600\ninactive_file 400\n",
        "cg/system.slice/docker-abc.scope/io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n",
    })
    assert used(tmp_path / "proc", tmp_path / "cg", 42) == Usage(
        1.5, 1.0, 0.5, 10, 2, 0.25, 1000, 600, 300, 600, 7, 0, 1, 11, 22, ETH0,
    )


@pytest.mark.parametrize("mounted", ["cpu,cpuacct", "cpuacct,cpu", "apart"])
def test_a_container_of_cgroup_v1(tmp_path: Path, mounted: str) -> None:
    """Also where v2 is mounted beside it; a limit of all that there is, is none."""
    cpu, account = ("cpu", "cpuacct") if mounted == "apart" else (mounted, mounted)
    tree(tmp_path, {
        "proc/42/cgroup": "5:memory:/docker/abc\n4:blkio:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n",
        "proc/42/net/dev": NET, f"cg/{account}/docker/abc/cpuacct.usage": "1500000000\n", f"cg/{account}/docker/abc/cpuacct.stat": "user 100\nsystem 50\n",
        f"cg/{cpu}/docker/abc/cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 250000000\n",
        "cg/memory/docker/abc/memory.usage_in_bytes": "1000\n", "cg/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
        "cg/memory/docker/abc/memory.stat": "cache 1\ntotal_cache 600\ntotal_rss 300\ntotal_swap 7\ntotal_inactive_file 400\n",
        "cg/memory/docker/abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "cg/blkio/docker/abc/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 1\n8:16 Write 2\nTotal 33\n",
    })
    assert used(tmp_path / "proc", tmp_path / "cg", 42) == Usage(
        1.5, 1.0, 0.5, 10, 2, 0.25, 1000, 600, 300, 600, 7, 0, 1, 11, 22, ETH0,
    )


def test_what_the_kernel_does_not_tell(tmp_path: Path) -> None:
    """Is not known, and not 0; a process that has ended has nothing."""
    tree(tmp_path, {"proc/42/cgroup": "0::/x\n", "cg/x/memory.current": "5\n"})
    assert used(tmp_path / "proc", tmp_path / "cg", 42) == Usage(memory=5, working_set=5)
    assert used(tmp_path / "proc", tmp_path / "cg", 43) is None


def test_this_computers_own_files() -> None:
    """Whatever they are: of a process that runs, something is known."""
    found = used(Path("/proc"), Path("/sys/fs/cgroup"), 1)
    assert found is not None


def test_files_that_stay_open(tmp_path: Path) -> None:
    """What they say is read anew each time; those that nobody reads any more are closed, and more than that are never open."""
    before, files = len(os.listdir("/proc/self/fd")), Files(most=5)
    names = [str(tmp_path / str(number)) for number in range(8)]
    for turn in range(3):
        for name in names:
            Path(name).write_text(f"{turn}")
        files.turn()
        assert [files.read(name) for name in names] == [b"%d" % turn] * 8
        assert files.read(names[0]) == b"%d" % turn
        assert files.read(str(tmp_path / "none")) == b""
        assert len(os.listdir("/proc/self/fd")) == before + 5
    files.turn()
    assert files.read(names[0]) == b"2"
    files.turn()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    files.turn()
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_one_by_the_same_name(tmp_path: Path) -> None:
    """As the cgroup of a container that was restarted: what is open tells nothing any more, and what is there now does."""
    files, link = Files(), tmp_path / "group"
    with subprocess.Popen(["sleep", "60"]) as first:
        link.symlink_to(f"/proc/{first.pid}/stat")
        assert files.read(str(link)).startswith(b"%d " % first.pid)
        first.kill()
    link.unlink()
    assert files.read(str(link)) == b""
    link.symlink_to("/proc/self/stat")
    for _ in range(2):
        files.turn()
        assert files.read(str(link)).startswith(b"%d " % os.getpid())


def test_a_container_that_has_ended_is_not_measured() -> None:
    """Its cgroup's file is open, and can be read no more: as if it were not there."""
    files = Files()
    with subprocess.Popen(["sleep", "60"]) as process:
        path = f"/proc/{process.pid}/stat"
        files.turn()
        assert files.read(path)
        process.kill()
    assert files.read(path) == b""


def test_the_text() -> None:
    """Labels with anything in them; a metric without samples is left out; numbers as they are."""
    one, none = Metric("a_total", "counter", "How many."), Metric("b", "gauge", "Nothing.")
    one.add(3, name='x"y\\z\nü')
    one.add(0.25)
    one.add(None, name="unknown")
    one.add(math.inf)
    assert text([one, none]) == '# HELP a_total How many.\n# TYPE a_total counter\na_total{name="x\\"y\\\\z\\nü"} 3\na_total 0.25\na_total +Inf\n'
