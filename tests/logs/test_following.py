"""Are lines of several machines put in order, as they come and afterwards?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from handful.errors import UsageError
from handful.logs import following as module
from handful.logs.asked import Asked, check, every, moment, words
from handful.logs.following import Following
from handful.logs.merge import merged, ours, skew, summed

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def line(moment: str, text: str = "") -> dict[str, Any]:
    """Return a line as the agent tells it, of twelve o'clock and so many seconds."""
    return {"t": f"2026-01-31T12:00:{moment}", "x": text or moment}


@pytest.mark.parametrize(("typed", "meant"), [
    ("", ""), ("1h", "2026-01-31T11:00:00"), ("3d", "2026-01-28T12:00:00"), ("90s", "2026-01-31T11:58:30"), ("0.5s", "2026-01-31T11:59:59.500000"),
    ("2026-01-31T10:00", "2026-01-31T10:00:00"), ("2026-01-31T10:00+02:00", "2026-01-31T08:00:00"), ("2026-01-31", "2026-01-31T00:00:00"), ("2026-01-31T10:00Z", "2026-01-31T10:00:00"),
])
def test_times_that_are_typed(typed: str, meant: str) -> None:
    """How long ago, or a time: in UTC unless it says more."""
    assert moment(typed, NOW) == meant


@pytest.mark.parametrize("typed", ["soon", "-1h", "12", "1", "2026-13-01", "0s"])
def test_times_that_are_none(typed: str) -> None:
    """With how they are written."""
    with pytest.raises(UsageError, match="is no time"):
        moment(typed, NOW)


@pytest.mark.parametrize("asked", [
    Asked(since="2026-01-31T12", until="2026-01-31T11"), Asked(since="a", until="a"), Asked(grep="a", regex="b"), Asked(regex="("), Asked(follow=True, until="x"),
    Asked(follow=True, every=60), Asked(follow=True, context=1),
])
def test_what_cannot_be_answered(asked: Asked) -> None:
    """It is refused before a machine is asked."""
    with pytest.raises(UsageError):
        check(asked)


def test_the_agents_words() -> None:
    """What is looked for is never taken for an option, whatever it is."""
    found = words(Asked(("web",), grep="--follow", regex="", level="warn", lines=5, follow=True), "shop", NOW)
    assert found == ("search", "--stack=shop", "--app=web", f"--asked-at={NOW.timestamp():.0f}", "--grep=--follow", "--level=warn", "--lines=5", "--follow")
    assert words(Asked(every=60), "shop", NOW)[0] == "count"
    assert (every(""), every("10m"), every("1h")) == (0, 600, 3600)
    for wrong in ("90s", "x", "1ms"):
        with pytest.raises(UsageError):
            every(wrong)


def test_streams_become_one() -> None:
    """By time; a machine whose clock is ahead is put back; what is no line comes last."""
    streams = {"m1": iter([line("01"), line("03"), {"damaged": ["x"]}]), "m2": iter([line("32"), line("34")])}
    found = list(merged(streams, {"m2": 30.0}))
    assert [each.get("x", "damaged") for _, each in found] == ["01", "32", "03", "34", "damaged"]
    assert skew("2026-01-31T12:00:30Z", NOW.timestamp()) == 30.0
    assert skew("2026-01-31T12:00:01Z", NOW.timestamp()) == 0.0
    assert skew("", NOW.timestamp()) == 0.0
    assert ours("2026-01-31T12:00:30.123456789", 30.0) == "2026-01-31T12:00:00.123456"


def test_counts_are_summed_by_spans() -> None:
    """Of all machines; a span begins at a round time."""
    answers = [{"2026-01-31T12:00": {"info": 1}, "2026-01-31T12:09": {"info": 2, "error": 1}}, {"2026-01-31T12:10": {"": 5}}]
    assert summed(answers, 600) == {"2026-01-31T12:00": {"info": 3, "error": 1}, "2026-01-31T12:10": {"": 5}}


def test_lines_wait_a_moment_for_those_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes late is shown in its place, if not too late; at the end nothing is left."""
    now, shown = [0.0], list[str]()
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    following = Following(lambda machine, _: 30.0 if machine == "m2" else 0.0, lambda _, each: shown.append(each["x"]))
    for machine in ("m1", "m2"):
        following.take(machine, {"now": "x"})
    following.take("m1", line("03"))
    following.pause()
    assert shown == []
    now[0] = 0.3
    following.pause()
    following.take("m2", line("32"))
    now[0] = 0.6
    following.take("m1", line("09"))
    following.pause()
    assert shown == ["32", "03"]
    following.take("m1", {"damaged": []} | line("10", "end"))
    following.end()
    assert shown == ["32", "03", "09", "end"]
