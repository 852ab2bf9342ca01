"""Is it told where lines may be missing, and nowhere else?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from handful.agent import tail as tailing
from handful.agent.codec import Gzip
from handful.agent.collect import CUT, GAP, Collector
from handful.agent.containers import Containers
from handful.agent.ends import NEVER, Memory
from handful.agent.query import Query
from handful.agent.search import search
from handful.agent.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docker

KEY = "a" * 64
WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}
LINE_BYTES = 80


class Agent:
    """An agent on a folder."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self.containers, self.logs = Containers(docker.folder), folder / "logs"
        self.collector = Collector(Store(self.logs, Gzip(), "a boot"), {}, {}, Memory())
        self._now = 0.0

    def turn(self, times: int = 1) -> None:
        """So many rounds, a second apart."""
        for _ in range(times):
            self.collector.see(self.containers.look(), self._now)
            self.collector.read(self._now)
            self._now += 1.0

    def ends(self) -> list[str]:
        """Let it end; return what it said that may be missing."""
        self.collector.flush()
        self.collector.drop()
        return [line["x"] for line in search(self.logs, Query("shop")) if "may be missing" in line["x"]]

    def said(self) -> list[str]:
        """Return what is kept of what the containers said."""
        return [line["x"] for line in search(self.logs, Query("shop")) if line["s"] != "handful"]


@pytest.fixture
def agent(docker: Docker, tmp_path: Path) -> Agent:
    """One that has just begun."""
    return Agent(docker, tmp_path)


def say(log: Path, count: int, moment: str = "2026-01-01T10:00:00.1Z", first: int = 0, end: str = "\n") -> None:
    """As Docker writes lines down, which take 80 bytes."""
    with log.open("a") as file:
        for number in range(first, first + count):
            file.write(json.dumps({"log": f"line {number:07}{end}", "stream": "stdout", "time": moment}) + "\n")


def limit(log: Path, config: object) -> None:
    """Have Docker keep this of how a log is written."""
    (log.parent / "hostconfig.json").write_text(json.dumps(config))


@pytest.mark.parametrize(("size", "lines", "gaps"), [
    ("2k", 24, 0), ("2k", 25, 1), ("2 KB", 25, 1), ("1.9k", 24, 1), ("2000", 25, 1), ("2m", 25, 0), ("2kib", 25, 1), ("?", 25, 0), ("", 25, 0), (5, 25, 0),
])
def test_one_that_is_removed_when_its_file_was_full(docker: Docker, agent: Agent, size: object, lines: int, gaps: int) -> None:
    """Docker has begun another file then, most likely, and nobody has seen it."""
    log = docker.run(KEY, "shop.web-1", WEB)
    limit(log, {"LogConfig": {"Config": {"max-size": size}}})
    say(log, lines)
    assert log.stat().st_size == LINE_BYTES * lines
    agent.turn()
    docker.remove(KEY)
    agent.turn(2)
    assert agent.ends() == [GAP] * gaps
    assert len(agent.said()) == lines


@pytest.mark.parametrize("config", [[], {}, {"LogConfig": None}, {"LogConfig": {"Config": None}}, {"LogConfig": {"Config": {}}}])
def test_one_of_which_nobody_knows_when_its_file_is_full(docker: Docker, agent: Agent, config: object) -> None:
    """It is read as any other."""
    log = docker.run(KEY, "shop.web-1", WEB)
    limit(log, config)
    say(log, 3)
    agent.turn()
    docker.remove(KEY)
    agent.turn(2)
    assert agent.ends() == []
    assert len(agent.said()) == 3


def test_one_that_is_removed_between_two_looks(docker: Docker, agent: Agent) -> None:
    """It was seen to end, and its last file was gone when it was looked for."""
    log = docker.run(KEY, "shop.web-1", WEB)
    limit(log, {"LogConfig": {"Config": {"max-size": "2k"}}})
    agent.turn()
    say(log, 30)
    agent.turn()
    log.rename(f"{log}.1")
    say(log, 5, first=30)
    docker.change(KEY, Running=False, FinishedAt="2026-01-01T10:00:01Z")
    seen = agent.containers.look()
    docker.remove(KEY)
    agent.collector.see(seen, 1.5)
    agent.collector.read(1.5)
    agent.turn(2)
    assert agent.ends() == [GAP]
    assert len(agent.said()) == 30


