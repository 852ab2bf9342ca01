"""Does chaos see when the promise is broken? What it does to a lab is no matter of a test."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[2]
OLD = {"m1": "6", "m2": "6"}
NEW = {"m1": "7", "m2": "7"}
HALF = {"m1": "7", "m2": "6"}


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that imports a module as `script/chaos` finds it."""
    for folder in ("bench", "chaos"):
        monkeypatch.syspath_prepend(str(HOME / folder))
    return import_module


@pytest.mark.parametrize(
    ("fault", "code", "may_run"),
    [
        ("none", 0, [NEW]), ("none", 1, [NEW]), ("ctrl-c", 0, [NEW]), ("ctrl-c", 130, [OLD, NEW]),
        ("kill", 137, [OLD, NEW, HALF]), ("crashes at once", 1, [OLD]), ("answers 404", 0, [OLD]),
        ("ssh is killed", 1, [OLD, NEW, HALF]), ("a machine reboots", 1, [OLD, NEW, HALF]), ("a machine reboots", 0, [NEW]),
        ("no room for the release", 1, [OLD]), ("its health flaps", 0, [NEW]), ("crashes after the switch", 0, [OLD]),
        ("rollback", 0, [NEW]), ("rollback", 1, [OLD]), ("two deploys at once", 1, [OLD, NEW]),
    ],
)
def test_what_may_run_afterwards(chaos: Any, fault: str, code: int, may_run: list[dict[str, str]]) -> None:
    """Version 6 ran, 7 is what the file asks for: only who is killed leaves two versions; a rollback changes something or says no."""
    verdict = chaos("chaos_promise").verdict
    assert [now for now in (OLD, NEW, HALF) if not verdict(fault, "7", OLD, now, code)] == may_run


def test_what_was_half_done_may_stay_so(chaos: Any) -> None:
    """A release that fails changes nothing; one that goes well ends it."""
    verdict = chaos("chaos_promise").verdict
    assert verdict("crashes at once", "8", HALF, HALF, 1) == []
    assert verdict("none", "8", HALF, HALF, 1) != []


def test_a_release_that_dies_in_use_is_taken_back(chaos: Any) -> None:
    """To what ran before, on all machines the same; it must not stay."""
    verdict = chaos("chaos_promise").verdict
    assert verdict("crashes after the switch", "8", HALF, OLD, 0) == []
    assert verdict("crashes after the switch", "8", HALF, {"m1": "8", "m2": "8"}, 0) != []


@pytest.mark.parametrize(("failed", "violations", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (300, 0, 1)])
def test_the_exit_code_tells(chaos: Any, failed: int, violations: int, code: int) -> None:
    """One failed request is enough, and so is one broken promise."""
    assert chaos("chaos_run").Told(1, 1, failed=failed, violations=violations).code == code


class Site:
    """Machines that say this, run these versions, answer so, and a `handful` that tells these two documents."""

    def __init__(
        self, *, left: str = "", runs: dict[str, str] = NEW, answers: str = "7", status: str = "[]", outcome: str = "done"
    ) -> None:
        self.left, self.runs, self.answers = left, runs, answers
        self.said = {"status": f'{{"unfinished": {status}}}', "history": f'[{{"outcome": "{outcome}"}}]'}

    def sh(self, machine: str, script: str) -> str:
        """Answer as a machine."""
        del machine, script
        return self.left

    def versions(self) -> dict[str, str]:
        """What runs."""
        return self.runs


@pytest.mark.parametrize(
    ("found", "troubles"),
    [
        (Site(), []),
        (Site(left="apps/web/deploying\n"), ["m1: apps/web/deploying", "m2: apps/web/deploying"]),
        (Site(answers="5"), ["5 answers, and 7, 7 runs"]),
        (Site(runs=HALF, answers="7", status='["web"]'), ["the machines run different versions: {'m1': '7', 'm2': '6'}"]),
        (Site(status='["web"]'), ["status is wrong about whether {'m1': '7', 'm2': '7'} is unfinished"]),
        (Site(outcome="unfinished"), ["history says unfinished"]),
        (Site(outcome="at work"), ["history says at work"]),
    ],
)
def test_what_is_broken_is_told(
    chaos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Site, troubles: list[str]
) -> None:
    """Something on a machine, a wrong answer, two versions, a report that is not true, a deploy without an end."""
    promise = chaos("chaos_promise")
    monkeypatch.setattr(promise, "served", lambda *_: found.answers)
    monkeypatch.setattr(promise, "SECONDS", 0)
    for name, text in found.said.items():
        (tmp_path / name).write_text(text)
    program = tmp_path / "handful"
    program.write_text('#!/bin/sh\ncat "${0%/*}/$1"\n')
    program.chmod(0o755)
    monkeypatch.setattr(found, "folder", tmp_path, raising=False)
    monkeypatch.setattr(found, "environ", {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, raising=False)
    monkeypatch.setattr(promise, "answers", lambda *_: True)
    deploy = type("Deploy", (), {"name": "none", "fault": promise.FAULTS["none"], "wanted": "7"})
    said = promise.broken(found, deploy, OLD, 0)
    assert [line for line in said if line in troubles] == troubles
    assert bool(said) == bool(troubles)


def test_the_table_grows(chaos: Any, tmp_path: Path) -> None:
    """Runs are added to what is there, the rest of the page stays, and the last row has the sums."""
    report = chaos("chaos_report")
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{report.HEAD}\nSeeds: none yet.\n\nMore.\n")
    report.add(page, 5, {"kill": report.Tried(1, 100, 2, 0, 0)})
    report.add(page, 6, {"kill": report.Tried(2, 50, 0, 1, 1), "none": report.Tried(1, 10)})
    assert page.read_text() == (
        f"# Title\n\n{report.HEAD}| kill | 3 | 150 | 2 | 1 | 1 |\n| none | 1 | 10 | 0 | 0 | 0 |\n"
        "| **all** | 4 | 160 | 2 | 1 | 1 |\n\nSeeds: 5, 6.\n\nMore.\n"
    )


@pytest.mark.parametrize(
    ("name", "failed_at", "cut"),
    [("none", [10.0], 0), ("a machine reboots", [6.0, 10.0, 12.9], 3), ("a machine reboots", [1.0, 10.0, 14.0], 1),
     ("crashes after the switch", [1.0, 20.0], 2)],
)
def test_which_failures_the_promise_allows(chaos: Any, name: str, failed_at: list[float], cut: int) -> None:
    """The fault was ten seconds after the load's start."""
    run, faults = chaos("chaos_run"), chaos("chaos_faults")
    deploy = type("Deploy", (), {"fault": faults.FAULTS[name], "began_at": 1010.0})
    summary = type("Summary", (), {
        "failures_s": failed_at, "failed": len(failed_at), "websocket_cut": 0, "sent": 99, "started_at": 1000.0,
    })
    told = run.count(deploy, summary, 0)
    assert (told.cut, told.failed) == (cut, len(failed_at) - cut)
