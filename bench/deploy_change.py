"""How long does it take to build, send and release one small changed layer on one machine?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pairs import Limit, Result, in_pairs
from harness.site import change_last_layer

if TYPE_CHECKING:
    from harness.site import Site


def measure(site: Site) -> Result:
    """Deploy in turn with handful and with `docker save | ssh docker load` and a script over ssh."""
    site.have(1)
    site.on_machine("set_up")
    sessions: list[int] = []

    def handful(number: int) -> float:
        change_last_layer(site.folder, number)
        site.settle()
        before = site.sessions()
        seconds = site.handful("deploy")
        sessions.append(site.sessions() - before)
        return seconds

    def by_hand(number: int) -> float:
        change_last_layer(site.own_folder, number)
        site.settle()
        return site.by_hand("deploy_change", "m1", f"{site.stack}:{number}")

    result = Result("deploy-change", in_pairs(handful, by_hand, site.say))
    limits = (Limit("ratio", result.ratio, 1.3), Limit("ssh sessions", max(sessions), 3))
    return Result(result.name, result.pairs, limits, {"ssh_sessions": max(sessions)})
