from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from world import planned, ready, sources

from handful.artifact.script import assignment, call, contract, observe, run_app, source, stand_alone, uses, work_script
from handful.config.model import Config
from handful.plan.model import ImageSource, Plan, Release, Step
from handful.plan.release import describe, release

# A bash variable holds any text but a zero byte.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NASTY = ["", "'", '"', "a'b\"c", "$(exit 1)", "`exit 1`", "\n", "a\nb\n", "\\", "*", "~", "#", "größe", "a\rb", "-n", "!x", "\x01\x7f"]


def bash(script: str) -> bytes:
    """Return what a script says; it must have nothing to complain about."""
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + script], capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


def config() -> Config:
    """Return a config with two apps."""
    apps = {"web": {"build": {}, "port": 8000, "needs": ["db"], "env": {"A": "it's $HOME"}}, "db": {"image": "postgres:17"}}
    return Config.model_validate({"project": "shop", "machines": {"m1": {"address": "192.0.2.1"}}, "apps": apps})


def plan() -> Plan:
    """Return the first deploy of both."""
    return planned(config(), "shop", {"m1": ready("m1")}, "deploy")


def web(git: str = "", reference: str = "") -> Release:
    """Return the release of web."""
    source_of = sources(config(), "shop", ["web"])["web"]
    image = ImageSource(source_of.image.name, source_of.image.identity, reference, git)
    return release("shop", "0001-abcdef", describe("web", config(), type(source_of)(image, {})))


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=20))
@example(NASTY)
def test_a_value_arrives_byte_for_byte(values: list[str]) -> None:
    """Whatever it holds: nothing in it is ever read as bash."""
    script = "".join(f"{assignment('value', value)}\nprintf '%s\\0' \"$value\"\n" for value in values)
    assert bash(script).split(b"\0")[:-1] == [value.encode() for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=20))
@example(NASTY)
def test_a_list_arrives_byte_for_byte(values: list[str]) -> None:
    """Element by element; an empty one is an empty array."""
    script = f"{assignment('list', tuple(values))}\nprintf '%s\\0' \"${{#list[@]}}\" \"${{list[@]}}\"\n"
    count, *found = bash(script).split(b"\0")[:-1]
    assert int(count) == len(values)
    assert found[: len(values)] == [value.encode() for value in values]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["stack", "app", "number", "machine"]), TEXT, min_size=1))
def test_a_step_is_one_call_with_its_values(values: dict[str, str]) -> None:
    """They are the function's for the time of the call, and gone after it."""
    told = "".join(f"printf '%s\\0' \"${{{name}}}\"\n" for name in values)
    gone = "".join(f"[[ -z ${{{name}+set}} ]]\n" for name in values)
    assert bash(f"step() {{\n{told}}}\n{call(Step('step', values))}\n{gone}").split(b"\0")[:-1] == [v.encode() for v in values.values()]


def test_a_step_can_be_read() -> None:
    """As in the design: values, then the name."""
    values = {"name": "web-2", "port": "8000", "path": "/up", "note": "", "text": "it's"}
    assert call(Step("wait_healthy", values)) == "name=web-2 port=8000 path=/up note='' text='it'\"'\"'s' wait_healthy"


def test_a_contract_is_the_second_line() -> None:
    """What may be empty is told from what may not."""
    assert contract("place_app") == {"stack": False, "app": False, "number": True, "instances": False, "keep": False}
    assert uses("place_app") == ("prelude", "lib_work")
    assert uses("prelude") == ("prelude",)


def test_a_work_script_has_each_library_and_each_function_once() -> None:
    """Above `main`, which has one line per step, in their order."""
    work = plan().waves[0][0]
    script = work_script(plan(), work, "handful deploy, by ann")
    names = list(dict.fromkeys(step.script for step in work.steps))
    for library in {library for name in names for library in uses(name)} | {"prelude", "lib_work"}:
        assert script.count(source(library)) == 1
    for name in names:
        assert script.count(f"\n{name}() (\n{source(name)})\n") == 1
    lines = [f"  {call(step)}" for step in work.steps]
    assert script.endswith("\n".join(["\nmain() {", "  begin_work", *lines, "  outcome='done'", "}", "", 'main "$@"', ""]))


def test_a_work_script_says_whose_it_is() -> None:
    """A person who finds it in a list of processes, or in a folder, knows."""
    script = work_script(plan(), plan().waves[0][0], "handful deploy, by ann's laptop")
    assert script.startswith("#!/usr/bin/env bash\n# deploy 1 of shop on m1\n\nstack=shop\ndeploy=1\nbegun='{")
    assert "\nholder='handful deploy, by ann'\"'\"'s laptop'\n" in script


def test_history_begins_as_the_scripts_look_for_it() -> None:
    """`bash run_app.bash` by hand counts on from the last line that begins with {"deploy":N."""
    script = work_script(plan(), plan().waves[0][0], "ann")
    assert """\nbegun='{"deploy":1,"event":"begun",""" in script


@pytest.mark.parametrize("script", [work_script(plan(), plan().waves[0][0], "ann"), run_app(web()), observe("shop")])
def test_bash_reads_what_is_written(script: str) -> None:
    """As a whole: no file of the scripts leaves something open for the next one."""
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_run_app_has_its_settings_on_top() -> None:
    """Then the libraries that it uses, then how it is run: all that it needs is in it."""
    script = run_app(web("1234567890ab+dirty"))
    head, _, rest = script.partition("\n\n" + source("prelude"))
    assert head.splitlines()[:4] == [
        "#!/usr/bin/env bash",
        "# web of shop, release 0001-abcdef, made from 1234567890ab+dirty.",
        "# `bash run_app.bash` starts it without downtime. handful is not needed for that.",
        "",
    ]
    assert head.splitlines()[4:] == [assignment(name, value) for name, value in web().settings.items()]
    assert rest.endswith(source("run_app"))


@pytest.mark.parametrize(
    ("git", "reference", "told"),
    [("", "postgres:17", "postgres:17"), ("", "", "a folder without git"), ("", "x\nrm -rf /\u2028y", "x rm -rf / y")],
)
def test_where_a_release_comes_from_stays_in_its_comment(git: str, reference: str, told: str) -> None:
    """A comment ends with its line."""
    assert run_app(web(git, reference)).splitlines()[1] == f"# web of shop, release 0001-abcdef, made from {told}."


def test_a_script_stands_alone() -> None:
    """With its values above its libraries."""
    script = stand_alone("setup_logs", {"stack": "shop", "text": "{}"})
    assert script == (
        f"stack=shop\ntext='{{}}'\n{source('prelude')}\n{source('setup_logs')}"
    )
