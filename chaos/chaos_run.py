"""Does the promise hold when deploys are cut short or go wrong at any moment, under load?

Each deploy gets a fault, or none, by a seed. After each the machines must be wholly in one release, and nothing left.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from client import Load

from chaos_faults import ROW, Deploy
from chaos_promise import MACHINES, broken
from chaos_report import Tried, add
from harness.program import say, start
from harness.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from client import Summary

DEPLOYS = 20
# The promise: with faults, only requests on the killed part fail, and those begun within so many seconds of the fault.
SECONDS_AFTER = 3.0
# The longest request of the load lasts three seconds: the fault may cut one that began so long before.
SECONDS_BEFORE = 5.0


@dataclass
class Told:
    """What a run says at its end.

    `failed` counts what the promise excludes; `cut` what it allows: requests on the killed part, and websockets.
    """

    seed: int
    deploys: int
    faults: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    failed: int = 0
    cut: int = 0
    violations: int = 0

    @property
    def code(self) -> int:
        """The exit code: 0 when no request failed and the promise held after each deploy."""
        return int(self.failed > 0 or self.violations > 0)


def main(arguments: Sequence[str]) -> int:
    """Run deploys with faults; 0 when no request failed and the promise held after each."""
    parser = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="which faults, and when; a new one unless told")
    parser.add_argument("--deploys", type=int, default=DEPLOYS, help=f"how many, {DEPLOYS} unless told")
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout, and nothing else")
    parser.add_argument("--report", type=Path, help="add what was tried to the table in this file")
    given = parser.parse_args(arguments)
    seed = random.randrange(10**6) if given.seed is None else given.seed
    say(f"seed {seed}")
    tried: dict[str, Tried] = {}
    try:
        told = run(seed, given.deploys, tried, as_json=given.json)
    finally:
        if given.report is not None:
            add(given.report, seed, tried)
    if given.json:
        print(json.dumps(asdict(told)), flush=True)
    else:
        print(f"seed {seed}: {told.deploys} deploys, {told.sent} requests sent, {told.failed} failed, {told.cut} cut, "
              f"{told.violations} times the promise was broken")
    return told.code


def run(seed: int, deploys: int, tried: dict[str, Tried], *, as_json: bool) -> Told:
    """Deploy again and again on two machines of a lab that share their apps, under load on both edges."""
    chance, told = random.Random(seed), Told(seed, deploys)
    with Site(say) as site:
        site.have(len(MACHINES))
        names = [name for _, name in zip(range(deploys - 1), _names(chance), strict=False)]
        # The last one has no fault: whatever the one before has left must be gone after it.
        for number, name in enumerate([*names, "none"], 1):
            deploy = Deploy(site, name, chance.uniform(0, 5))
            before = site.versions()
            edges = [machine for machine in MACHINES if machine != deploy.fault.machine]
            with Load([f"http://{site.address(machine)}:80" for machine in edges], "bench.localhost") as load:
                code = deploy.run()
                troubles = broken(site, deploy, before, code)
            summary = load.result()
            counts = count(deploy, summary, len(troubles))
            tried[name] = tried.get(name, Tried()).plus(counts)
            line = {"deploy": number, "fault": name, "after_s": round(deploy.moment, 2), "code": code}
            seen = [asdict(each) for each in summary.samples] if counts.failed else []
            told_of = {"runs": site.versions(), "violations": troubles, "failures": seen}
            show({**line, **told_of, **asdict(counts)}, as_json=as_json)
            told.faults[name] = told.faults.get(name, 0) + 1
            told.sent += counts.sent
            told.failed += counts.failed
            told.cut += counts.cut
            told.violations += counts.broken
    return told


def count(deploy: Deploy, summary: Summary, troubles: int) -> Tried:
    """Tell failures that the promise allows from those that it does not."""
    fault = deploy.fault.machine
    at = deploy.began_at - summary.started_at
    near = [each for each in summary.failures_s if at - SECONDS_BEFORE <= each <= at + SECONDS_AFTER]
    cut = summary.failed if fault == "all" else len(near) if fault else 0
    return Tried(1, summary.sent, cut + summary.websocket_cut, summary.failed - cut, troubles)


def _names(chance: random.Random) -> Iterator[str]:
    """Yield faults: each row of them in an order of its own."""
    while True:
        yield from chance.sample(ROW, len(ROW))


def show(line: dict[str, object], *, as_json: bool) -> None:
    """Show how one deploy ended."""
    if as_json:
        print(json.dumps(line), flush=True)
    else:
        say("  ".join(f"{key} {value}" for key, value in line.items() if value != []))


if __name__ == "__main__":
    start(main)
