from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from handful.artifact.bundle import bundle

# GNU tar's record: it reads so many bytes at once.
RECORD = 10240


def unpack(data: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Unpack as a machine does: what follows the tar on the same stdin is for whoever comes next."""
    script = 'umask 077; tar -xf - -C "$1" && exec cat'
    return subprocess.run(["sh", "-c", script, "sh", folder], input=data, capture_output=True, check=True)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, RECORD - 1024, RECORD - 512, RECORD, 3 * RECORD + 1])
def test_the_tar_ends_where_tar_stops_reading(tmp_path: Path, size: int) -> None:
    """Not a byte of the heartbeat is eaten, whatever the size of the last file; and tar has nothing to say."""
    done = unpack(bundle({"work.bash": b"x" * size}) + b".\n.\n", tmp_path)
    assert done.stdout == b".\n.\n"
    assert done.stderr == b""
    assert (tmp_path / "work.bash").read_bytes() == b"x" * size


def test_every_file_arrives(tmp_path: Path) -> None:
    """In folders, with long names, with names that are not ASCII; private to its owner."""
    long = "/".join(["releases", "a" * 90, "files", "b" * 90])
    files = {"session.bash": b"one", "releases/web/env": b"A=\xff\0", "releases/web/files/größe": b"", long: b"two"}
    unpack(bundle(files), tmp_path)
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == files
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o600}


def test_a_bundle_is_whole_records() -> None:
    """Also an empty one."""
    assert [len(bundle(files)) % RECORD for files in ({}, {"a": b"1"})] == [0, 0]


def test_a_bundle_follows_from_its_files() -> None:
    """No clock and no user of this computer is in it."""
    assert bundle({"a": b"1"}) == bundle({"a": b"1"})
    with tarfile.open(fileobj=BytesIO(bundle({"a": b"1"}))) as tar:
        entry = tar.getmember("a")
    assert (entry.mtime, entry.uid, entry.gid, entry.uname) == (0, 0, 0, "")
