"""Sessions and their shared connections, with an `ssh` that records what it is asked; the lab has the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handful.cli.common import LONGEST_SOCKETS, sockets
from handful.machine.access import Access
from handful.machine.ssh import ask, can_share, command

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = [
    ("OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17 1 Jul 2025", True), ("OpenSSH_for_Windows_8.6p1, LibreSSL 3.4.3", True),
    ("OpenSSH_8.5p1", True), ("OpenSSH_8.4p1 Debian-5", False), ("OpenSSH_7.9p1", False), ("Sun_SSH_1.1", False), ("", False),
]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of the `ssh` that is first on PATH: bash; its calls stand in the file `calls` beside it."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    does(program, "exit 0")
    return program


def does(program: Path, text: str) -> None:
    """Let the fake do something, after it has written down its words."""
    program.write_text(f'#!/bin/bash\necho "$@" >>"${{0%/*}}/calls"\n{text}\n')
    program.chmod(0o755)


def calls(program: Path) -> list[str]:
    """Return how the fake was called."""
    file = program.with_name("calls")
    return file.read_text().splitlines() if file.exists() else []


def shared_path(access: Access) -> str:
    """Return the socket that a session would use; "" when it connects by itself."""
    found = [word for word in command(access, ["true"]) if word.startswith("ControlPath=")]
    return found[0].removeprefix("ControlPath=").strip('"') if found else ""


@pytest.mark.parametrize(("said", "shared"), VERSIONS)
def test_an_old_ssh_does_not_share(ssh: Path, said: str, *, shared: bool) -> None:
    """It tells its version on stderr."""
    does(ssh, f"echo '{said}' >&2")
    assert can_share() is shared


def test_no_ssh_at_all_does_not_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes later, from the session that needs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not can_share()


def test_each_machine_has_a_socket_of_its_own(tmp_path: Path) -> None:
    """Two machines may have one address, behind two jump hosts."""
    one = Access("m1", "10.0.0.1", options=("ProxyJump=a",), sockets=str(tmp_path))
    two = Access("m1", "10.0.0.1", options=("ProxyJump=b",), sockets=str(tmp_path))
    assert shared_path(one) != shared_path(two) != ""
    assert shared_path(one) == shared_path(one)
    assert shared_path(Access("m1", "10.0.0.1")) == ""


def test_a_dead_connection_is_left_and_the_question_asked_again(ssh: Path, tmp_path: Path) -> None:
    """Its socket is there, the session fails as ssh's own (255): it is closed, and a new one is tried, once."""
    access = Access("m1", "10.0.0.1", sockets=str(tmp_path))
    socket = tmp_path / shared_path(access).rpartition("/")[2]
    socket.touch()
    does(ssh, f'case "$*" in *"-O exit"*) rm "{socket}" ;; *) [[ ! -e "{socket}" ]] || exit 255; cat ;; esac')
    assert ask(access, "echo").out == "echo"
    assert ["-O exit" in call for call in calls(ssh)] == [False, True, False]


@pytest.mark.parametrize("status", [255, 1])
def test_what_fails_over_a_new_connection_is_not_asked_again(ssh: Path, tmp_path: Path, status: int) -> None:
    """Nor what the machine itself answers with an error."""
    does(ssh, f"exit {status}")
    assert ask(Access("m1", "10.0.0.1", sockets=str(tmp_path)), "echo").status == status
    assert len(calls(ssh)) == 1


def test_the_folder_of_sockets_is_its_owners_alone(ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who could enter it could use the connections."""
    does(ssh, "echo OpenSSH_9.2p1 >&2")
    # A path that is short enough whatever pytest's is.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    found = sockets()
    assert found is not None
    assert found.stat().st_mode & 0o777 == 0o700
    found.chmod(0o755)
    assert sockets() is None


def test_where_no_socket_can_be_each_session_connects_by_itself(
    ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is too long for a socket, a folder that cannot be made, an old ssh."""
    does(ssh, "echo OpenSSH_9.2p1 >&2")
    monkeypatch.chdir(tmp_path)
    for runtime, possible in ((f"{'r' * (LONGEST_SOCKETS - 8)}", True), (f"{'r' * (LONGEST_SOCKETS - 7)}", False)):
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert (sockets() is not None) is possible
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "file")
    assert sockets() is None
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    does(ssh, "echo OpenSSH_8.4p1 >&2")
    assert sockets() is None
