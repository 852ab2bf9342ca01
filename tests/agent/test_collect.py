"""Is every line of every container kept once, with whose it is, whenever the agent is killed?"""

from __future__ import annotations

import errno
import json
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handful.agent import store as storing
from handful.agent.checkpoint import CHECKPOINT, SAFE
from handful.agent.codec import Zstd
from handful.agent.collect import BROKEN, Collector
from handful.agent.containers import Containers
from handful.agent.disk import read_object
from handful.agent.ends import Memory
from handful.agent.query import Query
from handful.agent.search import search
from handful.agent.store import Store

if TYPE_CHECKING:
    from conftest import Docker

WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}


def write(log: Path, text: str, number: int, *, size: int = 3000, files: int = 5) -> None:
    """Write a record, in two parts now and then, and rotate where the file is full."""
    parts = [text[:4], text[4:] + "\n"] if number % 7 == 0 else [text + "\n"]
    for part in parts:
        if log.stat().st_size >= size:
            for old in range(files - 2, 0, -1):
                if (older := log.with_name(f"{log.name}.{old}")).exists():
                    older.rename(log.with_name(f"{log.name}.{old + 1}"))
            log.rename(log.with_name(f"{log.name}.1"))
            log.touch()
        with log.open("ab") as file:
            told = {"log": part, "stream": "stdout", "time": f"2026-01-01T10:{number // 60 % 60:02}:{number % 60:02}.{number:09}Z"}
            file.write(json.dumps(told).encode() + b"\n")


class Agent:
    """An agent on a folder, that can be killed."""

    def __init__(self, docker: Docker, folder: Path, boot: str = "first boot") -> None:
        self.containers = Containers(docker.folder)
        self.collector = Collector(Store(folder, Zstd(), boot), {("shop", "web"): (("error", "Traceback"),)}, {}, Memory())

    def turn(self, now: float) -> None:
        """One round."""
        self.collector.see(self.containers.look(), now)
        self.collector.read(now)
        self.collector.flush()


def kept(folder: Path, stack: str = "shop", **asked: Any) -> list[str]:
    """Return what is kept of a stack."""
    return [line["x"] for line in search(folder, Query(stack, **asked))]


@pytest.mark.parametrize("seed", range(12))
def test_each_line_is_kept_once(docker: Docker, tmp_path: Path, seed: int) -> None:
    """Over rotations and kills, between a record and the checkpoint as well."""
    chance = random.Random(seed)  # noqa: S311  # a test
    logs = {name: docker.run(name, f"shop.{name}", {**WEB, "handful.app": name}) for name in ("web", "db")}
    agent, now, count = Agent(docker, tmp_path / "logs"), 0.0, 0
    for _ in range(80):
        for _ in range(chance.randrange(12)):
            write(logs[chance.choice(("web", "db"))], f"line {count:06}", count)
            count += 1
        agent.turn(now)
        now += chance.choice((0.2, 0.2, 1.5))
        if chance.random() < 0.15:
            # Killed: nothing more is written down.
            agent.collector.drop()
            agent = Agent(docker, tmp_path / "logs")
    agent.turn(now)
    assert sorted(kept(tmp_path / "logs")) == [f"line {number:06}" for number in range(count)]
    assert not agent.collector.gaps
    agent.collector.drop()


