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
from handful.agent.search import FIRST, LAST, Query, TooSlow, counts, last, search
from handful.agent.store import Store

# Between two looks at the logs, at which containers there are, and at how much is kept.
READ_SECONDS, LOOK_SECONDS, RETAIN_SECONDS = 0.1, 0.5, 60.0
WRONG = 2


def main(words: list[str]) -> int:
    """Do what the words say, and return an exit code."""
    told = _parser().parse_args(words)
    folder = Path(told.logs)
    if told.what == "collect":
        return _collect(folder, Path(told.containers), told.days, told.bytes)
    levels = at_least(told.level) if told.level else frozenset[str]()
    query = Query(
        told.stack, tuple(told.app), told.since, told.until, told.grep, told.regex, levels, told.release, told.instance
    )
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
    """Read on until told to end, by SIGTERM or SIGINT."""
    over: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: over.append(number))
    known, collector = Containers(containers), Collector(Store(folder, best()), {})
    looked = retained = 0.0
    while not over:
        now = time.time()
        if now - looked >= LOOK_SECONDS:
            collector.know(known.look())
            looked = now
        collector.read(now)
        if now - retained >= RETAIN_SECONDS:
            oldest = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H")
            retain(folder, Keep(oldest, most), free_share)
            retained = now
        time.sleep(READ_SECONDS)
    collector.checkpoint(time.time())
    collector.drop()
    return 0


def _say(value: object) -> None:
    sys.stdout.buffer.write(dumps(value) + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
