"""Two machines, one service: names, fronts, balance, and what happens when a machine is gone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from client import Load
from lab_support import Lab, Project, hello, tiny, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab
BOTH = ("m1", "m2")


def inside(project: Project, words: str, app: str = "web", machine: str = "m2") -> str:
    """Run a program inside of an app's first instance; return what it says, and `refused` when it fails."""
    return project.sh(f"docker exec $stack.{app}-1 {words} 2>/dev/null || echo refused", machine).strip()


def front(project: Project, lab: Lab, machine: str = "m1", app: str = "web") -> str:
    """Return ADDRESS:PORT of an app's front on a machine."""
    number = int(project.sh(f"sed -n 's/^number //p' /var/lib/handful/stacks/$stack/reach/{app}", machine))
    return f"{lab.access[machine].private}:{20_000 + number}"


@pytest.fixture
def unplugged(lab: Lab) -> Iterator[str]:
    """Give the name of the network that the lab's machines share; the second machine is in it again in the end."""
    name = f"handful-lab-{lab.stack}"
    yield name
    words = ["docker", "network", "connect", "--ip", lab.address("m2"), name, f"{name}.m2"]
    subprocess.run(words, capture_output=True, check=False)
    wait_until(lambda: "yes" in lab.sh("m2", "echo yes", check=False), 30)


def test_an_app_needs_one_on_another_machine(project: Project) -> None:
    """The database comes up first although its machine stands last; from a container on the other one it is db:8000."""
    project.write(
        machines=BOTH, private=True,
        web=tiny(machines=["m1"], needs=["db"]), db=tiny(machines=["m2"], protocol="tcp", health={"tcp": True}),
    )
    said = project.handful("deploy", "--json")
    switched = [(event["machine"], event["text"][:3]) for event in said.events if event["event"] == "switched"]
    assert switched == [("m2", "db "), ("m1", "web")]
    for name in ("db", f"db.{project.name}.internal"):
        assert inside(project, f"timeout 5 wget -q -O - http://{name}:8000/up", machine="m1") == "ok"
    assert inside(project, "timeout 5 wget -q -O - http://web:8000/up", "db", "m2") == "ok"
    assert project.sh(f"curl -s -m 5 http://db.{project.name}.internal:8000/up") == "ok"
    assert "nothing to do" in project.handful("deploy").out
    assert project.handful("plan", "--check").code == 0
    project.handful("remove", "db", "--yes")
    assert inside(project, "timeout 5 wget -q -O - http://db:8000/up", machine="m1") == "refused"
    assert "db" not in project.sh("cat /var/lib/handful/names/$stack")


def test_a_front_is_closed_to_containers(project: Project, lab: Lab, tmp_path: Path) -> None:
    """To those of another stack and of one's own, on the same machine and on the other; the other machine itself may come."""
    project.write(machines=BOTH, private=True, web=tiny(machines=["m1", "m2"]))
    project.handful("deploy")
    other = Project(lab, tmp_path / "other", project.name + "x")
    other.folder.mkdir()
    other.write(machines=BOTH, private=True, web=tiny(machines=["m1", "m2"], env={"VERSION": "theirs"}))
    other.handful("deploy")
    try:
        target = front(project, lab)
        assert project.sh(f"curl -s -m 5 http://{target}/up", "m2") == "ok"
        for stack in (project, other):
            assert inside(stack, "timeout 5 wget -q -O - http://web:8000/up") == "ok"
            for machine in BOTH:
                assert inside(stack, f"timeout 3 wget -q -O - http://{target}/up", machine=machine) == "refused", machine
        assert "theirs" in inside(other, "timeout 5 wget -q -O - http://web:8000/")
        assert "theirs" not in inside(project, "timeout 5 wget -q -O - http://web:8000/")
    finally:
        other.handful("remove", "web", "--yes")
    assert inside(project, "timeout 5 wget -q -O - http://web:8000/up") == "ok"


def test_all_instances_of_a_machine_can_go_unnoticed(project: Project, lab: Lab) -> None:
    """A deploy and a rollback over both machines: 0 failed requests. And stopped on one, it still answers there."""
    project.write(machines=BOTH, private=True, web=hello(project, "two.test", machines=["m1", "m2"], env={"VERSION": "1"}))
    project.handful("deploy")
    edges = [f"http://{lab.address(machine)}:80" for machine in BOTH]
    with Load(edges, "two.test") as load:
        project.change("web", env={"VERSION": "2"})
        project.handful("deploy")
        project.handful("rollback")
    summary = load.result()
    assert summary.failed == 0, summary
    project.sh("docker stop -t 5 $(docker ps -q --filter label=handful.stack=$stack)")
    wait_until(lambda: project.get("/up").endswith("200"), 3)
    assert "instances of web run on m1" in project.handful("status").out
    project.handful("apply")
    assert project.leftovers() == ""


def test_a_machine_that_is_cut_off_is_left_out_within_three_seconds(project: Project, lab: Lab, unplugged: str) -> None:
    """Requests begun more than three seconds after the cut are answered, all of them; and who looks is told which machine is away."""
    project.write(machines=BOTH, private=True, web=hello(project, "cut.test", machines=["m1", "m2"]))
    project.handful("deploy")
    subprocess.run(["docker", "network", "disconnect", unplugged, f"{unplugged}.m2"], check=True)
    wait_until(lambda: "DOWN" in project.sh(f"{STAT} | grep ',peer.m2,' | head -n 1"), 3)
    with Load([f"http://{lab.address('m1')}:80"], "cut.test") as load:
        assert "m2 (" in project.handful("status", code=1).out
    summary = load.result()
    assert summary.failed == 0, summary
    assert summary.sent > 100, summary


