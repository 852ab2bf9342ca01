"""How does the time of a deploy grow with the number of machines?

`by_hand_s` is handful's own time for one machine, in the same minutes; with stubs, a script's.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import stubs
from harness.fleet import of_lab
from harness.pairs import Limit, Pairs, Result

if TYPE_CHECKING:
    from harness.site import Site

COUNTS = (1, 2, 5, 10)
RUNS = 3
APP = {"build": {"context": "."}, "port": 8000, "health": {"path": "/up"}, "deploy": {"strategy": "all"}}


def measure(site: Site) -> list[Result]:
    """Change an app of one instance with the strategy `all` on 1, 2, 5 and 10 machines of one lab, in turn."""
    site.have(max(COUNTS))
    names = [f"m{number}" for number in range(1, max(COUNTS) + 1)]
    fleets = {count: of_lab(site, f"n{count}", names[:count], **APP) for count in COUNTS}
    taken: dict[tuple[str, int], list[float]] = {}
    for run in range(RUNS + 1):
        for count, fleet in fleets.items():
            fleet.change()
            for what in ("deploy", "status"):
                seconds = fleet.handful(what)
                if run:
                    taken.setdefault((what, count), []).append(seconds)
        told = ", ".join(f"{what} {count}: {each[-1]:.2f} s" for (what, count), each in taken.items())
        site.say(f"run {run} of {RUNS}: {told or 'warm-up'}")
    real = [_result(what, count, taken) for what in ("deploy", "status") for count in COUNTS[1:]]
    return [*real, *stubs.measure(site)]


def _result(what: str, count: int, taken: dict[tuple[str, int], list[float]]) -> Result:
    pairs = Pairs(taken[what, count], taken[what, 1])
    ratio = median(pairs.handful) / median(pairs.by_hand)
    limits = (Limit("ratio to one machine", ratio, 1.25),) if (what, count) == ("deploy", 2) else ()
    return Result(f"machines-{count}-{what}", pairs, limits)
