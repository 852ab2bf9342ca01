"""Logs and metrics on real machines: what was said before it died, each line once, whoever is killed; and what is measured."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from lab_support import tiny, wait_until

if TYPE_CHECKING:
    from lab_support import Project

pytestmark = pytest.mark.lab
LABELS = "--log-driver json-file --log-opt max-size=20m --log-opt max-file=5 --label handful.stack"


def lines(project: Project, *words: str) -> list[dict[str, Any]]:
    """Return what `handful logs --json` shows."""
    return [json.loads(line) for line in project.handful("logs", "--json", *words).out.splitlines()]


def said(project: Project, app: str, *words: str) -> list[str]:
    """Return what the containers of an app have said themselves, all of it."""
    return [line["text"] for line in lines(project, app, "--since", "1d", *words) if line["stream"] != "handful"]


def told(project: Project, app: str) -> list[str]:
    """Return what the agent has said of an app's containers."""
    return [line["text"] for line in lines(project, app, "--since", "1d") if line["stream"] == "handful"]


def metrics(project: Project, machine: str = "m1") -> dict[str, float]:
    """Return what the agent measures: series → value."""
    text = project.sh("curl -s -m 5 http://127.0.0.1:19100/metrics", machine)
    found = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in found}


def container(app: str, script: str, *options: str, stack: str = "$stack") -> str:
    """Return the line that starts a container of an app, beside its instances, with this script of a shell."""
    return f"docker run {' '.join(options)} {LABELS}={stack} --label handful.app={app} $(docker inspect -f {{{{.Config.Image}}}} $stack.web-1) sh -c {shlex.quote(script)}"


def kill_agent(project: Project) -> None:
    """Kill it as the kernel would: Docker starts it again."""
    project.sh("kill -9 $(docker inspect -f '{{.State.Pid}}' handful-agent)")


def kill_agent_for_memory(project: Project) -> None:
    """Have something beside it take more memory than the container may have, and the kernel choose the agent."""
    pid = "$(docker inspect -f '{{.State.Pid}}' handful-agent)"
    hog = "open('/proc/self/oom_score_adj', 'w').write('0'); x = b'x' * 200_000_000"
    before = project.sh("docker inspect -f '{{.RestartCount}}' handful-agent")
    project.sh(f"echo 1000 >/proc/{pid}/oom_score_adj; docker exec handful-agent python3 -c {shlex.quote(hog)} || true")
    wait_until(lambda: project.sh("docker inspect -f '{{.RestartCount}}' handful-agent") != before, 30)


def wait_for_agent(project: Project) -> None:
    """Wait until it has begun again: it holds its lock then."""
    wait_until(lambda: "held" in project.sh("flock -n /var/lib/handful/logs/.agent/lock true || echo held"), 60)


def test_what_it_said_before_it_was_killed_for_memory(project: Project) -> None:
    """One command shows its last lines, its exit, and its memory before: also when its release is pruned, and the app gone."""
    doom = "echo one; echo 'ERROR two'; busybox sleep 12; exec busybox tail /dev/zero"
    project.write(web=tiny(command=["sh", "-c", f'httpd -p 8000 -h /www; [ -n "$CALM" ] || {{ {doom}; }}; exec sleep 1000'], memory="40m", deploy={"keep": 1}))
    project.handful("deploy")
    first = project.current()
    wait_until(lambda: any("killed for memory" in line for line in told(project, "web")), 60)
    project.change("web", env={"CALM": "yes"})
    project.handful("deploy")
    wait_until(lambda: project.sh("ls /var/lib/handful/stacks/$stack/apps/web/releases").split() == [project.current()])
    project.handful("remove", "web", "--yes")
    shown = project.handful("logs", "web", "--release", first, "--machine", "m1")
    assert "web is gone from m1, since 20" in shown.err
    found = [line.split(" ", 3)[3] for line in shown.out.splitlines()]
    # Docker says when it was started a moment after that.
    assert sorted(found[:3]) == ["-- started", "ERROR two", "one"]
    assert re.fullmatch(r"-- killed for memory \(exit code 137\) after 1\d\.\d s; its memory before: [\d →]+ MiB of 40", found[3])
    assert lines(project, "web", "--level", "error", "--release", first)[0]["text"] == "ERROR two"
    around = [line["text"] for line in lines(project, "web", "--grep", "killed for memory", "-C", "2")]
    assert "ERROR two" in around[: around.index(next(text for text in around if "killed" in text))]