STAT = """perl -e 'socket($p, 1, 1, 0) && connect($p, pack("Sa*x", 1, "/var/lib/handful/proxy/run/admin.sock")) or die;
syswrite($p, "show stat\\n"); shutdown($p, 1); print while <$p>' | grep "^$stack"."""


def test_an_app_moves_to_another_machine(project: Project, lab: Lab) -> None:
    """Its callers do not notice: it runs in its new place, all know it, and then it goes from the old one."""
    project.write(machines=BOTH, private=True, web=tiny(machines=["m1"]), api=tiny(machines=["m1", "m2"]))
    project.handful("deploy")
    project.change("web", machines=["m2"])
    ask = "for i in $(seq 400); do curl -s -o /dev/null -m 5 -w '%{http_code}\\n' http://web.$stack.internal:8000/up; sleep 0.02; done | sort | uniq -c"
    asking = subprocess.Popen(
        ["ssh", "-F", str(lab.ssh_config), "-l", "root", lab.address("m1"), f"stack={project.name}\n{ask}"],
        stdout=subprocess.PIPE, text=True,
    )
    said = project.handful("apply")
    assert "remove" in said.out
    counted, _ = asking.communicate(timeout=120)
    assert counted.split() == ["400", "200"], counted
    assert "nothing to do" in project.handful("apply").out
    assert project.containers("m1") == [f"{project.name}.api-1"]
    assert inside(project, "timeout 5 wget -q -O - http://web:8000/up", "api", "m1") == "ok"


@pytest.fixture
def spread(project: Project) -> Project:
    """Give a project whose app runs on both machines; `scripts/before.bash` runs before each start."""
    (project.folder / "scripts").mkdir()
    (project.folder / "scripts" / "before.bash").write_text("true\n")
    app = hello(project, "fleet.test", machines=["m1", "m2"], env={"VERSION": "1"}, before_start="scripts/before.bash")
    project.write(machines=BOTH, private=True, web=app)
    project.handful("deploy")
    return project


def on_the_second(project: Project, words: str) -> None:
    """Ask for another release, which does something on the second machine before it starts there."""
    (project.folder / "scripts" / "before.bash").write_text(f"case $(hostname) in *m2) {words} ;; esac\n")


def releases(project: Project) -> set[str]:
    """Return what runs on the two machines."""
    return {project.current(machine=machine) for machine in BOTH}


def test_a_machine_that_fails_takes_the_other_back(spread: Project, lab: Lab) -> None:
    """The first has switched when the second fails: it goes back under traffic, and no request is lost."""
    before = releases(spread)
    on_the_second(spread, "echo no room here; exit 1")
    with Load([f"http://{lab.address(machine)}:80" for machine in BOTH], "fleet.test") as load:
        said = spread.handful("deploy", code=1)
    summary = load.result()
    assert "m2: before_start of web failed" in said.err
    assert "no room here" in said.err
    assert "m1 went back, too." in said.err
    assert "m1       web runs 0002" in said.out
    assert releases(spread) == before
    assert summary.failed == 0, summary
    assert "unfinished" not in spread.handful("status").out
    assert [spread.leftovers(machine) for machine in BOTH] == ["", ""]


def test_all_switch_together(spread: Project, lab: Lab) -> None:
    """Every new instance is healthy on every machine before the first one takes traffic."""
    spread.change("web", env={"VERSION": "2"}, deploy={"strategy": "all"})
    with Load([f"http://{lab.address(machine)}:80" for machine in BOTH], "fleet.test") as load:
        said = spread.handful("deploy", "--json")
    summary = load.result()
    assert summary.failed == 0, summary
    at = {(event["event"], event["machine"]): float(event["seconds"]) for event in said.events}
    healthy, switched = ([at[kind, machine] for machine in BOTH] for kind in ("healthy", "switched"))
    assert max(healthy) < min(switched)
    assert len(releases(spread)) == 1


@pytest.mark.parametrize("signal", ["INT", "KILL"])
def test_an_operator_who_goes_between_two_machines(spread: Project, signal: str) -> None:
    """Ctrl-C takes both back. Killed, the first finishes by itself, everybody is told, and the next deploy finishes the rest."""
    before = releases(spread)
    on_the_second(spread, "[ -e /var/lib/handful/stacks/$HANDFUL_STACK/go ] || { touch /tmp/begun; sleep 60 & wait; }")
    running = spread.start("deploy")
    wait_until(lambda: spread.sh("ls /tmp/begun 2>/dev/null || true", "m2"), 60)
    subprocess.run(["kill", f"-{signal}", str(running.pid)], check=True)
    running.communicate(timeout=60)
    spread.sh("rm /tmp/begun; touch /var/lib/handful/stacks/$stack/go", "m2")
    if signal == "INT":
        assert running.returncode == 130
        assert releases(spread) == before
        assert "unfinished" not in spread.handful("status").out
    else:
        wait_until(lambda: [spread.leftovers(machine) for machine in BOTH] == ["", ""], 60)
        assert len(releases(spread)) == 2
        assert "unfinished: web: m1 on 0002" in spread.handful("status").out
        assert "unfinished" in spread.handful("plan").out
        assert "unfinished" in spread.handful("deploy", "--resume").out
        assert len(releases(spread)) == 1
        assert releases(spread) != before
