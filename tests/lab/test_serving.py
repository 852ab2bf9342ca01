"""From handful.yml to a served app and back, on real machines."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from lab_support import TINY, Lab, own_ssh, tiny, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lab_support import Project

pytestmark = pytest.mark.lab
UGLY = 'it\'s "q" $(touch /pwned) `id` \\ %s ü€ #x'


def test_deploy_change_rollback(project: Project) -> None:
    """A first deploy serves, a changed variable is a new release, rollback brings the old one back, each says why."""
    project.write(web=tiny(instances=2, env={"VERSION": "one"}))
    first = project.handful("deploy")
    assert "new here" in first.out
    assert project.get() == f"{project.current()} one\n 200"
    project.change("web", env={"VERSION": "two"})
    assert "env VERSION changed" in project.handful("plan").out
    project.handful("deploy")
    assert "two" in project.get()
    project.handful("rollback")
    assert project.get() == f"{project.current()} one\n 200"
    wait_until(lambda: len(project.containers()) == 2)
    past = project.handful("history", "--json").json
    assert [each["what"] for each in past] == ["deploy", "deploy", "rollback"]
    assert {each["outcome"] for each in past} == {"done"}
    assert "env VERSION: one → two" in project.handful("diff", "web", "1", "2").out
    assert project.leftovers() == ""


def test_nothing_changed_is_nothing_done(project: Project) -> None:
    """A second deploy of the same file touches no container and writes no history."""
    project.write(web=tiny())
    project.handful("deploy")
    before = project.sh("docker ps -q --no-trunc; cat /var/lib/handful/stacks/$stack/history.jsonl")
    assert "nothing to do" in project.handful("deploy").out
    assert project.sh("docker ps -q --no-trunc; cat /var/lib/handful/stacks/$stack/history.jsonl") == before
    project.handful("plan", "--check")
    project.change("web", env={"A": "1"})
    project.handful("plan", "--check", code=3)


def test_env_files_and_commands_arrive_byte_for_byte(project: Project) -> None:
    """Spaces, quotes, dollars, backslashes, newlines, UTF-8 and odd names reach env, files and commands unchanged."""
    env = {"UGLY": UGLY, "LINES": "a\nb\r\nc $HOME", "UID": "x\ny", "a.b": "1\n2", "EMPTY": "", "SPACE": " s "}
    (project.folder / "odd file").write_bytes(UGLY.encode() + b"\n\x00\xff")
    # busybox's own shell would drop a.b, so that one app runs without a shell, and the other shows its arguments.
    alone = tiny(env=env, files={"odd file": "/etc/odd"}, command=["httpd", "-f", "-p", "8000", "-h", "/www"])
    project.write(web=alone, words=tiny(command=["sh", "-c", 'echo "$1" >/www/arg; exec /start', "x", UGLY]))
    project.handful("deploy")
    found = project.sh("docker exec $stack.web-1 cat /proc/1/environ | base64 -w0")
    environ = subprocess.run(["base64", "-d"], input=found.encode(), capture_output=True, check=True).stdout.split(
        b"\0"
    )
    for name, value in env.items():
        assert f"{name}={value}".encode() in environ
    odd = project.sh("docker exec $stack.web-1 cat /etc/odd | base64 -w0")
    assert (
        subprocess.run(["base64", "-d"], input=odd.encode(), capture_output=True, check=True).stdout
        == UGLY.encode() + b"\n\x00\xff"
    )
    assert project.get("/arg", "words") == f"{UGLY}\n 200"
    assert project.sh("ls /pwned 2>&1 || true").startswith("ls:")


def test_apps_that_need_each_other(project: Project) -> None:
    """A tcp app with a volume, a web app with a release command that needs it, and a worker with the same image."""
    (project.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo built >/www/built\n")
    (project.folder / "before.bash").write_text("echo before of $HANDFUL_APP >/tmp/before-$HANDFUL_STACK\n")
    reach_db = ["sh", "-c", "wget -q -O - http://db:8000/up && echo migrated >&2"]
    project.write(
        web=tiny(
            build={"context": "."},
            needs=["db"],
            release_command=reach_db,
            before_start="before.bash",
            domains=["w.test"],
        ),
        worker={
            "image": {"app": "web"},
            "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"],
            "needs": ["db"],
        },
        db={
            **tiny(volumes={"data": "/data"}, protocol="tcp"),
            "health": {"command": ["wget", "-q", "-O", "-", "http://127.0.0.1:8000/up"]},
        },
    )
    del project.config["apps"]["web"]["image"]
    project.save()
    said = project.handful("deploy")
    assert (
        said.out.index("db runs")
        < said.out.index("release command")
        < said.out.index("web-1 started")
        < said.out.index("web runs 0001")
    )
    assert project.get("/built") == "built\n 200"
    assert project.sh("cat /tmp/before-$stack") == "before of web\n"
    assert project.sh("docker exec $stack.worker-1 wget -q -O - http://web:8000/up") == "ok"
    assert project.sh("curl -s http://db.$stack.internal:8000/up") == "ok"
    project.sh("docker exec $stack.db-1 touch /data/kept")
    project.change("db", env={"A": "1"})
    assert "its strategy is recreate" in project.handful("deploy").out
    assert "kept" in project.sh("docker exec $stack.db-2 ls /data || docker exec $stack.db-1 ls /data")
    (project.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo again >/www/built\n")
    said = project.handful("deploy", "web")
    assert "worker" in said.out
    assert project.get("/built") == "again\n 200"


def test_domains_and_paths(project: Project) -> None:
    """The longest path decides; another host name gets 404; a changed domain needs no reload and no restart."""
    domain = f"{project.name}.test"
    # The check has a host of its own: by default it is the first domain, and a changed check is a reload.
    health = {"path": "/up", "host": "check.test"}
    project.write(web=tiny(domains=[domain], health=health), api=tiny(domains=[domain], path="/cgi-bin", health=health))
    project.handful("deploy")

    def ask(path: str, host: str = domain) -> str:
        return project.sh(
            f"curl -s -o /dev/null -D - -H 'Host: {host}' http://$(hostname -i)/{path} | head -1 | cut -d' ' -f2"
        ).strip()

    assert ask("up") == "200"
    assert ask("up", "other.test") == "404"
    assert ask("cgi-binary") == "404"
    served = project.sh("docker logs $stack.api-1 2>&1; docker inspect -f '{{.State.Pid}}' handful-proxy")
    assert "started" in served
    # An older worker may end meanwhile.
    workers = set(project.sh("docker top handful-proxy -o pid").split())
    project.change("web", domains=[f"new.{domain}"])
    project.change("api", domains=[f"new.{domain}"])
    project.handful("deploy")
    assert ask("up", f"new.{domain}") == "200"
    assert ask("up") == "404"
    assert set(project.sh("docker top handful-proxy -o pid").split()) <= workers


def test_two_stacks_do_not_reach_each_other(project: Project, lab: Lab, tmp_path: Path) -> None:
    """Same app names side by side: names lead to one's own, the other's instances and service addresses are out of reach."""
    project.write(web=tiny(env={"VERSION": "mine"}))
    project.handful("deploy")
    other = type(project)(lab, tmp_path / "other", project.name + "x")
    other.folder.mkdir()
    other.write(web=tiny(env={"VERSION": "theirs"}))
    other.handful("deploy")
    try:
        inside = "docker exec $stack.web-1"
        assert project.sh(f"{inside} timeout 3 wget -q -O - http://web:8000/").endswith("mine\n")
        assert other.sh(f"{inside} timeout 3 wget -q -O - http://web:8000/").endswith("theirs\n")
        address = other.sh(
            "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $stack.web-1"
        ).strip()
        number = int(other.sh("cat /var/lib/handful/stacks/$stack/apps/web/number"))
        for host in (f"{address}", f"10.210.{number // 256}.{number % 256}"):
            said = project.sh(f"{inside} timeout 3 wget -q -O - http://{host}:8000/up && echo reached || echo refused")
            assert said.endswith("refused\n"), host
        assert other.get("/up") == "ok 200"
        assert "theirs" not in project.handful("status").out
    finally:
        other.handful("remove", "web", "--yes")
    assert project.get("/up") == "ok 200"


def test_from_another_machine_nothing_answers(project: Project, lab: Lab) -> None:
    """A service address is no door for the neighbours, even with a route to it."""
    project.write(web=tiny())
    project.handful("deploy")
    number = int(project.sh("cat /var/lib/handful/stacks/$stack/apps/web/number"))
    address = f"10.210.{number // 256}.{number % 256}"
    script = (
        f"ip route del local 10.210.0.0/16 dev lo 2>/dev/null; ip route add {address} via {lab.address('m1')}\n"
        f"curl -s -m 3 http://{address}:8000/up && echo reached || echo refused\nip route del {address}\n"
        "systemctl restart handful-network 2>/dev/null; true"
    )
    assert lab.sh("m2", script).strip() == "refused"


def test_rolling_over_two_machines(project: Project) -> None:
    """One machine after the other, each with its instances, and one history."""
    project.write(machines=("m1", "m2"), web=tiny(machines=["m1", "m2"], instances=2))
    said = project.handful("deploy", "--json")
    switched = [(event["machine"], event["seconds"]) for event in said.events if event["event"] == "switched"]
    assert [machine for machine, _ in switched] == ["m1", "m2"]
    started = [event["seconds"] for event in said.events if event["event"] == "started" and event["machine"] == "m2"]
    assert switched[0][1] < min(started)
    assert project.get(machine="m2").endswith("200")
    rows = project.handful("status", "--json").json["instances"]
    assert sorted((row["machine"], row["health"]) for row in rows) == [("m1", "healthy")] * 2 + [("m2", "healthy")] * 2


def test_by_hand_without_handful(project: Project) -> None:
    """`bash run_app.bash` of a kept release, after others have come and gone, takes over; history tells."""
    project.write(web=tiny(env={"VERSION": "one"}))
    project.handful("deploy")
    first = project.current()
    for version in ("two", "three"):
        project.change("web", env={"VERSION": version})
        project.handful("deploy")
    project.sh("docker stop $(docker ps -q --filter label=handful.app=none) 2>/dev/null; true")
    project.sh(
        f"env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin bash /var/lib/handful/stacks/$stack/apps/web/releases/{first}/run_app.bash"
    )
    assert project.get() == f"{first} one\n 200"
    assert project.handful("history", "--json").json[-1]["what"] == "by hand"
    assert project.leftovers() == ""
    project.handful("rollback")
    assert "three" in project.get()


def test_keep_prunes_releases_and_images(project: Project) -> None:
    """Only `keep` releases stay, with their images."""
    project.write(web={**tiny(), "build": {"context": "."}, "deploy": {"keep": 2}})
    del project.config["apps"]["web"]["image"]
    for version in ("1", "2", "3"):
        (project.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN echo {version} >/www/version\n")
        project.save()
        project.handful("deploy")
    assert len(project.sh("ls /var/lib/handful/stacks/$stack/apps/web/releases").split()) == 2
    wait_until(lambda: len(project.sh("docker images -q handful/$stack/web").split()) == 2)


def test_stop_start_restart_remove(project: Project) -> None:
    """Stop takes traffic away and survives a look; start brings it back; remove leaves nothing but volumes."""
    project.write(web=tiny(volumes={"data": "/data"}))
    project.handful("deploy")
    project.handful("stop", "web")
    assert project.get("/up").endswith("503")
    assert "stopped" in project.handful("status").out or "exited" in project.handful("status").out
    assert "nothing to do" in project.handful("deploy").out
    project.handful("start", "web")
    assert project.get("/up") == "ok 200"
    before = project.containers()
    project.handful("restart", "web")
    assert project.get("/up") == "ok 200"
    wait_until(lambda: project.containers() != before and len(project.containers()) == 1)
    project.handful("remove", "web", "--yes")
    left = project.sh(
        "docker ps -aq --filter label=handful.stack=$stack; ls /var/lib/handful/stacks/$stack/apps; "
        'ls /var/lib/handful/proxy/conf | grep "$stack"; grep "$stack" /etc/hosts /var/lib/handful/names/* '
        "/var/lib/handful/proxy/conf/routes.map; docker network ls -q --filter name=handful-$stack; true"
    )
    assert left == ""
    assert project.sh('docker volume ls -q | grep "^$stack\\."').strip() == f"{project.name}.data"
    project.handful("deploy")
    assert project.get("/up") == "ok 200"


def test_look_and_touch(project: Project) -> None:
    """logs, exec, run and ssh show and reach what runs; exit codes pass through."""
    project.write(machines=("m1", "m2"), web=tiny(machines=["m1", "m2"], env={"VERSION": "v7"}))
    project.handful("deploy")
    lines = project.handful("logs", "web").out
    assert "m1 " in lines and "m2 " in lines and "started" in lines  # noqa: PT018  # one look at one text
    assert project.handful("exec", "web", "sh", "-c", "echo $VERSION").out == "v7\n"
    assert project.handful("run", "web", "--", "sh", "-c", "echo $VERSION; exit 3", code=3).out == "v7\n"
    assert project.handful("ssh", "m2", "hostname").out == "m2\n"
    assert project.handful("exec", "--machine", "m2", "web", "sh", "-c", "exit 4", code=4)
    assert len(project.containers()) == 1
    follow = project.start("logs", "web", "-f", "-n", "1")
    assert follow.stdout is not None
    assert "started" in follow.stdout.readline()
    follow.terminate()
    follow.communicate()


def test_host_network_app(project: Project) -> None:
    """An app on the host's network is one instance, stopped before it starts anew, with nothing in front."""
    project.write(side={**tiny(network="host", env={"PORT": "18765"}), "port": 18765})
    project.handful("deploy")
    assert project.sh("curl -s http://127.0.0.1:18765/up") == "ok"
    project.change("side", env={"PORT": "18765", "VERSION": "2"})
    project.handful("deploy")
    assert project.sh("curl -s http://127.0.0.1:18765/").endswith(" 2\n")
    assert len(project.containers()) == 1


