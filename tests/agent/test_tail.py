"""Is every record read once, whatever happens to the files and to whoever reads them?"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from handful.agent.tail import Mark, Tail


class Docker:
    """Writes records as Docker does: a file of so many bytes, and so many siblings."""

    def __init__(self, path: Path, *, size: int = 2000, files: int = 5) -> None:
        self.path, self.size, self.files, self.count = path, size, files, 0

    def write(self, records: int) -> None:
        """Write numbered records, and rotate where a file is full."""
        for _ in range(records):
            if self.path.exists() and self.path.stat().st_size >= self.size:
                self.rotate()
            with self.path.open("ab") as file:
                file.write(b'{"log":"line %06d\\n","stream":"stdout","time":"2026-01-01T00:00:00.%09dZ"}\n' % (self.count, self.count))
            self.count += 1

    def rotate(self) -> None:
        """Rename from the oldest on."""
        for number in range(self.files - 2, 0, -1):
            old = self.path.with_name(f"{self.path.name}.{number}")
            if old.exists():
                old.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))

    def remove(self) -> None:
        """As `docker rm`."""
        for path in self.path.parent.iterdir():
            path.unlink()


def numbers(records: list[bytes]) -> list[int]:
    """Return the numbers of records."""
    return [int(record[13:19]) for record in records]


def drained(tail: Tail) -> list[bytes]:
    """Return all that there is now."""
    tail.look()
    found: list[bytes] = []
    while more := list(tail.read()):
        found += more
    return found


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A container's log."""
    return Docker(tmp_path / "x-json.log")


def test_what_is_written_comes_once(docker: Docker) -> None:
    """In its order; nothing while nothing is written; a record whose end is missing waits for it."""
    tail = Tail(docker.path, Mark())
    assert drained(tail) == []
    docker.write(3)
    assert numbers(drained(tail)) == [0, 1, 2]
    assert drained(tail) == []
    with docker.path.open("ab") as file:
        file.write(b'{"log":"half')
    assert drained(tail) == []
    with docker.path.open("ab") as file:
        file.write(b' more"}\n')
    assert drained(tail) == [b'{"log":"half more"}']
    tail.close()


@pytest.mark.parametrize("seed", range(20))
def test_rotation_and_restarts_lose_nothing(docker: Docker, seed: int) -> None:
    """Whenever it is read, and whenever the reader is killed and another goes on from the mark."""
    chance, found = random.Random(seed), list[int]()  # noqa: S311  # a test
    tail = Tail(docker.path, Mark())
    for _ in range(60):
        docker.write(chance.randrange(40))
        tail = read_or_killed(tail, docker, chance, found)
    found += numbers(drained(tail))
    assert found == list(range(docker.count))
    assert tail.gaps == 0
    tail.close()


def read_or_killed(tail: Tail, docker: Docker, chance: random.Random, found: list[int]) -> Tail:
    """Read all that is there; now and then the reader is killed, and another goes on from its mark."""
    tail.look()
    while records := tail.read():
        found += numbers(records)
        if chance.random() < 0.2:
            mark = tail.mark
            tail.close()
            tail = Tail(docker.path, mark)
            tail.look()
    return tail


def test_a_burst_over_all_files_is_a_gap_that_is_counted(docker: Docker) -> None:
    """What Docker has removed before anybody saw it is lost: once, and said; what is there comes."""
    tail = Tail(docker.path, Mark())
    docker.write(1)
    assert numbers(drained(tail)) == [0]
    docker.write(500)
    found = numbers(drained(tail))
    # The file that was open is read to its end; then comes what is left.
    (jump,) = (index for index in range(1, len(found)) if found[index] != found[index - 1] + 1)
    assert (found[0], found[-1], found[jump] - found[jump - 1]) == (1, 500, 501 - len(found))
    assert tail.gaps == 1
    tail.close()


def test_what_a_removed_container_said_is_read_to_its_end(docker: Docker) -> None:
    """Files that were seen stay open; nothing comes of those that were not, and no error."""
    tail = Tail(docker.path, Mark())
    docker.write(60)
    tail.look()
    docker.remove()
    tail.look()
    found: list[bytes] = []
    while more := list(tail.read()):
        found += more
    assert numbers(found) == list(range(60))
    assert (drained(tail), tail.gaps) == ([], 0)
    tail.close()


