"""Which hours go, and which stay?"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from handful.agent import retain as retaining
from handful.agent.retain import Keep, free_share, retain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three packed hours of two apps, of a hundred bytes each, and an open one."""
    for app in ("shop/web", "shop/db"):
        (tmp_path / app).mkdir(parents=True)
        for hour in ("09", "10", "11"):
            (tmp_path / app / f"2026-01-01T{hour}.jsonl.zst").write_bytes(b"x" * 100)
            (tmp_path / app / f"2026-01-01T{hour}.idx").write_bytes(b"{}")
    (tmp_path / "shop/web/2026-01-01T12.jsonl").write_bytes(b"x" * 100)
    return tmp_path


@pytest.mark.parametrize(("keep", "free", "count"), [
    (Keep(), 0.5, 0), (Keep(oldest="2026-01-01T10"), 0.5, 2), (Keep(most_bytes=700), 0.5, 0), (Keep(most_bytes=650), 0.5, 1),
    (Keep(most_bytes=0), 0.5, 6), (Keep(), 0.05, 6), (Keep(oldest="2027"), 0.5, 6),
])
@pytest.mark.parametrize("own", [True, False])
def test_what_is_beyond_goes(folder: Path, monkeypatch: pytest.MonkeyPatch, keep: Keep, free: float, count: int, *, own: bool) -> None:
    """Oldest first, of whatever app, with its index; the hour that is written to stays. By the stack's word, or what is usual."""
    monkeypatch.setattr(retaining, "LEAST_BYTES", 0)
    keeps, usual = ({"shop": keep}, Keep(most_bytes=0)) if own else ({"blog": Keep(most_bytes=0)}, keep)
    gone = retain(folder, keeps, usual, lambda _: free)
    assert [path.name for path in gone] == sorted(path.name for path in gone)
    assert len(gone) == count
    assert len(list(folder.glob("*/*/*.idx"))) == len(list(folder.glob("*/*/*.zst"))) == 6 - count
    assert (folder / "shop/web/2026-01-01T12.jsonl").exists()
    assert (folder / "shop/db").exists() == (count < 6)


def test_it_stops_when_there_is_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is asked again after each."""
    monkeypatch.setattr(retaining, "LEAST_BYTES", 0)
    shares = iter((0.05, 0.08, 0.2, 0.2))
    assert len(retain(folder, {}, Keep(), lambda _: next(shares))) == 2
    assert 0 < free_share(folder) < 1


def test_each_stack_keeps_what_it_says(folder: Path) -> None:
    """What one says is nothing to the others; whatever is nobody's goes as is usual."""
    for stack in ("blog", "_"):
        shutil.copytree(folder / "shop/db", folder / stack / "web")
    gone = retain(folder, {"shop": Keep(oldest="2026-01-01T10"), "blog": Keep(most_bytes=100)}, Keep(), lambda _: 0.5)
    assert sorted(str(path.relative_to(folder)) for path in gone) == [
        "blog/web/2026-01-01T09.jsonl.zst", "blog/web/2026-01-01T10.jsonl.zst", "shop/db/2026-01-01T09.jsonl.zst", "shop/web/2026-01-01T09.jsonl.zst",
    ]


def test_whatever_fills_the_disk_some_logs_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not to go for what is not theirs: 700 bytes are there."""
    monkeypatch.setattr(retaining, "LEAST_BYTES", 450)
    assert len(retain(folder, {}, Keep(), lambda _: 0.0)) == 3
    assert retain(folder, {}, Keep(), lambda _: 0.0) == []
    assert retain(folder / "nowhere", {}, Keep(), lambda _: 0.0) == []
