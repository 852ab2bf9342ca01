from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import sources

from handful.artifact.release import LONGEST_LINE, env_files, release_files
from handful.config.model import Config
from handful.plan.release import describe, release

NAME = st.from_regex(r"\A[A-Za-z_.][A-Za-z0-9_.-]{0,8}\Z")
VALUE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(["\n", "a\r", " a ", "#", "="])


def read_by_docker(env: bytes) -> dict[str, str]:
    """Read an env file as the docker program does: line by line, spaces before a name and comments left out."""
    found = {}
    for line in env.decode().split("\n"):
        text = line.removesuffix("\r").lstrip()
        if text and not text.startswith("#"):
            name, _, value = text.partition("=")
            found[name] = value
    return found


def read_by_run_app(multiline: bytes) -> dict[str, str]:
    """Read what follows line by line cannot be: each ended by a zero byte."""
    entries = multiline.decode().split("\0")[:-1]
    return dict(entry.split("=", 1) for entry in entries)


@given(st.dictionaries(NAME, VALUE))
def test_variables_arrive_as_they_were_written(env: dict[str, str]) -> None:
    """In one of the two files, and only in one."""
    files = env_files(env)
    plain, others = read_by_docker(files["env"]), read_by_run_app(files["env.multiline"])
    assert not plain.keys() & others.keys()
    assert plain | others == env


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("", "env"), ("a b", "env"), ("'\"$(x)`#", "env"), ("\t\x85\u2028", "env"), ("größe", "env"),
        ("a\nb", "env.multiline"), ("a\r", "env.multiline"), ("\n", "env.multiline"),
        ("x" * (LONGEST_LINE - 3), "env"), ("x" * (LONGEST_LINE - 2), "env.multiline"), ("ü" * 30_000, "env.multiline"),
    ],
)
def test_a_value_goes_where_it_fits(value: str, file: str) -> None:
    """Docker's own file holds one line per variable, and reads 64 KiB of it."""
    files = env_files({"A": value})
    end = "\n" if file == "env" else "\0"
    assert files[file].decode() == f"A={value}{end}"
    assert [content for name, content in files.items() if name != file] == [b""]


def made(folder: Path, **app: Any) -> dict[str, bytes]:
    """Return the files of web's first release."""
    told = {"project": "shop", "machines": {"m1": {"address": "192.0.2.1"}}, "apps": {"web": {"build": {}, **app}}}
    config = Config.model_validate(told)
    manifest = describe("web", config, sources(config, "shop", ["web"])["web"])
    return release_files(release("shop", "0001-abcdef", manifest), config.apps["web"], folder)


def test_a_release_is_a_folder_that_works_by_itself(tmp_path: Path) -> None:
    """How it is run, what it is, what the proxy is told, its env, its files and its scripts."""
    (tmp_path / "app.toml").write_bytes(b"\xff\0")
    (tmp_path / "warm.bash").write_text("echo warm")
    files = made(
        tmp_path, port=8000, env={"A": "1", "B": "2\n3"}, files={"app.toml": "/etc/my_app.toml"}, before_start="warm.bash"
    )
    assert sorted(files) == [
        "before_start.bash", "env", "env.multiline", "files/etc_my%5Fapp.toml", "proxy.cfg", "release.json", "run_app.bash",
        "served",
    ]
    assert (files["env"], files["env.multiline"]) == (b"A=1\n", b"B=2\n3\0")
    assert files["files/etc_my%5Fapp.toml"] == b"\xff\0"
    assert files["before_start.bash"] == b"echo warm"
    assert b"files=(etc_my%5Fapp.toml:/etc/my_app.toml)\n" in files["run_app.bash"]
    assert files["proxy.cfg"].startswith(b"frontend mode http\n")


def test_a_manifest_names_its_release(tmp_path: Path) -> None:
    """And is one line, so that a machine can tell it as it stands."""
    told = made(tmp_path)["release.json"]
    assert json.loads(told)["release"] == "0001-abcdef"
    assert told.endswith(b"}\n")
    assert told.count(b"\n") == 1


def test_an_app_without_a_port_tells_the_proxy_nothing(tmp_path: Path) -> None:
    """The file is there, and empty."""
    assert made(tmp_path)["proxy.cfg"] == b""
