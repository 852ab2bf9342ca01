"""Is each line kept once, whoever is killed when, and found again when its hour is packed?"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from agent_support import seal_all

from handful.agent import store as storing
from handful.agent.checkpoint import CHECKPOINT, SAFE
from handful.agent.codec import Codec, Gzip, Zstd, codec_of
from handful.agent.disk import meanwhile, read_object
from handful.agent.lines import Line
from handful.agent.store import Source, Store
from handful.agent.tail import Mark

if TYPE_CHECKING:
    from pathlib import Path

WEB = Source("shop", "web", "web-1", "0001-abc")


def line(number: int, hour: int = 12) -> Line:
    """Return a line of an hour."""
    return Line(f"2026-01-01T{hour:02}:{number % 60:02}:00.{number:09}Z", "stdout", f"line {number} ü")


def kept(folder: Path) -> list[str]:
    """Return the texts of all that is kept, in the order of files."""
    found: list[str] = []
    for path in sorted(folder.glob("*/*/*.jsonl*")):
        data = path.read_bytes()
        if path.suffix != ".jsonl":
            told = json.loads(path.with_name(path.name.partition(".jsonl")[0] + ".idx").read_bytes())
            codec = codec_of(path.suffix[1:])
            data = b"".join(codec.unpack(data[offset : offset + size]) for offset, size, *_ in told["frames"])
        found += [json.loads(each)["x"] for each in data.splitlines()]
    return found


def test_a_line_is_kept_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    """And whoever follows sees it at once."""
    store = Store(tmp_path, Gzip())
    store.append(WEB, line(1), "error", 0.0)
    store.flush()
    (path,) = tmp_path.glob("shop/web/*")
    assert path.name == "2026-01-01T12.jsonl"
    assert json.loads(path.read_bytes()) == {
        "t": "2026-01-01T12:01:00.000000001", "i": "web-1", "r": "0001-abc", "s": "stdout", "l": "error", "x": "line 1 ü",
    }


@pytest.mark.parametrize("flushed", [True, False])
def test_what_no_checkpoint_covers_is_cut_off(tmp_path: Path, *, flushed: bool) -> None:
    """It is read again, from the marks of the checkpoint; also a file that was made since."""
    store = Store(tmp_path, Gzip())
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({"c": Mark(7, 100, 5)}, {"c": {"stdout": ("t", "begun")}})
    store.append(WEB, line(2), "", 0.0)
    store.append(WEB, line(3, hour=13), "", 0.0)
    if flushed:
        store.flush()
    again = Store(tmp_path, Gzip())
    assert again.marks == {"c": Mark(7, 100, 5)}
    assert again.begun == {"c": {"stdout": ["t", "begun"]}}
    assert kept(tmp_path) == ["line 1 ü"]
    for each in (line(2), line(3, hour=13)):
        again.append(WEB, each, "", 0.0)
    again.checkpoint({}, {})
    assert kept(tmp_path) == ["line 1 ü", "line 2 ü", "line 3 ü"]


@pytest.mark.parametrize("codec", [Gzip(), Zstd()], ids=["gzip", "zstd"])
def test_an_hour_that_is_over_is_packed(tmp_path: Path, codec: Codec) -> None:
    """When nobody has written to it for a while; by frames, with what each minute had; lines that come late have a file beside it."""
    store = Store(tmp_path, codec)
    for number in range(20_000):
        store.append(WEB, line(number), "error" if number % 100 == 0 else "info", 0.0)
    store.checkpoint({}, {})
    assert seal_all(store, 60.0, "2026-01-01T13") == []
    assert seal_all(store, 200.0, "2026-01-01T12") == []
    (packed,) = seal_all(store, 200.0, "2026-01-01T13")
    assert packed.name == f"2026-01-01T12.jsonl.{codec.ending}"
    told = json.loads((tmp_path / "shop/web/2026-01-01T12.idx").read_bytes())
    assert len(told["frames"]) > 3
    assert sum(frame[4] for frame in told["frames"]) == 20_000
    assert sum(levels["info"] for levels in told["minutes"].values()) == 19_800
    assert told["bytes"] > 5 * packed.stat().st_size
    assert kept(tmp_path) == [f"line {number} ü" for number in range(20_000)]
    store.append(WEB, line(20_000), "", 300.0)
    store.checkpoint({}, {})
    assert [path.name for path in tmp_path.glob("shop/web/*.jsonl")] == ["2026-01-01T12.1.jsonl"]
    assert len(kept(tmp_path)) == 20_001
    again = Store(tmp_path, codec)
    again.append(WEB, line(20_001), "", 300.0)
    again.checkpoint({}, {})
    assert len(kept(tmp_path)) == 20_002


def test_who_is_killed_while_packing_leaves_one_of_both(tmp_path: Path) -> None:
    """The packed one as soon as its index is there, else the open one."""
    store = Store(tmp_path / "a", Gzip())
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({}, {})
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    seal_all(store, 200.0, "2026-01-01T13")
    packed, index = (next((tmp_path / "a/shop/web").glob(f"*.{ending}")) for ending in ("gz", "idx"))
    shutil.copy(packed, tmp_path / "b/shop/web")
    assert [path.suffix for path in sorted((tmp_path / "b/shop/web").iterdir())] == [".jsonl", ".gz"]
    Store(tmp_path / "b", Gzip())
    assert (tmp_path / "b/shop/web/2026-01-01T12.jsonl").exists()
    shutil.copy(index, tmp_path / "b/shop/web")
    Store(tmp_path / "b", Gzip())
    assert kept(tmp_path / "b") == ["line 1 ü"]


@pytest.mark.parametrize(("boot", "damaged", "counts"), [("a", False, 9), ("b", False, 2), ("a", True, 2), ("", False, 2)])
def test_which_checkpoint_counts(tmp_path: Path, boot: str, counts: int, *, damaged: bool) -> None:
    """The newest one of this boot; else the one that had reached the disk: what came since is read again."""
    store = Store(tmp_path, Gzip(), "a")
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({"c": Mark(1, 2, 3)}, {})
    store.append(WEB, line(2), "", 0.0)
    store.checkpoint({"c": Mark(1, 9, 3)}, {}, safe=False)
    if damaged:
        (tmp_path / CHECKPOINT).write_bytes(b"{")
    again = Store(tmp_path, Gzip(), boot)
    assert again.marks == {"c": Mark(1, counts, 3)}
    assert kept(tmp_path) == ["line 1 ü", "line 2 ü"][: 2 if counts == 9 else 1]


def test_the_safe_one_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full between both: nothing is cut off that the safe one covers, or it would be missing after a power cut."""
    store = Store(tmp_path, Gzip(), "a")
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({"c": Mark(1, 2, 3)}, {}, safe=False)
    store.append(WEB, line(2), "", 0.0)
    replace = os.replace

    def full(fresh: str, path: Path) -> None:
        if path.name == "checkpoint":
            raise OSError(errno.ENOSPC, "full")
        replace(fresh, path)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", full)
        with pytest.raises(OSError, match="full"):
            store.checkpoint({"c": Mark(1, 9, 3)}, {})
    for boot in ("a", "b"):
        again = Store(tmp_path, Gzip(), boot)
        assert again.marks == {"c": Mark(1, 9, 3)}
        assert kept(tmp_path) == ["line 1 ü", "line 2 ü"]