def test_hooks_run_here(project: Project) -> None:
    """before_deploy can stop a deploy; after_deploy learns the release."""
    project.write(
        web=tiny(
            hooks={
                "before_deploy": ["sh", "-c", "test ! -e stop"],
                "after_deploy": ["sh", "-c", "echo $HANDFUL_APP $HANDFUL_RELEASE >told"],
            }
        )
    )
    (project.folder / "stop").touch()
    said = project.handful("deploy", code=1)
    assert "before_deploy of web failed" in said.err
    assert project.containers() == []
    (project.folder / "stop").unlink()
    project.handful("deploy")
    assert (project.folder / "told").read_text() == f"web {project.current()}\n"


def test_plan_shows_the_exact_script(project: Project) -> None:
    """`plan --script` prints what would run, `plan --json` the steps; neither changes anything."""
    project.write(web=tiny())
    text = project.handful("plan", "--script").out
    assert "main() {" in text
    assert "phase=switch run_release" in text
    assert "health_path=/up" in text
    steps = [step["script"] for step in json.loads(project.handful("plan", "--json").out)["waves"][0][0]["steps"]]
    assert steps[-4:] == ["run_release"] * 4
    assert project.containers() == []


def test_reboot_serves_the_same_release(project: Project, lab: Lab) -> None:
    """After a reboot the machine serves what it served, without anybody's help."""
    project.write(web=tiny(instances=2))
    project.handful("deploy")
    release = project.current()
    project.change("web", env={"VERSION": "2"})
    project.handful("deploy")
    project.handful("rollback")
    assert project.current() == release
    lab.reboot("m1")
    assert wait_until(lambda: (said := project.get()).endswith("200") and said, 40).startswith(release)


def test_a_key_with_a_passphrase_is_asked_for_once(project: Project, lab: Lab, tmp_path: Path) -> None:
    """At a terminal ssh asks for the first session; those that follow share its connection."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-C", "locked", "-f", str(key)], check=True)
    lab.sh("m1", f"echo '{key.with_suffix('.pub').read_text().strip()}' >>/root/.ssh/authorized_keys")
    options = (f"IdentityFile={key}", *(each for each in lab.access["m1"].options if not each.startswith("IdentityFile")))
    state = tmp_path / "locked"
    state.mkdir()
    access = {"m1": replace(lab.access["m1"], options=options)}
    project.lab = Lab(access, *own_ssh(state, access), lab.stack)
    project.write(web=tiny())
    try:
        assert "refuses the login" in project.handful("deploy", code=1).err
        said = project.at_a_terminal("deploy", answers={"Enter passphrase": "open sesame"})
    finally:
        project.lab = lab
        lab.sh("m1", "sed -i '/ locked$/d' /root/.ssh/authorized_keys")
    assert said.count("Enter passphrase") == 1, said
    assert project.current() != "", said
