"""Is all that is measured told as Prometheus reads it, by the names that public dashboards ask for?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from handful.agent.container_metrics import ContainerMetrics
from handful.agent.containers import Containers
from handful.agent.exposition import text
from handful.agent.own_metrics import app_metrics, log_metrics
from handful.agent.requests import Requests
from handful.agent.scrape import Places, Scrape, Seen
from handful.agent.stacks import App, Stack, Stacks

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docker, Host

WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}
FIRST, SECOND = "a" * 64, "b" * 64
# A metric's name, its labels, and its value.
SAMPLE = re.compile(r"(\w+)(\{.*\})? (\S+)")


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> int:
    """Of cgroups."""
    number: int = request.param
    return number


@pytest.fixture
def two(docker: Docker, host: Host, version: int) -> Containers:
    """An app's container, and one that is nobody's."""
    docker.run(FIRST, "shop.web-1", WEB, Pid=42, StartedAt="2026-01-01T00:00:00.5Z", Health={"Status": "healthy"})
    docker.run(SECOND, "postgres", {}, Pid=43)
    host.container(42, FIRST, version)
    host.container(43, SECOND, version, cpu=7.0, memory=300)
    return Containers(docker.folder)


def measured(containers: Containers, host: Host) -> str:
    """Return what is told of them."""
    return text(ContainerMetrics(host.folder / "proc", host.folder / "sys/fs/cgroup")(containers.look().values()))


def test_what_containers_use(two: Containers, host: Host, version: int) -> None:
    """By cAdvisor's names and labels; with whose it is."""
    path = f"/docker/{FIRST}" if version == 1 else f"/system.slice/docker-{FIRST}.scope"
    own = f'id="{path}",name="shop.web-1",image="x:1",container_label_handful_stack="shop",container_label_handful_app="web",container_label_handful_instance="web-1",container_label_handful_release="0001-abc"'
    told = measured(two, host).splitlines()
    for line in (
        f'container_cpu_usage_seconds_total{{{own},cpu="total"}} 1.5', f"container_cpu_user_seconds_total{{{own}}} 1",
        f"container_cpu_system_seconds_total{{{own}}} 0.5", f"container_cpu_cfs_periods_total{{{own}}} 10",
        f"container_cpu_cfs_throttled_periods_total{{{own}}} 2", f"container_cpu_cfs_throttled_seconds_total{{{own}}} 0.25",
        f"container_memory_usage_bytes{{{own}}} 1000", f"container_memory_working_set_bytes{{{own}}} 600", f"container_memory_rss{{{own}}} 300",
        f"container_memory_cache{{{own}}} 600", f"container_memory_swap{{{own}}} 7", f"container_spec_memory_limit_bytes{{{own}}} 4000",
        f"container_oom_events_total{{{own}}} 1", f"container_fs_reads_bytes_total{{{own}}} 11", f"container_fs_writes_bytes_total{{{own}}} 22",
        f'container_network_receive_bytes_total{{{own},interface="eth0"}} 2000', f'container_network_receive_packets_total{{{own},interface="eth0"}} 20',
        f'container_network_receive_errors_total{{{own},interface="eth0"}} 3', f'container_network_receive_packets_dropped_total{{{own},interface="eth0"}} 4',
        f'container_network_transmit_bytes_total{{{own},interface="eth0"}} 5000', f'container_network_transmit_packets_total{{{own},interface="eth0"}} 50',
        f'container_network_transmit_errors_total{{{own},interface="eth0"}} 6', f'container_network_transmit_packets_dropped_total{{{own},interface="eth0"}} 7',
        f"container_start_time_seconds{{{own}}} 1767225600.5", f"container_health_state{{{own}}} 1",
    ):
        assert line in told
    assert any(line.startswith(f"container_last_seen{{{own}}} ") for line in told)
    other = path.replace(FIRST, SECOND)
    assert f'container_cpu_usage_seconds_total{{id="{other}",name="postgres",image="x:1",cpu="total"}} 7' in told
    assert f'container_memory_working_set_bytes{{id="{other}",name="postgres",image="x:1"}} 0' in told
    assert not any("postgres" in line for line in told if line.startswith("container_health_state"))


