"""Bad input and bad days: a clear error, the old release serves, and nothing is left behind."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from lab_support import TINY, tiny, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab_support import Lab, Project

pytestmark = pytest.mark.lab


@pytest.fixture
def served(project: Project) -> Iterator[Project]:
    """A project whose release is served; after the test it still is, and nothing is left behind."""
    project.write(web=tiny(env={"VERSION": "old"}))
    project.handful("deploy")
    release, containers = project.current(), project.containers()
    folders = project.sh("ls /var/lib/handful/stacks/$stack/apps/*/releases")
    yield project
    assert project.get() == f"{release} old\n 200"
    assert wait_until(lambda: project.containers() == containers)
    assert project.leftovers() == ""
    assert project.sh("ls /var/lib/handful/stacks/$stack/apps/*/releases") == folders


def fails(project: Project, **changes: Any) -> str:
    """Deploy a change that must fail; return what it said."""
    project.change("web", **changes)
    return project.handful("deploy", code=1).err


def test_no_dockerfile(served: Project) -> None:
    """A build without a Dockerfile is told from the file alone, with line and column."""
    del served.config["apps"]["web"]["image"]
    served.change("web", build={"context": "."})
    said = served.handful("deploy", code=2)
    assert "handful.yml:" in said.err
    assert "Dockerfile" in said.err


def test_build_fails(served: Project) -> None:
    """The last lines of the build are shown."""
    (served.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo this is why; exit 7\n")
    del served.config["apps"]["web"]["image"]
    said = fails(served, build={"context": "."})
    assert "this is why" in said


def test_image_that_does_not_exist(served: Project) -> None:
    """The reference and the way to try it are named."""
    said = fails(served, image="no-such-image:1")
    assert "no-such-image:1" in said
    assert "docker pull no-such-image:1" in said


def test_container_exits_at_once(served: Project) -> None:
    """Said within 2 s of its exit, with exit code and last lines."""
    served.change("web", command=["sh", "-c", "echo first; echo the reason >&2; exit 3"])
    said = served.handful("deploy", "--json", code=1)
    by_kind = {event["event"]: event for event in said.events}
    assert by_kind["failed"]["seconds"] - by_kind["started"]["seconds"] < 2
    assert "exit code 3" in said.err
    assert "the reason" in said.err


def test_health_answers_404(served: Project) -> None:
    """The message holds what was asked, what came, and the start of the body."""
    said = fails(served, health={"path": "/nothing", "within": "2s"})
    assert "GET /nothing → 404" in said
    assert "404 Not Found" in said


def test_health_never_answers(served: Project) -> None:
    """A server that takes connections and says nothing."""
    said = fails(
        served, command=["nc", "-ll", "-p", "8000", "-e", "sleep", "100"], health={"path": "/up", "within": "2s"}
    )
    assert "GET /up → no answer" in said


def test_nothing_listens_on_the_port(served: Project) -> None:
    """What does listen is told, and that loopback inside a container is not enough."""
    said = fails(
        served, command=["httpd", "-f", "-p", "127.0.0.1:8000", "-h", "/www"], health={"path": "/up", "within": "2s"}
    )
    assert "nothing listens on port 8000" in said
    assert "127.0.0.1:8000" in said
    assert "0.0.0.0" in said


def test_health_command_fails(served: Project) -> None:
    """Its exit code and its words."""
    said = fails(served, health={"command": ["sh", "-c", "echo not yet; exit 5"], "within": "2s"})
    assert "exit code 5" in said
    assert "not yet" in said


def test_release_command_fails(served: Project) -> None:
    """Before any traffic moves, with its last lines."""
    said = fails(served, env={"VERSION": "new"}, release_command=["sh", "-c", "echo migration 7 broke; exit 1"])
    assert "release command of web failed" in said
    assert "migration 7 broke" in said


def test_second_app_fails_first_goes_back(served: Project) -> None:
    """One machine is wholly old or wholly new: an app that had switched goes back with the one that failed."""
    served.config["apps"]["bad"] = tiny(needs=["web"], command=["false"])
    said = fails(served, env={"VERSION": "new"})
    assert "bad-1 ended with exit code 1" in said
    assert not served.sh("ls -d /var/lib/handful/stacks/$stack/apps/bad 2>/dev/null || true")


def test_recreate_fails_and_the_old_starts_again(served: Project) -> None:
    """Strategy recreate has stopped the old one: it is started again."""
    fails(served, deploy={"strategy": "recreate"}, command=["false"])
    wait_until(lambda: served.get("/up") == "ok 200")


def test_another_deploy_is_at_work(served: Project) -> None:
    """Who, since when, from where; said before anything is built."""
    # New each time: an engine that has run this test before has an image of the same.
    (served.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo not built before: {uuid4()}\n")
    served.change("web", health={"path": "/nothing", "within": "8s"})
    first = served.start("deploy")
    wait_until(lambda: served.sh("flock -n -s /var/lib/handful/stacks/$stack/lock true || echo held"))
    del served.config["apps"]["web"]["image"]
    served.change("web", build={"context": "."})
    said = served.handful("deploy", code=1)
    assert "another deploy is at work" in said.err
    assert "root from " in said.err
    assert "since 20" in said.err
    assert "building" not in said.all
    waiting = served.start("deploy", "--wait")
    assert first.wait(60) == 1
    first.communicate()
    out, _ = waiting.communicate(timeout=60)
    assert "waiting for handful deploy, by root from " in out
    assert "building" in out
    assert waiting.returncode == 1


@pytest.mark.parametrize("moment", ["started", "healthy", "switched"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(project: Project, moment: str, how: signal.Signals) -> None:
    """Ctrl-C and a killed operator at each phase: wholly old or wholly new, nothing left, the next deploy works."""
    project.write(web=tiny(env={"VERSION": "old"}))
    project.handful("deploy")
    project.change("web", env={"VERSION": "new"})
    if moment == "started":
        project.change("web", health={"path": "/nothing", "within": "15s"})
    process = project.start("deploy", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if f'"event": "{moment}"' in line:
            break
    process.send_signal(how)
    code = process.wait(60)
    process.communicate()
    assert code == (130 if how == signal.SIGINT and moment == "started" else code)
    wait_until(lambda: not project.leftovers(), 60)
    wait_until(lambda: len(project.containers()) == 1, 30)
    body = project.get()
    assert body.endswith("200")
    assert body.startswith(project.current())
    assert ("old" in body) == (moment == "started") or moment == "healthy"
    project.change("web", health={"path": "/up", "within": "20s"}, env={"VERSION": "next"})
    project.handful("deploy")
    assert "next" in project.get()


def test_connection_cut(project: Project, lab: Lab) -> None:
    """The machine hears nothing more of the operator (its packets are dropped): it cleans up by itself."""
    project.write(web=tiny(env={"VERSION": "old"}))
    project.handful("deploy")
    project.change("web", env={"VERSION": "new"}, health={"path": "/nothing", "within": "120s"})
    process = project.start("deploy", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if '"event": "started"' in line:
            break
    # Silent for this session only: its ssh stops where it is, and so does the heartbeat.
    process.send_signal(signal.SIGSTOP)
    ssh = [int(word) for word in (lab.ssh_config.parent / "sessions").read_text().split()][-1]
    try:
        import os

        os.kill(ssh, signal.SIGSTOP)
        wait_until(lambda: not project.leftovers(), 60)
        assert project.get() == f"{project.current()} old\n 200"
        assert len(project.containers()) == 1
        assert project.handful("history", "--json").json[-1]["outcome"] == "interrupted"
    finally:
        os.kill(ssh, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_machine_unreachable(project: Project) -> None:
    """An address where nothing answers."""
    project.write(web=tiny())
    project.config["machines"]["m1"]["address"] = "127.0.0.77"
    project.config["ssh"]["port"] = 1
    project.save()
    said = project.handful("deploy", code=1)
    assert "does not answer" in said.err
    assert "Try by hand: ssh -p 1 root@127.0.0.77" in said.err


def test_login_refused(project: Project) -> None:
    """A user whom the machine does not know: ssh's own words, and what to do. A machine in use is not changed for it."""
    project.write(web=tiny())
    project.config["ssh"]["user"] = "nobody-here"
    project.save()
    said = project.handful("deploy", code=1)
    assert "refuses the login of nobody-here" in said.err
    assert "authorized_keys" in said.err
    assert "Permission denied" in said.err
    assert "If nobody-here is to be made there: handful machines prepare m1" in said.err
    assert project.sh("getent passwd nobody-here || ls /etc/ssh/sshd_config.d/10-handful.conf || echo as before").endswith("as before\n")


