"""The agent as a program of its own: it reads what a Docker writes, is killed, goes on, and answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

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


def asked(alone: Path, what: str, *words: str, code: int = 0) -> list[dict[str, object]]:
    """Return what it answers."""
    done = subprocess.run(command(alone, what, "--logs", str(alone / "logs"), "--stack", "shop", *words), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else [{"said": done.stderr}]


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


def begin(alone: Path, collecting: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start one."""
    line = command(alone, "collect", "--logs", str(alone / "logs"), "--containers", str(alone / "containers"))
    with (alone / "said").open("ab") as said:
        collecting.append(subprocess.Popen(line, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, stderr=said))
    return collecting[-1]


def until_kept(alone: Path, count: int) -> list[dict[str, object]]:
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
    assert list(told["minutes"].values()) == [{"error": 50}]  # type: ignore[attr-defined]
    assert "the expression is none" in str(asked(alone, "search", "--regex", "(", code=2))


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
