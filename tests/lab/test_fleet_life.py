"""The life of a fleet: edges, numbers of instances, maintenance, a machine that is away, a deploy that others began."""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING

import pytest
from client import Load
from lab_support import Lab, Project, hello, tiny, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
BOTH = ("m1", "m2")
HOST = "life.test"


def ask(lab: Lab, machine: str, *words: str, host: str = HOST) -> str:
    """Ask a machine's port 80; return status and body, or `refused`."""
    line = ["curl", "-s", "-m", "5", "-w", "\\n%{http_code} %{redirect_url}", "-H", f"Host: {host}", *words]
    done = subprocess.run([*line, f"http://{lab.address(machine)}/up"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else "refused"


@pytest.fixture
def unplugged(lab: Lab) -> Iterator[str]:
    """Give the name of the network that the lab's machines share; the second machine is in it again in the end."""
    name = f"handful-lab-{lab.stack}"
    yield name
    plug(lab, name)


def plug(lab: Lab, name: str) -> None:
    """Put the second machine into the network again, if it is not."""
    words = ["docker", "network", "connect", "--ip", lab.address("m2"), name, f"{name}.m2"]
    subprocess.run(words, capture_output=True, check=False)
    wait_until(lambda: "yes" in lab.sh("m2", "echo yes", check=False), 30)


def said_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what a process has said once that has `text` in it."""
    assert process.stdout is not None
    said = bytearray()

    def more() -> bool:
        ready, _, _ = select.select([process.stdout], [], [], 0.1)
        said.extend(os.read(process.stdout.fileno(), 65536) if ready else b"")
        return text.encode() in said

    wait_until(more, 60)
    return said.decode()


def test_an_edge_takes_the_public_traffic_of_all(project: Project, lab: Lab) -> None:
    """It runs nothing itself; who asks the machine that does is refused; redirects and maintenance are the edge's."""
    keys = {"domains": [HOST], "redirects": {"www.life.test": HOST}, "machines": ["m1"]}
    project.write(machines=BOTH, private=True, edge=["m2"], web=tiny(**keys))
    project.handful("deploy")
    wait_until(lambda: ask(lab, "m2").endswith("\n200 "), 5)
    assert ask(lab, "m1") == "refused"
    assert ask(lab, "m2", host="www.life.test").endswith(f"\n308 http://{HOST}/up")
    project.change("web", env={"VERSION": "2"})
    counted = [event for event in project.handful("deploy", "--json").events if event["event"] == "measured"]
    assert {event["machine"] for event in counted} == {"m1", "m2"}
    assert next(event for event in counted if event["machine"] == "m2")["failed"] == "0"
    project.handful("maintenance", "on")
    assert "Back soon" in ask(lab, "m2")
    assert "maintenance: web is away on m2" in project.handful("status").out
    assert "nothing to do" in project.handful("deploy").out
    project.write(machines=BOTH, private=True, edge=["m1", "m2"], web=tiny(**keys))
    project.handful("apply")
    assert ["Back soon" in ask(lab, machine) for machine in BOTH] == [True, True]
    project.handful("maintenance", "off", "web")
    assert [ask(lab, machine).endswith("\n200 ") for machine in BOTH] == [True, True]
    assert project.handful("plan", "--check").code == 0


def test_more_instances_and_fewer(project: Project, lab: Lab) -> None:
    """Under load, on both machines, and no request is lost; the file decides in the end."""
    project.write(machines=BOTH, private=True, web=hello(project, HOST, machines=["m1", "m2"], instances=2))
    project.handful("deploy")
    kept = set(project.containers("m1"))
    with Load([f"http://{lab.address(machine)}:80" for machine in BOTH], HOST) as load:
        project.handful("scale", "web=4")
        assert kept <= set(project.containers("m1"))
        assert "instances 4 → 2" in project.handful("plan", "--check", code=3).out
        project.handful("apply")
        project.handful("scale", "web=1", "--for", "1h")
    summary = load.result()
    assert summary.failed == 0, summary
    status = project.handful("status").out
    assert "scaled: web has 1 instances on m1 for 60 min more" in status
    assert "drift" not in status
    assert project.handful("plan", "--check").code == 0
    assert project.sh("systemctl is-active handful-hours.timer").strip() == "active"


def test_a_machine_that_is_away_is_left_out_and_catches_up(project: Project, unplugged: str, lab: Lab) -> None:
    """A deploy refuses, unless it is told; plan, history and logs tell of the others, and end with 1."""
    project.write(machines=BOTH, private=True, web=hello(project, HOST, machines=["m1", "m2"], env={"VERSION": "1"}))
    project.handful("deploy")
    before = project.current(machine="m1")
    subprocess.run(["docker", "network", "disconnect", unplugged, f"{unplugged}.m2"], check=True)
    project.change("web", env={"VERSION": "2"})
    assert "m2" in project.handful("deploy", code=1).err
    assert project.current(machine="m1") == before
    planned = project.handful("plan", code=1)
    assert "m1       web          deploy 0002" in planned.out
    assert "m2 is away" in planned.all
    said = project.handful("deploy", "--skip-down")
    assert "m2 is away, and left out" in said.out
    assert project.current(machine="m1") != before
    assert "deploy: web 0001" in project.handful("history", code=1).out
    told = project.handful("logs", "web", code=1)
    assert "m1" in told.out
    assert "m2" in told.err
    plug(lab, unplugged)
    assert "unfinished" in project.handful("status").out
    project.handful("apply")
    assert len({project.current(machine=machine) for machine in BOTH}) == 1
    assert project.handful("plan", "--check").code == 0
    subprocess.run(["docker", "network", "disconnect", unplugged, f"{unplugged}.m2"], check=True)
    project.handful("rollback", "--skip-down")
    assert project.current(machine="m1") == before


def test_a_deploy_is_followed_by_somebody_else(project: Project) -> None:
    """From its beginning to its end; and a second one queues behind it."""
    (project.folder / "scripts").mkdir()
    script = project.folder / "scripts" / "before.bash"
    script.write_text("until [ -e /tmp/go-on ]; do sleep 0.1; done\n")
    project.write(machines=BOTH, private=True, web=tiny(machines=["m1"], before_start="scripts/before.bash"))
    running = project.start("deploy")
    wait_until(lambda: project.sh("ls -d /run/handful.*/progress 2>/dev/null || true"), 60)
    wait_until(lambda: "at work" in project.handful("status").out, 30)
    follower = project.start("deploy", "--attach")
    queued = project.start("deploy", "--wait")
    # It has begun to follow once it shows what the work has said before; the deploy must not end earlier.
    said = said_until(follower, "the network of")
    project.sh("touch /tmp/go-on")
    try:
        out, _ = follower.communicate(timeout=60)
        assert "web runs 0001" in said + out, said + out
        assert follower.returncode == 0
        assert running.wait(60) == 0
        assert "nothing to do" in queued.communicate(timeout=60)[0]
    finally:
        project.sh("rm -f /tmp/go-on")
        running.communicate(timeout=60)
    assert "no deploy is at work" in project.handful("deploy", "--attach", code=2).err


def test_everything_goes_back_to_an_earlier_day(project: Project) -> None:
    """By the number of a deploy, and by a time before anything ran."""
    project.write(web=tiny(env={"VERSION": "1"}), api=tiny(env={"VERSION": "1"}))
    project.handful("deploy")
    first = project.current()
    for version in ("2", "3"):
        project.change("web", env={"VERSION": version})
        project.change("api", env={"VERSION": version})
        project.handful("deploy")
    project.handful("rollback", "--all", "--to", "1")
    assert project.current() == first
    assert "nothing to do" in project.handful("rollback", "--all", "--to", "1", code=1).err
    assert "no app of the file ran then" in project.handful("rollback", "--all", "--to", "3d", code=1).err
    history = project.handful("history", "--json").json[-1]
    assert history["requests"]["web"]["failed"] == 0


def test_what_was_changed_by_hand_is_found_and_mended(project: Project, lab: Lab) -> None:
    """Files of a release, the proxy's files, names, limits of a container, an image that was pruned; under load."""
    project.write(web=hello(project, HOST, memory="256m"))
    project.handful("deploy")
    assert project.handful("plan", "--check").code == 0
    with Load([f"http://{lab.address('m1')}:80"], HOST) as load:
        project.sh("""
            cd /var/lib/handful
            echo MINE=1 >> stacks/$stack/apps/web/current/env
            sed -i 's/60000ms/59000ms/' proxy/conf/50-$stack.web.cfg
            sed -i "s/ web.$stack.internal/ wob.$stack.internal/" names/$stack /etc/hosts
            docker update --memory 128m --memory-swap 128m $(docker ps -q --filter label=handful.stack=$stack | head -n 1)
            docker images --format '{{.Repository}}:{{.Tag}}' | grep "^handful/$stack/web:" | xargs docker rmi -f >/dev/null
        """)
        found = project.handful("plan", "--check", code=3).out
        for sentence in ("env of 0001", "the memory limit of web-", "its names differ"):
            assert sentence in found, found
        project.handful("apply")
        assert project.handful("plan", "--check").code == 0
    assert load.result().failed == 0, load.result()
    project.sh("sed -i 's/60000ms/59000ms/' /var/lib/handful/proxy/conf/50-$stack.web.cfg")
    assert "what the proxy has of it differs" in project.handful("plan", "--check", code=3).out
    running = project.containers("m1")
    project.handful("apply")
    assert project.containers("m1") == running
    assert project.handful("plan", "--check").code == 0
