"""Does chaos see when the promise is broken? What it does to a lab is no matter of a test."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[2]


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that imports a module as `script/chaos` finds it."""
    for folder in ("bench", "chaos"):
        monkeypatch.syspath_prepend(str(HOME / folder))
    return import_module


@pytest.mark.parametrize(
    ("fault", "code", "may_serve"),
    [
        ("none", 0, {"7"}), ("none", 1, {"7"}), ("ctrl-c", 0, {"7"}), ("kill", 130, {"6", "7"}), ("ctrl-c", 130, {"6", "7"}),
        ("crashes at once", 1, {"6"}), ("answers 404", 0, {"6"}),
    ],
)
def test_which_version_may_serve(chaos: Any, fault: str, code: int, may_serve: set[str]) -> None:
    """Version 7 was deployed after 6: who cuts it short gets either, one that fails leaves the old."""
    assert chaos("chaos_promise").allowed(fault, "7", "6", code) == may_serve


def test_a_rollback_that_went_well_leaves_what_served(chaos: Any) -> None:
    """Which version came before is history's business; the present one it is not."""
    allowed = chaos("chaos_promise").allowed
    assert allowed("rollback", "3", "3", 0) == {"0", "1", "2"}
    assert "3" in allowed("rollback", "3", "3", 1)


@pytest.mark.parametrize(("failed", "violations", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (300, 0, 1)])
def test_the_exit_code_tells(chaos: Any, failed: int, violations: int, code: int) -> None:
    """One failed request is enough, and so is one broken promise."""
    assert chaos("chaos_run").Told(1, 1, failed=failed, violations=violations).code == code


class Machine:
    """A site whose machine says this, whose app serves these versions in turn, and whose history ends so."""

    def __init__(self, left: str = "", serves: str = "7", outcome: str = "done") -> None:
        self.left, self.serves, self.outcome = left, serves, outcome

    def sh(self, machine: str, script: str) -> str:
        """Answer as the machine."""
        assert machine == "m1"
        assert "docker ps" in script
        return self.left


@pytest.mark.parametrize(
    ("found", "troubles"),
    [
        (Machine(), []),
        (Machine(left="apps/web/deploying\n"), ["apps/web/deploying"]),
        (Machine(serves="67"), ["two releases serve: 6, 7"]),
        (Machine(serves="5"), ["5 serves after 6, with exit code 0"]),
        (Machine(outcome="unfinished"), ["history says unfinished"]),
        (Machine(outcome="at work"), ["history says at work"]),
    ],
)
def test_what_is_left_is_told(
    chaos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Machine, troubles: list[str]
) -> None:
    """Something on the machine, two releases at once, the wrong one, a deploy without an end."""
    promise = chaos("chaos_promise")
    turns = iter(found.serves * 4)
    monkeypatch.setattr(promise, "served", lambda _: next(turns))
    monkeypatch.setattr(promise, "SECONDS", 0)
    program = tmp_path / "handful"
    program.write_text(f"#!/bin/sh\necho '[{{\"outcome\": \"{found.outcome}\"}}]'\n")
    program.chmod(0o755)
    monkeypatch.setattr(found, "folder", tmp_path, raising=False)
    monkeypatch.setattr(found, "environ", {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, raising=False)
    deploy = type("Deploy", (), {"fault": "none", "wanted": "7"})
    said = promise.broken(found, deploy, "6", 0)
    assert [line for line in said if line in troubles] == troubles
    assert bool(said) == bool(troubles)
