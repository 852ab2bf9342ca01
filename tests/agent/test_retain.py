"""Which hours go, and which stay?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
def test_what_is_beyond_goes(folder: Path, keep: Keep, free: float, count: int) -> None:
    """Oldest first, of whatever app, with its index; the hour that is written to stays."""
    gone = retain(folder, keep, lambda _: free)
    assert [path.name for path in gone] == sorted(path.name for path in gone)
    assert len(gone) == count
    assert len(list(folder.glob("*/*/*.idx"))) == len(list(folder.glob("*/*/*.zst"))) == 6 - count
    assert (folder / "shop/web/2026-01-01T12.jsonl").exists()
    assert (folder / "shop/db").exists() == (count < 6)


def test_it_stops_when_there_is_room(folder: Path) -> None:
    """The disk is asked again after each."""
    shares = iter((0.05, 0.08, 0.2, 0.2))
    assert len(retain(folder, Keep(), lambda _: next(shares))) == 2
    assert 0 < free_share(folder) < 1