@pytest.mark.parametrize("how", ["meanwhile", "ended", "removed"])
def test_one_that_has_ended_is_not_told(docker: Docker, two: Containers, host: Host, how: str) -> None:
    """Between two looks as well: its process is gone. The other one is."""
    two.look()
    if how == "meanwhile":
        shutil.rmtree(host.folder / "proc/42")
    elif how == "ended":
        docker.change(FIRST, Running=False, Pid=0)
    else:
        docker.remove(FIRST)
    told = measured(two, host)
    assert "shop.web-1" not in told
    assert 'name="postgres"' in told


def test_what_is_to_run_and_what_does(docker: Docker) -> None:
    """By release; an app none of which runs has a zero; a command beside an app is no instance."""
    docker.run(FIRST, "shop.web-1", WEB, restarts=3)
    docker.run(SECOND, "shop.web-2", {**WEB, "handful.instance": "web-2", "handful.release": "0000-old"}, Running=False, Pid=0)
    docker.run("c" * 64, "shop.web.run", {key: value for key, value in WEB.items() if key != "handful.instance"})
    docker.run("d" * 64, "shop.web-3", {**WEB, "handful.instance": "web-3"}, Restarting=True)
    stacks = (Stack("shop", machine="one", apps={"web": App("0001-abc", 2), "db": App("0007-abc", 1)}),)
    told = text(app_metrics(stacks, Containers(docker.folder).look().values()))
    assert [line for line in told.splitlines() if not line.startswith("#")] == [
        'handful_app_replicas_desired{stack="shop",app="web",machine="one"} 2',
        'handful_app_replicas_desired{stack="shop",app="db",machine="one"} 1',
        'handful_app_replicas_running{stack="shop",app="db",release="0007-abc",machine="one"} 0',
        'handful_app_replicas_running{stack="shop",app="web",release="0000-old",machine="one"} 0',
        'handful_app_replicas_running{stack="shop",app="web",release="0001-abc",machine="one"} 1',
        'handful_container_restarts_total{stack="shop",app="web",instance="web-1",name="shop.web-1",machine="one"} 3',
        'handful_container_restarts_total{stack="shop",app="web",instance="web-2",name="shop.web-2",machine="one"} 0',
        'handful_container_restarts_total{stack="shop",app="web",instance="web-3",name="shop.web-3",machine="one"} 0',
    ]


def test_what_was_said() -> None:
    """By level; what has not been missing yet is a zero."""
    told = text(log_metrics({("shop", "web", "error"): 2, ("shop", "web", ""): 5, ("_", "postgres", "info"): 1}, {("shop", "web"): 1}, (Stack("shop", machine="one"),)))
    assert [line for line in told.splitlines() if not line.startswith("#")] == [
        'handful_log_lines_total{stack="shop",app="web",level="error",machine="one"} 2', 'handful_log_lines_total{stack="shop",app="web",level="unknown",machine="one"} 5',
        'handful_log_lines_total{stack="_",app="postgres",level="info",machine=""} 1', 'handful_agent_log_gaps_total{stack="",app=""} 0',
        'handful_agent_log_gaps_total{stack="shop",app="web",machine="one"} 1',
    ]


