from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_tap import Answer, Become
from script_whole import wholly_in

from handful.plan.model import Step

if TYPE_CHECKING:
    from pathlib import Path

    from script_machine import Machine, Running


def hold_lock(machine: Machine, path: Path, seconds: str) -> Running:
    """Hold a lock for so long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    running = machine.start(f'exec 9<>"{path}"\nflock 9\necho held\nread -r -t {seconds} _ <> <(:)\nexit 0\n')
    until(lambda: running.words() == "held\n")
    return running


def test_a_second_deploy_is_told_who_is_at_work(ready: Machine) -> None:
    """The lock's file names the holder; nothing of the second deploy has happened, and history does not know it."""
    gate = ready.tap.gate("run --detach")
    first = ready.begin_deploy(ready.make(1))
    gate.wait()
    second = ready.deploy(ready.make(2))
    assert second.failed["text"] == "another deploy is at work on shop"
    assert second.failed["detail"] == "anna on laptop"
    assert [event["event"] for event in second.events] == ["failed"]
    gate.open()
    assert first.end().outcome == "done"
    assert [line["event"] for line in ready.history()] == ["begun", "ended"]


def test_another_stack_is_not_held_up(ready: Machine) -> None:
    """The lock is the stack's."""
    gate = ready.tap.gate("run --detach --name shop.web-1")
    first = ready.begin_deploy(ready.make(1))
    gate.wait()
    # The machine's own lock is the first one's while it starts containers.
    second = ready.begin([Step("ensure_network", {"stack": "blog"})], stack="blog")
    assert second.end().outcome == "done"
    gate.open()
    assert first.end().outcome == "done"


def test_by_hand_and_handful_exclude_each_other(ready: Machine) -> None:
    """Bash run_app.bash takes the same lock, and says who it is."""
    script = ready.place(ready.make(1))
    gate = ready.tap.gate("run --detach")
    running = ready.start(f"bash {script}")
    gate.wait()
    said = ready.deploy(ready.make(2))
    assert said.failed["detail"].startswith("bash, by hand, since 20")
    gate.open()
    assert running.end().code == 0


def test_a_lock_that_is_held_for_a_moment_is_waited_for(machine: Machine) -> None:
    """`handful status` asks for the lock to know whether it is held: a deploy that begins just then is not refused."""
    held = hold_lock(machine, machine.root / "stacks/shop/lock", "0.4")
    said = machine.begin([]).end()
    assert said.outcome == "done", said
    held.end()


def test_a_holder_that_died_holds_nothing(machine: Machine) -> None:
    """What the lock's file says is left over: the next deploy takes the lock."""
    held = hold_lock(machine, machine.root / "stacks/shop/lock", "30")
    held.kill("KILL")
    held.end()
    assert machine.begin([]).end().outcome == "done"


def test_begun_and_ended_are_lines_of_history(machine: Machine) -> None:
    """The operator's own line first, and how it ended after it."""
    assert machine.begin([]).end().outcome == "done"
    begun, ended = machine.history()
    assert (begun["event"], begun["what"], begun["who"]) == ("begun", "deploy", "anna")
    assert (ended["event"], ended["outcome"], ended["deploy"]) == ("ended", "done", begun["deploy"])
    assert ended["seconds"] >= 0
    assert ended["when"].endswith("Z")


def test_a_failure_is_in_history(machine: Machine) -> None:
    """`failed` is what it says when a step failed."""
    step = Step("run_release", {"stack": "shop", "app": "web", "release": "0009-none", "phase": "start"})
    assert machine.begin([step]).end().outcome == "failed"
    assert machine.history()[-1]["outcome"] == "failed"


def test_killed_work_is_unfinished(ready: Machine) -> None:
    """`begun` without an end and without a lock."""
    gate = ready.tap.gate("run --detach")
    running = ready.begin_deploy(ready.make(1))
    gate.wait()
    running.kill("KILL")
    running.end()
    gate.open()
    assert [line["event"] for line in ready.history()] == ["begun"]