def test_much_that_is_not_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wants a safe checkpoint before it is time for one: it fills the memory of the agent's container."""
    monkeypatch.setattr(storing, "MOST_UNSAFE", 3000)
    store = Store(tmp_path, Gzip(), "a")
    for number in range(100):
        store.append(WEB, line(number), "", 0.0)
        store.checkpoint({}, {}, safe=store.wants_safety)
    (path,) = tmp_path.glob("shop/web/*.jsonl")
    safe = read_object(tmp_path / SAFE)["sizes"]["shop/web/2026-01-01T12.jsonl"]
    assert path.stat().st_size - 3200 < safe < path.stat().st_size
    assert Store(tmp_path, Gzip(), "a").wants_safety


def test_what_somebody_has_removed_is_not_packed(tmp_path: Path) -> None:
    """Nothing stops for it, and nothing is left."""
    store = Store(tmp_path, Gzip())
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({}, {})
    for path in tmp_path.glob("shop/web/*"):
        path.unlink()
    assert seal_all(store, 200.0, "2026-01-01T13") == []
    assert not list(tmp_path.glob("shop/web/*"))


def test_only_what_is_on_the_disk_is_packed(tmp_path: Path) -> None:
    """Else it would come once more after a power cut."""
    store = Store(tmp_path, Gzip(), "a")
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({}, {})
    store.append(WEB, line(2), "", 0.0)
    store.checkpoint({}, {}, safe=False)
    assert seal_all(store, 200.0, "2026-01-01T13") == []
    store.checkpoint({}, {})
    assert len(seal_all(store, 200.0, "2026-01-01T13")) == 1


