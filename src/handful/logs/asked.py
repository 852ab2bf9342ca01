"""What does a command line ask of the logs, and how is it said to the agent?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handful.config.values import span
from handful.errors import UsageError

MINUTE = 60
USUAL_LINES = 100
WHEN = "Write how long ago (10m, 2h, 3d) or a time in UTC (2026-01-31T12:00)."


@dataclass(frozen=True)
class Asked:
    """What is asked for; "" and nothing: all. Times are in UTC, like 2026-01-31T12:00:00; `every` counts seconds.

    `lines`: only so many of the last ones, 0: all of them.
    """

    apps: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    grep: str = ""
    regex: str = ""
    level: str = ""
    release: str = ""
    instance: str = ""
    lines: int = 0
    context: int = 0
    every: int = 0
    follow: bool = False


def moment(text: str, now: datetime) -> str:
    """Return a time that was typed, in UTC; "" for none. Raises UsageError."""
    if not text:
        return ""
    ago = span(text)
    if ago is not None:
        return _told(now - timedelta(seconds=ago))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text} is no time", advice=WHEN) from None
    return _told(when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC))


def check(asked: Asked) -> None:
    """Refuse what cannot be answered. Raises UsageError."""
    if asked.since and asked.until and asked.since >= asked.until:
        message = f"--since is {asked.since}, and --until is {asked.until}: nothing lies between"
        raise UsageError(message, advice=WHEN)
    for app in asked.apps:
        if "/" in app or app.startswith("."):
            raise UsageError(f"{app} is no app")
    try:
        f"{asked.grep}{asked.regex}".encode()
    except UnicodeEncodeError:
        raise UsageError("what is looked for is no UTF-8") from None
    if asked.grep and asked.regex:
        raise UsageError("write one of --grep and --regex")
    try:
        re.compile(asked.regex)
    except re.error as wrong:
        advice = "It is Python's kind. For plain words: --grep"
        raise UsageError(f"--regex {asked.regex} is none: {wrong}", advice=advice) from wrong
    if asked.follow and (asked.until or asked.every or asked.context):
        raise UsageError("-f goes on for ever: leave --until, --count-by and -C out")


def every(text: str) -> int:
    """Return the seconds of --count-by, which are whole minutes; 0 for none. Raises UsageError."""
    found = span(text) if text else 0
    if found is None or found % MINUTE:
        raise UsageError(f"--count-by {text} is not in minutes", advice="Write 1m, 10m or 1h.")
    return int(found)


def words(asked: Asked, stack: str, now: datetime) -> tuple[str, ...]:
    """Return the agent's command line; `now` tells it how far its own clock is off ours, by which times are meant."""
    given = {
        "--asked-at": f"{now.timestamp():.0f}",
        "--since": asked.since, "--until": asked.until, "--grep": asked.grep, "--regex": asked.regex,
        "--level": asked.level, "--release": asked.release, "--instance": asked.instance,
        "--lines": str(asked.lines or ""), "--context": str(asked.context or ""),
    }
    # As one word, so that nothing that is looked for is taken for an option.
    options = [f"{name}={value}" for name, value in given.items() if value]
    apps = [f"--app={app}" for app in asked.apps]
    what = "count" if asked.every else "search"
    return (what, f"--stack={stack}", *apps, *options, *(["--follow"] if asked.follow else []))


def _told(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S" + (".%f" if when.microsecond else ""))
