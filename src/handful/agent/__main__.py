"""The agent's command line: `collect` keeps what containers say and measures; `search`, `count` and `top` answer."""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handful.agent.levels import LEVELS, at_least
from handful.agent.query import FIRST, LAST, Query, TooSlow

WRONG = 2
PORT = 19100
# A question may be under way for so long: only beyond that, a clock is off.
FAR_SECONDS = 30.0
SEEN, USUAL = "HANDFUL_SEEN", "/host/var/lib/handful /host/var/lib/docker/containers"
MOST_LIKELY_VICTIM = "1000"


def main(words: list[str]) -> int:
    """Do what the words say, and return an exit code."""
    told = _parser().parse_args(words)
    if told.what == "collect":
        from handful.agent.scrape import Places
        from handful.agent.work import work

        return work(Places(told.host, told.root), told.containers, told.logs, told.port)
    # Who asks for too much goes before the one that keeps the logs.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(MOST_LIKELY_VICTIM)
    if told.attended:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    with suppress(BrokenPipeError, KeyboardInterrupt):
        return _top(told) if told.what == "top" else _answer(told)
    return 0


def _answer(told: argparse.Namespace) -> int:
    from handful.agent.answer import answer
    from handful.agent.stacks import Stacks

    levels = at_least(told.level) if told.level else frozenset[str]()
    since, until = (_here(each.removesuffix("Z"), told.asked_at) for each in (told.since, told.until))
    query = Query(
        told.stack, tuple(told.app), since, until, told.grep, told.regex, levels, told.release, told.instance
    )
    try:
        answer(
            told.logs, query, Stacks(told.root), lines=told.lines, context=told.context, follow=told.follow,
            count=told.what == "count",
        )
    except TooSlow as slow:
        return _failed(f"the expression takes too long, on a line that begins: {slow}")
    except re.error as wrong:
        return _failed(f"the expression is none: {wrong}")
    return 0


def _here(moment: str, asked_at: float) -> str:
    """Return a moment of the one who asks as this machine's clock has it, where the two are far apart."""
    off = time.time() - asked_at if asked_at else 0.0
    if moment in {FIRST, LAST} or abs(off) < FAR_SECONDS:
        return moment
    when = datetime.fromisoformat(moment).replace(tzinfo=UTC) + timedelta(seconds=off)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _failed(why: str) -> int:
    from handful.agent.codec import dumps

    sys.stdout.buffer.write(dumps({"failed": why}) + b"\n")
    return WRONG


def _end_with_stdin() -> None:
    """End this program when whoever asked hangs up; what he says is passed over."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _top(told: argparse.Namespace) -> int:
    from handful.agent.codec import dumps
    from handful.agent.containers import Containers
    from handful.agent.scrape import Places
    from handful.agent.top import Top

    top = Top(Places(told.host, told.root), Containers(told.containers))
    count = 0
    while told.times == 0 or count < told.times:
        time.sleep(told.every)
        sys.stdout.buffer.write(dumps(top.told()) + b"\n")
        sys.stdout.buffer.flush()
        count += 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="handful.agent")
    # Handful's folder and Docker's containers as they are seen in the container, for all that runs in it.
    root, containers = os.environ.get(SEEN, USUAL).split(" ")
    whats = parser.add_subparsers(dest="what", required=True)
    collect, top = whats.add_parser("collect"), whats.add_parser("top")
    for asked in (top, *(whats.add_parser(what) for what in ("search", "count"))):
        asked.add_argument("--attended", action="store_true")
    collect.add_argument("--port", type=int, default=PORT)
    top.add_argument("--every", type=float, default=2.0)
    top.add_argument("--times", type=int, default=0)
    for what in ("search", "count"):
        asked = whats.choices[what]
        asked.add_argument("--stack", required=True)
        asked.add_argument("--app", action="append", default=[])
        asked.add_argument("--since", default=FIRST)
        asked.add_argument("--until", default=LAST)
        asked.add_argument("--asked-at", type=float, default=0.0)
        for name in ("--grep", "--regex", "--release", "--instance"):
            asked.add_argument(name, default="")
        asked.add_argument("--level", choices=LEVELS)
        asked.add_argument("--lines", type=int, default=0)
        asked.add_argument("--context", type=int, default=0)
        asked.add_argument("--follow", action="store_true")
    for each in whats.choices.values():
        each.add_argument("--logs", type=Path, default=Path("/logs"))
        each.add_argument("--host", type=Path, default=Path("/host"))
        each.add_argument("--root", type=Path, default=Path(root))
        each.add_argument("--containers", type=Path, default=Path(containers))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
