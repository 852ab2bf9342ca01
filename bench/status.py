"""How long does it take to see three machines with all that runs on them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pairs import Limit, Result, in_pairs

if TYPE_CHECKING:
    from harness.site import Site

RUNS = 7


def measure(site: Site) -> Result:
    """Ask three machines side by side."""
    site.have(3)

    def handful(_: int) -> float:
        return site.handful("status")

    def by_hand(_: int) -> float:
        return site.by_hand("status", "m1", "m2", "m3")

    result = Result("status", in_pairs(handful, by_hand, site.say, RUNS))
    return Result(result.name, result.pairs, (Limit("takes", result.median_s, 1.0, " s"),))