@pytest.fixture
def scrape(tmp_path: Path, two: Containers, host: Host) -> Scrape:
    """All of it, of a machine with a stack and requests."""
    shop = tmp_path / "root/stacks/shop"
    (shop / "apps/web").mkdir(parents=True)
    (shop / "apps/web/current").symlink_to("releases/0001-abc")
    (shop / "apps/web/instances").write_text("1")
    (shop / "agent.json").write_text('{"machine": "one"}')
    (shop / "history.jsonl").write_text(
        '{"deploy":1,"event":"begun","what":"deploy","apps":{}}\n{"deploy":1,"event":"ended","outcome":"done","when":"2026-01-01T00:00:00Z","seconds":1,"requests":{"web":{"answered":1,"failed":0,"retried":0}}}\n'
    )
    requests = Requests()
    for ended, status in (("----", 200), ("SC--", 503), ("SD--", 200)):
        requests.take(b'{"log":"1 shop.web %s 0 %d 0 1 20\\n","stream":"stdout","time":"t"}' % (ended.encode(), status))
    seen = Seen(two.look(), Counter({("shop", "web", "error"): 2}), Counter({("shop", "web"): 1}))
    return Scrape(Places(host.folder, tmp_path / "root"), Stacks(tmp_path / "root"), seen, requests)


def test_two_who_ask_at_once(scrape: Scrape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address has a thread of its own: they measure one after the other, for what they keep is of one at a time."""
    look, inside = Stacks.look, list[int]()
    most = 0

    def slow(stacks: Stacks) -> tuple[Stack, ...]:
        nonlocal most
        inside.append(0)
        most = max(most, len(inside))
        # Whoever is let in meanwhile is counted.
        threading.Event().wait(0.01)
        inside.pop()
        return look(stacks)

    monkeypatch.setattr(Stacks, "look", slow)
    asking = [threading.Thread(target=scrape) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert most == 1


def test_all_together(scrape: Scrape) -> None:
    """Of every part something; each metric once, and no sample twice; nothing could not be measured."""
    told = scrape()
    lines = told.splitlines()
    for name in (
        "node_cpu_seconds_total", "node_memory_MemTotal_bytes", "container_memory_rss", "handful_app_replicas_desired", "handful_deploy_last_info",
        "handful_requests_total", "handful_requests_failed_total", "handful_requests_cut_total", "handful_log_lines_total", "process_resident_memory_bytes",
        "handful_agent_scrape_duration_seconds", "process_start_time_seconds", "process_cpu_seconds_total",
    ):
        assert any(line.startswith((f"{name}{{", f"{name} ")) for line in lines), name
    assert {line for line in lines if line.startswith("handful_agent_errors_total")} == {
        f'handful_agent_errors_total{{part="{part}"}} 0' for part in ("node", "containers", "apps", "proxy", "disk", "logs")
    }
    headers = [line for line in lines if line.startswith("# TYPE")]
    assert len(headers) == len(set(headers))
    samples = [SAMPLE.fullmatch(line) for line in lines if not line.startswith("#")]
    keys = [(found[1], found[2]) for found in samples if found]
    assert len(keys) == len(samples) == len(set(keys))
    assert all(float(found[3]) >= 0 or "timex" in found[1] for found in samples if found)


def test_promtool_finds_nothing(scrape: Scrape) -> None:
    """But for names that node_exporter itself has, and public dashboards ask for."""
    promtool = shutil.which("promtool")
    if promtool is None and "CI" not in os.environ:
        pytest.skip("promtool is not here")
    assert promtool
    done = subprocess.run([promtool, "check", "metrics"], input=scrape(), capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    theirs = re.compile(r"node_(memory|netstat|sockstat)_\w+ metric names should be written in 'snake_case' not 'camelCase'")
    assert [line for line in said if not theirs.fullmatch(line)] == []


def test_a_part_that_cannot_be_measured(scrape: Scrape, host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out and counted, and said once; the others are told."""
    host.write({"proc/meminfo": "MemTotal: what kB\n"})
    (tmp_path / "root/proxy/run").mkdir(parents=True)
    (tmp_path / "root/proxy/run/admin.sock").touch()
    for count in (1, 2):
        told = scrape()
        assert "node_cpu_seconds_total{" not in told
        assert "container_memory_rss{" in told
        assert f'handful_agent_errors_total{{part="node"}} {count}\n' in told
        assert f'handful_agent_errors_total{{part="proxy"}} {count}\n' in told
    said = capsys.readouterr().err
    assert (said.count("not measured: node"), said.count("not measured: proxy")) == (1, 1)