def test_each_line_once_over_bursts_kills_and_restarts(project: Project) -> None:
    """300,000 lines at once, an agent killed in their middle, containers of a moment, and a Docker that is restarted."""
    project.write(web=tiny())
    project.handful("deploy")
    project.sh(container("burst", "busybox seq 100001 400000", "-d --name $stack.burst"))
    kill_agent_for_memory(project)
    wait_for_agent(project)
    short = container("short", "busybox seq $i 20 100; busybox sleep 1", "--rm -e i=$i")
    project.sh(f"for i in $(seq 20); do {short} >/dev/null & done; wait")
    steady = "i=0; while [ $i -lt 400 ]; do echo steady $i; i=$((i + 1)); busybox usleep 20000; done"
    project.sh(container("steady", steady, "-d --name $stack.steady"))
    # What a container has said in the second before it went, an agent that is killed in that second cannot read again: it tells a gap.
    wait_until(lambda: len(said(project, "short")) == 100)
    kill_agent(project)
    wait_for_agent(project)
    project.sh("docker wait $stack.burst >/dev/null; docker rm $stack.burst >/dev/null")
    project.sh("systemctl restart docker")
    wait_for_agent(project)
    kill_agent(project)
    wait_until(lambda: any("ended" in line or "killed" in line for line in told(project, "steady")), 60)
    burst = said(project, "burst")
    agent = project.sh("docker logs --tail 40 handful-agent 2>&1; ls -la /var/lib/handful/logs/$stack/burst /var/lib/handful/logs/.agent")
    assert burst == [str(number) for number in range(100001, 400001)], agent
    assert sorted(said(project, "short"), key=int) == sorted((str(n) for i in range(1, 21) for n in range(i, 101, 20)), key=int)
    steady_lines = said(project, "steady")
    assert steady_lines == [f"steady {number}" for number in range(len(steady_lines))]
    assert len(steady_lines) > 50
    missing = [(app, line) for app in ("burst", "short", "steady") for line in told(project, app) if "may be missing" in line]
    assert missing == [], agent
    assert {line["release"] for line in lines(project, "short")} == {""}


def test_a_reboot_loses_no_line(project: Project) -> None:
    """What was said before it is there, once; what is said afterwards as well."""
    count = "httpd -p 8000 -h /www; i=0; while :; do echo $$ $i; i=$((i + 1)); busybox usleep 20000; done"
    project.write(web=tiny(command=["sh", "-c", f"echo begin; {count}"]))
    project.handful("deploy")
    wait_until(lambda: len(said(project, "web")) > 50)
    before = len(said(project, "web"))
    project.lab.reboot("m1")
    wait_until(lambda: said(project, "web").count("begin") == 2, 60)
    found = said(project, "web")
    assert len(found) > before
    runs = " ".join(found).split("begin ")[1:]
    for run in runs:
        numbers = [int(word) for word in run.split()[1::2]]
        assert numbers == list(range(len(numbers)))


def test_lines_that_are_odd(project: Project) -> None:
    """A megabyte in one line, binary, a million short ones, no newline at the end, and gone at once: all there, in order."""
    project.write(web=tiny())
    project.handful("deploy")
    odd = "busybox head -c 1000000 /dev/zero | busybox tr '\\0' x; echo; printf '\\001\\377\\000end\\n'; busybox yes | busybox head -n 1000000"
    last = "echo written; until test -e /over; do busybox usleep 20000; done; printf unfinished"
    project.sh(container("odd", f"{odd}; {last}", "-d --rm --name $stack.odd") + " >/dev/null")
    # Ten seconds after a container's end, Docker lets go of what it has not written down: it is to have done so.
    wait_until(lambda: project.sh("docker logs --tail 1 $stack.odd").strip() == "written", 90)
    project.sh("docker exec $stack.odd touch /over")
    wait_until(lambda: said(project, "odd", "--grep", "unfinished"), 90)
    (long,) = said(project, "odd", "--grep", "xxx")
    assert long == "x" * 1_000_000
    (binary,) = said(project, "odd", "--regex", "end$")
    assert binary.startswith("\x01")
    assert said(project, "odd", "-n", "6")[-4:] == ["y", "y", "written", "unfinished"]
    counts = project.handful("logs", "odd", "--since", "1d", "--count-by", "1h", "--json").out.splitlines()
    # Those four have no level, as have the million; the agent's own have one.
    assert sum(json.loads(line)["levels"].get("", 0) for line in counts) == 1_000_004
    assert lines(project, "odd", "--since", "1d", "--grep", "may be missing") == []