@pytest.mark.parametrize("seed", range(12))
def test_each_line_is_kept_once_over_power_cuts(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """What had not reached the disk is lost, half there, or zeros; large files are packed, and hours that are over; the disk is full now and then."""
    monkeypatch.setattr(storing, "MOST_OPEN", 6000)
    chance = random.Random(seed)  # noqa: S311  # a test
    replace = os.replace

    def full(*names: str) -> None:
        if chance.random() < 0.05:
            raise OSError(errno.ENOSPC, "full")
        replace(*names)

    monkeypatch.setattr(os, "replace", full)
    logs, folder = {name: docker.run(name, f"shop.{name}", {**WEB, "handful.app": name}) for name in ("web", "db")}, tmp_path / "logs"
    agent, now, count, boots = Agent(docker, folder, "0"), 0.0, 0, 0
    for _ in range(120):
        for _ in range(chance.randrange(8)):
            write(logs[chance.choice(("web", "db"))], f"line {count:06}", count, files=50)
            count += 1
        failed = False
        try:
            agent.turn(now)
        except OSError:
            failed = True
        now += chance.choice((0.2, 0.2, 1.5, 4.0, 150.0))
        if failed or chance.random() < 0.15:
            agent.collector.drop()
            if chance.random() < 0.5:
                boots += 1
                lose(folder, chance)
            agent = Agent(docker, folder, str(boots))
    monkeypatch.undo()
    agent.turn(now)
    while agent.collector.behind:
        agent.turn(now)
    agent.collector.drop()
    assert sorted(kept(folder)) == [f"line {number:06}" for number in range(count)]
    assert boots > 3
    assert list(folder.glob("shop/web/*.idx"))


def lose(folder: Path, chance: random.Random) -> None:
    """Let the power fail: of what was written after the last safe checkpoint, a disk has anything, or nothing."""
    sizes = read_object(folder / SAFE).get("sizes", {})
    for path in folder.glob("*/*/*.jsonl"):
        safe = sizes.get(str(path.relative_to(folder)), 0)
        with path.open("r+b") as file:
            file.truncate(chance.randint(safe, path.stat().st_size))
            file.truncate(file.seek(0, 2) + chance.choice((0, 100)))
    newest = folder / CHECKPOINT
    if newest.exists():
        chance.choice((lambda: None, lambda: newest.write_bytes(bytes(100)), newest.unlink))()


def test_a_line_that_has_only_begun_doubles_no_other(docker: Docker, tmp_path: Path) -> None:
    """One stream is in the middle of a line when the agent is killed; the other one's lines come once, and the line comes whole."""
    log = docker.run("a" * 64, "shop.web-1", WEB)

    def record(text: str, stream: str, number: int) -> None:
        with log.open("a") as file:
            file.write(json.dumps({"log": text, "stream": stream, "time": f"2026-01-01T10:00:{number:02}Z"}) + "\n")

    record("progress ...", "stdout", 0)
    for number in range(1, 6):
        record(f"{number}\n", "stderr", number)
        agent = Agent(docker, tmp_path / "logs")
        agent.turn(number * 2.0)
        agent.collector.drop()
    record(" done\n", "stdout", 6)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(20.0)
    agent.collector.drop()
    assert kept(tmp_path / "logs") == ["progress ... done", "1", "2", "3", "4", "5"]


def test_who_cannot_look_has_not_seen_that_they_are_gone(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that fails ends no reading, so nothing is read twice afterwards."""
    log = docker.run("a" * 64, "shop.web-1", WEB)
    agent = Agent(docker, tmp_path / "logs")
    write(log, "first", 1)
    agent.turn(0.0)
    for place, broken in ((os, "listdir"), (Path, "read_bytes")):
        with monkeypatch.context() as context:
            context.setattr(place, broken, refuse)
            (docker.folder / ("a" * 64) / "config.v2.json").touch()
            agent.turn(2.0)
    write(log, "second", 2)
    agent.turn(4.0)
    agent.collector.drop()
    assert kept(tmp_path / "logs") == ["first", "second"]


@pytest.mark.parametrize(("lines", "gaps"), [(40, 0), (400, 1)])
def test_one_that_came_while_nobody_looked(docker: Docker, tmp_path: Path, lines: int, gaps: int) -> None:
    """Where all files are there that are kept, older ones may be gone: it is told. Not of what was there before the first agent."""
    for number in range(400):
        write(docker.folder / "old" / "old-json.log" if number else docker.run("old", "old", {}), f"line {number}", number)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)
    agent.collector.drop()
    assert not agent.collector.gaps
    log = docker.run("a" * 64, "shop.web-1", WEB, StartedAt="2999-01-01T00:00:00Z")
    for number in range(lines):
        write(log, f"line {number}", number)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(2.0)
    agent.collector.drop()
    assert agent.collector.gaps == ({("shop", "web"): gaps} if gaps else {})


def test_what_is_said_while_the_disk_is_waited_for_is_for_the_next_checkpoint(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing else happens until then."""
    come = threading.Event()
    monkeypatch.setattr(storing, "sync", lambda _: come.wait(20.0))
    write(docker.run("a" * 64, "shop.web-1", WEB), "first", 1)
    containers, store = Containers(docker.folder), Store(tmp_path / "logs", Zstd(), "a boot")
    collector = Collector(store, {}, {}, Memory())

    def one_comes() -> None:
        if not come.is_set():
            docker.run("b" * 64, "shop.web-2", WEB)
            collector.see(containers.look(), 0.0)
            come.set()

    store.between = one_comes
    collector.see(containers.look(), 0.0)
    collector.read(0.0)
    assert come.is_set()
    assert "b" * 64 not in read_object(tmp_path / "logs" / CHECKPOINT)["known"]
    collector.see(containers.look(), 2.0, (), ())
    collector.read(2.0)
    collector.drop()
    assert "b" * 64 in read_object(tmp_path / "logs" / CHECKPOINT)["known"]


def test_one_that_is_removed_in_a_long_line(docker: Docker, tmp_path: Path) -> None:
    """A piece of the log that has no line's end is not the end of the log."""
    log = docker.run("a" * 64, "shop.web-1", WEB)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)
    with log.open("a") as file:
        for part in (*["x" * 16384] * 50, "the end\n", "last words\n"):
            file.write(json.dumps({"log": part, "stream": "stdout", "time": "2026-01-01T10:00:00Z"}) + "\n")
    docker.remove("a" * 64)
    for now in range(1, 9):
        agent.turn(float(now))
    agent.collector.drop()
    told = [line["x"] for line in search(tmp_path / "logs", Query("shop")) if line["s"] == "stdout"]
    assert [(len(line), line[-7:]) for line in told] == [(50 * 16384 + 7, "the end"), (10, "t words")]


def test_what_is_no_line_in_dockers_log(docker: Docker, tmp_path: Path) -> None:
    """Zeros after a power cut, or half a record where somebody emptied the file in a bad moment: said once, and what follows is read."""
    log = docker.run("a" * 64, "shop.web-1", WEB)
    agent = Agent(docker, tmp_path / "logs")
    write(log, "before", 1)
    agent.turn(0.0)
    with log.open("ab") as file:
        file.write(bytes(300))
    write(log, "after", 2)
    agent.turn(2.0)
    with log.open("ab") as file:
        file.write(b'half a record","stream":"stdout"}\nmore\n')
    write(log, "at last", 3)
    agent.turn(4.0)
    agent.collector.drop()
    told = list(search(tmp_path / "logs", Query("shop")))
    assert [line["x"] for line in told if line["s"] == "stdout"] == ["before", "after", "at last"]
    assert [(line["x"], line["l"]) for line in told if line["s"] == "handful"] == [(BROKEN, "warn")] * 2
    assert agent.collector.gaps == {("shop", "web"): 2}


def test_who_writes_little_waits_for_the_checkpoint(docker: Docker, tmp_path: Path) -> None:
    """Who writes much is read at each look; and at once whoever has another file, has ended, or is gone."""
    logs = {key: docker.run(key * 64, f"shop.{key}-1", {**WEB, "handful.app": key}) for key in "abc"}
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)

    def look(now: float, changed: str, lived: str = "") -> list[str]:
        agent.collector.see(agent.containers.look(), now, {key * 64 for key in changed}, {key * 64 for key in lived})
        agent.collector.read(now)
        agent.collector.flush()
        return kept(tmp_path / "logs")

    write(logs["a"], "little", 1)
    with logs["b"].open("a") as file:
        file.writelines(json.dumps({"log": f"much {number}\n", "stream": "stdout", "time": f"2026-01-01T10:01:00.{number:03}Z"}) + "\n" for number in range(100))
    assert look(0.2, "ab") == []
    assert len(look(1.0, "c")) == 101
    write(logs["a"], "again", 122)
    write(logs["b"], "more", 123)
    assert look(1.2, "ab")[-1] == "more"
    assert len(kept(tmp_path / "logs")) == 102
    # It wrote little this time.
    write(logs["b"], "the rest", 124)
    assert look(1.4, "ab")[-1] == "more"
    assert look(1.6, "", "a")[-2:] == ["again", "more"]
    docker.remove("b" * 64)
    assert look(1.8, "b", "b")[-1] == "the rest"
    agent.collector.drop()


