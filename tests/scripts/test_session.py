from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_machine import Running
from script_poll import DEADLINE, until
from script_release import run_steps, script
from script_slow import Slow
from script_traffic import Traffic
from script_whole import wholly_in

from handful.artifact.bundle import bundle
from handful.artifact.script import source
from handful.machine.ssh import UNPACK
from handful.plan import steps
from handful.plan.model import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from script_machine import Machine
    from script_release import Made


def session(machine: Machine, made: Sequence[Made] = (), work: str = "", **env: str) -> Running:
    """Start a session as ssh does: one tar on stdin, then the heartbeat."""
    taken = [step for each in made for step in each.first_steps]
    text = work or script("shop", 1, [*taken, *(run_steps(*made) if made else ())])
    files = {"session.bash": source("session").encode(), "work.bash": text.encode()}
    for each in made:
        files |= each.uploads
    running = Running(machine, ["sh", "-c", UNPACK], env, stdin=True)
    running.send(bundle(files))
    return running


def sessions(machine: Machine) -> int:
    """Return how many processes of session.bash there are: itself, and the reader of heartbeats."""
    return machine.inside("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").count("/session.bash /run")


def folders(machine: Machine) -> list[str]:
    """Return the session folders that are left."""
    return [name for name in os.listdir(machine.namespace.path("/run")) if name.startswith("handful.")]


