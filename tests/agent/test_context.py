"""Do the lines around those that fit come, each once, and of the same instance?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from agent_support import seal_all

from handful.agent.codec import Gzip
from handful.agent.context import with_context
from handful.agent.lines import Line
from handful.agent.query import Query
from handful.agent.search import search
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from pathlib import Path

INSTANCES = (("web", "web-1"), ("web", "web-2"), ("db", "db-1"))


def kept(folder: Path, lines: list[tuple[tuple[str, str], str]]) -> None:
    """Keep lines, one a second, over hours; the first of them are packed."""
    store = Store(folder, Gzip())
    for number, ((app, instance), text) in enumerate(lines):
        moment = f"2026-01-01T{10 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
        store.append(Source("shop", app, instance), Line(f"{moment}Z", "stdout", text), "", 0.0)
    store.checkpoint({}, {})
    seal_all(store, 200.0, "2026-01-01T11")


def told(folder: Path, query: Query, lines: int, count: int) -> list[tuple[str, bool]]:
    """Return what is told: the texts, and whether they are only around."""
    return [(line["x"], line.get("around", False)) for line in with_context(folder, query, lines, count)]


def test_lines_around_one(tmp_path: Path) -> None:
    """As many before as after, of the same instance; nothing where nothing fits."""
    lines = [(INSTANCES[number % 2], f"{number} hit" if number == 10 else str(number)) for number in range(20)]
    kept(tmp_path, lines)
    assert told(tmp_path, Query("shop", grep="hit"), 0, 2) == [("6", True), ("8", True), ("10 hit", False), ("12", True), ("14", True)]
    assert told(tmp_path, Query("shop", grep="hit", instance="web-1"), 0, 1) == [("8", True), ("10 hit", False), ("12", True)]
    assert told(tmp_path, Query("shop", grep="none"), 0, 2) == told(tmp_path, Query("shop", grep="none"), 5, 2) == []


@pytest.mark.parametrize(("hits", "expected"), [
    ((3, 5), "2 3! 4 5! 6"), ((3, 4), "2 3! 4! 5"), ((3, 6), "2 3! 4 5 6! 7"), ((0, 9), "0! 1 8 9!"), ((4,), "3 4! 5"),
])
def test_no_line_comes_twice(tmp_path: Path, hits: tuple[int, ...], expected: str) -> None:
    """Where what is around one is around another as well, or fits itself."""
    kept(tmp_path, [(INSTANCES[0], f"{number}!" if number in hits else str(number)) for number in range(10)])
    assert told(tmp_path, Query("shop", grep="!"), 0, 1) == [(word, "!" not in word) for word in expected.split()]


def test_around_the_last_ones_only(tmp_path: Path) -> None:
    """What fits before those is as any line; of another instance, what is around may be long ago."""
    lines = [(INSTANCES[2], "old db"), *((INSTANCES[0], f"{number}{'!' if number in {10, 11, 30} else ''}") for number in range(40)), (INSTANCES[2], "db!")]
    kept(tmp_path, lines)
    assert told(tmp_path, Query("shop", grep="!"), 2, 1) == [("29", True), ("30!", False), ("31", True), ("old db", True), ("db!", False)]
    assert told(tmp_path, Query("shop", ("web",), grep="!"), 2, 1) == [("10!", True), ("11!", False), ("12", True), ("29", True), ("30!", False), ("31", True)]


@pytest.mark.parametrize("lines", [0, 1, 5, 100])
@pytest.mark.parametrize("seed", range(6))
def test_as_by_hand(tmp_path: Path, seed: int, lines: int) -> None:
    """Over packed and open hours, whatever fits: what is told of each instance is what stands there, in its order."""
    chance = random.Random(seed)  # noqa: S311  # a test
    count = chance.randrange(1, 5)
    kept(tmp_path, [(chance.choice(INSTANCES), f"{number} {'hit' if chance.random() < 0.05 else 'miss'}") for number in range(3500, 4000)])
    found = list(with_context(tmp_path, Query("shop", grep="hit"), lines, count))
    everything = list(search(tmp_path, Query("shop")))
    hits = [line["x"] for line in everything if "hit" in line["x"]]
    hits = hits[-lines:] if lines else hits
    for app, instance in INSTANCES:
        here = [line for line in found if (line["app"], line["i"]) == (app, instance)]
        assert [(line["x"], line.get("around", False)) for line in here] == by_hand([line for line in everything if (line["app"], line["i"]) == (app, instance)], set(hits), count)


def by_hand(lines: list[dict[str, Any]], hits: set[str], count: int) -> list[tuple[str, bool]]:
    """Return what is to be told of an instance."""
    places = [place for place, line in enumerate(lines) if line["x"] in hits]
    around = {near for place in places for near in range(place - count, place + count + 1)}
    return [(line["x"], place not in places) for place, line in enumerate(lines) if place in around]
