from __future__ import annotations

import json
from typing import Any

import pytest

from handful.plan.model import Change, Plan, Release, Step, Work
from handful.report.lines import Lines
from handful.report.plan import plan_json, plan_lines
from handful.run.events import Event

STEP = Step("place_app", {"stack": "shop", "app": "web"})
RELEASE = Release("web", "0001-a", {}, {"env": "secret"})
WORK = Work("m1", (STEP,), (RELEASE,), ("handful/shop/web:1",))


def plan(*changes: Change, notes: tuple[str, ...] = ()) -> Plan:
    """Return a plan with these changes."""
    return Plan("shop", 3, "deploy", {}, ((WORK,),), changes, notes)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("m1", "web", "deploy", "", "0001-a", ("new here",)), "m1       web          deploy 0001-a: new here"),
        (
            Change("m1", "web", "deploy", "0001-a", "0002-b", ("env A added", "image changed")),
            "m1       web          deploy 0002-b in place of 0001-a: env A added, image changed",
        ),
        (Change("m1", "web", "restart", "0001-a", "0001-a", ("asked for",)), "m1       web          restart 0001-a: asked for"),
        (Change("m1", "web", "stop", "0001-a", "0001-a"), "m1       web          stop 0001-a"),
        (Change("m1", "web", "remove", "", "", ("left",)), "m1       web          remove: left"),
        (Change("m1", "web", "nothing", "0001-a", "0001-a"), "m1       web          nothing to do (0001-a)"),
        (
            Change("m1", "web", "nothing", "0001-a", "0001-a", ("it is stopped",)),
            "m1       web          nothing to do (0001-a): it is stopped",
        ),
        (Change("m1", "", "setup", reasons=("proxy",)), "m1                    set up: proxy"),
        (Change("a-long-machine", "a-long-app-name", "deploy", "", "0001-a"), "a-long-machine a-long-app-name deploy 0001-a"),
    ],
)
def test_a_change_is_a_line(change: Change, line: str) -> None:
    """Where, which app, what happens, and why."""
    assert plan_lines(plan(change)) == [line]


def test_a_file_without_apps() -> None:
    """Says so."""
    assert plan_lines(plan()) == ["shop: no apps in handful.yml yet"]


def test_notes_come_last() -> None:
    """As they are."""
    assert plan_lines(plan(Change("m1", "web", "nothing"), notes=("look here",)))[-1] == "look here"


def test_a_plan_for_programs() -> None:
    """Changes, and what each machine of each wave gets and does."""
    told = json.loads(plan_json(plan(Change("m1", "web", "deploy", "", "0001-a", ("new here",)))))
    assert told["changes"] == [{
        "machine": "m1", "app": "web", "action": "deploy", "before": "", "after": "0001-a", "reasons": ["new here"],
    }]
    assert told["waves"] == [[{
        "machine": "m1", "images": ["handful/shop/web:1"], "releases": ["0001-a"],
        "steps": [{"script": "place_app", "stack": "shop", "app": "web"}],
    }]]
    assert (told["stack"], told["deploy"], told["what"], told["empty"]) == ("shop", 3, "deploy", False)


def shown(event: Event) -> list[str]:
    """Return how an event looks in a terminal."""
    written: list[str] = []
    Lines(written.append, as_json=False, verbose=False).show(event)
    return written


def test_an_event_is_a_line() -> None:
    """When, where, what."""
    assert shown(Event("started", "web-1 started", "m1", 1.25)) == ["   1.2 s  m1       web-1 started"]
    assert shown(Event("building", "building web", "", 12)) == ["  12.0 s           building web"]


@pytest.mark.parametrize("event", [Event("failed", "web died"), Event("ended", ""), Event("moved", "")])
def test_what_is_told_later_or_says_nothing_is_no_line(event: Event) -> None:
    """A failure is told once, at the end, with its detail."""
    assert shown(event) == []


def test_output_of_builds_is_for_the_curious() -> None:
    """Every line with --verbose; without it one now and then, so that a long build shows that it goes on."""
    written: dict[bool, list[str]] = {True: [], False: []}
    for verbose, told in written.items():
        lines = Lines(told.append, as_json=False, verbose=verbose)
        for second in range(8):
            lines.show(Event("output", f"Step {second}", seconds=second))
    assert written[True] == [f"{second:6.1f} s           Step {second}" for second in range(8)]
    assert written[False] == ["   3.0 s           Step 3", "   6.0 s           Step 6"]


def test_programs_get_events_and_no_sentences() -> None:
    """One JSON document per line."""
    written: list[str] = []
    lines = Lines(written.append, as_json=True, verbose=False)
    lines.say("the plan")
    lines.show(Event("started", "web-1 started", "m1", 1.23456, {"instance": "web-1"}))
    told: list[dict[str, Any]] = [json.loads(line) for line in written]
    assert told == [{"event": "started", "machine": "m1", "text": "web-1 started", "seconds": 1.235, "instance": "web-1"}]