def test_what_cannot_be_read_for_a_moment_is_read_again(docker: Docker, agent: Agent) -> None:
    """When a file is full is asked once more; not again and again, as it stays."""
    log = docker.run(KEY, "shop.web-1", WEB)
    (log.parent / "hostconfig.json").mkdir()
    assert agent.containers.look() == {}
    (log.parent / "hostconfig.json").rmdir()
    limit(log, {"LogConfig": {"Config": {"max-size": "2k"}}})
    assert agent.containers.look()[KEY].max_size == 2000
    limit(log, {})
    docker.change(KEY, Running=False)
    assert agent.containers.look()[KEY].max_size == 2000


@pytest.mark.parametrize(("moment", "cut"), [
    ("10:00:10.191Z", 1), ("10:00:09.6Z", 1), ("10:00:09.4Z", 0), ("10:00:00.08Z", 0), ("10:00:50Z", 0), ("10:00:10.191", 0), ("?", 0),
])
@pytest.mark.parametrize("end", ["\n", ""])
def test_one_that_said_more_than_docker_could_write_down(docker: Docker, agent: Agent, moment: str, cut: int, end: str) -> None:
    """Docker waits ten seconds, and lets go of the rest: its last record is from then. It is told once, also where it goes at once."""
    log = docker.run(KEY, "shop.web-1", WEB)
    agent.turn()
    say(log, 1, "2026-01-01T10:00:00.04Z", end=end)
    say(log, 1, f"2026-01-01T{moment}")
    docker.change(KEY, Running=False, FinishedAt="2026-01-01T10:00:00.05123456Z")
    agent.collector.see(agent.containers.look(), 0.5)
    docker.remove(KEY)
    agent.turn(3)
    assert agent.ends() == [CUT] * cut


@pytest.mark.parametrize("before", [
    {"StartedAt": NEVER, "FinishedAt": NEVER}, {"StartedAt": "2026-01-01T09:00:00Z", "FinishedAt": "2026-01-01T09:30:00Z"},
])
@pytest.mark.parametrize("seen", [False, True])
def test_one_that_says_much_before_docker_has_written_down_that_it_runs(docker: Docker, agent: Agent, before: dict[str, str], *, seen: bool) -> None:
    """What it says is of another run than the one that ended long ago."""
    log = docker.run(KEY, "shop.web-1", WEB, Running=False, **before)
    if seen:
        agent.turn()
    say(log, 5000)
    agent.turn(2)
    docker.change(KEY, Running=True, StartedAt="2026-01-01T10:00:00Z")
    agent.turn(2)
    assert agent.ends() == []


def test_one_that_writes_faster_than_it_is_read(docker: Docker, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that Docker has deleted keep their room on the disk while they are open: the oldest are let go of, and it is told."""
    monkeypatch.setattr(tailing, "MOST_HELD_BYTES", 5 * LINE_BYTES * 10)
    log = docker.run(KEY, "shop.web-1", WEB)
    # Of what is let go of, a piece was read: it is the begin of nothing else.
    log.write_text('{"log":"half')
    agent.turn()
    for number in range(0, 200, 10):
        say(log, 10, first=number)
        agent.collector.see(agent.containers.look(), 0.5)
        # Of its files, Docker keeps two.
        log.rename(f"{log}.1")
        log.touch()
    agent.collector.see(agent.containers.look(), 0.6)
    agent.turn(20)
    assert set(agent.ends()) == {GAP}
    # Five that are deleted, the one before, and the one that is written to.
    assert agent.said() == [f"line {number:07}" for number in range(140, 200)]


def test_files_that_are_still_there_are_not_let_go_of(docker: Docker, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many: they take no room that Docker does not give them."""
    monkeypatch.setattr(tailing, "MOST_HELD_BYTES", LINE_BYTES)
    log = docker.run(KEY, "shop.web-1", WEB)
    for number in (3, 2, 1):
        say(log.with_name(f"{log.name}.{number}"), 10, first=30 - 10 * number)
    say(log, 10, first=30)
    agent.turn()
    # And those of a container that is gone are read to their end.
    docker.remove(KEY)
    agent.turn(6)
    assert agent.ends() == []
    assert len(agent.said()) == 40