def test_a_full_disk_is_waited_for(project: Project) -> None:
    """What is said meanwhile stays with Docker, and is kept once there is room."""
    project.write(web=tiny())
    project.handful("deploy")
    project.sh("docker stop handful-agent >/dev/null; mount -t tmpfs -o size=3m tmpfs /var/lib/handful/logs; docker start handful-agent >/dev/null")
    try:
        project.sh(container("much", "busybox seq 1000000 1100000", "--name $stack.much") + " >/dev/null")
        wait_until(lambda: "nothing can be kept now" in project.sh("docker logs handful-agent 2>&1"))
        project.sh("mount -o remount,size=200m /var/lib/handful/logs")
        wait_until(lambda: len(said(project, "much")) == 100_001, 40)
        assert said(project, "much") == [str(number) for number in range(1_000_000, 1_100_001)]
    finally:
        project.sh("docker stop handful-agent >/dev/null; umount /var/lib/handful/logs; docker start handful-agent >/dev/null; docker rm -f $stack.much >/dev/null")


def test_following_goes_over_a_deploy(project: Project) -> None:
    """Lines of both releases, on both machines, each once; it ends with Ctrl-C and leaves nothing running there."""
    count = "echo begin $HANDFUL_RELEASE; httpd -p 8000 -h /www; i=0; trap 'echo bye $i; exit 0' TERM; while :; do echo $HANDFUL_RELEASE $HANDFUL_INSTANCE $i; i=$((i + 1)); busybox usleep 50000; done"
    project.write(machines=("m1", "m2"), web=tiny(command=["sh", "-c", count], drain_timeout="1s", machines=["m1", "m2"]))
    project.handful("deploy")
    follow = subprocess.Popen(
        [sys.executable, "-m", "handful", "logs", "web", "-f", "-n", "1", "--json"], cwd=project.folder, env=project.environ,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )
    assert follow.stdout is not None
    shown = [json.loads(follow.stdout.readline()) for _ in range(10)]
    project.change("web", env={"VERSION": "two"})
    project.handful("deploy")
    current, over = project.current(), {"m1": 0, "m2": 0}
    while min(over.values()) < 2:
        shown.append(json.loads(follow.stdout.readline()))
        over[shown[-1]["machine"]] += shown[-1]["text"].startswith("bye") or shown[-1]["text"] == f"{current} {shown[-1]['instance']} 20"
    follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=20)
    for machine in ("m1", "m2"):
        instances = {line["instance"] for line in shown if line["machine"] == machine}
        assert len(instances) == 2
        for instance in instances:
            numbers = [int(line["text"].split()[2]) for line in shown if (line["machine"], line["instance"]) == (machine, instance) and line["text"][0] == "0"]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        texts = [line["text"] for line in shown if line["machine"] == machine]
        assert texts.count(f"begin {current}") == 1
    wait_until(lambda: "follow" not in project.sh("docker top handful-agent -eo pid,args"), 20)


def test_two_stacks_have_logs_of_their_own(project: Project) -> None:
    """An app of the same name in another stack is another one; and what is unknown is told with what there is."""
    project.write(web=tiny(command=["sh", "-c", "echo mine; exec /start"]))
    project.handful("deploy")
    project.sh(container("web", "echo other; busybox sleep 1", "--rm", stack="$stack-other"))
    wait_until(lambda: "mine" in said(project, "web"))
    assert "other" not in said(project, "web")
    assert project.sh("ls /var/lib/handful/logs/$stack-other; rm -r /var/lib/handful/logs/$stack-other") == "web\n"
    refused = project.handful("logs", "wbe", code=2)
    assert "there are no logs of wbe" in refused.err
    assert "There are: web." in refused.err
    for words, why in (
        (("--since", "1h", "--until", "2h"), "nothing lies between"), (("--since", "soon"), "soon is no time"),
        (("--regex", "("), "--regex ( is none"), (("--machine", "m9"), "there is no machine m9"), (("--count-by", "90s"), "not in minutes"),
    ):
        assert why in project.handful("logs", *words, code=2).err
    project.sh(container("slow", f"echo {'a' * 40}b; busybox sleep 1", "--rm"))
    wait_until(lambda: said(project, "slow"))
    assert "takes too long" in project.handful("logs", "slow", "--regex", "(a+)+$", code=2).err


