"""Which lines stand around those that fit: of the same instance, before and after?"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handful.agent.query import Filter
from handful.agent.search import last, search

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handful.agent.query import Query


def with_context(folder: Path, query: Query, lines: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the lines that fit, each once, and up to `count` before and after each; these have `around`: true.

    `lines`: only around so many of the last ones that fit, 0: all.
    """
    whole = replace(query, grep="", regex="", levels=frozenset(), release="", instance="")
    if lines:
        newest = last(folder, query, lines)
        whole = replace(whole, since=max(whole.since, _before(folder, whole, newest, count)))
        query = replace(query, since=max(query.since, newest[0]["t"])) if newest else query
        if not newest:
            return
    wanted = Filter(query)
    before: dict[tuple[str, str], deque[dict[str, Any]]] = {}
    due: dict[tuple[str, str], int] = {}
    with wanted.watched():
        for line in search(folder, whole):
            key = line["app"], line["i"]
            waiting = before.setdefault(key, deque(maxlen=count))
            if wanted.fits(line):
                yield from ({**each, "around": True} for each in waiting)
                waiting.clear()
                yield line
                due[key] = count
            elif due.get(key, 0):
                yield {**line, "around": True}
                due[key] -= 1
            else:
                waiting.append(line)


def _before(folder: Path, whole: Query, newest: list[dict[str, Any]], count: int) -> str:
    """Return a moment before which no line is wanted: that of the first line around the first that fits of each."""
    firsts: dict[tuple[str, str], dict[str, Any]] = {}
    for line in newest:
        firsts.setdefault((line["app"], line["i"]), line)
    moments = [str(line["t"]) for line in newest[:1]]
    for (app, instance), first in firsts.items():
        same = replace(whole, apps=(app,), instance=instance, until=first["t"])
        moments += [str(line["t"]) for line in last(folder, same, count)[:1]]
    return min(moments, default="")
