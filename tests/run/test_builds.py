"""What is said of images before they are built, with a `docker` that knows one image; the lab has a real one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from handful.artifact.system_image import make_part
from handful.config.images import Build, Images
from handful.errors import BuildFailed
from handful.facts.model import Facts
from handful.plan.steps import system_images
from handful.run import builds
from handful.run.builds import check_platform
from handful.run.engine import Operator

if TYPE_CHECKING:
    from pathlib import Path

    from handful.run.events import Event

# Of an engine on amd64, which can pull everything.
DOCKER = """#!/bin/bash
echo "$*" >>"${0%/*}/calls"
case "$*" in
  "version --format {{.Server.Os}}"*) echo linux/amd64 ;;
  "pull "*) ;;
  "image inspect"*) exit 1 ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a recording docker, which is first on PATH."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_an_image_for_another_platform_is_refused() -> None:
    """With both platforms, and what to write; the variant of a processor is no matter."""
    machines = [Facts("m1", architecture="x86_64"), Facts("m2", architecture="aarch64")]
    check_platform("web:1", "linux/arm64/v8", machines[1:])
    with pytest.raises(BuildFailed) as refused:
        check_platform("web:1", "linux/amd64", machines)
    assert refused.value.message == "the image web:1 is for linux/amd64, and m2 is linux/arm64"
    assert "build: {platform: linux/arm64}, or build: {on: m2}" in refused.value.advice


def test_a_file_that_nobody_meant_to_send_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its size, unless .dockerignore names it."""
    monkeypatch.setattr(builds, "LARGE_BYTES", 2_000_000)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "dump.sql").write_bytes(bytes(3_000_000))
    (tmp_path / "small").write_bytes(bytes(1_000))
    told: list[Event] = []
    operator = Operator("ann", told.append, time.monotonic())
    builds._tell_large(tmp_path, Build(), operator)
    assert [event.text for event in told] == [
        "dump.sql has 3 MB, and each build is sent it: does it need it? Else: .dockerignore",
    ]
    (tmp_path / ".dockerignore").write_text("*.sql\n")
    builds._tell_large(tmp_path, Build(), operator)
    assert len(told) == 1


def test_the_systems_own_images_are_of_a_machines_platform(engine: Path) -> None:
    """One of another platform than most has a tag of its own, and is pulled for it, whatever this computer has."""
    images = {"proxy": "handful/system/proxy:1"}
    assert system_images(Facts("m1", architecture="x86_64"), images) == images
    name = system_images(Facts("m2", architecture="aarch64"), images)["proxy"]
    assert name == "handful/system/proxy:1-arm64"
    make_part("proxy", Images(), name, "linux/arm64", say=print)
    calls = (engine / "calls").read_text().splitlines()
    assert "pull --quiet --platform linux/arm64 haproxy:3.2" in calls
    assert f"tag haproxy:3.2 {name}" in calls


def test_a_part_for_another_platform_is_built_for_it(engine: Path) -> None:
    """Where no image of it can be pulled; what docker says of it is told."""
    (engine / "docker").write_text(DOCKER.replace('"pull "*) ;;', '"pull "*) exit 1 ;; "build "*) echo no emulator >&2; exit 1 ;;'))
    with pytest.raises(BuildFailed, match="no emulator"):
        make_part("names", Images(), "handful/system/names:1-arm64", "linux/arm64", say=lambda _: None)
    (line,) = [line for line in (engine / "calls").read_text().splitlines() if line.startswith("build ")]
    assert "--build-arg BASE=debian:13-slim --platform linux/arm64" in line