def test_when_something_is_to_be_read(docker: Docker, tmp_path: Path) -> None:
    """For a checkpoint; at once of whoever writes much, or may write to another file: otherwise nobody has to look."""
    log = docker.run("a" * 64, "shop.web-1", WEB)
    agent = Agent(docker, tmp_path / "logs")
    assert agent.collector.is_due(0.0)
    for now in (0.0, 0.2):
        agent.turn(now)
    assert not agent.collector.is_due(0.4)
    assert agent.collector.is_due(1.2)
    agent.collector.see(agent.containers.look(), 0.4, {"a" * 64}, ())
    assert not agent.collector.is_due(0.4)
    agent.collector.see(agent.containers.look(), 0.4, {"a" * 64}, {"a" * 64})
    assert agent.collector.is_due(0.4)
    agent.collector.read(0.4)
    assert not agent.collector.is_due(0.5)
    for number in range(100):
        write(log, "much", number)
    agent.collector.see(agent.containers.look(), 0.6, {"a" * 64}, {"a" * 64})
    agent.collector.read(0.6)
    assert agent.collector.is_due(0.6)
    agent.collector.drop()


def refuse(*_: object, **__: object) -> None:
    """As a machine on which too many files are open."""
    raise OSError(24, "Too many open files")


def test_whose_a_line_is(docker: Docker, tmp_path: Path) -> None:
    """Two stacks with an app of one name, and a container that is nobody's; levels by the app's own rules."""
    for key, name, labels in (
        ("a" * 64, "shop.web-1", WEB), ("b" * 64, "blog.web-1", {**WEB, "handful.stack": "blog"}), ("c" * 64, "postgres", {}),
        ("d" * 64, "shop.web.release-command", {key: value for key, value in WEB.items() if key != "handful.instance"}),
        ("e" * 64, "odd", {"handful.stack": "../..", "handful.app": "a/b"}),
    ):
        write(docker.run(key, name, labels), f"Traceback of {name}", 1)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)
    found = [(path.parent.parent.name, path.parent.name, json.loads(line)) for path in sorted((tmp_path / "logs").glob("*/*/*.jsonl")) for line in path.read_text().splitlines()]
    assert [(stack, app, line["i"], line["l"]) for stack, app, line in found] == [
        ("_", "others", "postgres", ""), ("_.._..", "a_b", "odd", ""), ("blog", "web", "web-1", ""), ("shop", "web", "web-1", "error"),
        ("shop", "web", "web.release-command", "error"),
    ]
    assert agent.collector.lines["shop", "web", "error"] == 2
    agent.collector.drop()


