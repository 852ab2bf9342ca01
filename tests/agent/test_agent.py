"""The agent as a program of its own: it reads what a Docker writes, is killed, goes on, and answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[2] / "src" / "handful"
KEY = "a" * 64
DEADLINE = 30.0


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with the agent, and nothing else of handful's."""
    (tmp_path / "lib/handful").mkdir(parents=True)
    (tmp_path / "lib/handful/__init__.py").touch()
    (tmp_path / "lib/handful/agent").symlink_to(SOURCE / "agent")
    return tmp_path


def command(alone: Path, *words: str) -> list[str]:
    """Return the agent's line: a Python without the packages of this project."""
    return [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(alone / 'lib')!r}); sys.argv[0] = 'agent'\nimport runpy\nrunpy.run_module('handful.agent', run_name='__main__', alter_sys=True)", *words]


def answered(alone: Path, what: str, *words: str, code: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what it answers: what is to be known first, and the lines."""
    line = command(alone, what, "--logs", str(alone / "logs"), "--root", str(alone / "root"), "--stack", "shop", *words)
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, "")
    first, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(first) == {"now", "apps", "gone"}
    return first, lines


def asked(alone: Path, what: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Return the lines of its answer."""
    return answered(alone, what, *words, code=code)[1]


@pytest.fixture
def log(alone: Path) -> Path:
    """A container's log, with all that Docker writes beside it."""
    folder = alone / "containers" / KEY
    folder.mkdir(parents=True)
    told = {
        "ID": KEY, "Name": "/shop.web-1", "LogPath": f"/var/lib/docker/containers/{KEY}/{KEY}-json.log", "RestartCount": 0,
        "Config": {"Image": "x", "Labels": {"handful.stack": "shop", "handful.app": "web", "handful.instance": "web-1", "handful.release": "0001-a"}},
        "State": {"Running": True, "Pid": 1},
    }
    (folder / "config.v2.json").write_text(json.dumps(told))
    return folder / f"{KEY}-json.log"


def say(log: Path, numbers: range) -> None:
    """Write lines, all of this hour."""
    hour = time.strftime("%Y-%m-%dT%H", time.gmtime())
    with log.open("a") as file:
        for number in numbers:
            file.write(json.dumps({"log": f"ERROR line {number:06}\n", "stream": "stdout", "time": f"{hour}:00:00.{number:09}Z"}) + "\n")


@pytest.fixture
def collecting(log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Agents that are started, the last one running."""
    del log
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for each in started:
        each.kill()
        each.wait()


def free_port(alone: Path) -> int:
    """Return a port for the measurements, the same for all agents of a test."""
    kept = alone / "port"
    if not kept.exists():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            kept.write_text(str(free.getsockname()[1]))
    return int(kept.read_text())


def begin(alone: Path, collecting: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start one."""
    line = command(
        alone, "collect", "--logs", str(alone / "logs"), "--containers", str(alone / "containers"), "--host", "/",
        "--root", str(alone / "root"), "--port", str(free_port(alone)),
    )
    with (alone / "said").open("ab") as said:
        collecting.append(subprocess.Popen(line, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, stderr=said))
    return collecting[-1]


def until_kept(alone: Path, count: int) -> list[dict[str, Any]]:
    """Wait until so many lines are found."""
    deadline = time.monotonic() + DEADLINE
    while len(found := asked(alone, "search") if (alone / "logs").exists() else []) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count}"
        time.sleep(0.05)
    return found


def test_a_killed_agent_goes_on_where_it_was(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """By itself, on the standard library: each line is there once; asked to end, it ends well."""
    say(log, range(1000))
    agent = begin(alone, collecting)
    until_kept(alone, 1000)
    for turn in range(1, 4):
        say(log, range(turn * 1000, turn * 1000 + 500))
        agent.kill()
        agent.wait()
        say(log, range(turn * 1000 + 500, turn * 1000 + 1000))
        agent = begin(alone, collecting)
        until_kept(alone, (turn + 1) * 1000)
    found = until_kept(alone, 4000)
    assert [line["x"] for line in found] == [f"ERROR line {number:06}" for number in range(4000)]
    assert {key: found[0][key] for key in ("app", "i", "r", "s", "l")} == {"app": "web", "i": "web-1", "r": "0001-a", "s": "stdout", "l": "error"}
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(DEADLINE) == 0


def test_what_it_answers(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """The last lines, words, counts; what is wrong is said."""
    say(log, range(50))
    begin(alone, collecting)
    until_kept(alone, 50)
    assert [line["x"] for line in asked(alone, "search", "--lines", "2")] == ["ERROR line 000048", "ERROR line 000049"]
    assert [line["x"] for line in asked(alone, "search", "--grep", "000007", "--app", "web", "--level", "error")] == ["ERROR line 000007"]
    (told,) = asked(alone, "count", "--level", "warn")
    assert list(told["minutes"].values()) == [{"error": 50}]
    assert "the expression is none" in asked(alone, "search", "--regex", "(", code=2)[-1]["failed"]


def test_a_disk_that_is_full_is_waited_for(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """The agent stays, and goes on by itself: here, its folder cannot be written to for a while."""
    (alone / "logs").write_text("in the way")
    say(log, range(10))
    agent = begin(alone, collecting)
    deadline = time.monotonic() + DEADLINE
    while "nothing can be kept now" not in (alone / "said").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert agent.poll() is None
    (alone / "logs").unlink()
    assert len(until_kept(alone, 10)) == 10


def measured(alone: Path, wanted: str) -> str:
    """Return what it serves, once that has a line."""
    deadline = time.monotonic() + DEADLINE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", free_port(alone), timeout=10)
        try:
            connection.request("GET", "/metrics")
            told = connection.getresponse().read().decode()
        except OSError as refused:
            told = str(refused)
        finally:
            connection.close()
        if f"{wanted}\n" in told:
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_what_it_serves(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """How many lines it has kept, with the machine's name, as soon as that is known; asked to end, it does so at once."""
    say(log, range(50))
    agent = begin(alone, collecting)
    told = measured(alone, 'handful_log_lines_total{stack="shop",app="web",level="error",machine=""} 50')
    assert "\nnode_boot_time_seconds " in told
    assert 'handful_agent_errors_total{part="node"} 0\n' in told
    (alone / "root/stacks/shop").mkdir(parents=True)
    (alone / "root/stacks/shop/agent.json").write_text('{"machine": "one", "private": "127.0.0.78"}')
    say(log, range(50, 60))
    measured(alone, 'handful_log_lines_total{stack="shop",app="web",level="error",machine="one"} 60')
    began = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(DEADLINE) == 0
    assert time.monotonic() - began < 4
    assert (alone / "said").read_text() == ""


def test_another_one_waits(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """Until the first has ended; then it goes on where that was."""
    say(log, range(10))
    first = begin(alone, collecting)
    until_kept(alone, 10)
    second = begin(alone, collecting)
    say(log, range(10, 20))
    until_kept(alone, 20)
    assert second.poll() is None
    first.send_signal(signal.SIGTERM)
    assert first.wait(DEADLINE) == 0
    say(log, range(20, 30))
    assert [line["x"] for line in until_kept(alone, 30)] == [f"ERROR line {number:06}" for number in range(30)]
    assert (alone / "said").read_text() == ""


def test_who_follows(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """What was there, then what comes, also over a kill of the agent; it ends when whoever asked hangs up."""
    say(log, range(10))
    agent = begin(alone, collecting)
    until_kept(alone, 10)
    line = command(alone, "search", "--logs", str(alone / "logs"), "--root", str(alone / "root"), "--stack", "shop", "--lines", "3", "--follow", "--attended")
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as following:
        assert following.stdout
        assert following.stdin
        assert json.loads(following.stdout.readline())["apps"] == ["web"]
        found = [json.loads(following.stdout.readline())["x"] for _ in range(3)]
        say(log, range(10, 500))
        found += [json.loads(following.stdout.readline())["x"] for _ in range(100)]
        agent.kill()
        agent.wait()
        begin(alone, collecting)
        say(log, range(500, 600))
        found += [json.loads(following.stdout.readline())["x"] for _ in range(490)]
        assert found == [f"ERROR line {number:06}" for number in range(7, 600)]
        following.stdin.close()
        assert following.wait(DEADLINE) == 0
        assert following.stdout.read() == b""


def test_what_is_known_first(alone: Path, log: Path, collecting: list[subprocess.Popen[bytes]]) -> None:
    """The clock, whose logs are here, and who is gone: by the history, or since it was silent."""
    say(log, range(10))
    begin(alone, collecting)
    last = until_kept(alone, 10)[-1]["t"]
    first, lines = answered(alone, "search", "--grep", "000005", "--context", "1")
    assert [(line["x"][-1], line.get("around", False)) for line in lines] == [("4", True), ("5", False), ("6", True)]
    assert first["now"][:13] in {time.strftime("%Y-%m-%dT%H", time.gmtime()), last[:13]}
    assert (first["apps"], first["gone"]) == (["web"], {"web": f"{last}Z"})
    assert answered(alone, "search", "--app", "db")[0]["gone"] == {}
    shop = alone / "root/stacks/shop"
    (shop / "apps/web").mkdir(parents=True)
    (shop / "history.jsonl").write_text(
        '{"deploy":1,"event":"begun","apps":{"web":{"from":"0001-a","to":""}}}\n{"deploy":1,"event":"ended","outcome":"done","when":"2026-01-01T00:00:00Z"}\n'
    )
    assert answered(alone, "search")[0]["gone"] == {"web": "2026-01-01T00:00:00Z"}
    (shop / "apps/web/current").symlink_to("releases/0001-a")
    assert answered(alone, "count")[0]["gone"] == {}


@pytest.mark.usefixtures("log")
def test_what_is_used_now(alone: Path) -> None:
    """So many times, of this computer; its containers do not run here."""
    words = ("top", "--host", "/", "--root", str(alone / "lib"), "--containers", str(alone / "containers"), "--every", "0.1", "--times", "2")
    done = subprocess.run(command(alone, *words), capture_output=True, text=True, check=True, timeout=60)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert set(first) == set(second) == {"machine", "apps"}
    assert 0 < second["machine"]["memory"] < second["machine"]["memory_total"]
    assert 0 <= second["machine"]["cpu"] <= 2 * second["machine"]["cpus"]
