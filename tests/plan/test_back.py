from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from world import ready

from handful.errors import UsageError
from handful.facts.model import Facts, StackState
from handful.plan.back import chosen_release, history

KEPT = ("0009-aaaaaa", "0010-bbbbbb", "0010-cccccc", "0100-dddddd")


def told(number: int, **more: Any) -> dict[str, Any]:
    """Return a line that says that a deploy has begun."""
    apps = {"web": {"from": f"{number - 1:04d}-a", "to": f"{number:04d}-a"}}
    return {"deploy": number, "event": "begun", "what": "deploy", "who": "ann", "from": "laptop", "apps": apps, **more}


def ended(number: int, outcome: str = "done", seconds: float = 1.0) -> dict[str, Any]:
    """Return a line that says how a deploy ended."""
    return {"deploy": number, "event": "ended", "outcome": outcome, "seconds": seconds}


def machine(name: str, *lines: dict[str, Any], holder: str = "") -> Facts:
    """Return a machine with a history."""
    return replace(ready(name), stacks={"shop": StackState(holder=holder, history=lines)})


def test_a_deploy_is_told_once_with_what_each_machine_made_of_it() -> None:
    """The worst outcome is the deploy's; the times add up, as machines follow one another."""
    facts = {
        "m1": machine("m1", told(1), ended(1), told(2), ended(2, seconds=2)),
        "m2": machine("m2", told(2), ended(2, "failed", seconds=3)),
    }
    first, second = history("shop", facts)
    assert (first.number, first.outcomes, first.outcome) == (1, {"m1": "done"}, "done")
    assert (second.outcomes, second.outcome, second.seconds) == ({"m1": "done", "m2": "failed"}, "failed", 5)
    assert second.apps == {"web": ("0001-a", "0002-a")}


def test_what_began_and_never_ended_is_unfinished() -> None:
    """Nobody holds the lock any more."""
    assert [past.outcome for past in history("shop", {"m1": machine("m1", told(1), ended(1), told(2))})] == ["done", "unfinished"]


@pytest.mark.parametrize(("second", "outcome"), [([], "unfinished"), ([ended(2)], "done"), ([ended(2, "failed")], "done")])
def test_a_machine_that_takes_apps_away_later_has_done_its_part(second: list[dict[str, Any]], outcome: str) -> None:
    """It does so in a session of its own: what it has released before is done, and the deploy was not in vain."""
    (past,) = history("shop", {"m1": machine("m1", told(2), ended(2), told(2), *second)})
    assert past.outcomes == {"m1": outcome}
    assert not past.vain


def test_only_the_last_one_can_be_at_work() -> None:
    """What was left unfinished before stays so, while the next deploy holds the lock."""
    facts = {"m1": machine("m1", told(1), told(2), holder="ann")}
    assert [past.outcome for past in history("shop", facts)] == ["unfinished", "at work"]


def test_a_holder_whose_deploy_has_ended_is_at_nothing() -> None:
    """The lock is free a moment after the last line."""
    facts = {"m1": machine("m1", told(1), ended(1), holder="ann")}
    assert [past.outcome for past in history("shop", facts)] == ["done"]


def test_an_end_whose_beginning_was_cut_away_is_left_out() -> None:
    """Machines tell the end of a long history only."""
    assert [past.number for past in history("shop", {"m1": machine("m1", ended(1), told(2), ended(2))})] == [2]


@pytest.mark.parametrize(
    ("wanted", "found"), [("0009-aaaaaa", "0009-aaaaaa"), ("0009", "0009-aaaaaa"), ("9", "0009-aaaaaa"), ("100", "0100-dddddd")]
)
def test_a_release_is_named_by_its_id_or_its_counter(wanted: str, found: str) -> None:
    """With or without the zeros before it."""
    assert chosen_release("web", wanted, KEPT) == found


@pytest.mark.parametrize("wanted", ["1", "00", "", "aaaaaa", "0009-aaaaa"])
def test_a_release_that_is_not_kept_is_refused_with_those_that_are(wanted: str) -> None:
    """A part of a name is none."""
    with pytest.raises(UsageError) as refusal:
        chosen_release("web", wanted, KEPT)
    assert refusal.value.message == f"web has no release {wanted}"
    assert refusal.value.advice == f"Kept releases of web: {', '.join(KEPT)}."


def test_a_counter_that_two_releases_have_names_none() -> None:
    """Machines may have been on their own for a while."""
    with pytest.raises(UsageError, match="10 names more than one release of web") as refusal:
        chosen_release("web", "10", KEPT)
    assert refusal.value.advice == "Kept releases of web: 0010-bbbbbb, 0010-cccccc."


def test_nothing_is_kept() -> None:
    """An app that was never deployed."""
    with pytest.raises(UsageError) as refusal:
        chosen_release("web", "1", ())
    assert refusal.value.advice == "No release of web is kept."
