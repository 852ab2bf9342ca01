"""One lab for all lab tests; each test is a project (a stack) of its own on the lab's machines."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab_support import Lab, Project, make_tiny_image, own_ssh

from handful.provider import lab as lab_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two machines for the whole session."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        if os.environ.get("CI"):
            pytest.fail("no Docker engine answers on this computer; script/test starts one")
        pytest.skip("no Docker engine answers on this computer")
    state = tmp_path_factory.mktemp("lab")
    stack = f"test-{os.getpid()}"
    lines: list[str] = []
    try:
        access = lab_provider.up(stack, {"m1": None, "m2": None}, state=state, say=lines.append)
        make_tiny_image()
        yield Lab(access, *own_ssh(state, access), stack)
    finally:
        lab_provider.down(stack, state, lines.append)


@pytest.fixture
def project(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project whose stack is taken from the machines when the test is over."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.removeprefix("test_").lower()).strip("-")
    project = Project(lab, tmp_path, name[:36].strip("-"))
    yield project
    shutil.rmtree(project.runtime, ignore_errors=True)
    for machine in lab.access:
        lab.sh(machine, WIPE.replace("STACK", project.name), check=False)


# Deliberately not handful's own `remove`: a test may have left the machine in any state.
WIPE = """
docker rm -f $(docker ps -aq --filter label=handful.stack=STACK) 2>/dev/null
docker network rm handful-STACK
rm -rf /var/lib/handful/stacks/STACK /var/lib/handful/names/STACK /var/lib/handful/logs/STACK /var/lib/handful/proxy/conf/50-STACK.*
sed -i '/ STACK\\./d' /var/lib/handful/proxy/conf/routes.map
ls /var/lib/handful/stacks/*/reach/* >/dev/null 2>&1 || rm -f /var/lib/handful/proxy/conf/20-ready.cfg
[ -s /var/lib/handful/proxy/conf/routes.map ] || rm -f /var/lib/handful/proxy/conf/10-edge.cfg
sed -i '/^# handful: STACK$/,/^# handful: STACK end$/d' /etc/hosts
perl -MIO::Socket::UNIX -e '
  my $s = IO::Socket::UNIX->new(Peer => shift) or exit; print $s "reload\\n"; $s->shutdown(1); 1 while <$s>
' /var/lib/handful/proxy/run/master.sock
docker images --format '{{.Repository}}:{{.Tag}}' | grep '^handful/STACK/' | xargs -r docker rmi
docker volume ls -q | grep '^STACK\\.' | xargs -r docker volume rm
"""
