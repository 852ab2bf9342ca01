from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from script_machine import Machine

ODD = {
    "UID": "not a number", "PATH": "/app/bin:/bin\nsecond line", "a.b": "dots\nand lines", "my-flag": "1\n2",
    "BASH_ENV": "/nonexistent\n", "LC_ALL": "xx\nyy", "EMPTY": "", "SPACES": "  both ends  ", "HASH": "# no comment",
    "QUOTES": "'\"`$HOME $(id) \\n", "EQUALS": "a=b=c", "UNICODE": "smörgås ☂", "TABS": "\ta\tb",
    "RETURN": "a\r\nb\r", "LAST": "ends with lines\n\n\n", "LONG": "x" * 70_000, "SECRET_TOKEN": "hunter2\nhunter3",
}


def test_variables_arrive_byte_for_byte(ready: Machine) -> None:
    """Names that bash would change or refuse, values of several lines, very long ones: as the file has them."""
    ready.deployed(ready.make(1, env=ODD))
    (container,) = ready.instances()
    told = {name.decode(): value.decode() for name, value in container.env.items()}
    assert {name: told.get(name) for name in ODD} == ODD


def test_handful_adds_two_variables(ready: Machine) -> None:
    """Release and instance; nothing of the machine's or the operator's environment gets in."""
    made = ready.deployed(ready.make(1, env=ODD))
    (container,) = ready.instances()
    assert container.env.keys() - {name.encode() for name in ODD} == {b"HANDFUL_RELEASE", b"HANDFUL_INSTANCE"}
    assert (container.env[b"HANDFUL_RELEASE"], container.env[b"HANDFUL_INSTANCE"]) == (made.id.encode(), b"web-1")


def test_a_release_command_gets_them_too(ready: Machine) -> None:
    """It runs in the same environment as the instances."""
    ready.deploy(ready.make(1, env=ODD, release_command=["migrate"]), commands=["web"])
    (call,) = [call for call in ready.tap.calls if call.words[:1] == ("run",) and "--rm" in call.words]
    assert call.environ[b"PATH"] == ODD["PATH"].encode()
    assert call.environ[b"a.b"] == ODD["a.b"].encode()


def test_no_value_is_ever_in_a_command_line(ready: Machine) -> None:
    """Command lines can be read by every user of the machine."""
    ready.deployed(ready.make(1, env={**ODD, "PLAIN_TOKEN": "correct horse"}))
    for call in ready.tap.calls:
        assert "hunter2" not in call.line
        assert "correct horse" not in call.line


def test_values_are_in_docker_runs_environment_only(ready: Machine) -> None:
    """No other program of the deploy gets the variables that an env file cannot hold."""
    ready.deployed(ready.make(1, env=ODD))
    having = {call.line.split()[1] for call in ready.tap.calls if b"SECRET_TOKEN" in call.environ}
    assert having == {"run"}


def test_folders_and_files_are_guarded(ready: Machine) -> None:
    """Folders are root's; a mounted file can be read by any user of the container; variables by root alone."""
    (ready.folder / "project" / "app.conf").write_text("colour = blue\n")
    made = ready.make(1, files={"app.conf": "/etc/app/app.conf"}, env={"A": "1"})
    folder = ready.place(made).parent
    modes = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
    assert modes == {
        ".": 0o700, "files": 0o700, "files/etc_app_app.conf": 0o444, "env": 0o600, "env.multiline": 0o600,
        "run_app.bash": 0o444, "release.json": 0o444, "proxy.cfg": 0o444, "served": 0o444, "checksums": 0o444,
    }


@pytest.mark.parametrize("part", ["stacks", "stacks/shop", "stacks/shop/apps", "stacks/shop/apps/web", "stacks/shop/apps/web/releases"])
def test_folders_above_are_roots_too(ready: Machine, part: str) -> None:
    """Whoever can list a stack's folder can read what its env files are called."""
    ready.place(ready.make(1))
    assert (ready.root / part).stat().st_mode & 0o777 == 0o700


def test_a_release_that_is_there_is_left_alone(ready: Machine) -> None:
    """The same release again: its folder is not touched, and not taken back when the deploy fails."""
    made = ready.make(1)
    script = ready.place(made)
    before = script.stat()
    ready.place(made)
    assert script.stat() == before


def test_an_upload_that_died_halfway_is_no_release(ready: Machine) -> None:
    """A release is renamed into its place when it is whole: a folder without that is not used."""
    made = ready.make(1)
    half = ready.app() / "releases" / f"{made.id}.new"
    half.mkdir(parents=True)
    (half / "env").write_text("HALF=1\n")
    ready.place(made)
    assert not half.exists()
    assert (ready.app() / "releases" / made.id / "env").read_bytes() == made.files["env"]


def test_a_release_folder_can_be_moved_by_its_root(ready: Machine) -> None:
    """Nothing in a release names an address, a slot, or the computer that made it."""
    made = ready.make(1)
    folder = ready.place(made).parent
    lines = [line for path in folder.rglob("*") if path.is_file() for line in path.read_text().splitlines()]
    assert [line for line in lines if "10.211." in line and not line.startswith("#")] == []
    assert [line for line in lines if str(ready.folder) in line] == []
