"""Images that handful builds itself: found when they are there, built once when they are not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from handful.artifact.base_image import build_image, ensure_base, image_id, image_tag
from handful.artifact.docker import docker
from handful.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCKERFILE = 'FROM scratch\nCOPY hello /hello\nCMD ["/hello"]\n'


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a PATH with a `docker` only, which has no image, reaches no registry, and writes down what it imports."""
    folder = tmp_path / "bin"
    folder.mkdir()
    _program(folder / "docker", f'case $1 in version) ;; import) echo "$@" >{tmp_path}/imported ;; *) exit 1 ;; esac')
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def tag() -> Iterator[str]:
    """Give a tag of this test run, gone after the test."""
    name = f"handful-test-{os.getpid()}:1"
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_other_contents_are_another_tag() -> None:
    """Any change of any part gives another hash, and so does moving text from one part to the next."""
    tags = {image_tag("x", *parts) for parts in (("ab", "c"), ("a", "bc"), ("ab", "d"), ("abc",))}
    assert len(tags) == 4


def test_same_contents_are_the_same_tag() -> None:
    """The tag is readable, and does not depend on the day."""
    assert image_tag("x", "FROM scratch\n") == "x:bb57c7da220a"


def test_a_base_image_nobody_knows_is_refused() -> None:
    """The error lists those that are known."""
    with pytest.raises(BuildFailed, match="Known: debian:13-slim, debian:12-slim"):
        ensure_base("debian:1.1", print)


def test_what_cannot_be_pulled_is_made_from_packages(bin_folder: Path, tmp_path: Path) -> None:
    """The suite fits the reference, and the import says that mmdebstrap made it."""
    _program(bin_folder / "mmdebstrap", f'echo "$@" >{tmp_path}/made')
    assert ensure_base("debian:12-slim", print) == "debian:12-slim"
    assert " bookworm " in (tmp_path / "made").read_text()
    imported = (tmp_path / "imported").read_text()
    assert "LABEL handful.made=mmdebstrap" in imported
    assert imported.endswith("base.tar debian:12-slim\n")


@pytest.mark.usefixtures("bin_folder")
def test_without_registry_and_mmdebstrap_the_error_says_both() -> None:
    """The advice is to install the one or to reach the other."""
    with pytest.raises(BuildFailed, match=r"apt install mmdebstrap(.|\n)*docker pull debian:13-slim"):
        ensure_base("debian:13-slim", print)


@pytest.mark.lab
def test_a_base_image_that_is_here_costs_one_look() -> None:
    """Nothing is pulled or made, so nothing is said."""
    ensure_base("debian:13-slim", print)
    said: list[str] = []
    assert ensure_base("debian:13-slim", said.append) == "debian:13-slim"
    assert said == []


@pytest.mark.lab
def test_an_image_is_built_once(tag: str, tmp_path: Path) -> None:
    """The first call builds from the context and says so, the second finds it and says nothing."""
    (tmp_path / "hello").write_text("hello")
    said: list[str] = []
    first = build_image(tag, DOCKERFILE, said.append, context=tmp_path)
    assert first == image_id(tag)
    spoken = len(said)
    assert build_image(tag, DOCKERFILE, said.append, context=tmp_path) == first
    assert spoken == len(said) == 2


@pytest.mark.lab
def test_arguments_reach_the_dockerfile(tag: str) -> None:
    """An ARG has the value that was given, without any context."""
    build_image(tag, "FROM scratch\nARG WHO\nENV WHO=${WHO}\n", print, arguments={"WHO": "me and you"})
    assert docker("image", "inspect", "--format", "{{.Config.Env}}", tag).out.count("WHO=me and you") == 1


@pytest.mark.lab
def test_a_build_that_fails_shows_its_last_lines(tag: str) -> None:
    """What the builder said is in the error, and no image was made."""
    with pytest.raises(BuildFailed, match="hello"):
        build_image(tag, DOCKERFILE, print)
    assert image_id(tag) is None


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
