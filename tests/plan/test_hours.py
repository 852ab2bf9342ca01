from __future__ import annotations

from dataclasses import replace

import pytest
from world import ready

from handful.config.model import App
from handful.facts.model import AppState, StackState
from handful.plan.hours import lines, spans, wanted

HOURS = {"default": 2, "Mon-Fri 8:00-18:00": 4, "Sat 22:30-1:00": 3, "12:00-12:30": 9}


def app(**hours: int) -> App:
    """Return an app with these hours, or with HOURS."""
    return App(image="x", instances=hours or HOURS)


def minute(text: str) -> int:
    """Read 8:30."""
    hour, _, rest = text.partition(":")
    return int(hour) * 60 + int(rest)


@pytest.mark.parametrize(
    ("day", "time", "count"),
    [
        (1, "7:59", 2), (1, "8:00", 4), (5, "17:59", 4), (5, "18:00", 2), (1, "12:15", 4), (7, "12:15", 9), (6, "22:29", 2),
        (6, "22:30", 3), (6, "23:59", 3), (7, "0:59", 3), (7, "1:00", 2), (1, "0:30", 2),
    ],
)
def test_the_hour_decides(day: int, time: str, count: int) -> None:
    """The first span of the file that holds the minute; a span over midnight belongs to the day on which it begins."""
    assert wanted(app(), "shop", "web", replace(ready("m1"), local=(day, minute(time)))) == count


def test_what_somebody_asked_for_comes_first_for_its_time() -> None:
    """By the machine's clock."""
    state = StackState(apps={"web": AppState(scaled=(7, 1000.0))})
    here = replace(ready("m1"), local=(1, 600), clock=999.0, stacks={"shop": state})
    assert wanted(app(), "shop", "web", here) == 7
    assert wanted(app(), "shop", "web", replace(here, clock=1000.0)) == 4


def test_days_may_go_over_the_end_of_the_week() -> None:
    """And be named one by one."""
    told = App.model_validate({"image": "x", "instances": {"default": 1, "Sat-Mon,Wed 20:00-0:00": 2}})
    assert spans(told) == [("1367", 1200, 1440, 2)]


def test_a_machine_is_told_the_same() -> None:
    """As lines for keep_hours.bash."""
    assert lines(app()).splitlines() == ["12345 480 1080 4", "6 1350 1440 3", "7 0 60 3", "1234567 720 750 9", "default 2"]
    assert lines(App(image="x", instances=3)) == "default 3"
