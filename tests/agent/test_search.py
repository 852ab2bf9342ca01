"""Is found what was kept, and nothing else, from open and packed hours alike?"""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from agent_support import seal_all

from handful.agent import pieces as piecing
from handful.agent import query as querying
from handful.agent import store as storing
from handful.agent.codec import Codec, Gzip, Zstd
from handful.agent.context import with_context
from handful.agent.levels import at_least
from handful.agent.lines import Line
from handful.agent.pieces import Pieces
from handful.agent.query import Filter, Query, TooSlow
from handful.agent.search import Search, counts, last, search
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = ("info", "error", "", "warn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of two apps of a stack, and one of another: two hours are packed, the third is open."""
    folder = tmp_path_factory.mktemp("logs")
    store = Store(folder, Zstd())
    for hour in (10, 11, 12):
        for number in range(600):
            moment = f"2026-01-01T{hour}:{number // 10:02}:{number % 10 * 6:02}"
            for app in ("web", "db"):
                instance = f"{app}-{number % 2 + 1}"
                text = f'{app} said "{hour}-{number}" ü\t{"needle" if number == 599 else "hay"}'
                store.append(Source("shop", app, instance, f"000{hour}"), Line(f"{moment}{f'.{number % 7}' if number % 7 else ''}Z", "stdout", text), LEVELS[number % 4], 0.0)
        store.append(Source("other", "web", "web-1"), Line(f"2026-01-01T{hour}:00:00.0Z", "stdout", "of another stack: needle"), "", 0.0)
    store.checkpoint({}, {})
    assert len(seal_all(store, 200.0, "2026-01-01T12")) == 6
    return folder


def texts(folder: Path, **asked: object) -> list[str]:
    """Return the texts of what is found in the stack shop."""
    return [line["x"] for line in search(folder, Query("shop", **asked))]  # type: ignore[arg-type]


def test_all_in_the_order_of_time(folder: Path) -> None:
    """Of all apps of the stack, and no other's."""
    found = list(search(folder, Query("shop")))
    assert len(found) == 3600
    assert [line["t"] for line in found] == sorted(line["t"] for line in found)
    assert {line["app"] for line in found} == {"web", "db"}
    assert len(texts(folder, apps=("web",))) == 1800


@pytest.mark.parametrize(("asked", "count"), [
    ({"grep": "needle"}, 6), ({"grep": 'said "11-'}, 1200), ({"grep": "ü\t"}, 3600), ({"grep": "nothing"}, 0), ({"grep": "stdout"}, 0),
    ({"regex": r"1[12]-59\d"}, 40), ({"grep": "db", "regex": "needle$"}, 3), ({"levels": at_least("error")}, 900),
    ({"levels": at_least("warn"), "apps": ("web",)}, 900), ({"release": "00011"}, 1200), ({"instance": "web-1"}, 900),
    ({"since": "2026-01-01T11:30:00"}, 1800), ({"since": "2026-01-01T11:30:00", "until": "2026-01-01T11:31:00"}, 20),
    ({"until": "2026-01-01T10:00:00.1"}, 2), ({"since": "2026-01-01T12:59:54"}, 2), ({"since": "2026-01-01T12:59:54.5"}, 0), ({"since": "2026-01-02"}, 0), ({"apps": ("gone",)}, 0),
])  # fmt: skip
def test_what_is_asked_for(folder: Path, asked: dict[str, object], count: int) -> None:
    """In what was said, not in how it is written down."""
    assert len(texts(folder, **asked)) == count


def test_the_last_lines(folder: Path) -> None:
    """Those of before, only where they are needed."""
    assert [line["x"] for line in last(folder, Query("shop", ("web",)), 2)] == ['web said "12-598" ü\thay', 'web said "12-599" ü\tneedle']
    assert len(last(folder, Query("shop", ("web",)), 1000)) == 1000
    assert [line["t"][11:13] for line in last(folder, Query("shop", ("web",), grep="needle"), 9)] == ["10", "11", "12"]


def test_counts_by_minute(folder: Path) -> None:
    """From the index alone, or from the lines: the same."""
    simple = counts(folder, Query("shop", ("web",)))
    assert (len(simple), simple["2026-01-01T10:00"]) == (180, {"info": 3, "error": 3, "": 2, "warn": 2})
    assert counts(folder, Query("shop", ("web",), grep="said")) == simple
    assert len(counts(folder, Query("shop", ("web",), since="2026-01-01T11:50"))) == 70
    half = Query("shop", ("web",), since="2026-01-01T11:50:30", until="2026-01-01T11:51:30")
    assert {minute: sum(levels.values()) for minute, levels in counts(folder, half).items()} == {"2026-01-01T11:50": 5, "2026-01-01T11:51": 5}
    errors = counts(folder, Query("shop", ("web",), levels=frozenset({"error"}), since="2026-01-01T11:00", until="2026-01-01T11:02"))
    assert {minute: sum(levels.values()) for minute, levels in errors.items()} == {"2026-01-01T11:00": 3, "2026-01-01T11:01": 2}


def test_an_expression_that_explodes_is_ended(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is none is said."""
    monkeypatch.setattr(querying, "REGEX_SECONDS", 0.2)
    store = Store(tmp_path, Zstd())
    store.append(Source("shop", "web", "web-1"), Line("2026-01-01T10:00:00Z", "stdout", "a" * 40 + "!"), "", 0.0)
    store.flush()
    with pytest.raises(TooSlow, match="aaaa"):
        list(search(tmp_path, Query("shop", regex="(a+)+$")))
    with pytest.raises(TooSlow, match="aaaa"):
        list(with_context(tmp_path, Query("shop", regex="(a+)+$"), 0, 1))
    with pytest.raises(re.error):
        list(search(folder, Query("shop", regex="(")))


def test_an_expression_that_is_slow_on_every_line_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line takes long, and all together do; who follows begins anew with each look."""
    monkeypatch.setattr(querying, "REGEX_TOTAL_SECONDS", 0.0)
    with pytest.raises(TooSlow):
        list(search(folder, Query("shop", regex="x")))
    fits = Filter(Query("shop", regex="needle"))
    line = {"t": "2026-01-01T10", "x": "needle", "l": ""}
    monkeypatch.setattr(querying, "REGEX_TOTAL_SECONDS", 1000.0)
    assert fits.fits(line)
    monkeypatch.setattr(querying, "REGEX_TOTAL_SECONDS", 1e-9)
    fits.begin()
    with pytest.raises(TooSlow):
        fits.fits(line)


def test_moments_of_one_second_are_in_their_order(tmp_path: Path) -> None:
    """Docker leaves out zeros at the end: 1s is before 1.5s, and 1.123456s before 1.1234565s."""
    store = Store(tmp_path, Zstd())
    for number, moment in enumerate(("01.5Z", "01Z", "01.1234565Z", "01.123456Z")):
        store.append(Source("shop", "web", "web-1"), Line(f"2026-01-01T10:00:{moment}", "stdout", str(number)), "", 0.0)
    store.checkpoint({}, {})
    for _ in range(2):
        assert texts(tmp_path) == ["1", "3", "2", "0"]
        assert texts(tmp_path, since="2026-01-01T10:00:01") == ["1", "3", "2", "0"]
        assert texts(tmp_path, until="2026-01-01T10:00:01.2") == ["1", "3", "2"]
        seal_all(store, 200.0, "2026-01-01T11")


def test_an_hour_that_is_packed_meanwhile(tmp_path: Path) -> None:
    """Counts once: killed between its index and the open file's end, or packed after it was listed."""
    store = Store(tmp_path, Zstd())
    for number in range(5):
        store.append(Source("shop", "web", "web-1"), Line(f"2026-01-01T10:00:0{number}Z", "stdout", str(number)), "", 0.0)
    store.checkpoint({}, {})
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    before = path.read_bytes()
    asked, fits = Pieces(tmp_path, Query("shop")), Filter(Query("shop"))
    listed = list(asked.files())
    found = [piece for path in listed for piece in asked.of(path)]
    seal_all(store, 200.0, "2026-01-01T11")
    later = [piece for path in listed for piece in asked.of(path)]
    for pieces in (found, later):
        assert [json.loads(record)["x"] for piece in pieces for _, record in fits.records(piece.read(), piece.app)] == list("01234")
    path.write_bytes(before)
    assert texts(tmp_path) == list("01234")
    path.unlink()
    (index,) = tmp_path.glob("shop/web/*.idx")
    index.write_bytes(b"{")
    assert texts(tmp_path) == []
    assert damaged(tmp_path) == set(tmp_path.glob("shop/web/*.zst"))


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    """The next look has it."""
    store = Store(tmp_path, Zstd())
    store.append(Source("shop", "web", "web-1"), Line("2026-01-01T10:00:00Z", "stdout", "whole needle"), "", 0.0)
    store.flush()
    (path,) = tmp_path.glob("shop/web/*")
    with path.open("ab") as file:
        file.write(b'{"t":"2026-01-01T10:00:01Z","x":"half needle')
    assert [line["x"] for line in search(tmp_path, Query("shop", grep="needle"))] == ["whole needle"]
    assert [line["x"] for line in search(tmp_path, Query("shop"))] == ["whole needle"]


def told(moment: str, text: str, app: str = "web") -> tuple[Source, Line]:
    """Return a line and who says it."""
    return Source("shop", app, f"{app}-1"), Line(f"2026-01-01T{moment}Z", "stdout", text)


@pytest.mark.parametrize("packed", [True, False])
def test_containers_that_are_read_one_after_the_other(tmp_path: Path, *, packed: bool) -> None:
    """Their pieces overlap in time: what is found is in the order of time all the same."""
    store = Store(tmp_path, Zstd())
    for instance in range(3):
        for number in range(4000):
            line = Line(f"2026-01-01T10:{number // 100:02}:{number % 100 * 6 // 10:02}.{number % 10}{instance}Z", "stdout", f"{number} {instance} {'x' * 100}")
            store.append(Source("shop", "web", f"web-{instance}"), line, "", 0.0)
    store.checkpoint({}, {})
    if packed:
        seal_all(store, 200.0, "2026-01-01T11")
    found = list(search(tmp_path, Query("shop")))
    assert len(found) == 12000
    assert [line["t"] for line in found] == sorted(line["t"] for line in found)
    assert len(Pieces(tmp_path, Query("shop")).of_hour("2026-01-01T10")) > 5


@pytest.mark.parametrize("seed", range(8))
def test_the_last_ones_are_the_end_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is asked for, over packed and open hours, small pieces, and lines of the same moment."""
    monkeypatch.setattr(storing, "FRAME_BYTES", 2000)
    monkeypatch.setattr(piecing, "FRAME_BYTES", 2000)
    chance = random.Random(seed)  # noqa: S311  # a test
    store = Store(tmp_path, Zstd())
    for number in range(600):
        app = chance.choice(("web", "db", "job"))
        # Late ones, in any order, of few moments.
        moment = f"{10 + number // 200}:{chance.randrange(20):02}:00"
        store.append(*told(moment, f"{number} {chance.choice(('hit', 'miss'))}", app), chance.choice(LEVELS), 0.0)
        if number == 400:
            store.checkpoint({}, {})
            seal_all(store, 200.0, "2026-01-01T11")
    store.checkpoint({}, {})
    for asked in ({}, {"grep": "hit"}, {"apps": ("web",)}, {"apps": ("job", "web"), "levels": at_least("error")}, {"since": "2026-01-01T10:05", "until": "2026-01-01T12:03"}, {"regex": "7.*hit"}, {"grep": "none"}):
        query = Query("shop", **asked)  # type: ignore[arg-type]
        everything = list(search(tmp_path, query))
        for count in (1, 2, 17, 200, 1000):
            assert last(tmp_path, query, count) == everything[-count:]


def test_an_hour_is_not_held_in_memory(tmp_path: Path) -> None:
    """200,000 lines, packed in many pieces: all of them are gone through, and the last ones found, with little."""
    store = Store(tmp_path, Zstd())
    for number in range(200_000):
        store.append(*told(f"10:{number // 4000:02}:{number // 67 % 60:02}.{number:06}", f"line {number} of some length, as lines are"), "info", 0.0)
        if number % 50_000 == 49_999:
            store.checkpoint({}, {})
            seal_all(store, 200.0, "2026-01-01T11")
    assert len(list(tmp_path.glob("shop/web/*.zst"))) == 4
    tracemalloc.start()
    try:
        assert sum(1 for _ in search(tmp_path, Query("shop"))) == 200_000
        assert len(last(tmp_path, Query("shop"), 100)) == 100
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 1024**2


def damaged(folder: Path, since: str = "") -> set[Path]:
    """Return the files that are left out of a search."""
    asked = Search(folder, Query("shop", since=since))
    for _ in asked.records():
        pass
    return asked.damaged


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff" * 100, b'{"frames": [5]}', b'{"frames": 5}'])
def test_an_index_that_is_damaged(tmp_path: Path, damage: bytes) -> None:
    """Its hour is left out, which is told; the others are found."""
    store = Store(tmp_path, Zstd())
    for hour in (10, 11):
        store.append(*told(f"{hour}:00:00", f"of {hour}"), "info", 0.0)
    store.checkpoint({}, {})
    seal_all(store, 200.0, "2026-01-01T12")
    (tmp_path / "shop/web/2026-01-01T10.idx").write_bytes(damage)
    assert damaged(tmp_path) == {tmp_path / "shop/web/2026-01-01T10.jsonl.zst"}
    assert texts(tmp_path) == ["of 11"]
    assert [line["x"] for line in last(tmp_path, Query("shop"), 5)] == ["of 11"]
    assert counts(tmp_path, Query("shop")) == {"2026-01-01T11:00": {"info": 1}}
    assert damaged(tmp_path, since="2026-01-01T11") == set()


@pytest.mark.parametrize("codec", [Zstd(), Gzip()], ids=["zstd", "gzip"])
def test_a_packed_file_that_is_damaged(tmp_path: Path, codec: Codec) -> None:
    """What cannot be unpacked is left out, which is told; the others are found."""
    store = Store(tmp_path, codec)
    for hour in (10, 11):
        store.append(*told(f"{hour}:00:00", f"of {hour}"), "info", 0.0)
    store.checkpoint({}, {})
    seal_all(store, 200.0, "2026-01-01T12")
    path = tmp_path / f"shop/web/2026-01-01T10.jsonl.{codec.ending}"
    path.write_bytes(b"\xff" * path.stat().st_size)
    asked = Search(tmp_path, Query("shop"))
    assert [json.loads(record)["x"] for record in asked.records()] == ["of 11"]
    assert asked.damaged == {path}


def test_a_block_that_a_disk_has_spoilt(tmp_path: Path) -> None:
    """Zeros where lines were, as after a power cut: they are passed over, and what stands behind them is found."""
    store = Store(tmp_path, Zstd())
    store.append(*told("10:00:00", "before"), "info", 0.0)
    store.checkpoint({}, {})
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    with path.open("ab") as file:
        file.write((b"\0" * 300_000 + b"\n") * 2)
    store.append(*told("10:00:01", "behind"), "info", 0.0)
    store.checkpoint({}, {})
    assert texts(tmp_path) == ["before", "behind"]
    assert [line["x"] for line in last(tmp_path, Query("shop"), 5)] == ["before", "behind"]
    seal_all(store, 200.0, "2026-01-01T11")
    assert texts(tmp_path) == ["before", "behind"]
    assert counts(tmp_path, Query("shop")) == {"2026-01-01T10:00": {"info": 2}}
