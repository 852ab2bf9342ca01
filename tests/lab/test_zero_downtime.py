"""Twenty deploys in a row under load, counted by an independent client that does not retry: nothing fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from client import Load
from lab_support import hello, wait_until

if TYPE_CHECKING:
    from lab_support import Lab, Project

pytestmark = pytest.mark.lab
DEPLOYS = 20


def proxy_log(project: Project) -> str:
    """Return what the proxy says of the project's servers, for a test that fails."""
    return project.sh('docker logs --timestamps handful-proxy 2>&1 | grep "$stack\\." | tail -n 60')


def test_twenty_deploys_under_load(project: Project, lab: Lab) -> None:
    """About 500 requests/s of kept and new connections, POSTs, slow requests in flight, streams and websockets."""
    domain = f"{project.name}.test"
    project.write(web=hello(project, domain, env={"VERSION": "0"}))
    project.handful("deploy")
    with Load([f"http://{lab.address('m1')}:80"], domain) as load:
        for number in range(1, DEPLOYS + 1):
            project.change("web", env={"VERSION": str(number)})
            project.handful("deploy")
        project.handful("rollback")
    summary = load.result()
    assert summary.failed == 0, f"{summary}\n{proxy_log(project)}"
    assert summary.websocket_cut == 0, summary
    assert summary.sent > 5000, summary
    assert len(summary.versions) >= DEPLOYS, summary.versions
    past = project.handful("history", "-n", "100", "--json").json
    assert [each["outcome"] for each in past] == ["done"] * (DEPLOYS + 2)
    wait_until(lambda: len(project.containers()) == 1, 60)
    assert project.leftovers() == ""
    assert project.get("/").endswith("200")