def test_what_is_measured(project: Project) -> None:
    """Instances, requests and lines of an app by their labels; series end with their container; nobody from outside gets them."""
    project.write(machines=("m1", "m2"), private=True, web=tiny(machines=["m1"], instances=2, domains=["w.test"], memory="64m"), far=tiny(machines=["m2"]))
    project.handful("deploy")
    for path in ("/up", "/up", "/nothing"):
        project.sh(f"curl -s -H 'Host: w.test' http://127.0.0.1{path} >/dev/null")
    mine = f'stack="{project.name}",app="web",machine="m1"'
    wait_until(lambda: metrics(project).get(f'handful_requests_total{{{mine},code="2xx"}}') == 2)
    found = metrics(project)
    assert found[f'handful_requests_total{{{mine},code="4xx"}}'] == 1
    assert found[f"handful_request_duration_seconds_count{{{mine}}}"] == 3
    assert found[f"handful_app_replicas_desired{{{mine}}}"] == 2
    assert found[f'handful_app_replicas_running{{stack="{project.name}",app="web",release="{project.current()}",machine="m1"}}'] == 2
    assert found[f'haproxy_backend_http_responses_total{{proxy="{project.name}.web",stack="{project.name}",app="web",code="4xx"}}'] == 1
    limits = {series: value for series, value in found.items() if series.startswith("container_spec_memory_limit_bytes{") and f'name="{project.name}.web-' in series}
    assert set(limits.values()) == {64 * 1024**2}
    assert len(limits) == 2
    assert all(re.search(r'container_label_handful_release="\d{4}-', series) for series in limits)
    used = [value for series, value in found.items() if series.startswith("container_memory_working_set_bytes{") and f'name="{project.name}.web-' in series]
    assert min(used) > 0
    assert found["node_memory_MemTotal_bytes"] > 0
    project.handful("scale", "web=1")
    wait_until(lambda: sum(f'name="{project.name}.web-' in series for series in metrics(project) if series.startswith("container_last_seen")) == 1)
    private = str(project.lab.access["m1"].private)
    wait_until(lambda: "node_load1" in project.sh(f"curl -s -m 5 http://{private}:19100/metrics || true", "m2"))
    assert project.sh("ss -Hltn 'sport = :19100'").count("LISTEN") == 2
    top = json.loads(project.handful("top", "--json").out)
    assert {(row["machine"], row["app"]) for row in top["apps"] if row["runs"]} == {("m1", "web"), ("m2", "far")}
    assert {row["machine"] for row in top["machines"]} == {"m1", "m2"}
    assert "web-" in project.handful("top", "web", "--instances", "--sort", "memory").out
    assert "there is no app wbe" in project.handful("top", "wbe", code=2).err


def test_commands_beside_the_app_are_kept_too(project: Project) -> None:
    """A release command, `handful run`, and what the levels of handful.yml say of them; counted by the minute."""
    project.write(web=tiny(release_command=["sh", "-c", "echo migrating; echo Traceback of it >&2; busybox sleep 1"]))
    project.config["logs"] = {"levels": {"web": {"error": ["Traceback"]}}, "keep": "30d"}
    project.save()
    project.handful("deploy")
    project.handful("run", "web", "--", "sh", "-c", "echo by hand; busybox sleep 1")
    wait_until(lambda: {"migrating", "by hand"} <= set(said(project, "web")))
    found = {line["text"]: line for line in lines(project, "web", "--since", "1h")}
    assert found["migrating"]["instance"] == "web.release-command"
    assert found["Traceback of it"]["level"] == "error"
    assert found["by hand"]["instance"].startswith("web.run-")
    counts = [json.loads(line) for line in project.handful("logs", "web", "--since", "1h", "--count-by", "1h", "--json").out.splitlines()]
    assert sum(each["levels"].get("error", 0) for each in counts) == 1
    assert json.loads(project.sh("cat /var/lib/handful/stacks/$stack/agent.json"))["days"] == 30
    before = project.sh("docker ps -q --no-trunc")
    project.config["logs"]["keep"] = "7d"
    project.save()
    assert "how logs are kept" in project.handful("deploy").out
    assert project.sh("docker ps -q --no-trunc") == before
    assert json.loads(project.sh("cat /var/lib/handful/stacks/$stack/agent.json"))["days"] == 7
