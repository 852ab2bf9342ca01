"""Is it said of every container when it began and how it ended, once, whenever the agent is killed?"""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from handful.agent.codec import Gzip
from handful.agent.collect import GAP, Collector
from handful.agent.containers import Containers
from handful.agent.ends import Memory, now_told, span
from handful.agent.query import Query
from handful.agent.search import search
from handful.agent.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docker

KEY = "a" * 64
WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}
MEBIBYTE = 1 << 20
BEGAN = time.time() + 60


def at(seconds: float) -> str:
    """Return a moment after the first agent began, as Docker writes it."""
    return now_told(BEGAN + seconds)


class Agent:
    """An agent on a folder, that can be killed."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self.containers, self.memory = Containers(docker.folder), Memory()
        self.collector = Collector(Store(folder, Gzip(), "a boot"), {}, {}, self.memory)

    def turn(self, now: float) -> None:
        """One round."""
        self.collector.see(self.containers.look(), now)
        self.collector.read(now)
        self.collector.flush()

    def kill(self) -> None:
        """Nothing more is written down."""
        self.collector.drop()


@pytest.fixture
def logs(docker: Docker, tmp_path: Path) -> Path:
    """Where an agent keeps lines, that has been at work before."""
    docker.run("0" * 64, "postgres", {}, StartedAt="2020-01-01T00:00:00Z")
    first = Agent(docker, tmp_path / "logs")
    first.turn(0.0)
    first.collector.checkpoint(0.0)
    first.kill()
    assert lives(tmp_path / "logs") == []
    return tmp_path / "logs"


def lives(folder: Path, stack: str = "shop") -> list[tuple[str, str]]:
    """Return what was said of containers, each with its level."""
    return [(line["x"], line["l"]) for line in search(folder, Query(stack)) if line["s"] == "handful"]


def write(log: Path, text: str) -> None:
    """Write a line."""
    with log.open("a") as file:
        file.write(json.dumps({"log": f"{text}\n", "stream": "stdout", "time": at(1)}) + "\n")


@pytest.mark.parametrize(("state", "said", "level"), [
    ({"ExitCode": 0}, "ended with exit code 0 after 1 min 5 s", "info"),
    ({"ExitCode": 1}, "ended with exit code 1 after 1 min 5 s", "error"),
    ({"ExitCode": 128}, "ended with exit code 128 after 1 min 5 s", "error"),
    ({"ExitCode": 137}, "ended by signal 9 (exit code 137) after 1 min 5 s", "error"),
    ({"ExitCode": 139}, "ended by signal 11 (exit code 139) after 1 min 5 s", "error"),
    ({"ExitCode": 143}, "ended by signal 15 (exit code 143) after 1 min 5 s", "info"),
    ({"ExitCode": 130}, "ended by signal 2 (exit code 130) after 1 min 5 s", "info"),
    ({"ExitCode": 137, "OOMKilled": True}, "killed for memory (exit code 137) after 1 min 5 s", "fatal"),
])
def test_how_a_container_ends(docker: Docker, logs: Path, state: dict[str, Any], said: str, level: str) -> None:
    """With when it began before; whoever is asked to end has not failed."""
    docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0), FinishedAt="0001-01-01T00:00:00Z")
    agent = Agent(docker, logs)
    agent.turn(0.0)
    docker.change(KEY, Running=False, Pid=0, FinishedAt=at(65), **state)
    for now in (0.2, 2.0, 4.0):
        agent.turn(now)
    agent.kill()
    assert lives(logs) == [("started", "info"), (said, level)]
    told = list(search(logs, Query("shop")))
    assert [(line["t"] + "Z", line["i"], line["r"], line["app"]) for line in told] == [(at(0), "web-1", "0001-abc", "web"), (at(65), "web-1", "0001-abc", "web")]


@pytest.mark.parametrize(("limit", "of"), [(64 * MEBIBYTE, " of 64"), (0, "")])
def test_what_memory_it_had_before(docker: Docker, logs: Path, limit: int, of: str) -> None:
    """A few of many samples, the last among them; the next time it begins anew."""
    docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    agent = Agent(docker, logs)
    agent.turn(0.0)
    for number in range(1, 201):
        agent.memory.sample(KEY, number * MEBIBYTE, limit)
    docker.change(KEY, Running=False, Pid=0, FinishedAt=at(1), ExitCode=137, OOMKilled=True)
    agent.turn(0.2)
    docker.change(KEY, Running=True, Pid=7, StartedAt=at(2), ExitCode=0, OOMKilled=False)
    agent.turn(0.4)
    docker.change(KEY, Running=False, Pid=0, FinishedAt=at(3), ExitCode=1)
    agent.turn(0.6)
    agent.kill()
    assert [said for said, _ in lives(logs)] == [
        "started", f"killed for memory (exit code 137) after 1.0 s; its memory before: 150 → 160 → 170 → 180 → 190 → 200 MiB{of}",
        "started", "ended with exit code 1 after 1.0 s",
    ]


def test_one_that_restarts_before_anybody_looks(docker: Docker, logs: Path) -> None:
    """That it ended is said, and that nobody knows how."""
    docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    agent = Agent(docker, logs)
    agent.turn(0.0)
    docker.change(KEY, restarts=1, StartedAt=at(31), FinishedAt=at(30))
    agent.turn(0.2)
    agent.turn(2.0)
    agent.kill()
    assert lives(logs) == [
        ("started", "info"), ("ended, and was started again before its exit code was seen after 30.0 s", "info"), ("started again (restart 1)", "info"),
    ]


@pytest.mark.parametrize("seen", [True, False])
def test_one_that_begins_and_ends_before_anybody_looks(docker: Docker, logs: Path, *, seen: bool) -> None:
    """Both are said, with how long it ran: of one that has come, and of one that had run before."""
    if seen:
        docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    agent = Agent(docker, logs)
    agent.turn(0.0)
    docker.run(KEY, "shop.web-1", WEB, restarts=int(seen), Running=False, Pid=0, StartedAt=at(10), FinishedAt=at(12), ExitCode=1)
    agent.turn(0.2)
    agent.turn(2.0)
    agent.kill()
    first = [("started", "info")] if seen else []
    assert lives(logs) == [*first, (f"started{' again (restart 1)' if seen else ''}", "info"), ("ended with exit code 1 after 2.0 s", "error")]


def test_one_that_waits_for_its_next_start(docker: Docker, logs: Path) -> None:
    """Docker calls it running: its exit code is known, and it has not started."""
    docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    agent = Agent(docker, logs)
    agent.turn(0.0)
    docker.change(KEY, restarts=1, Restarting=True, Pid=0, FinishedAt=at(1), ExitCode=3)
    agent.turn(0.2)
    docker.change(KEY, restarts=1, Restarting=False, Pid=9, StartedAt=at(2), ExitCode=0)
    agent.turn(0.4)
    agent.kill()
    assert lives(logs) == [("started", "info"), ("ended with exit code 3 after 1.0 s", "error"), ("started again (restart 1)", "info")]


def test_one_that_is_made_before_it_is_started(docker: Docker, logs: Path) -> None:
    """`docker create` is no start."""
    docker.run(KEY, "shop.web-1", WEB, Running=False, Pid=0, StartedAt="0001-01-01T00:00:00Z", FinishedAt="0001-01-01T00:00:00Z")
    agent = Agent(docker, logs)
    agent.turn(0.0)
    assert lives(logs) == []
    docker.change(KEY, Running=True, Pid=4, StartedAt=at(3))
    agent.turn(0.2)
    agent.kill()
    assert lives(logs) == [("started", "info")]


@pytest.mark.parametrize("pause", [0.2, 2.0])
@pytest.mark.parametrize("log", [True, False])
def test_one_that_is_removed_while_it_ran(docker: Docker, logs: Path, pause: float, *, log: bool) -> None:
    """It is said, once; what it wrote was read to its end, so nothing is missing. Also one whose log is elsewhere."""
    path = docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    if not log:
        told = json.loads((path.parent / "config.v2.json").read_bytes())
        (path.parent / "config.v2.json").write_text(json.dumps({**told, "LogPath": ""}))
    agent = Agent(docker, logs)
    for turn in range(3):
        write(path, "something")
        agent.turn(2.0 * turn)
    agent.memory.sample(KEY, 5 * MEBIBYTE, 0)
    docker.remove(KEY)
    # With checkpoints in between, or none.
    for turn in range(1, 6):
        agent.turn(4.0 + turn * pause)
    assert sorted(lives(logs)) == [("removed; how it ended was not seen; its memory before: 5 MiB", "info"), ("started", "info")]
    assert not agent.collector.gaps
    agent.collector.checkpoint(100.0)
    agent.kill()
    later = Agent(docker, logs)
    later.turn(0.0)
    later.kill()
    assert len(lives(logs)) == 2
    assert not later.collector.gaps


def test_one_that_was_there_before_the_first_agent(docker: Docker, tmp_path: Path) -> None:
    """When it was started is no news; how it ends is."""
    docker.run(KEY, "shop.web-1", WEB, StartedAt="2020-01-01T00:00:00.5Z", FinishedAt="2019-01-01T00:00:00Z")
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)
    agent.kill()
    assert lives(tmp_path / "logs") == []
    agent = Agent(docker, tmp_path / "logs")
    docker.change(KEY, Running=False, Pid=0, FinishedAt="2020-01-03T02:00:00.5Z", ExitCode=0)
    agent.turn(0.0)
    agent.kill()
    assert lives(tmp_path / "logs") == [("ended with exit code 0 after 2 d 2 h", "info")]


@pytest.mark.parametrize(("ended", "more", "missing"), [(True, False, False), (True, True, True), (False, False, True)])
def test_one_that_is_removed_while_no_agent_was_at_work(docker: Docker, logs: Path, *, ended: bool, more: bool, missing: bool) -> None:
    """What it wrote since is lost, which is counted and said; but not of one that had ended and was read to its end."""
    log = docker.run(KEY, "shop.web-1", WEB, StartedAt=at(0))
    agent = Agent(docker, logs)
    write(log, "something")
    if ended:
        docker.change(KEY, Running=False, Pid=0, FinishedAt=at(1), ExitCode=0)
    # That it was read to its end is known a round after the last of it.
    for now in (2.0, 4.0, 6.0):
        agent.turn(now)
    if more:
        docker.change(KEY, Running=True, Pid=3, StartedAt=at(2))
        agent.turn(8.0)
    agent.kill()
    docker.remove(KEY)
    agent = Agent(docker, logs)
    for now in (0.0, 2.0):
        agent.turn(now)
    assert agent.collector.gaps == ({("shop", "web"): 1} if missing else {})
    agent.collector.checkpoint(4.0)
    agent.kill()
    agent = Agent(docker, logs)
    agent.turn(0.0)
    agent.kill()
    said = [text for text, _ in lives(logs)]
    assert said.count(GAP) == missing
    assert said.count("removed; how it ended was not seen") == missing
    assert ((GAP, "warn") in lives(logs)) == missing


@pytest.mark.parametrize("seed", range(12))
def test_each_start_and_each_end_is_said_once(docker: Docker, logs: Path, seed: int) -> None:
    """Over kills of the agent, between a look and the checkpoint as well. What Docker forgets (a start, when it starts again) is covered by then."""
    chance, clock, now, said = random.Random(seed), 0.0, 0.0, list[tuple[str, str]]()  # noqa: S311  # a test
    agent, running = Agent(docker, logs), dict[str, tuple[float, int]]()
    for step in range(60):
        clock += 2
        key = f"{step:064}"
        if len(running) < 3 and chance.random() < 0.5:
            docker.run(key, f"shop.web-{step}", {**WEB, "handful.instance": f"web-{step}"}, StartedAt=at(clock))
            running[key] = clock, 0
            said.append((f"web-{step}", "started"))
        elif running:
            said += happens(docker, running, chance, clock, again=step % 3 == 0)
        if chance.random() < 0.3:
            agent.collector.see(agent.containers.look(), now)
            agent.collector.read(now)
            agent.kill()
            agent = Agent(docker, logs)
        # Two of three rounds end with a checkpoint.
        now += 0.2 if step % 3 == 1 else 1.5
        agent.turn(now)
        if chance.random() < 0.3:
            agent.kill()
            agent = Agent(docker, logs)
            agent.turn(now)
    agent.turn(now + 2.0)
    agent.kill()
    found = [(line["i"], line["x"]) for line in search(logs, Query("shop")) if line["s"] == "handful"]
    assert sorted(found) == sorted(said)
    assert not agent.collector.gaps


def happens(docker: Docker, running: dict[str, tuple[float, int]], chance: random.Random, clock: float, *, again: bool) -> list[tuple[str, str]]:
    """Let one of the containers end, or end and start again; return what is to be said of it."""
    key = chance.choice(sorted(running))
    began, restarts = running[key]
    name = f"web-{int(key)}"
    if not again:
        docker.change(key, Running=False, Pid=0, ExitCode=0, FinishedAt=at(clock), restarts=restarts)
        del running[key]
        return [(name, f"ended with exit code 0 after {span(clock - began)}")]
    docker.change(key, StartedAt=at(clock + 1), FinishedAt=at(clock), restarts=restarts + 1)
    running[key] = clock + 1, restarts + 1
    return [
        (name, f"ended, and was started again before its exit code was seen after {span(clock - began)}"), (name, f"started again (restart {restarts + 1})"),
    ]


@pytest.mark.parametrize(("seconds", "said"), [
    (0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min"), (61.9, "1 min 1 s"), (3600, "1 h"), (11520, "3 h 12 min"), (86400, "1 d"), (93600, "1 d 2 h"),
])
def test_how_long_is_said(seconds: float, said: str) -> None:
    """As people say it."""
    assert span(seconds) == said
