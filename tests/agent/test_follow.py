"""Does who follows get each line once, whatever happens to the agent and its files?"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from agent_support import seal_all

from handful.agent import store as storing
from handful.agent.checkpoint import CHECKPOINT
from handful.agent.codec import Gzip
from handful.agent.follow import Follower
from handful.agent.lines import Line
from handful.agent.query import Query
from handful.agent.search import last, search
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = "2026-01-02T00"


def say(store: Store, *numbers: int, app: str = "web", stack: str = "shop", hour: int = 10) -> None:
    """Keep lines."""
    for number in numbers:
        line = Line(f"2026-01-01T{hour}:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z", "stdout", str(number))
        store.append(Source(stack, app, f"{app}-1"), line, "", 0.0)


def texts(lines: list[dict[str, Any]]) -> list[str]:
    """Return what was said."""
    return [line["x"] for line in lines]


def looked(follower: Follower) -> list[dict[str, Any]]:
    """Return what has come since, as it is told."""
    return [json.loads(record) for record in follower.look()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One with three lines that a checkpoint covers."""
    made = Store(tmp_path, Gzip())
    say(made, 0, 1, 2)
    made.checkpoint({}, {})
    return made


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Follower]]:
    """Begins to follow the stack shop."""
    made: list[Follower] = []

    def begin(**asked: Any) -> Follower:
        made.append(Follower(tmp_path, Query("shop", **asked)))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_lines_come_when_a_checkpoint_covers_them(store: Store, follow: Callable[..., Follower]) -> None:
    """Once; in the order of time, with their app; of what was there before, none."""
    follower = follow()
    assert looked(follower) == []
    say(store, 4, 3)
    store.flush()
    assert looked(follower) == []
    store.checkpoint({}, {})
    found = looked(follower)
    assert [(line["x"], line["app"], line["i"]) for line in found] == [("3", "web", "web-1"), ("4", "web", "web-1")]
    assert looked(follower) == []
    store.checkpoint({}, {})
    assert looked(follower) == []


def test_what_is_not_asked_for_does_not_come(store: Store, follow: Callable[..., Follower]) -> None:
    """Other apps, other stacks, lines that do not fit."""
    follower, word = follow(apps=("web", "db")), follow(grep="5")
    say(store, 5)
    say(store, 6, app="db")
    say(store, 7, app="job")
    say(store, 58, stack="blog")
    store.checkpoint({}, {})
    assert texts(looked(follower)) == ["5", "6"]
    assert texts(looked(word)) == ["5"]


def test_an_agent_that_is_killed(store: Store, tmp_path: Path, follow: Callable[..., Follower]) -> None:
    """What no checkpoint covered is cut off and written again: it comes then, once."""
    follower = follow()
    say(store, 3, 4)
    store.flush()
    assert looked(follower) == []
    again = Store(tmp_path, Gzip())
    say(again, 3, 4, 5)
    again.checkpoint({}, {})
    assert texts(looked(follower)) == ["3", "4", "5"]


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_is_packed(store: Store, tmp_path: Path, follow: Callable[..., Follower], *, known: bool) -> None:
    """Between two looks: one that was followed, and one that nobody had opened yet."""
    follower, hour = follow(), 10 if known else 11
    say(store, 3, hour=hour)
    store.checkpoint({}, {})
    assert seal_all(store, 200.0, NOW)
    assert texts(looked(follower)) == ["3"]
    say(store, 4, hour=hour)
    store.checkpoint({}, {})
    assert texts(looked(follower)) == ["4"]
    assert not list(tmp_path.glob(f"shop/web/2026-01-01T{hour}.jsonl"))


@pytest.mark.parametrize("damaged", [True, False])
def test_after_a_power_cut(tmp_path: Path, follow: Callable[..., Follower], *, damaged: bool) -> None:
    """Who begins before the first checkpoint of the new boot begins at what the next agent goes on from."""
    store = Store(tmp_path, Gzip(), "a")
    say(store, 1)
    store.checkpoint({}, {})
    say(store, 2, 3)
    store.checkpoint({}, {}, safe=False)
    if damaged:
        (tmp_path / CHECKPOINT).write_bytes(bytes(100))
    store = Store(tmp_path, Gzip(), "b")
    follower = follow()
    say(store, 2, 3, 4)
    store.checkpoint({}, {})
    assert texts(looked(follower)) == ["2", "3", "4"]


def test_before_there_is_anything(tmp_path: Path, follow: Callable[..., Follower]) -> None:
    """All that comes is new."""
    follower = follow()
    assert (looked(follower), follower.covered) == ([], {})
    store = Store(tmp_path, Gzip())
    say(store, 1)
    store.checkpoint({}, {})
    assert texts(looked(follower)) == ["1"]


def test_what_is_covered_bounds_what_was_before(store: Store, tmp_path: Path, follow: Callable[..., Follower]) -> None:
    """Lines from before and those that come are all, and none is twice; also where the file goes on meanwhile."""
    say(store, 3)
    store.flush()
    follower = follow()
    query = replace(Query("shop"), covered=follower.covered)
    say(store, 4, 5)
    say(store, 6, hour=11)
    store.checkpoint({}, {})
    assert texts(list(search(tmp_path, query))) == ["0", "1", "2"]
    assert texts(last(tmp_path, query, 2)) == ["1", "2"]
    assert texts(looked(follower)) == ["3", "4", "5", "6"]


@pytest.mark.parametrize("seed", range(12))
def test_each_line_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, follow: Callable[..., Follower]) -> None:
    """Over checkpoints, kills and files that are packed, at any moment; lines from before are found by search."""
    monkeypatch.setattr(storing, "MOST_OPEN", 2000)
    chance = random.Random(seed)  # noqa: S311  # a test
    store, number, covered = Store(tmp_path, Gzip()), 0, 0
    begin = chance.randrange(20, 60)
    follower, found, before = None, list[str](), list[str]()
    for step in range(200):
        if step == begin:
            follower = follow()
            before = texts(list(search(tmp_path, replace(Query("shop"), covered=follower.covered))))
        count = chance.randrange(5)
        say(store, *range(number, number + count), app=chance.choice(("web", "db")), hour=10 + step // 100)
        number += count
        if chance.random() < 0.5:
            store.flush()
        if chance.random() < 0.3:
            store.checkpoint({}, {})
            covered = number
            seal_all(store, 0.0, "2026-01-01T10")
            found += texts(looked(follower)) if follower else []
        elif chance.random() < 0.1:
            store, number = Store(tmp_path, Gzip()), covered
        if follower and chance.random() < 0.5:
            found += texts(looked(follower))
    store.checkpoint({}, {})
    assert follower is not None
    found += texts(looked(follower))
    assert sorted(map(int, before + found)) == list(range(number))
    assert before
    assert found
