"""What does the agent answer when it is asked for logs: lines of JSON, the first of which is about all others?"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handful.agent.codec import dumps
from handful.agent.context import with_context
from handful.agent.ends import now_told
from handful.agent.follow import Follower
from handful.agent.query import FIRST, LAST, Query
from handful.agent.search import Search, last

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from handful.agent.stacks import Stacks

# Between two looks at what is new.
FOLLOW_SECONDS = 0.2


def answer(folder: Path, query: Query, stacks: Stacks, *, lines: int, context: int, follow: bool, count: bool) -> None:
    """Answer on stdout. Raises TooSlow, re.error, and BrokenPipeError when nobody listens any more.

    `lines`: only so many of the last ones, 0: all; `context`: so many lines around each; `count`: counts per minute,
    instead of lines.
    """
    follower = Follower(folder, query) if follow else None
    if follower is not None:
        query = replace(query, covered=follower.covered)
    _say([header(folder, query, stacks)])
    search = Search(folder, query)
    if count:
        _say([{"minutes": search.counts()}])
    elif context:
        _say(with_context(folder, query, lines, context))
    else:
        _say(search.last(lines) if lines else search.records())
    if search.damaged:
        _say([{"damaged": sorted(str(path.relative_to(folder)) for path in search.damaged)}])
    while follower is not None:
        time.sleep(FOLLOW_SECONDS)
        _say(follower.look())


def header(folder: Path, query: Query, stacks: Stacks) -> dict[str, Any]:
    """Return what is to be known before the lines.

    `now` is this machine's clock; `apps` have logs here; `gone`: those asked for that have no release here any more,
    and since when.
    """
    stack = next((each for each in stacks.look() if each.name == query.stack), None)
    apps = sorted(path.name for path in (folder / query.stack).glob("*") if path.is_dir())
    here, removed = (stack.apps, stack.removed) if stack is not None else ({}, {})
    gone = [app for app in apps if app not in here and app in (query.apps or apps)]
    since = {app: removed.get(app) or _last_moment(folder, query, app) for app in gone}
    return {"now": now_told(time.time()), "apps": apps, "gone": since}


def _last_moment(folder: Path, query: Query, app: str) -> str:
    """Return when an app said something, the last time."""
    found = last(folder, Query(query.stack, (app,), FIRST, LAST), 1)
    return str(found[0]["t"]) + "Z" if found else ""


def _say(lines: Iterable[dict[str, Any] | bytes]) -> None:
    """Write lines out; those that are JSON already as they are."""
    for line in lines:
        sys.stdout.buffer.write((line if isinstance(line, bytes) else dumps(line)) + b"\n")
    sys.stdout.buffer.flush()
