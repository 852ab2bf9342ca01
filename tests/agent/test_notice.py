"""Is every change of a container told, and nothing while nothing happens?"""

from __future__ import annotations

import resource
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handful.agent.notice import WHOLE_SECONDS, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two containers, each with its log and what Docker knows of it."""
    for key in ("a", "b"):
        (tmp_path / key).mkdir()
        (tmp_path / key / f"{key}-json.log").write_text("first\n")
        (tmp_path / key / "config.v2.json").write_text("{}")
    return tmp_path


@pytest.fixture
def notice(folder: Path) -> Iterator[Notice]:
    """One that watches both, after the first look."""
    made = Notice(folder)
    assert made.changed(0.0) is None
    made.watch(("a", "b"))
    assert made.changed(0.1) == frozenset()
    yield made
    made.close()


def say(path: Path) -> None:
    """Write a line."""
    with path.open("a") as file:
        file.write("more\n")


def rotate(path: Path) -> None:
    """As Docker."""
    path.rename(path.with_name(f"{path.name}.1"))
    path.touch()


def replace(path: Path) -> None:
    """As Docker writes what it knows."""
    fresh = path.with_name("config.v2.json.new")
    fresh.write_text('{"new": true}')
    fresh.replace(path.with_name("config.v2.json"))


@pytest.mark.parametrize("change", [say, rotate, replace, lambda path: path.with_name("config.v2.json").unlink()], ids=["line", "rotation", "config", "gone"])
def test_what_has_changed_is_told_once(folder: Path, notice: Notice, change: Callable[[Path], None]) -> None:
    """Of that container alone; after that, nothing has."""
    change(folder / "b/b-json.log")
    assert notice.changed(0.2) == {"b"}
    assert notice.changed(0.3) == frozenset()
    say(folder / "a/a-json.log")
    say(folder / "b/b-json.log")
    assert notice.changed(0.4) == {"a", "b"}


@pytest.mark.parametrize("looked", [True, False])
def test_a_container_that_comes(folder: Path, notice: Notice, *, looked: bool) -> None:
    """From its folder on: what is written there at once, before or after anybody looked, is told."""
    (folder / "c").mkdir()
    if looked:
        assert notice.changed(0.2) == {"c"}
    (folder / "c/c-json.log").write_text("first\n")
    assert notice.changed(0.3) == {"c"}
    replace(folder / "c/c-json.log")
    assert notice.changed(0.4) == {"c"}
    notice.watch(("a", "b", "c"))
    assert notice.changed(0.5) == frozenset()


def test_a_container_that_goes(folder: Path, notice: Notice) -> None:
    """And one that comes in its place is watched again."""
    shutil.rmtree(folder / "a")
    assert notice.changed(0.2) == {"a"}
    assert notice.changed(0.3) == frozenset()
    (folder / "a").mkdir()
    assert notice.changed(0.4) == {"a"}
    say(folder / "a/a-json.log")
    assert notice.changed(0.5) == {"a"}


def test_everything_is_due_now_and_then(notice: Notice) -> None:
    """Whatever was missed."""
    assert notice.changed(WHOLE_SECONDS - 0.1) == frozenset()
    assert notice.changed(WHOLE_SECONDS) is None
    assert notice.changed(WHOLE_SECONDS + 0.1) == frozenset()


def test_more_than_the_kernel_keeps(folder: Path, notice: Notice) -> None:
    """Anything may have changed; after that, it goes on."""
    most = int(QUEUE.read_text())
    if most > 100_000:
        pytest.skip("this kernel keeps too many to fill")
    with (folder / "a/a-json.log").open("ab", buffering=0) as one, (folder / "b/b-json.log").open("ab", buffering=0) as two:
        for _ in range(most // 2 + 100):
            one.write(b"x")
            two.write(b"x")
    assert notice.changed(0.2) is None
    assert notice.changed(0.3) == frozenset()
    say(folder / "a/a-json.log")
    assert notice.changed(0.4) == {"a"}


def test_where_the_kernel_does_not_tell(folder: Path) -> None:
    """Everything may have changed, each time."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # No file can be opened, and so no inotify.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        notice = Notice(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert notice.changed(0.0) is None
    notice.watch(("a",))
    assert [notice.changed(0.1), notice.changed(0.2)] == [None, None]
    notice.close()


def test_a_folder_that_comes_later(tmp_path: Path) -> None:
    """Docker is installed after the agent has begun: with the next look at everything, it is watched."""
    notice = Notice(tmp_path / "containers")
    assert [notice.changed(0.0), notice.changed(0.1)] == [None, frozenset()]
    (tmp_path / "containers").mkdir()
    assert notice.changed(WHOLE_SECONDS) is None
    (tmp_path / "containers/a").mkdir()
    assert notice.changed(WHOLE_SECONDS + 0.1) == {"a"}
    notice.close()
    notice.close()


def test_who_waits_is_told_at_once(folder: Path, notice: Notice) -> None:
    """Of a container that comes; lines have time."""
    began = time.monotonic()
    threading.Timer(0.1, (folder / "c").mkdir).start()
    notice.wait(20.0)
    assert time.monotonic() - began < 10.0
    assert notice.changed(0.2) == {"c"}
    say(folder / "a/a-json.log")
    began = time.monotonic()
    notice.wait(0.2)
    assert time.monotonic() - began >= 0.2
    assert notice.changed(0.3) == {"a"}
