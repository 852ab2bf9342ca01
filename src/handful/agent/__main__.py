"""The agent's command line: `collect` keeps what containers say; `search` and `count` answer, in lines of JSON."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handful.agent.codec import best, dumps
from handful.agent.collect import Collector
from handful.agent.containers import Containers
from handful.agent.levels import LEVELS, at_least
from handful.agent.retain import Keep, free_share, retain
from handful.agent.search import FIRST, LAST, Query, TooSlow, counts, damaged, last, search
from handful.agent.store import Store

# Between two looks at the logs, at how much is kept, and after a disk was full.
READ_SECONDS, RETAIN_SECONDS, AGAIN_SECONDS = 0.1, 60.0, 5.0
# How far two clocks may part in between.
STEADY_SECONDS = 120.0
WRONG = 2


def main(words: list[str]) -> int:
    """Do what the words say, and return an exit code."""
    told = _parser().parse_args(words)
    folder = Path(told.logs)
    if told.what == "collect":
        return _collect(folder, Path(told.containers), told.days, told.bytes)
    levels = at_least(told.level) if told.level else frozenset[str]()
    since, until = told.since.removesuffix("Z"), told.until.removesuffix("Z")
    query = Query(
        told.stack, tuple(told.app), since, until, told.grep, told.regex, levels, told.release, told.instance
    )
    for path in damaged(folder, query):
        sys.stderr.write(f"left out, as its index cannot be read: {path}\n")
    try:
        if told.what == "count":
            _say({"minutes": counts(folder, query)})
        else:
            for line in last(folder, query, told.lines) if told.lines else search(folder, query):
                _say(line)
    except TooSlow as slow:
        sys.stderr.write(f"the expression takes too long, on a line that begins: {slow}\n")
        return WRONG
    except re.error as wrong:
        sys.stderr.write(f"the expression is none: {wrong}\n")
        return WRONG
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="handful.agent")
    whats = parser.add_subparsers(dest="what", required=True)
    collect = whats.add_parser("collect")
    collect.add_argument("--logs", required=True)
    collect.add_argument("--containers", required=True)
    collect.add_argument("--days", type=float, default=14)
    collect.add_argument("--bytes", type=int, default=5 * 1024**3)
    for what in ("search", "count"):
        asked = whats.add_parser(what)
        for name in ("--logs", "--stack"):
            asked.add_argument(name, required=True)
        asked.add_argument("--app", action="append", default=[])
        asked.add_argument("--since", default=FIRST)
        asked.add_argument("--until", default=LAST)
        for name in ("--grep", "--regex", "--release", "--instance"):
            asked.add_argument(name, default="")
        asked.add_argument("--level", choices=LEVELS)
        asked.add_argument("--lines", type=int, default=0)
    return parser


def _collect(folder: Path, containers: Path, days: float, most: int) -> int:
    """Read on until told to end, by SIGTERM or SIGINT. A disk that is full is waited for."""
    over: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: over.append(number))
    known, room = Containers(containers), Room(folder, days, most)
    while not over:
        collector = None
        try:
            # Before anything is written: it may be what there is no room for.
            room.make()
            collector = Collector(Store(folder, best()), {})
            while not over:
                _round(collector, known, room)
            collector.checkpoint(time.monotonic())
        except OSError as full:
            sys.stderr.write(f"nothing can be kept now, and it is tried again: {full}\n")
            time.sleep(AGAIN_SECONDS)
        finally:
            if collector is not None:
                collector.drop()
    return 0


def _round(collector: Collector, known: Containers, room: Room) -> None:
    now = time.monotonic()
    collector.know(known.look())
    collector.read(now)
    if now - room.made >= RETAIN_SECONDS:
        room.make()
    time.sleep(READ_SECONDS)


class Room:
    """Keeps logs from taking more than they may; `made` is when it was looked at last, on the monotonic clock."""

    def __init__(self, folder: Path, days: float, most: int) -> None:
        """Nothing goes yet."""
        self._folder, self._days, self._most = folder, days, most
        self.made, self._wall = time.monotonic(), time.time()

    def make(self) -> None:
        """Remove what is too old, or too much. A clock that has just been set says nothing about age."""
        now, wall = time.monotonic(), time.time()
        steady = abs((wall - self._wall) - (now - self.made)) < STEADY_SECONDS
        self.made, self._wall = now, wall
        oldest = datetime.fromtimestamp(wall, UTC) - timedelta(days=self._days)
        keep = Keep(oldest.strftime("%Y-%m-%dT%H") if steady else "", self._most)
        retain(self._folder, keep, free_share)


def _say(value: object) -> None:
    sys.stdout.buffer.write(dumps(value) + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
