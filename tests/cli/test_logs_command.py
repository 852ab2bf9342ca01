"""`handful logs` and `handful top`, with two machines that are folders: a real agent answers behind an ssh and a docker of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from agent_support import seal_all

from handful.agent.codec import Zstd
from handful.agent.lines import Line
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SSH = """#!/bin/sh
case $1 in -V) echo OpenSSH_9.9 >&2 && exit ;; -*[GO]) exit ;; esac
while [ "$1" != -- ]; do shift; done
[ ! -e "$FARM/$2/away" ] || { echo "ssh: connect to host $2: No route to host" >&2; exit 255; }
export HANDFUL_ROOT="$FARM/$2" HOST="$2"
exec sh -c "$3"
"""
DOCKER = """#!/bin/sh
echo "$*" >>"$FARM/$HOST/docker-calls"
case $1:$* in
  inspect:*Running*) cat "$FARM/$HOST/running" ;;
  inspect:*Image*) cat "$FARM/$HOST/image" ;;
  exec:*) shift 6; exec "$FARM/bin/agent" "$@" --logs "$FARM/$HOST/logs" --root "$FARM/$HOST" --host / --containers "$FARM/$HOST/containers" ;;
  run:*) while [ "$1" != agent:1 ]; do shift; done; shift; exec "$FARM/bin/agent" "$@" --logs "$FARM/$HOST/logs" --root "$FARM/$HOST" ;;