def test_an_hour_that_becomes_too_large_is_packed_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can go, too, when there is no room."""
    monkeypatch.setattr(storing, "MOST_OPEN", 1000)
    store = Store(tmp_path, Gzip())
    for number in range(100):
        store.append(WEB, line(number), "", 0.0)
    store.checkpoint({}, {})
    assert len(seal_all(store, 0.0, "2026-01-01T12")) == 1
    store.append(WEB, line(100), "", 0.0)
    store.checkpoint({}, {})
    assert len(kept(tmp_path)) == 101


@pytest.mark.parametrize("what", ["saved", "counted", "packed", "on the disk"])
def test_lines_that_come_while_the_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Of the same hour, of another one and of another app, while all is saved, counted or packed: each is kept once."""
    store, came, waited, again = Store(tmp_path, Gzip()), list[int](), list[bool](), threading.Event()

    def comes() -> None:
        again.set()
        if len(came) < 60:
            for source, hour in ((WEB, 12), (WEB, 13), (Source("shop", f"web{len(came)}", "web-1"), 12)):
                came.append(1000 + len(came))
                store.append(source, line(came[-1], hour), "info", 490.0)

    def slow(_: int) -> None:
        """As a disk that is busy until somebody has looked meanwhile."""
        again.clear()
        waited.append(again.wait(5.0))

    for number in range(20):
        store.append(WEB, line(number), "info", 0.0)
    monkeypatch.setattr(storing, "COUNT_BYTES", 0 if what == "counted" else 1 << 30)
    if what in {"saved", "on the disk"}:
        monkeypatch.setattr(os, "fsync", slow)
    else:
        # Nobody waits for it.
        monkeypatch.setattr(storing, "meanwhile", lambda work, _: work())
    if what in {"saved", "counted"}:
        store.between = comes
        store.checkpoint({}, {})
        # That checkpoint does not cover them.
        assert kept(tmp_path) == [line(number).text for number in range(20)]
    else:
        with monkeypatch.context() as before:
            before.setattr(os, "fsync", lambda _: None)
            store.checkpoint({}, {})
        store.between = comes
        assert len(store.seal(500.0, "2026-01-02T00")) == 1
    assert came
    assert all(waited)
    assert bool(waited) == (what in {"saved", "on the disk"})
    store.between = lambda: None
    monkeypatch.setattr(os, "fsync", lambda _: None)
    store.checkpoint({}, {})
    if what not in {"saved", "counted"}:
        # They have just been written.
        assert store.seal(500.0, "2026-01-02T00") == []
    everything = sorted(line(number).text for number in (*range(20), *came))
    assert sorted(kept(tmp_path)) == everything
    Store(tmp_path, Gzip())
    assert sorted(kept(tmp_path)) == everything


def test_whatever_fails_while_the_disk_is_waited_for_is_raised() -> None:
    """When the work has ended: nobody else may write then."""
    begun, ended = threading.Event(), list[int]()

    def work() -> None:
        begun.wait(20.0)
        ended.append(1)
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        meanwhile(work, begun.set)
    begun.clear()

    def wrong() -> None:
        begun.set()
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        meanwhile(work, wrong)
    assert ended == [1, 1]


def test_a_folder_that_somebody_removes(tmp_path: Path) -> None:
    """What is said afterwards is kept in a new one; nothing stops for it, and what is written down is what is there."""
    store = Store(tmp_path, Gzip())
    store.append(WEB, line(1), "", 0.0)
    store.checkpoint({}, {})
    shutil.rmtree(tmp_path / "shop")
    store.append(WEB, line(2), "", 0.0)
    store.checkpoint({}, {})
    assert kept(tmp_path) == ["line 2 ü"]
    Store(tmp_path, Gzip())
    assert kept(tmp_path) == ["line 2 ü"]
