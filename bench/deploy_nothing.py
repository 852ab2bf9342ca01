"""How long does it take to find out that nothing has changed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pairs import Limit, Result, in_pairs

if TYPE_CHECKING:
    from harness.site import Site


def measure(site: Site) -> Result:
    """Deploy what runs already; by hand, build (all from the cache) and compare the image with what runs."""
    site.have(1)
    site.on_machine("set_up")
    site.by_hand("deploy_change", "m1", f"{site.stack}:same")
    site.settle()

    def handful(_: int) -> float:
        return site.handful("deploy")

    def by_hand(_: int) -> float:
        return site.by_hand("deploy_nothing", "m1", f"{site.stack}:same")

    result = Result("deploy-nothing", in_pairs(handful, by_hand, site.say))
    return Result(result.name, result.pairs, (Limit("takes", result.median_s, 1.0, " s"),))