esac
"""
AGENT = """#!{python}
import os, runpy, sys, time
ahead, real = float(os.environ.get("AHEAD_" + os.environ["HOST"], "0")), time.time
time.time = lambda: real() + ahead
sys.argv[0] = "agent"
runpy.run_module("handful.agent", run_name="__main__", alter_sys=True)
"""
NOW = datetime.now(UTC).replace(microsecond=0)


class Farm:
    """Two machines as folders, and a project that is on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.env = folder, {**os.environ, "FARM": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(folder / "x")}
        (folder / "bin").mkdir()
        for name, text in (("ssh", SSH), ("docker", DOCKER), ("agent", AGENT.replace("{python}", sys.executable))):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        for machine in ("m1", "m2"):
            (folder / machine / "containers").mkdir(parents=True)
            (folder / machine / "machine.json").write_text("{}")
            (folder / machine / "running").write_text("true\n")
        (folder / "handful.yml").write_text(
            "project: shop\nmachines: {m1: {address: m1}, m2: {address: m2}}\napps: {web: {image: x, machines: [m1, m2]}, api: {image: x, machines: [m1]}}\n"
        )

    def keep(self, machine: str, told: Iterable[tuple[float, str]], app: str = "web", level: str = "info", release: str = "0001-abcdef") -> None:
        """Have a machine's agent keep lines: (seconds from now, text)."""
        store = Store(self.folder / machine / "logs", Zstd())
        for seconds, text in told:
            moment = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            store.append(Source("shop", app, f"{app}-1", release), Line(moment, "stdout", text), level, 0.0)
        store.checkpoint(store.marks, store.begun, store.known)

    def handful(self, *words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a user does."""
        said = subprocess.run([sys.executable, "-m", "handful", *words], cwd=self.folder, env={**self.env, **more}, capture_output=True, text=True, check=False, timeout=60)
        assert said.returncode == code, said.stdout + said.stderr
        return said

    def texts(self, *words: str, **more: str) -> list[str]:
        """Return the texts that it shows."""
        return [json.loads(line)["text"] for line in self.handful("logs", "--json", *words, **more).stdout.splitlines()]


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    """Two machines that have said something, in turn."""
    if os.getuid() != 0:
        pytest.skip("as root only: what runs on machines does")
    farm = Farm(tmp_path)
    farm.keep("m1", [(-50, "one"), (-30, "three"), (-10, "five")])
    farm.keep("m2", [(-40, "two"), (-20, "four")])
    farm.keep("m1", [(-45, "of the api")], "api", "error")
    return farm


def test_lines_of_all_machines_in_the_order_of_time(farm: Farm) -> None:
    """For people with time, machine and instance; for programs with all that is known."""
    assert farm.texts() == ["one", "of the api", "two", "three", "four", "five"]
    assert farm.texts("web", "-n", "2") == ["four", "five"]
    assert farm.texts("--machine", "m2") == ["two", "four"]
    since, until = ((NOW - timedelta(seconds=ago)).isoformat() for ago in (35, 15))
    assert farm.texts("--since", since, "--until", until) == ["three", "four"]
    assert farm.texts("--grep", "o") == ["one", "of the api", "two", "four"]
    assert farm.texts("--regex", "^f.*[er]$") == ["four", "five"]
    assert farm.texts("--level", "warn") == ["of the api"]
    assert farm.texts("--instance", "api-1") == farm.texts("api") == ["of the api"]
    assert farm.texts("--release", "0002-abcdef") == []
    assert farm.texts("--grep", "three", "-C", "1") == ["one", "three", "five"]
    shown = farm.handful("logs", "web").stdout.splitlines()
    moment = (NOW - timedelta(seconds=50)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert shown[0] == f"{moment} m1 web-1 one"
    told = json.loads(farm.handful("logs", "api", "--json").stdout)
    moment = (NOW - timedelta(seconds=45)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert told == {"time": moment, "machine": "m1", "app": "api", "instance": "api-1", "release": "0001-abcdef", "stream": "stdout", "level": "error", "text": "of the api"}


def test_counts(farm: Farm) -> None:
    """Of all machines together, by level; minutes in which nobody said anything are left out."""
    told = [json.loads(line) for line in farm.handful("logs", "--count-by", "1h", "--json").stdout.splitlines()]
    assert sum(each["lines"] for each in told) == 6
    assert sum(each["levels"].get("error", 0) for each in told) == 1
    text = farm.handful("logs", "web", "--count-by", "10m", "--grep", "t").stdout.splitlines()
    assert text[0].split() == ["since", "lines", "info"]
    assert sum(int(line.split()[1]) for line in text[1:]) == 2


def test_what_is_not_there_is_told(farm: Farm) -> None:
    """An app that nobody knows with those that are; one that is gone with since when; words that are nowhere."""
    refused = farm.handful("logs", "wbe", code=2).stderr
    assert "there are no logs of wbe" in refused
    assert "There are: api, web." in refused
    farm.keep("m2", [(-3600, "last words")], "old")
    told = farm.handful("logs", "old")
    assert told.stdout.endswith(" m2 old-1 last words\n")
    assert told.stderr == f"old is gone from m2, since {(NOW - timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%S.%f')}Z\n"
    assert "no line fits" in farm.handful("logs", "web", "--grep", "nowhere").stderr
    for words, why in (
        (("--since", "1h", "--until", "2h"), "nothing lies between"), (("--since", "soon"), "soon is no time"), (("--regex", "("), "--regex ( is none"),
        (("--grep", "a", "--regex", "a"), "write one of"), (("--machine", "m9"), "there is no machine m9"), (("--count-by", "90s"), "not in minutes"),
        (("-f", "--until", "1h"), "goes on for ever"), (("--level", "loud"), "--level"), (("-n", "0"), "-n"),
    ):
        assert why in farm.handful("logs", *words, code=2).stderr


def test_an_expression_that_explodes(farm: Farm) -> None:
    """It is bounded in time, and said; nothing hangs."""
    farm.keep("m1", [(-5, "a" * 40 + "b")])
    assert "takes too long" in farm.handful("logs", "--regex", "(a+)+$", code=2).stderr


def test_a_machine_that_is_away(farm: Farm) -> None:
    """The others are heard; it is named, and the exit code is 1."""
    (farm.folder / "m2/away").touch()
    told = farm.handful("logs", code=1)
    assert told.stdout.count("\n") == 4
    assert "m2" in told.stderr
    assert "m1" not in told.stderr


def test_a_clock_that_is_off(farm: Farm) -> None:
    """It is told, times mean the operator's, and the machine's lines stand where they belong."""
    farm.keep("m2", [(3580, "between three and five")])
    told = farm.handful("logs", "web", "--since", "5m", AHEAD_m2="3600")
    assert "the clock of m2 is 3600 s ahead" in told.stderr
    assert [line.split(" ", 3)[3] for line in told.stdout.splitlines()] == ["one", "three", "between three and five", "five"]


def test_an_agent_that_does_not_run_or_is_not_there(farm: Farm) -> None:
    """What it kept is read all the same; a machine without one is told; one that nobody has set up has nothing to say."""
    (farm.folder / "m1/running").write_text("false\n")
    (farm.folder / "m1/image").write_text("agent:1\n")
    (farm.folder / "m2/running").unlink()
    (farm.folder / "m2/image").write_text("")
    assert "m2: there is no agent on this machine" in farm.handful("logs", code=1).stderr
    (farm.folder / "m2/machine.json").unlink()
    assert farm.texts("web") == ["one", "three", "five"]
    assert any(line.startswith("run --rm") and "/logs:ro" in line for line in (farm.folder / "m1/docker-calls").read_text().splitlines())


def test_what_is_damaged_is_told(farm: Farm) -> None:
    """A file that cannot be read is left out, by name."""
    store = Store(farm.folder / "m1/logs", Zstd())
    store.checkpoint({}, {})
    for packed in seal_all(store, 1e9, "2999-01-01T00"):
        packed.write_bytes(b"no frame")
    assert "left out, as it is damaged: shop/web/" in farm.handful("logs").stderr
    assert farm.texts("web") == ["two", "four"]


def test_a_reader_that_hangs_up(farm: Farm) -> None:
    """`| head -1` of a hundred thousand lines ends at once."""
    farm.keep("m1", ((-60 + number / 10000, f"line {number}") for number in range(100_000)))
    line = f"{sys.executable} -m handful logs --since 1d | head -n 1"
    done = subprocess.run(["sh", "-c", line], cwd=farm.folder, env=farm.env, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_following_ends_with_ctrl_c(farm: Farm) -> None:
    """Lines come as they are kept, of both machines; the exit code is 130, and no agent's program stays behind."""
    follow = subprocess.Popen([sys.executable, "-m", "handful", "logs", "-f", "-n", "2", "--json"], cwd=farm.folder, env=farm.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert follow.stdout is not None
    first = {json.loads(follow.stdout.readline())["text"] for _ in range(4)}
    assert first == {"two", "three", "four", "five"}
    farm.keep("m2", [(0, "new")])
    assert json.loads(follow.stdout.readline())["text"] == "new"
    follow.send_signal(signal.SIGINT)
    _, said = follow.communicate(timeout=30)
    assert (follow.returncode, said.strip()) == (130, "error: interrupted")
    deadline = time.monotonic() + 20
    while subprocess.run(["pgrep", "-f", f"search.*--logs {farm.folder}/"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_following_where_not_all_answer(farm: Farm) -> None:
    """A machine that is away is named at once, while the others are followed; an app that nobody knows ends it."""
    assert "there are no logs of wbe" in farm.handful("logs", "-f", "wbe", code=2).stderr
    (farm.folder / "m2/away").touch()
    follow = subprocess.Popen([sys.executable, "-m", "handful", "logs", "-f"], cwd=farm.folder, env=farm.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert follow.stderr is not None
    assert "m2" in (said := follow.stderr.readline())
    assert said.endswith("it is not followed any more\n")
    assert follow.poll() is None
    follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=30)


def test_top_looks_once_without_a_terminal(farm: Farm) -> None:
    """Machines, and no app where no container runs; bad words are told."""
    told: dict[str, Any] = json.loads(farm.handful("top", "--json").stdout)
    assert {each["machine"] for each in told["machines"]} == {"m1", "m2"}
    assert all(each["memory_total"] > each["memory"] > 0 for each in told["machines"])
    assert told["apps"] == []
    assert farm.handful("top", "--once", "--machine", "m1").stdout.splitlines()[1].startswith("m1 ")
    (farm.folder / "m2/away").touch()
    told_of = farm.handful("top", code=1)
    assert "m2" in told_of.stderr
    assert "m1" in told_of.stdout
    assert "soon is no time" in farm.handful("top", "--every", "soon", code=2).stderr
    assert "there is no app wbe" in farm.handful("top", "wbe", code=2).stderr
