"""Does the promise hold when deploys are cut short or go wrong at any moment, under load?

Each deploy gets a fault, or none, by a seed. After each the machine must be wholly in one release, and nothing left.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from client import Load

from chaos_faults import FAULTS, Deploy
from chaos_promise import MACHINES, broken, versions
from harness.program import say, start
from harness.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPLOYS = 20


@dataclass
class Told:
    """What a run says at its end; `cut` are websockets, which an interrupted drain may close."""

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
    given = parser.parse_args(arguments)
    seed = random.randrange(10**6) if given.seed is None else given.seed
    say(f"seed {seed}")
    told = run(seed, given.deploys, as_json=given.json)
    if given.json:
        print(json.dumps(asdict(told)), flush=True)
    else:
        print(f"seed {seed}: {told.deploys} deploys, {told.sent} requests sent, {told.failed} failed, "
              f"{told.violations} times the promise was broken")
    return told.code


def run(seed: int, deploys: int, *, as_json: bool) -> Told:
    """Deploy again and again on two machines of a lab that share their apps, under load on both edges."""
    chance, told, faults = random.Random(seed), Told(seed, deploys), Counter[str]()
    with Site(say) as site:
        site.have(len(MACHINES))
        with Load([f"http://{site.address(machine)}:80" for machine in MACHINES], "bench.localhost") as load:
            before = versions(site)
            for number in range(1, deploys + 1):
                deploy = Deploy(site, chance.choice(FAULTS), chance.uniform(0, 5))
                code = deploy.run()
                troubles = broken(site, deploy, before, code)
                before = versions(site)
                faults[deploy.fault] += 1
                told.violations += len(troubles)
                line = {"deploy": number, "fault": deploy.fault, "after_s": round(deploy.moment, 2), "code": code}
                show({**line, "runs": before, "violations": troubles}, as_json=as_json)
        summary = load.result()
    told.faults, told.sent, told.failed, told.cut = dict(faults), summary.sent, summary.failed, summary.websocket_cut
    return told


def show(line: dict[str, object], *, as_json: bool) -> None:
    """Show how one deploy ended."""
    if as_json:
        print(json.dumps(line), flush=True)
    else:
        say("  ".join(f"{key} {value}" for key, value in line.items() if value != []))


if __name__ == "__main__":
    start(main)
