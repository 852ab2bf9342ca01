"""How a machine's answer becomes facts or an error, with an `ssh` that answers what a test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handful.errors import DeployFailed, HandfulError, ObserveFailed
from handful.facts.model import Facts
from handful.machine.access import Access
from handful.plan.model import Plan, Step, Work
from handful.run.engine import Operator, carry_out, look

if TYPE_CHECKING:
    from handful.run.events import Event

TOLD = json.loads((Path(__file__).parents[1] / "facts" / "m1.json").read_text())
M1 = {"m1": Access("m1", "127.0.0.1")}


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of the `ssh` that is first on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "ssh"


def answers(ssh: Path, out: str, err: str = "", status: int = 0) -> None:
    """Let the machine say this and end."""
    ssh.with_name("out").write_text(out)
    ssh.with_name("err").write_text(err)
    ssh.write_text(f'#!/bin/bash\ncat "${{0%/*}}/out"\ncat "${{0%/*}}/err" >&2\nexit {status}\n')
    ssh.chmod(0o755)


def looked() -> Facts | HandfulError:
    """Look at the machine."""
    return look(M1.values(), "shop")["m1"]


def deployed() -> HandfulError | None:
    """Carry out a plan of one step; return how it failed."""
    plan = Plan("shop", 2, "deploy", {}, ((Work("m1", (Step("setup_done", {"machine": "{}"}),)),),), ())
    seen: list[Event] = []
    try:
        carry_out(plan, M1, {}, Operator("anna", seen.append, 0.0))
    except HandfulError as failed:
        return failed
    return None


def events(*told: dict[str, str]) -> str:
    """Return events as a script writes them."""
    return "".join(json.dumps({"text": "", **each}) + "\n" for each in told)


def ended(outcome: str) -> dict[str, str]:
    """Return a script's last event."""
    return {"event": "ended", "outcome": outcome}


@pytest.mark.parametrize(("off", "least", "most"), [(0, 0, 0), (60, 50, 60), (-60, -60, -50)])
def test_a_clock_is_off_by_what_the_session_cannot_explain(ssh: Path, off: int, least: int, most: int) -> None:
    """The machine looked at its clock at some moment between question and answer."""
    script = f'#!/bin/bash\nprintf \'%s\' "$(sed "s/CLOCK/$(($(date +%s) + {off}))/" "${{0%/*}}/facts")"\n'
    ssh.with_name("facts").write_text(json.dumps({**TOLD, "clock": "CLOCK"}).replace('"CLOCK"', "CLOCK"))
    ssh.write_text(script)
    ssh.chmod(0o755)
    facts = looked()
    assert isinstance(facts, Facts)
    # `date` tells whole seconds.
    assert least - 1 <= facts.skew <= most


def test_a_machine_that_is_no_root_says_what_to_do(ssh: Path) -> None:
    """The words of the program that failed, and the advice."""
    answers(ssh, "", "sudo: a password is required\n", 1)
    found = looked()
    assert isinstance(found, ObserveFailed)
    assert found.detail == "sudo: a password is required"
    assert "password-less sudo" in found.advice


def test_what_ended_well_is_no_error(ssh: Path) -> None:
    """Only the script's own word counts."""
    answers(ssh, events(ended("done")), status=1)
    assert deployed() is None


def test_a_failure_is_told_with_its_detail_and_advice(ssh: Path) -> None:
    """The first one: the others are what came of it."""
    first = {"event": "failed", "text": "web-1 ended", "detail": "no such file", "advice": "See the log."}
    answers(ssh, events(first, {"event": "failed", "text": "another"}, ended("failed")), "noise\n", 77)
    failed = deployed()
    assert isinstance(failed, DeployFailed)
    assert (failed.message, failed.detail, failed.advice) == ("m1: web-1 ended", "no such file", "See the log.")


def test_what_nobody_foresaw_is_told_with_the_words_of_the_program(ssh: Path) -> None:
    """A full disk in a step that has no message of its own."""
    stopped = {"event": "failed", "text": "the script stopped unexpectedly at line 9: mkdir -p x"}
    answers(ssh, events(stopped, ended("failed")), "mkdir: cannot create directory 'x': No space left on device\n", 1)
    failed = deployed()
    assert isinstance(failed, DeployFailed)
    assert "No space left on device" in failed.detail
    assert failed.advice == "See: handful status"


