"""How long does it take to go back to the release before?"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from harness.pairs import Limit, Result, in_pairs
from harness.site import change_last_layer

if TYPE_CHECKING:
    from harness.site import Site


def measure(site: Site) -> Result:
    """Undo a deploy that is made anew before each run; by hand, go to and fro between two images on the machine.

    By hand there are two scripts: one does the same ssh and docker work, and one the least that goes well when nothing
    goes wrong (`lean_s`): it neither looks nor could it go back.
    """
    site.have(1)
    site.on_machine("set_up")
    lean: list[float] = []
    for number in (0, 1):
        change_last_layer(site.own_folder, number)
        site.by_hand("deploy_change", "m1", f"{site.stack}:back-{number}")

    def handful(_: int) -> float:
        site.write_config()
        site.handful("deploy")
        site.settle()
        return site.handful("rollback")

    def by_hand(number: int) -> float:
        site.settle()
        lean.append(site.by_hand("rollback_lean", "m1", f"{site.stack}:back-{number % 2}"))
        site.settle()
        return site.by_hand("rollback", "m1", f"{site.stack}:back-{(number + 1) % 2}")

    result = Result("rollback", in_pairs(handful, by_hand, site.say))
    # The first of each does not count.
    lean_s = median(lean[1:])
    extra = {"lean_s": lean_s, "lean_ratio": result.median_s / lean_s}
    return Result(result.name, result.pairs, (Limit("ratio", result.ratio, 1.2),), extra)