class Heart:
    """Sends heartbeats while the `with` block runs."""

    def __init__(self, running: Running) -> None:
        self._running, self._stop = running, threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)

    def _beat(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            while not self._stop.wait(0.2):
                self._running.send(b".\n")


def test_a_whole_deploy_through_a_session(ready: Machine) -> None:
    """Script, release and heartbeat come over one stdin; the events come back, the last says how it ended."""
    made = ready.make(1)
    running = session(ready, [made])
    with Heart(running):
        said = running.end()
    assert said.outcome == "done", said
    assert [event["event"] for event in said.events if event["event"] in {"started", "healthy", "switched"}] == [
        "started", "healthy", "switched"
    ]
    wholly_in(ready, made)


def test_lines_are_relayed_as_they_come(machine: Machine) -> None:
    """Not at the end: the first line is there while the work goes on."""
    gate = machine.tap.gate("rm --go-on")
    running = session(machine, work="echo one\nrm --go-on || :\necho two\n")
    gate.wait()
    until(lambda: running.words() == "one\n")
    gate.open()
    assert running.end().out == "one\ntwo\n"


def test_many_lines_all_come(machine: Machine) -> None:
    """The relay ends after the last line, not when the work does."""
    running = session(machine, work="seq 20000\n")
    assert running.end().out.splitlines() == [str(number) for number in range(1, 20001)]


def test_its_folder_is_gone_afterwards(machine: Machine) -> None:
    """Scripts, releases and what they said: nothing stays in /run."""
    running = session(machine, work="ls\n")
    assert "work.bash" in running.end().out
    assert folders(machine) == []


def test_its_folder_is_private_while_it_is_there(machine: Machine) -> None:
    """Env files travel through it."""
    running = session(machine, work="stat -c '%a %n' . work.bash session.bash progress errors\n")
    assert running.end().out.splitlines() == ["700 .", "600 work.bash", "600 session.bash", "600 progress", "600 errors"]


def test_its_last_words_on_stderr_are_passed_on(machine: Machine) -> None:
    """What bash itself complained of: the last twenty lines."""
    said = session(machine, work="seq 100 >&2\n").end()
    assert said.err.splitlines() == [str(number) for number in range(81, 101)]


def test_the_work_gets_no_heartbeat(machine: Machine) -> None:
    """Its stdin is empty: what reads there eats nothing of the operator's."""
    running = session(machine, work="cat; echo read\n")
    running.send(b".\n.\n")
    assert running.end().out == "read\n"


@pytest.mark.parametrize("way", ["silence", "hang up"])
def test_before_the_switch_it_is_ended(ready: Machine, way: str) -> None:
    """The operator is gone while an instance warms up: the work goes back, cleans up, and frees the lock."""
    old = ready.deployed(ready.make(1))
    slow = Behaviour(answers={"/up": (503, "not yet")})
    running = session(ready, [ready.make(2, slow)], HANDFUL_SILENCE="2")
    with Heart(running):
        until(lambda: slow.heard)
    if way == "hang up":
        running.hang_up()
    said = running.end()
    assert said.outcome == "interrupted", said
    wholly_in(ready, old)
    assert folders(ready) == []
    assert ready.history()[-1]["outcome"] == "interrupted"


@pytest.mark.parametrize("way", ["silence", "hang up", "killed"])
def test_after_the_switch_began_it_finishes(ready: Machine, way: str) -> None:
    """From `switching` on the work ends by itself, whatever becomes of ssh; sshd may kill the session's own group."""
    ready.deployed(ready.make(1))
    new = ready.make(2)
    gate = ready.tap.gate("state drain")
    running = session(ready, [new], HANDFUL_SILENCE="2")
    with Heart(running):
        gate.wait()
        count = sessions(ready)
    if way == "hang up":
        running.hang_up()
    if way == "killed":
        running.kill("KILL")
        running.end()
    else:
        until(lambda: sessions(ready) < count, "the reader has not noticed")
    gate.open()
    if way != "killed":
        assert running.end().outcome == "done"
    wholly_in(ready, new)
    assert ready.history()[-1]["outcome"] == "done"


def test_heartbeats_keep_it_going(ready: Machine) -> None:
    """As long as lines come it may take its time."""
    slow = Behaviour(answers={"/up": (503, "not yet")})
    running = session(ready, [ready.make(1, slow)], HANDFUL_SILENCE="1")
    begun = time.monotonic()
    with Heart(running):
        until(lambda: time.monotonic() > begun + 3 and slow.heard)
        slow.answers["/up"] = (200, "ok")
        assert running.end().outcome == "done"


def test_a_broken_pipe_ends_nothing(machine: Machine) -> None:
    """Sshd closed the session's output: the work goes on until it is told otherwise, and the folder is removed."""
    gate = machine.tap.gate("rm --go-on")
    work = "echo one\nrm --go-on || :\nseq 1000\necho two >&2\n: >$HANDFUL_ROOT.done\n"
    files = {"session.bash": source("session").encode(), "work.bash": work.encode()}
    running = Running(machine, ["bash", "-c", '{ sh -c "$0" 2>&1; } | head -n 1', UNPACK], {}, stdin=True)
    running.send(bundle(files))
    until(lambda: running.words() == "one\n")
    gate.open()
    running.end()
    until(lambda: machine.root.with_suffix(".done").exists())
    until(lambda: folders(machine) == [])


def test_an_operator_who_is_gone_at_once(machine: Machine) -> None:
    """Ssh is cut right behind the tar: the work is ended all the same, however early that is."""
    for _ in range(8):
        machine.tap.open()
        gate = machine.tap.gate("rm --never")
        running = session(machine, work="rm --never || :\necho still here\n")
        running.hang_up()
        running.end()
        gate.open()
        assert "still here" not in running.words()


def test_a_tar_that_is_cut_short_runs_nothing(machine: Machine) -> None:
    """The connection broke during the upload: there is no work, and no folder."""
    running = Running(machine, ["sh", "-c", UNPACK], {}, stdin=True)
    running.send(bundle({"work.bash": b"echo ran\n", "session.bash": source("session").encode() * 50})[:2000])
    running.hang_up()
    said = running.end()
    assert said.code != 0
    assert "ran" not in said.out
    assert folders(machine) == []


def test_the_drain_outlives_the_session(ready: Machine) -> None:
    """The session ends with the switch; what drains holds neither its output nor its folder."""
    ready.deployed(ready.make(1))
    new = ready.make(2)
    held = ready.tap.gate("docker stop")
    assert session(ready, [new]).end().outcome == "done"
    held.wait()
    assert folders(ready) == []
    assert ready.names(running=True) == ["shop.web-1", "shop.web-2"]
    held.open()
    wholly_in(ready, new)


def test_a_step_that_fails_ends_the_work(machine: Machine) -> None:
    """The steps after it are not begun."""
    steps = [
        Step("run_release", {"stack": "shop", "app": "web", "release": "0001-none", "phase": "start"}),
        Step("ensure_network", {"stack": "shop"}),
    ]
    said = session(machine, work=script("shop", 1, steps)).end()
    assert said.outcome == "failed"
    assert machine.tap.lines("docker network create") == []


def in_a_fleet(machine: Machine, made: Made, **env: str) -> Running:
    """Start a session whose work waits for the other machines, before the switch and before it is final."""
    taken = steps.run("shop", {"web": made.id}, made.config.apps, together=["web"], fleet=True)
    return session(machine, [made], script("shop", 2, [*made.first_steps, *taken]), **env)


def waits(running: Running, word: str) -> None:
    """Return when the work waits for a word."""
    until(lambda: f'"word":"{word}"' in running.words())


def test_words_lead_it_through(ready: Machine) -> None:
    """It switches at the one and is final at the other; until then both stand ready to serve."""
    old, new = ready.deployed(ready.make(1)), ready.make(2)
    running = in_a_fleet(ready, new)
    with Heart(running):
        waits(running, "switch-web")
        assert ready.get().startswith(f"200 {old.id} ")
        running.send(b"switch-web\n")
        waits(running, "finish")
        assert ready.get().startswith(f"200 {new.id} ")
        assert len(ready.instances(running=True)) == 2
        running.send(b"finish\n")
        assert running.end().outcome == "done"
    wholly_in(ready, new)


def test_little_is_left_to_do_once_the_word_is_said(ready: Machine) -> None:
    """Machines switch within a moment: what a switch writes is worked out before, and put in its place by one rename."""
    ready.deployed(ready.make(1))
    running = in_a_fleet(ready, ready.make(2))
    with Heart(running):
        waits(running, "switch-web")
        before = len(ready.tap.lines())
        running.send(b"switch-web\nfinish\n")
        assert running.end().outcome == "done"
    calls = ready.tap.lines()[before:]
    told = next(index for index, line in enumerate(calls) if "state ready" in line)
    assert [line.split()[0] for line in calls[: told + 1]] == ["mv", "perl"]


def test_a_release_of_an_older_handful_waits_for_the_word_too(ready: Machine) -> None:
    """Its run_app.bash knows of no words."""
    old, new = ready.deployed(ready.make(1)), ready.make(2)
    new.files["run_app.bash"] = new.files["run_app.bash"].replace(b"wait_for_word", b"without_words")
    running = in_a_fleet(ready, new)
    with Heart(running):
        waits(running, "switch-web")
        assert ready.get().startswith(f"200 {old.id} ")
        running.send(b"switch-web\nfinish\n")
        assert running.end().outcome == "done"
    wholly_in(ready, new)


def test_what_changes_while_it_waits_is_seen(ready: Machine) -> None:
    """An older instance ends between the preparation and the word: its slot is free in what is written then."""
    ready.deployed(ready.make(1))
    slow = Slow(ready)
    ready.deployed(ready.make(2))
    new = ready.make(3)
    running = in_a_fleet(ready, new)
    with Heart(running):
        waits(running, "switch-web")
        slow.finish()
        until(lambda: "10.211.0.2" not in ready.slots())
        running.send(b"switch-web\n")
        waits(running, "finish")
        assert ready.slots() == {"10.211.0.3": "backup", "10.211.0.4": "active"}
        running.send(b"finish\n")
        assert running.end().outcome == "done"
    wholly_in(ready, new)


@pytest.mark.parametrize("moment", ["switch-web", "finish"])
def test_the_word_back_takes_it_back_under_traffic(ready: Machine, moment: str) -> None:
    """Another machine has failed: nothing was final here, and nobody notices."""
    old = ready.deployed(ready.make(1))
    with Traffic(ready) as traffic:
        running = in_a_fleet(ready, ready.make(2))
        with Heart(running):
            waits(running, "switch-web")
            if moment == "finish":
                running.send(b"switch-web\n")
                waits(running, "finish")
            running.send(b"back\n")
            said = running.end()
        wholly_in(ready, old)
    assert said.outcome == "failed"
    assert said.failed["text"] == "it was taken back with the other machines"
    assert traffic.failures == []


@pytest.mark.parametrize("way", ["silence", "killed"])
@pytest.mark.parametrize("moment", ["switch-web", "finish"])
def test_without_an_operator_it_decides_by_itself(ready: Machine, way: str, moment: str) -> None:
    """What waits for its first word takes back what it has prepared; what has begun to switch finishes."""
    old, new = ready.deployed(ready.make(1)), ready.make(2)
    running = in_a_fleet(ready, new, HANDFUL_SILENCE="1")
    with Heart(running):
        waits(running, "switch-web")
        if moment == "finish":
            running.send(b"switch-web\n")
            waits(running, "finish")
    if way == "killed":
        running.kill("KILL")
    running.end()
    until(lambda: ready.history()[-1]["event"] == "ended")
    wholly_in(ready, old if moment == "switch-web" else new)
    assert (ready.history()[-1]["outcome"] == "done") == (moment == "finish")
