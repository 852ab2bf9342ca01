from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from script_release import SETUP, make, run_steps

from handful.artifact.script import contract, source, stand_alone, uses
from handful.plan import steps

if TYPE_CHECKING:
    from pathlib import Path

    from script_machine import Machine

SCRIPTS = sorted(file.name.removesuffix(".bash") for file in files("handful.scripts").iterdir() if file.name.endswith(".bash"))
STEPS = [name for name in SCRIPTS if source(name).splitlines()[1].startswith(': "${')]


@pytest.mark.parametrize("name", STEPS)
def test_a_missing_value_is_named(machine: Machine, name: str) -> None:
    """Without one of its values a script does nothing but say which one it lacks."""
    for missing in contract(name):
        values = {value: "x" for value in contract(name) if value != missing}
        said = machine.bash(stand_alone(name, values))
        assert said.code != 0
        assert f"{missing}: parameter" in said.err
    assert machine.tap.calls == []


@pytest.mark.parametrize("name", STEPS)
def test_an_empty_value_is_refused_where_it_would_mean_something_else(machine: Machine, name: str) -> None:
    """`:?` refuses what is empty: an empty stack in a path would be every stack."""
    for empty in (value for value, may_be_empty in contract(name).items() if not may_be_empty):
        values = {value: "x" if value != empty else "" for value in contract(name)}
        said = machine.bash(stand_alone(name, values))
        assert said.code != 0
        assert f"{empty}: parameter null or not set" in said.err
    assert machine.tap.calls == []


def test_every_script_has_a_contract_or_is_a_library() -> None:
    """What is left are libraries, session.bash, which gets its folder as an argument, and what stays on a machine."""
    assert {name for name in SCRIPTS if name not in STEPS and not name.startswith("lib_")} == {"prelude", "session", "firewall", "wireguard"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_first_line_says_what_it_does(name: str) -> None:
    """A person who opens a script on a machine reads that first."""
    first = source(name).splitlines()[0]
    assert first.startswith("# ")
    assert first[2].isupper()


@pytest.mark.parametrize("name", STEPS)
def test_libraries_that_a_script_names_exist(name: str) -> None:
    """`# uses:` names files, and the prelude is the first of them."""
    assert set(uses(name)) <= set(SCRIPTS)
    assert uses(name)[0] == "prelude"


def test_the_planner_gives_exactly_what_a_step_takes(tmp_path: Path) -> None:
    """Names of values in steps and on second lines are the same."""
    made = make(tmp_path)
    planned = [*SETUP, *made.first_steps, *run_steps(made, commands=["web"])]
    for step in planned:
        assert step.values.keys() == contract(step.script).keys(), step.script
    assert steps.setup.__doc__
