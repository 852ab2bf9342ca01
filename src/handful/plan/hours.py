"""How many instances does an app have at which hour?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.config.model import App
    from handful.facts.model import Facts

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 24 * 60
EVERY_DAY = "1234567"
SPAN = re.compile(r"(?:(\S+) )?(\d+):(\d+)-(\d+):(\d+)")


def wanted(app: App, stack: str, name: str, here: Facts) -> int:
    """Return how many instances an app is to have on a machine now, by the machine's clock.

    What `handful scale --for` asked for comes first, while it is in force; then the hours of the file.
    """
    scaled = here.app(stack, name).scaled
    if scaled is not None and here.clock < scaled[1]:
        return scaled[0]
    weekday, minute = here.local
    for days, begin, end, count in spans(app):
        if str(weekday) in days and begin <= minute < end:
            return count
    return app.usual


def lines(app: App) -> str:
    """Return an app's hours as keep_hours.bash wants them: the default last."""
    told = [f"{days} {begin} {end} {count}" for days, begin, end, count in spans(app)]
    return "\n".join([*told, f"default {app.usual}"])


def spans(app: App) -> list[tuple[str, int, int, int]]:
    """Return an app's hours: days (1 is Monday), first minute, minute after the last, count.

    A span over midnight is two.
    """
    if isinstance(app.instances, int):
        return []
    told = [(SPAN.fullmatch(when), count) for when, count in app.instances.items()]
    return [part for match, count in told if match for part in _parts(match, count)]


def _parts(match: re.Match[str], count: int) -> Iterable[tuple[str, int, int, int]]:
    days = _days(match[1]) if match[1] else EVERY_DAY
    begin, end = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
    if begin < end:
        yield days, begin, end, count
    else:
        yield days, begin, DAY_MINUTES, count
        if end:
            yield "".join(sorted(str(int(day) % 7 + 1) for day in days)), 0, end, count


def _days(text: str) -> str:
    """Read `Mon-Fri,Sun`; a span may go over the week's end."""
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {(begin + step) % 7 + 1 for step in range((end - begin) % 7 + 1)}
    return "".join(str(day) for day in sorted(found))