def test_host_key_changed(project: Project, lab: Lab) -> None:
    """The machine shows another key than the one on file."""
    project.write(web=tiny())
    known = next(
        option.split("=", 1)[1].strip('"')
        for option in lab.access["m1"].options
        if option.startswith("UserKnownHostsFile")
    )
    from pathlib import Path

    file = Path(known)
    before = file.read_text()
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIJxgP1LbWKPDCJ1nMCuE5A9JTNzKJVZ3nXhkyT7C7nMx"
    try:
        file.write_text(f"{lab.address('m1')} ssh-ed25519 {other}\n")
        said = project.handful("deploy", code=1)
    finally:
        file.write_text(before)
    assert "another host key than before" in said.err
    assert f"ssh-keygen -f {file} -R {lab.address('m1')}" in said.err


def test_docker_is_down(served: Project) -> None:
    """No engine answers on the machine."""
    served.change("web", env={"VERSION": "new"})
    served.sh("mv /usr/bin/docker /usr/bin/docker.away; printf '#!/bin/sh\necho no engine >&2; exit 1\n' >/usr/bin/docker; chmod +x /usr/bin/docker")
    try:
        said = served.handful("deploy", code=1)
    finally:
        served.sh("mv /usr/bin/docker.away /usr/bin/docker")
    assert "m1 has no Docker that answers" in said.err
    assert "handful ssh m1 systemctl restart docker" in said.err


