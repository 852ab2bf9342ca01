from __future__ import annotations

from handful.plan.model import Plan, Step, Work
from handful.run.fleet import Fleet


def work(machine: str, *words: str) -> Work:
    """Return a machine's work that waits for these words."""
    return Work(machine, (Step("x", {}), *(Step("await_word", {"word": word}) for word in words)))


def fleet(*waves: tuple[Work, ...]) -> Fleet:
    """Return a fleet all of whose machines have begun."""
    made = Fleet(Plan("shop", 1, "deploy", {}, waves, ()))
    for wave in waves:
        for each in wave:
            made.begins(each.machine)
    return made


def test_a_word_is_told_when_all_wait_for_it() -> None:
    """And to each of them once."""
    wave = (work("m1", "switch-web", "finish"), work("m2", "switch-web", "finish"), work("m3", "finish"))
    all_three = fleet(wave)
    all_three.asks("m1", "switch-web")
    assert all_three.next_word("m1") == ""
    all_three.asks("m2", "switch-web")
    assert [all_three.next_word(name) for name in ("m1", "m2", "m3", "m1")] == ["switch-web", "switch-web", "", ""]
    for name in ("m3", "m1", "m2"):
        assert all_three.next_word("m3") == ""
        all_three.asks(name, "finish")
    assert [all_three.next_word(name) for name in ("m1", "m2", "m3")] == ["finish"] * 3


def test_a_wave_rests_when_only_a_later_one_can_help() -> None:
    """The second machine begins when the first one has switched, and both finish together."""
    waves = ((work("m1", "finish"),), (work("m2", "finish"),))
    two = Fleet(Plan("shop", 1, "deploy", {}, waves, ()))
    two.begins("m1")
    assert not two.rests(waves[0])
    two.asks("m1", "finish")
    assert two.rests(waves[0])
    two.begins("m2")
    two.asks("m2", "finish")
    assert not two.rests(waves[0])
    two.ends("m1", well=True)
    two.ends("m2", well=True)
    assert two.rests(waves[1])
    assert two.over((*waves[0], *waves[1]))
    assert not two.going_back


def test_one_that_fails_takes_the_others_back() -> None:
    """Those that wait, and those that do not yet; it is named, and not those that failed because of it."""
    two = fleet((work("m1", "finish"),), (work("m2", "finish"), work("m3", "finish")))
    two.asks("m1", "finish")
    two.ends("m2", well=False)
    assert [two.next_word(name) for name in ("m1", "m2", "m3")] == ["back", "", "back"]
    two.ends("m1", well=False)
    two.asks("m3", "finish")
    assert two.next_word("m3") == ""
    assert two.culprit == "m2"
    assert two.going_back


def test_what_was_told_to_finish_is_not_taken_back() -> None:
    """It hears the word for it all the same, and does not wait for it."""
    two = fleet((work("m1", "finish"), work("m2", "finish")))
    for name in ("m1", "m2"):
        two.asks(name, "finish")
    two.ends("m2", well=False)
    assert [two.next_word("m1"), two.next_word("m1")] == ["finish", "back"]


def test_one_machine_alone_waits_for_nobody() -> None:
    """A word that nobody else has in his work is told at once."""
    one = fleet((work("m1", "finish"),))
    one.asks("m1", "finish")
    assert one.next_word("m1") == "finish"
    one.go_back()
    one.go_back()
    assert [one.next_word("m1"), one.next_word("m1")] == ["back", ""]