def test_what_a_container_said_last_outlives_it(docker: Docker, tmp_path: Path) -> None:
    """One of a second, removed at once, in the middle of a line."""
    log = docker.run("a" * 64, "shop.job", WEB)
    write(log, "first", 1)
    agent = Agent(docker, tmp_path / "logs")
    agent.turn(0.0)
    write(log, "second", 2)
    with log.open("ab") as file:
        file.write(b'{"log":"and then","stream":"stdout","time":"2026-01-01T10:00:03Z"}\n')
    docker.remove("a" * 64)
    agent.turn(0.2)
    agent.turn(2.0)
    assert kept(tmp_path / "logs") == ["first", "second", "and then"]
    agent.collector.drop()
    assert json.loads((tmp_path / "logs/.agent/checkpoint").read_bytes())["marks"] == {}


def test_what_docker_knows_of_a_container(docker: Docker) -> None:
    """Read again only when it has changed; what is damaged is left out."""
    key = "a" * 64
    docker.run(key, "shop.web-1", WEB, restarts=2, Running=False, ExitCode=137, OOMKilled=True, FinishedAt="2026-01-01T01:00:00Z")
    containers = Containers(docker.folder)
    found = containers.look()[key]
    assert (found.pid, found.exit_code, found.killed_for_memory, found.restarts, found.finished) == (0, 137, True, 2, "2026-01-01T01:00:00Z")
    assert found.log == docker.folder / key / f"{key}-json.log"
    assert containers.look()[key] is found
    (docker.folder / key / "config.v2.json").write_text("{")
    assert containers.look()[key] is found
    assert Containers(docker.folder).look() == {}
    docker.remove(key)
    assert containers.look() == {}
    assert Containers(docker.folder / "nowhere").look() == {}