def test_rollback_to_a_release_that_is_not_there(served: Project) -> None:
    """Those that are there are named."""
    said = served.handful("rollback", "web", "--to", "0099", code=2)
    assert "has no release 0099" in said.err
    assert served.current() in said.err
    said = served.handful("rollback", code=1)
    assert "nothing to go back to" in said.err


def test_port_of_a_host_service(served: Project) -> None:
    """A host service that listens on all addresses at an app's port is named."""
    listen = "my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 8123) or die; sleep 600"
    served.sh(f"setsid perl -MIO::Socket::INET -e '{listen}' >/dev/null 2>&1 </dev/null & echo $! >/tmp/holder.pid")
    try:
        wait_until(lambda: served.sh("ss -Hltn sport = :8123"))
        served.config["apps"]["two"] = {**tiny(env={"PORT": "8123"}), "port": 8123}
        served.save()
        said = served.handful("deploy", code=1)
    finally:
        served.sh("kill $(cat /tmp/holder.pid)")
    assert "port 8123 of two is taken on m1 by perl" in said.err


def test_domain_of_another_stack(served: Project, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The stack that holds it is named."""
    other = type(served)(lab, tmp_path_factory.mktemp("other"), served.name + "x")
    other.write(web=tiny(domains=["taken.test"]))
    other.handful("deploy")
    try:
        said = fails(served, domains=["taken.test"])
    finally:
        other.handful("remove", "web", "--yes")
    assert f"taken on m1 by web of the stack {other.name}" in said


def test_disk_full(served: Project) -> None:
    """Said with figures before anything is built or sent."""
    (served.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo another >/www/more\n")
    del served.config["apps"]["web"]["image"]
    # The machine's folder, on a disk of 16 MB.
    served.sh(
        "mkdir -p /tmp/full; mount -t tmpfs -o size=16m none /tmp/full\n"
        "cp -a /var/lib/handful/. /tmp/full/; mount --bind /tmp/full /var/lib/handful"
    )
    try:
        said = fails(served, build={"context": "."})
        assert "MB of disk left" in said
        assert "Nothing was changed" in said
    finally:
        served.sh("umount /var/lib/handful; umount /tmp/full")


def test_disk_fills_in_the_middle(served: Project) -> None:
    """The release finds no room in its place: the deploy fails, nothing of it stays, the old release serves."""
    (served.folder / "big").write_bytes(b"x" * 3_000_000)
    served.sh(
        "mkdir -p /tmp/small; mount -t tmpfs -o size=2m none /tmp/small\n"
        "releases=/var/lib/handful/stacks/$stack/apps/web/releases; cp -a $releases/. /tmp/small/; mount --bind /tmp/small $releases"
    )
    try:
        said = fails(served, files={"big": "/etc/big"}, env={"VERSION": "new"})
        assert "could not be stored on this machine" in said
    finally:
        left = served.sh(
            "releases=/var/lib/handful/stacks/$stack/apps/web/releases; ls $releases; umount $releases; umount /tmp/small"
        )
    assert left.split() == [served.current()]


def test_a_clock_that_is_off_is_shown(served: Project) -> None:
    """Time is told, not trusted."""
    assert "drift: the clock" not in served.handful("status").out
    assert abs(served.handful("status", "--json").json["machines"]["m1"]["skew"]) < 2
    assert time.time() > 0
