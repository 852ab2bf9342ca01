"""How long does it take to find something in 1 GiB of logs, and how much of the disk do these take?

The lines are kept by the agent's own store, packed as in earnest; the hour that is under way is not. Each question is a
whole process, `python -m handful.agent search` or `count`; by hand, `zstdcat | grep` reads the same files.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from handful.agent.codec import best
from handful.agent.disk import read_object
from handful.agent.lines import Line
from handful.agent.store import INDEX, OPEN, Source, Store
from harness.crowd import have_stack
from harness.pairs import RUNS, Limit, Pairs, Result
from harness.process import MEGABYTE, Used, have, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.site import Site

STACK = "bench"
APPS = tuple(f"app{number}" for number in range(12))
# 1 GiB of lines as the store has them: 25.6 hours, 45 lines a second.
SECONDS, PER_SECOND = 25 * 3600 + 36 * 60, 45
HOUR_SECONDS, NANO = 3600, 1_000_000_000
BEGIN = datetime(2026, 1, 30, 12, tzinfo=UTC)
LAST_HOUR = BEGIN + timedelta(seconds=SECONDS - HOUR_SECONDS)
RELEASE, WORD = "20260129-090000-1a2b3c4", "timeout"
# Of a hundred lines: level, and what they say.
SAYS = (
    *(("info", "request done"),) * 88, *(("debug", "cache miss"),) * 7, *(("warn", "slow query"),) * 3,
    ("error", f"{WORD} of upstream"), ("error", "no such order"),
)
SEED = 7
GIB = 1 << 30
BY_HAND_RUNS = 3


def measure(site: Site) -> list[Result]:
    """Make the logs, then ask."""
    have("zstd", "zstd")
    asked = Asked(site)
    site.say(f"writing {SECONDS * PER_SECOND / 1e6:.1f} million lines, of {SECONDS / HOUR_SECONDS:.1f} hours")
    rare = asked.write()
    return [_last_hour(asked), _rare(asked, rare), _counts(asked), *_sizes(asked)]


@dataclass
class Asked:
    """The logs, below a folder of a machine's own, and who asks of them. `text`: bytes of the lines themselves."""

    site: Site
    text: int = 0
    cpu: float = 0.0

    @property
    def root(self) -> Path:
        """The folder that handful has on a machine."""
        return self.site.folder.with_name("logs-machine")

    @property
    def logs(self) -> Path:
        """Where logs are kept."""
        return self.root / "logs"

    def write(self) -> str:
        """Write all lines, and pack each hour as it is over; return an id that is in one line only."""
        have_stack(self.root, STACK, APPS)
        store, chance, began = Store(self.logs, best()), random.Random(SEED), time.process_time()
        rare, wanted = "", SECONDS * PER_SECOND // 3
        for second in range(SECONDS):
            moment = (BEGIN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
            for number, (source, line, level) in enumerate(_second(chance, moment)):
                store.append(source, line, level, second)
                self.text += len(line.text) + 1
                if second * PER_SECOND + number == wanted:
                    rare = line.text.partition('"request":"')[2][:16]
            store.flush()
            if second % HOUR_SECONDS == HOUR_SECONDS - 1:
                store.checkpoint({}, {})
                over = BEGIN + timedelta(seconds=second + 1)
                # One file at a time.
                while store.seal(second + HOUR_SECONDS, over.strftime("%Y-%m-%dT%H")):
                    pass
                self.site.say(f"{over:%d %H}h: {second / SECONDS:.0%}, {time.process_time() - began:.0f} s of CPU")
        store.checkpoint({}, {})
        self.cpu = time.process_time() - began
        return rare

    def ask(self, what: str, *words: str) -> Used:
        """Ask as `handful logs` does on a machine."""
        line = [sys.executable, "-m", "handful.agent", what, "--stack", STACK, "--logs", str(self.logs)]
        return run([*line, "--root", str(self.root), *words], self.root / "answer")

    def by_hand(self, files: Sequence[Path], then: str) -> Used:
        """Unpack files, those that are not packed as well, and let a pipe go on."""
        packed, plain = ([str(each) for each in files if (each.suffix == OPEN) == is_open] for is_open in (False, True))
        read = f"{{ zstdcat {' '.join(packed)}; cat {' '.join(plain) or '/dev/null'}; }}"
        return run(["bash", "-c", f"{read} | {then}"], self.root / "answer-by-hand")

    def files(self, below: str = "*/*") -> list[Path]:
        """Return the files of lines."""
        return sorted(each for each in self.logs.glob(f"{STACK}/{below}{OPEN}*"))

    def turns(self, mine: Sequence[str], files: Sequence[Path], then: str) -> tuple[list[Used], list[Used]]:
        """Ask, and do it by hand, in turn, after a first time that does not count; return what each took."""
        taken: list[tuple[Used, Used | None]] = []
        for number in range(RUNS + 1):
            theirs = self.by_hand(files, then) if number <= BY_HAND_RUNS else None
            taken.append((self.ask(*mine), theirs))
            self.site.say(f"{mine[0]} {' '.join(mine[1:3])}: {_told(taken[-1][0])}")
            if theirs is not None:
                self.site.say(f"  by hand: {_told(theirs)}")
        return [each for each, _ in taken[1:]], [each for _, each in taken[1:] if each is not None]


def _told(used: Used) -> str:
    return f"{used.wall:.3f} s, {used.cpu:.3f} s of CPU, {used.peak / MEGABYTE:.0f} MB, {used.lines} lines"


def _second(chance: random.Random, moment: str) -> Iterator[tuple[Source, Line, str]]:
    """Yield the lines of a second, in the order of time."""
    step = NANO // PER_SECOND
    for number in range(PER_SECOND):
        app, instance = APPS[chance.getrandbits(16) % len(APPS)], chance.getrandbits(1)
        level, text = SAYS[chance.getrandbits(20) % len(SAYS)]
        many = chance.getrandbits(31)
        said = (
            f'{{"level":"{level}","msg":"{text}","request":"{chance.getrandbits(64):016x}",'
            f'"path":"/orders/{many % 9973}","status":200,"ms":{many % 911},"trace":"{chance.getrandbits(64):016x}"}}'
        )
        nano = number * step + many % step
        source = Source(STACK, app, f"{instance + 1}", RELEASE)
        yield source, Line(f"{moment}.{nano:09d}Z", "stderr" if instance else "stdout", said), level


def _last_hour(asked: Asked) -> Result:
    """A word in what one app has said for an hour: half of it is packed, half is in the file that is written to."""
    since, app = LAST_HOUR.strftime("%Y-%m-%dT%H:%M"), APPS[3]
    mine = ("search", "--app", app, "--since", since, "--grep", WORD)
    hours = {(LAST_HOUR + timedelta(hours=each)).strftime("%Y-%m-%dT%H") for each in (0, 1)}
    files = [each for hour in sorted(hours) for each in asked.files(f"{app}/{hour}")]
    taken, theirs = asked.turns(mine, files, f"grep -F {WORD}")
    wall = median(each.wall for each in taken)
    return _result("logs-hour", taken, theirs, (Limit("takes", wall, 0.3, " s"),))


def _rare(asked: Asked, rare: str) -> Result:
    """An id that is there once, over everything."""
    taken, theirs = asked.turns(("search", "--grep", rare), asked.files(), f"grep -F {rare}")
    # The first line of an answer is about all others.
    if {each.lines for each in taken} != {2}:
        message = f"the id {rare} is in one line, and {taken[0].lines - 1} were found"
        raise RuntimeError(message)
    cpu = median(each.cpu for each in taken)
    return _result("logs-rare", taken, theirs, (Limit("CPU", cpu, 2.5, " s"),))


def _counts(asked: Asked) -> Result:
    """How many lines of which level there are in each minute, over everything."""
    taken, theirs = asked.turns(("count",), asked.files(), "cut -c 7-22 | sort | uniq -c")
    wall = median(each.wall for each in taken)
    packed = asked.ask("count", "--until", (LAST_HOUR + timedelta(hours=1)).strftime("%Y-%m-%dT%H:00"))
    asked.site.say(f"count, without the hour that is not packed: {_told(packed)}")
    return _result("logs-counts", taken, theirs, (Limit("takes", wall, 0.2, " s"),), packed_s=packed.wall)


def _result(
    name: str, mine: Sequence[Used], theirs: Sequence[Used], limits: tuple[Limit, ...], **more: float
) -> Result:
    told = {"memory_mb": max(each.peak for each in mine) / MEGABYTE, "cpu_s": median(each.cpu for each in mine)}
    told |= {"by_hand_cpu_s": median(each.cpu for each in theirs), **more}
    return Result(name, Pairs([each.wall for each in mine], [each.wall for each in theirs]), limits, told)


def _sizes(asked: Asked) -> Iterator[Result]:
    """What was written is compared with what is packed; and one CPU second packs so much."""
    packed = [each for each in asked.files() if each.suffix != OPEN]
    sidecars = [each.with_name(each.name.partition(OPEN)[0] + INDEX) for each in packed]
    before = sum(int(read_object(each)["bytes"]) for each in sidecars)
    after, index = (sum(each.stat().st_size for each in those) for those in (packed, sidecars))
    whole = before + sum(each.stat().st_size for each in asked.files() if each.suffix == OPEN)
    asked.site.say(
        f"{whole / GIB:.3f} GiB of lines ({asked.text / GIB:.3f} GiB is their own text); {before / MEGABYTE:.0f} MB of "
        f"them are packed in {after / MEGABYTE:.1f} MB, and {index / MEGABYTE:.1f} MB of indexes: "
        f"{before / (after + index):.2f} times smaller; writing took {asked.cpu:.0f} s of CPU"
    )
    limit = Limit("size, of what was written", (after + index) / before, 0.2, " times")
    told = {"gib": whole / GIB, "times_smaller": before / (after + index), "text_gib": asked.text / GIB}
    yield Result("logs-write", Pairs([asked.cpu], [asked.cpu]), (limit,), told)