def test_a_script_that_ends_without_a_word(ssh: Path) -> None:
    """Killed, or its machine out of memory."""
    answers(ssh, "", "Killed\n", 137)
    failed = deployed()
    assert isinstance(failed, DeployFailed)
    assert (failed.message, failed.detail) == ("m1: the script ended without a word", "Killed")


def test_an_interrupted_machine_is_back(ssh: Path) -> None:
    """By somebody on the machine, not by the operator: whose Ctrl-C alone makes it Interrupted."""
    answers(ssh, events(ended("interrupted")), status=130)
    failed = deployed()
    assert isinstance(failed, DeployFailed)
    assert failed.message == "m1 was interrupted and is back on the old release"


def fleet(ssh: Path, **machines: str) -> HandfulError | None:
    """Carry out a plan over these machines, a wave each; each is what it does when it has been sent its tar."""
    for name, does in machines.items():
        ssh.with_name(name).write_text(does)
    ssh.write_text(
        "#!/bin/bash\nsay() { printf '{\"event\":\"%s\",\"text\":\"\",\"%s\":\"%s\"}\\n' \"$@\"; }\n"
        'hear() { while IFS= read -r line; do case $line in finish | back | switch-web) echo "$line" >>"$0.heard" && return ;; esac; done; echo end >>"$0.heard"; }\n'
        'set -- "${@: -2:1}" && exec 2>/dev/null && . "${0%/*}/m${1##*.}"\n'
    )
    ssh.chmod(0o755)
    steps = (Step("await_word", {"word": "finish"}),)
    plan = Plan("shop", 2, "deploy", {}, tuple((Work(name, steps),) for name in machines), ())
    access = {name: Access(name, f"127.0.0.{name[1:]}") for name in machines}
    try:
        carry_out(plan, access, {}, Operator("anna", lambda _: None, 0.0))
    except HandfulError as failed:
        return failed
    return None


WELL = "say waits word finish; hear; [[ $line == finish ]] && say ended outcome done || say ended outcome failed"
BADLY = "say failed advice none; say ended outcome failed"


def test_machines_finish_together(ssh: Path) -> None:
    """The first waits until the last has switched, too."""
    assert fleet(ssh, m1=WELL, m2=WELL, m3=WELL) is None
    assert ssh.with_name("ssh.heard").read_text().split() == ["finish"] * 3


def test_a_machine_that_fails_takes_back_those_before_it(ssh: Path) -> None:
    """Those behind it are not begun; the error is the culprit's."""
    failed = fleet(ssh, m1=WELL, m2=BADLY, m3=WELL)
    assert isinstance(failed, DeployFailed)
    assert failed.message.startswith("m2: ")
    assert "m1 went back, too." in failed.advice
    assert "unfinished" not in failed.advice
    assert ssh.with_name("ssh.heard").read_text().split() == ["back"]


def test_a_machine_that_fails_to_finish_is_told_as_unfinished(ssh: Path) -> None:
    """The others cannot go back any more."""
    failed = fleet(ssh, m1=WELL, m2="say waits word finish; hear; say ended outcome failed")
    assert isinstance(failed, DeployFailed)
    assert "unfinished: m1 took deploy 2, m2 did not." in failed.advice


def test_a_machine_whose_line_broke_is_not_said_to_have_gone_back(ssh: Path) -> None:
    """It has switched, and decides by itself: nobody knows here."""
    failed = fleet(ssh, m1="say waits word finish; hear; exit 255", m2=BADLY)
    assert isinstance(failed, DeployFailed)
    assert failed.message.startswith("m2: ")
    assert "went back" not in failed.advice
    assert "The connection to m1 was lost, too: it decides by itself." in failed.advice


def test_what_was_told_to_finish_over_a_line_that_broke_is_not_said_to_be_old(ssh: Path) -> None:
    """The other machine has finished; this one will."""
    failed = fleet(ssh, m1=WELL, m2="say waits word finish; hear; exit 255")
    assert isinstance(failed, DeployFailed)
    assert failed.message == "the connection to m2 was lost"
    assert "m2 did not" not in failed.advice
    assert "unfinished: m1 took deploy 2." in failed.advice