def test_a_line_that_a_power_cut_tore_swallows_nothing(ready: Machine) -> None:
    """The next deploy's lines stand by themselves."""
    ready.deployed(ready.make(1))
    history = ready.root / "stacks/shop/history.jsonl"
    history.write_text(history.read_text() + '{"deploy":2,"eve')
    ready.deployed(ready.make(2))
    lines = history.read_text().splitlines()
    assert lines[2] == '{"deploy":2,"eve'
    assert [json.loads(line)["event"] for line in lines[3:]] == ["begun", "ended"]


def test_by_hand_writes_history_too(ready: Machine) -> None:
    """The number goes on from the last; who it was is the machine's own user."""
    first = ready.deployed(ready.make(1))
    second = ready.make(2)
    script = ready.place(second)
    number = ready.history()[-1]["deploy"]
    assert ready.bash(f"bash {script}").code == 0
    begun, ended = ready.history()[-2:]
    assert (begun["deploy"], begun["what"], begun["who"]) == (number + 1, "by hand", "root")
    assert begun["apps"] == {"web": {"from": first.id, "to": second.id}}
    assert (ended["deploy"], ended["outcome"]) == (number + 1, "done")


def test_by_hand_a_failure_is_in_history(ready: Machine) -> None:
    """The release that failed, and that it did."""
    script = ready.place(ready.make(1, Behaviour(exits=1)))
    assert ready.bash(f"bash {script}").code != 0
    assert ready.history()[-1]["outcome"] == "failed"


@pytest.mark.parametrize("by_hand", [False, True])
def test_history_that_cannot_be_written(ready: Machine, *, by_hand: bool) -> None:
    """The disk is full: the deploy ends before it has touched anything, and the old release serves."""
    old = ready.deployed(ready.make(1))
    new = ready.make(2)
    script = ready.place(new)
    full = fill_history(ready)
    if by_hand:
        said = ready.bash(f"bash {script}")
        assert said.code != 0
    else:
        said = ready.deploy(new)
        assert said.outcome == "failed"
        assert "history could not be written" in [event["text"] for event in said.events]
    assert "No space left on device" in said.err
    assert full.stat().st_size > 0
    wholly_in(ready, old)


def fill_history(machine: Machine) -> Path:
    """Move the stack's history to a disk that is full."""
    history = machine.root / "stacks/shop/history.jsonl"
    folder = machine.folder / "full"
    folder.mkdir()
    machine.inside("mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder))
    inside = machine.namespace.path(str(folder))
    (inside / "history.jsonl").write_text(f"{json.dumps({'deploy': 1, 'event': 'begun', 'padding': 'x' * 4000})}\n"[:4096])
    history.unlink()
    history.symlink_to(folder / "history.jsonl")
    return inside / "history.jsonl"


def test_a_disk_that_is_full_altogether(ready: Machine) -> None:
    """Nothing can be written below /var/lib/handful: the deploy fails, and the old release serves on."""
    old = ready.deployed(ready.make(1))
    new = ready.make(2)
    used = ready.inside("du", "-s", "--apparent-size", "-k", str(ready.root)).split()[0]
    copy = ready.folder / "copy"
    ready.inside("cp", "-a", str(ready.root), str(copy))
    ready.inside("mount", "-t", "tmpfs", "-o", f"size={int(used) + 400}k", "none", str(ready.root))
    ready.inside("cp", "-a", f"{copy}/.", str(ready.root))
    ready.inside("sh", "-c", f"cat /dev/zero >{ready.root}/filler 2>/dev/null")
    said = ready.deploy(new)
    assert said.outcome in {"failed", ""}, said
    assert ready.get() == f"200 {old.id} web-1"
    assert ready.names(running=True) == ["shop.web-1"]
    ready.inside("umount", str(ready.root))


def test_a_lock_of_the_machine_that_stays_held_is_told(machine: Machine) -> None:
    """After a while it says which file, and how to see who holds it."""
    real = shutil.which("flock") or ""
    machine.tap.serve("flock", lambda call: Answer(status=1) if call.words == ("-w", "60", "8") else Become((real, *call.words)))
    step = Step("place_app", {"stack": "shop", "app": "web", "number": "", "instances": "1", "keep": "5"})
    said = machine.begin([step]).end()
    assert said.failed["text"] == f"the lock of this machine ({machine.root}/lock) was not free for 60 s"
    assert said.failed["advice"] == f"See who holds it: fuser -v {machine.root}/lock"
