"""Does the agent go on whatever happens, and does a clock that is wrong cost no logs?"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest

from handful.agent import collect as collecting
from handful.agent import retain as retaining
from handful.agent import store as storing
from handful.agent import work as working
from handful.agent.codec import Gzip
from handful.agent.lines import Line
from handful.agent.query import Query
from handful.agent.requests import Requests
from handful.agent.scrape import Places
from handful.agent.search import search
from handful.agent.stacks import Stack
from handful.agent.store import Source, Store
from handful.agent.work import Agent, Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Docker

DEADLINE = 20.0
WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}


class Works:
    """An agent at work in a thread, until the block ends."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        (folder / "root").mkdir(exist_ok=True)
        self.logs, self.over = folder / "logs", list[int]()
        self.agent = Agent(Places(folder, folder / "root"), docker.folder, self.logs, 0)
        self._thread = threading.Thread(target=self.agent.go_on, args=(self.over,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.append(1)
        self._thread.join(DEADLINE)

    def texts(self, stack: str = "shop") -> list[str]:
        """Return what is kept."""
        return [line["x"] for line in search(self.logs, Query(stack)) if line["s"] != "handful"]


def until(check: Callable[[], Any]) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def say(log: Path, text: str) -> None:
    """As Docker writes a line down."""
    with log.open("a") as file:
        file.write(json.dumps({"log": f"{text}\n", "stream": "stdout", "time": "2026-01-01T10:00:00.1Z"}) + "\n")


def is_open(path: Path) -> bool:
    """Whether this process has a file open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            told = os.stat(f"/proc/self/fd/{number}")
            found.add((told.st_dev, told.st_ino))
    return (path.stat().st_dev, path.stat().st_ino) in found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for the next try."""
    monkeypatch.setattr(working, "AGAIN_SECONDS", 0.05)


@pytest.mark.parametrize("stack", ["lock", "checkpoint", ".agent", "日本" * 60])
def test_no_name_of_a_stack_stops_the_others(docker: Docker, tmp_path: Path, stack: str) -> None:
    """Not those of the agent's own files, and none that is too long for a folder."""
    say(docker.run("a" * 64, "x", {**WEB, "handful.stack": stack}), "odd")
    say(docker.run("b" * 64, "shop.web-1", WEB), "mine")
    with Works(docker, tmp_path) as works:
        until(lambda: works.texts() == ["mine"])
        kept = [path for path in works.logs.glob("*/*/*.jsonl") if "odd" in path.read_text()]
        assert len(kept) == 1
    assert works.agent.scrape.errors["logs"] == works.agent.scrape.errors["disk"] == 0


@pytest.mark.parametrize("known", [["shop"], [["shop", "web", "web-1", "1"], 5, "", True], "x", None, {}])
def test_a_checkpoint_that_another_version_has_written(docker: Docker, tmp_path: Path, known: object) -> None:
    """What does not fit is as good as nothing; what fits is taken up."""
    say(docker.run("a" * 64, "shop.web-1", WEB), "mine")
    store = Store(tmp_path / "logs", Gzip())
    store.checkpoint({}, {}, {"a" * 64: known, "": "2026-01-01T00:00:00Z"})
    with Works(docker, tmp_path) as works:
        until(lambda: works.texts() == ["mine"])


def test_what_nobody_foresaw_is_tried_again_and_told(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With where it happened: it is a mistake of ours, and somebody is to find it."""
    log, left = docker.run("a" * 64, "shop.web-1", WEB), [1, 1]
    right = working.Collector.read

    def wrong(*words: Any) -> int:
        if left:
            left.pop()
            raise TypeError("a mistake")
        return right(*words)

    monkeypatch.setattr(working.Collector, "read", wrong)
    say(log, "mine")
    with Works(docker, tmp_path) as works:
        until(lambda: works.texts() == ["mine"])
    assert works.agent.scrape.errors["logs"] == 2
    said = capfd.readouterr().err
    assert "it is tried again: TypeError: a mistake" in said
    assert "test_work.py" in said


def test_one_that_comes_and_goes_while_the_disk_is_waited_for(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are opened meanwhile, also the one that it writes to after a rotation: they are read when they are gone."""
    slow, waits, goes_on = threading.Event(), threading.Event(), threading.Event()

    def sync(_: Path) -> None:
        if slow.is_set():
            waits.set()
            # Longer than anybody below waits.
            goes_on.wait(2 * DEADLINE)

    monkeypatch.setattr(storing, "sync", sync)
    monkeypatch.setattr(collecting, "SAFE_SECONDS", 1.0)
    first = docker.run("a" * 64, "shop.web-1", WEB)
    say(first, "first")
    with Works(docker, tmp_path) as works:
        # Of a round in which all is quiet, the next one knows that nobody has come.
        until(lambda: works.texts() == ["first"])
        slow.set()
        say(first, "second")
        try:
            assert waits.wait(DEADLINE)
            log = docker.run("b" * 64, "shop.job", WEB)
            say(log, "one")
            until(lambda: is_open(log))
            log.rename(f"{log}.1")
            say(log, "two")
            until(lambda: is_open(log))
            docker.remove("b" * 64)
        finally:
            goes_on.set()
        until(lambda: works.texts() == ["first", "second", "one", "two"])
    assert not +works.agent.scrape.errors


def test_requests_that_come_once_more_are_counted_once() -> None:
    """As after a full disk: the proxy's log is read again from the last checkpoint."""
    def record(moment: int) -> bytes:
        return json.dumps({"log": f"{moment} shop.web ---- 0 200 0 1 5\n", "stream": "stdout"}, separators=(",", ":")).encode()

    requests = Requests()
    for moment in (100, 200):
        requests.take(record(moment))
    requests.again()
    for moment in (100, 200, 300):
        requests.take(record(moment))
    assert requests.answered["shop.web", "2xx"] == 3


def test_a_clock_that_is_wrong_at_boot_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years ahead, until somebody sets it; ten minutes later what is too old goes."""
    store = Store(tmp_path, Gzip())
    store.append(Source("shop", "web", "web-1"), Line("2026-01-01T10:00:00Z", "stdout", "old"), "", 0.0)
    store.checkpoint({}, {})
    assert store.seal(200.0, "2026-01-02T00")
    now = [1000.0]
    monkeypatch.setattr(working.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(working.time, "time", lambda: 2_000_000_000.0 + now[0])
    monkeypatch.setattr(working, "free_share", lambda _: 1.0)
    monkeypatch.setattr(retaining, "free_share", lambda _: 1.0)
    room = Room(tmp_path)
    room.make([Stack("shop", days=1.0)])
    assert len(list(tmp_path.glob("shop/web/*.gz"))) == 1
    now[0] += 601
    room.make([Stack("shop", days=1.0)])
    assert list(tmp_path.glob("shop/web/*.gz")) == []
