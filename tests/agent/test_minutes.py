"""Are lines counted once for each minute, and right, whatever becomes of the file and of what was written down?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from agent_support import seal_all

from handful.agent import store as storing
from handful.agent.codec import Gzip
from handful.agent.lines import Line
from handful.agent.minutes import Counted, add_minutes, beside
from handful.agent.query import Query
from handful.agent.search import counts, search
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from pathlib import Path

WEB = Source("shop", "web", "web-1", "0001-abc")


@pytest.fixture(autouse=True)
def _counted_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "COUNT_BYTES", 500)


def say(store: Store, number: int, level: str = "info") -> None:
    """Keep a line; twenty make a minute."""
    store.append(WEB, Line(f"2026-01-01T10:{number // 20:02}:{number % 20:02}Z", "stdout", f"{number}"), level, 0.0)


def one_by_one(folder: Path) -> dict[str, dict[str, int]]:
    """Count by reading all lines."""
    found: dict[str, dict[str, int]] = {}
    for line in search(folder, Query("shop")):
        add_minutes(found, {line["t"][:16]: {line["l"]: 1}})
    return found


def test_the_hour_that_is_written_to_is_counted_as_it_grows(tmp_path: Path) -> None:
    """Most of it is known before somebody asks; what has come since is counted then; packed, nothing is left beside it."""
    store = Store(tmp_path, Gzip())
    for number in range(100):
        say(store, number, "error" if number % 7 == 0 else "info")
        if number % 10 == 0:
            store.checkpoint({}, {})
    store.flush()
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    size = Counted.of(path).size
    assert path.stat().st_size - 1500 < size < path.stat().st_size
    told = counts(tmp_path, Query("shop"))
    assert told == one_by_one(tmp_path)
    assert told["2026-01-01T10:00"] == {"error": 3, "info": 17}
    assert counts(tmp_path, Query("shop", levels=frozenset({"error"}), since="2026-01-01T10:01", until="2026-01-01T10:03")) == {
        "2026-01-01T10:01": {"error": 3}, "2026-01-01T10:02": {"error": 3},
    }  # fmt: skip
    store.checkpoint({}, {})
    assert seal_all(store, 200.0, "2026-01-01T11")
    assert counts(tmp_path, Query("shop")) == told
    assert not beside(path).exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"size":"3","minutes":{}}', b'{"size":3}', b'{"inode":INODE,"size":-5,"minutes":{}}', b'{"inode":INODE,"size":0,"minutes":{"2026-01-01T12:00":3}}'])
def test_what_was_written_down_is_damaged(tmp_path: Path, damage: bytes) -> None:
    """Then all is counted again, by who asks and by the store."""
    store = Store(tmp_path, Gzip())
    for number in range(30):
        say(store, number)
    store.checkpoint({}, {})
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    beside(path).write_bytes(damage.replace(b"INODE", b"%d" % path.stat().st_ino))
    assert counts(tmp_path, Query("shop")) == one_by_one(tmp_path)
    for number in range(30, 60):
        say(store, number)
    store.checkpoint({}, {})
    assert Counted.of(path).size == path.stat().st_size
    assert counts(tmp_path, Query("shop")) == one_by_one(tmp_path)


@pytest.mark.parametrize("seed", range(10))
def test_lines_that_are_cut_off_count_no_more(tmp_path: Path, seed: int) -> None:
    """Over kills and power cuts, with other lines in their place."""
    chance, boot, number = random.Random(seed), 0, 0  # noqa: S311  # a test
    store = Store(tmp_path, Gzip(), "0")
    for _ in range(60):
        for _ in range(chance.randrange(12)):
            say(store, number, chance.choice(("info", "error", "")))
            number += 1
        store.checkpoint({}, {}, safe=chance.random() < 0.4)
        if chance.random() < 0.2:
            boot += chance.random() < 0.5
            store = Store(tmp_path, Gzip(), str(boot))
        assert counts(tmp_path, Query("shop")) == one_by_one(tmp_path)


def test_the_end_of_a_line_that_is_being_written(tmp_path: Path) -> None:
    """Is not there yet; what a disk has spoilt is in no count."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"t":"2026-01-01T10:00:00","l":"info"}\n\x00\x00\n{"t":"2026-01-01T10:00:01","l"')
    counted = Counted(0)
    counted.go_on(path)
    assert counted.minutes == {"2026-01-01T10:00": {"info": 1}}
    with path.open("ab") as file:
        file.write(b':"info"}\n')
    counted.go_on(path)
    assert (counted.minutes, counted.size) == ({"2026-01-01T10:00": {"info": 2}}, path.stat().st_size)


def test_another_file_in_its_place(tmp_path: Path) -> None:
    """Somebody has removed lines, and not what was counted of them."""
    store = Store(tmp_path, Gzip())
    for number in range(40):
        say(store, number)
    store.checkpoint({}, {})
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    assert Counted.of(path).size
    path.unlink()
    say(store, 41)
    store.flush()
    assert counts(tmp_path, Query("shop")) == one_by_one(tmp_path) == {"2026-01-01T10:02": {"info": 1}}
