"""Secrets from a file in git to an app, without being seen anywhere on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Self

import pytest
from client import Load
from lab_support import Lab, Project, hello, tiny, wait_until

from handful.secrets.age import Keyring, make_identity

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab
HOST = "secrets.test"
FIRST, SECOND, FILE = "first-correct-horse", "second-battery-staple", "in a file\nof two lines: purple-monkey\n"
TELLING = ("correct-horse", "battery-staple", "purple-monkey")
# Where values may be: the release's own folder, Docker's own state, what runs inside of containers, and the kept logs of
# an app that says them itself.
SEARCH = """
values='correct-horse|battery-staple|purple-monkey'
grep -rlE --exclude-dir=containerd --exclude-dir=docker "$values" /var/log /run /tmp /etc /root /home 2>/dev/null
find /var/lib/handful -type f ! -path '*/secrets/*' ! -path "*/logs/$stack/web/*" -print0 | xargs -0 grep -lE "$values" 2>/dev/null
find /var/lib/handful \\( -type d -perm /077 -o -path '*/secrets/env*' -perm /077 \\) -path "*/$stack/*" 2>/dev/null
find /var/lib/handful/logs -perm /077
journalctl --no-pager 2>/dev/null | grep -E "$values"
for image in $(docker images -q); do docker image history --no-trunc "$image"; docker image inspect "$image"; done 2>/dev/null | grep -E "$values"
for each in $(docker ps -aq); do docker logs "$each" 2>&1; done | grep -E "$values"
true
"""


class Watch:
    """Samples the command lines of all processes of this computer, those of its lab too, while a `with` lasts."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        with open(f"/proc/{name}/cmdline", "rb") as file:
                            self.seen.add(file.read().decode(errors="replace"))
                    except OSError:
                        continue


@pytest.fixture
def keyed(project: Project, tmp_path: Path) -> Project:
    """A project of somebody who has an identity, and has set three secrets."""
    home = tmp_path / "home"
    identity = Keyring({}, home).default_file()
    make_identity(identity)
    project.variables = {"SOPS_AGE_KEY_FILE": str(identity)}
    return project


def test_values_reach_the_app_and_nobody_else(keyed: Project) -> None:
    """Two deploys, one that fails, one that is interrupted and a rollback, under the eyes of a searcher."""
    project, said = keyed, []
    keys = {"secrets": ["TOKEN", {"secret": "TOKEN", "env": "OTHER"}, {"secret": "PEM", "file": "/run/secrets/pem"}]}
    project.write(web=tiny(**keys))
    with Watch() as watch:
        said.append(project.handful("secrets", "init").all)
        assert "these secrets are set nowhere: TOKEN (web)" in project.handful("deploy", code=1).err
        said.append(project.handful("secrets", "set", "TOKEN", stdin=FIRST).all)
        said.append(project.handful("secrets", "set", "PEM", stdin=FILE).all)
        said.append(project.handful("deploy", "--json").all)
        inside = project.sh("docker exec $(docker ps -q --filter label=handful.stack=$stack) sh -c 'echo $OTHER; cat /run/secrets/pem; id -u'")
        assert inside == f"{FIRST}\n{FILE}0\n"
        old = project.current()
        said.append(project.handful("secrets", "set", "TOKEN", stdin=SECOND).all)
        assert "secret env TOKEN changed" in project.handful("plan").out
        said.append(project.handful("deploy", "-v").all)
        new = project.current()
        project.change("web", env={"VERSION": "2"}, command=["sh", "-c", "echo $TOKEN; exit 1"])
        failed = project.handful("deploy", code=1).all
        assert "[TOKEN]" in failed
        project.change("web", env={"VERSION": "3"}, command=["/start"], after_start="wait.bash")
        (project.folder / "wait.bash").write_text("sleep 20\n")
        running = project.start("deploy")
        wait_until(lambda: "healthy" in project.sh("cat /run/handful.*/progress 2>/dev/null || true"), 30)
        running.send_signal(signal.SIGINT)
        said += [failed, running.communicate(timeout=60)[0]]
        assert project.current() == new
        said.append(project.handful("rollback").all)
        assert project.current() == old
        assert "secret env TOKEN: " in project.handful("diff", "web", "1", "2").out
        said += [project.handful("history").all, project.handful("diff", "web", "1", "2").all, project.handful("logs", "web").all]
    assert wait_until(lambda: len(project.containers()) == 1)
    assert project.sh("docker exec $(docker ps -q --filter label=handful.stack=$stack) sh -c 'echo $TOKEN'").strip() == FIRST
    for telling in TELLING:
        assert not [text for text in said if telling in text]
        # The shell of this very test's `docker exec` asks by name.
        assert not [line for line in watch.seen if telling in line]
    assert project.sh(SEARCH) == ""
    own = subprocess.run(["grep", "-rlE", "|".join(TELLING), str(project.folder)], capture_output=True, text=True, check=False)
    assert own.stdout == ""
    assert project.leftovers() == ""


def test_another_value_is_a_deploy_without_a_failed_request(keyed: Project, lab: Lab) -> None:
    """Nothing is built. A secret that is called as the app is hides no word that machines and operator exchange."""
    project = keyed
    keys = {"secrets": ["TOKEN", "DB_USER"], "machines": ["m1", "m2"], "deploy": {"strategy": "all"}}
    project.write(machines=("m1", "m2"), private=True, web=hello(project, HOST, **keys))
    project.handful("secrets", "init")
    project.handful("secrets", "set", "TOKEN", stdin=FIRST)
    project.handful("secrets", "set", "DB_USER", stdin="switch")
    project.handful("deploy")
    with Load([f"http://{lab.address(name)}:80" for name in ("m1", "m2")], HOST) as load:
        project.handful("secrets", "set", "TOKEN", stdin=SECOND)
        events = project.handful("deploy", "--json").events
    assert not {"building", "failed"} & {event["event"] for event in events}
    assert load.result().failed == 0, load.result()
    assert project.handful("plan", "--check").code == 0