def test_an_inode_that_was_given_again_is_another_file(docker: Docker) -> None:
    """By its first bytes, or because it is shorter than what was read."""
    docker.write(10)
    tail = Tail(docker.path, Mark())
    drained(tail)
    mark = tail.mark
    tail.close()
    text = docker.path.read_bytes()
    docker.path.write_bytes(text[:100])
    shorter = Tail(docker.path, mark)
    shorter.look()
    assert shorter.gaps == 1
    shorter.close()
    docker.path.write_bytes(text.replace(b"line", b"LINE"))
    other = Tail(docker.path, mark)
    assert len(drained(other)) == 10
    assert other.gaps == 1
    other.close()


def test_a_log_that_is_gone_while_nobody_read_is_a_gap(docker: Docker) -> None:
    """The mark's file has been rotated away."""
    docker.write(5)
    tail = Tail(docker.path, Mark())
    drained(tail)
    tail.close()
    docker.write(500)
    late = Tail(docker.path, tail.mark)
    assert numbers(drained(late))[-1] == 504
    assert late.gaps == 1
    late.close()


def test_a_log_that_is_emptied_in_place(docker: Docker) -> None:
    """As people do when a disk is full: a gap, and then all that comes."""
    docker.write(10)
    tail = Tail(docker.path, Mark())
    assert len(drained(tail)) == 10
    with docker.path.open("r+b") as file:
        file.truncate()
    assert drained(tail) == []
    docker.write(5)
    assert numbers(drained(tail)) == [10, 11, 12, 13, 14]
    assert tail.gaps == 1
    tail.close()


def test_a_log_that_cannot_be_opened_now_is_not_another_one(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files are open: it is tried again, and nothing comes twice."""
    docker.write(10)
    first = Tail(docker.path, Mark())
    drained(first)
    first.close()
    docker.write(5)
    tail, opened = Tail(docker.path, first.mark), Path.open

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    assert drained(tail) == []
    monkeypatch.setattr(Path, "open", opened)
    assert numbers(drained(tail)) == [10, 11, 12, 13, 14]
    assert tail.gaps == 0
    tail.close()


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    """A container that was made and not started: there is nothing more to read at once, so that nobody asks without end."""
    tail = Tail(tmp_path / "x-json.log", Mark())
    tail.look()
    assert list(tail.read()) == []
    assert not tail.behind
    (tmp_path / "x-json.log").write_bytes(b"one\n")
    tail.look()
    assert list(tail.read()) == [b"one"]
    assert not tail.behind
    tail.close()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("again", [False, True])
def test_files_that_are_removed_one_by_one(docker: Docker, seed: int, *, again: bool) -> None:
    """`docker rm` takes them in any order: what is left meanwhile was read before, and is neither read again nor a gap."""
    docker.write(100)
    tail = Tail(docker.path, Mark())
    first = drained(tail)
    if again:
        tail.close()
        tail = Tail(docker.path, tail.mark)
        first += drained(tail)
    left = sorted(docker.path.parent.iterdir())
    assert len(left) > 2
    random.Random(seed).shuffle(left)  # noqa: S311  # a test
    for path in left:
        path.unlink()
        first += drained(tail)
    assert numbers(first) == list(range(100))
    assert tail.gaps == 0
    tail.close()


def test_a_restart_while_they_are_removed(docker: Docker) -> None:
    """The file that was read last is gone already, and older ones are not: these were read before."""
    docker.write(100)
    tail = Tail(docker.path, Mark())
    drained(tail)
    tail.close()
    docker.path.unlink()
    later = Tail(docker.path, tail.mark)
    assert drained(later) == []
    assert later.gaps == 0
    later.close()


def test_more_came_than_are_kept_while_nobody_looked(docker: Docker) -> None:
    """All that is left is new, and the rest is a gap: also where the system gives the inodes of removed files again."""
    docker.write(60)
    tail = Tail(docker.path, Mark())
    before = numbers(drained(tail))
    docker.write(600)
    after = numbers(drained(tail))
    assert [*before, *after] == sorted({*before, *after})
    # To the end of the one that was open; then all there is.
    assert after[-1] == 659
    assert 80 < len(after) < 200
    assert tail.gaps == 1
    tail.close()
