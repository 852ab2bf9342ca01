"""The oldest ground that handful stands on: Debian 12, Docker 20.10, HAProxy 2.6."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from client import Load
from lab_support import Lab, Project, hello, own_ssh

from handful.artifact.base_image import build_image, ensure_base
from handful.provider import lab as lab_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab
PROXY = "handful-test/haproxy:2.6"
DOCKERFILE = """FROM debian:12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
"""


@pytest.fixture
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A machine of its own, beside the session's lab (which has found or refused an engine before)."""
    del lab
    state = tmp_path_factory.mktemp("old")
    lines: list[str] = []
    stack = f"old-{os.getpid()}"
    try:
        access = lab_provider.up(stack, {"m1": None}, state=state, say=lines.append, image="debian-12")
        ensure_base("debian:12-slim", lines.append)
        build_image(PROXY, DOCKERFILE, lines.append)
        yield Lab(access, *own_ssh(state, access), stack)
    finally:
        lab_provider.down(stack, state, lines.append)


def test_deploys_on_the_oldest_ground(old: Lab, tmp_path: Path) -> None:
    """Deploys, a reload for a new timeout, a rollback and a newer proxy in place of the old: 0 failed requests."""
    project = Project(old, tmp_path, "oldest")
    project.write(web=hello(project, "old.test", instances=2, env={"VERSION": "1"}))
    project.config["images"] = {"proxy": PROXY}
    project.save()
    project.handful("deploy")
    assert "2.6" in project.sh("docker exec handful-proxy haproxy -v")
    assert project.sh("docker version --format '{{.Server.Version}}'").startswith("20.10")
    with Load([f"http://{old.address('m1')}:80"], "old.test") as load:
        project.change("web", env={"VERSION": "2"})
        project.handful("deploy")
        project.change("web", timeouts={"response": "30s"})
        project.handful("deploy")
        project.handful("rollback")
        del project.config["images"]
        project.save()
        assert "set up" in project.handful("apply").out
    summary = load.result()
    assert summary.failed == 0, summary
    assert summary.sent > 100, summary
    assert project.get().endswith("200")
    rows = project.handful("status", "--json").json["instances"]
    assert {row["health"] for row in rows if row["health"] != "draining"} == {"healthy"}
    project.handful("remove", "web", "--yes")
    assert project.containers() == []
