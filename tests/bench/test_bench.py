"""The benches' arithmetic and words; how long anything takes is no matter of a test."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the module harness.pairs, found as `python bench` finds it."""
    monkeypatch.syspath_prepend(str(BENCH))
    return import_module("harness.pairs")


def test_a_json_line_holds_medians_ratio_and_count(pairs: Any) -> None:
    """The names are those that readers of `script/bench --json` rely on; extra numbers come along."""
    result = pairs.Result("rollback", pairs.Pairs([3.0, 1.0, 2.0], [1.5, 9.0, 1.6]), (), {"ssh_sessions": 2})
    told = json.loads(result.as_json())
    assert told == {"name": "rollback", "median_s": 2.0, "by_hand_s": 1.6, "ratio": 1.25, "ssh_sessions": 2, "runs": 3}


def test_pairs_run_in_turn_and_the_first_does_not_count(pairs: Any) -> None:
    """The warm-up pair is run and left out."""
    order: list[str] = []

    def run(name: str, number: int) -> float:
        order.append(f"{name}{number}")
        return float(number)

    found = pairs.in_pairs(lambda n: run("a", n), lambda n: run("b", n), lambda _: None, 2)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert (found.handful, found.by_hand) == ([1.0, 2.0], [1.0, 2.0])


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "ok"), (1.01, "OVER")])
def test_a_limit_is_kept_up_to_its_value(pairs: Any, value: float, verdict: str) -> None:
    """The table says of each promise whether it is kept."""
    result = pairs.Result("status", pairs.Pairs([value], [0.5]), (pairs.Limit("takes", value, 1.0, " s"),))
    assert pairs.table([result]).endswith(f"takes {value:.3g} s (at most 1 s): {verdict}")


def test_a_misspelt_name_is_refused_with_those_that_there_are() -> None:
    """Nothing is measured, and nothing is written to stdout."""
    done = subprocess.run([sys.executable, str(BENCH), "rolback"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no bench rolback; there are cli, agent, logs, deploy-change, deploy-nothing, rollback" in done.stderr


def test_every_name_has_a_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's file is its name with underscores, unless told, and it can measure."""
    monkeypatch.syspath_prepend(str(BENCH))
    main = runpy.run_path(str(BENCH / "__main__.py"), run_name="bench")
    names, files = main["NAMES"], {name: main["MODULES"].get(name, name.replace("-", "_")) for name in main["NAMES"]}
    missing = [name for name, file in files.items() if "measure" not in runpy.run_path(str(BENCH / f"{file}.py"))]
    assert (len(names), missing) == (13, [])


def test_the_agent_is_started_by_the_line_of_handful(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another name and port, and nothing else is another."""
    monkeypatch.syspath_prepend(str(BENCH))
    line = import_module("harness.crowd").agent_line("other", 1234)
    assert "docker run --detach --name other " in line
    assert "--memory 96m" in line
    assert line.endswith(" --port 1234 >/dev/null")


def test_frames_of_docker_are_given_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has only begun waits for its rest."""
    monkeypatch.syspath_prepend(str(BENCH))
    found: list[bytes] = []
    rest = import_module("harness.engine").taken(b"\1\0\0\0\0\0\0\3one\2\0\0\0\0\0\0\4fo", found.append)
    assert (found, rest) == ([b"one"], b"\2\0\0\0\0\0\0\4fo")


def test_a_program_is_measured_without_its_starter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it writes is counted, and its memory is its own."""
    monkeypatch.syspath_prepend(str(BENCH))
    used = import_module("harness.process").run(["sh", "-c", "echo one; echo two"], tmp_path / "out")
    assert used.lines == 2
    assert 0 < used.peak < 100_000_000
    assert 0 <= used.cpu <= used.wall + 0.1
