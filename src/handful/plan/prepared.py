"""Which machines were prepared, and are not what the file says any more? Pure, from what every look at them tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.plan import firewall, network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts


def document(config: Config, handful: str, present: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written down on a machine that was prepared; `present` is there, maybe by another stack.

    `handful` is the version that does it.
    """
    return {"handful": handful, "packages": sorted({*present.get("packages", ()), *config.packages})}


def behind(config: Config, stack: str, facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """Return the machines whose firewall, or whose part of the private network, is not what the file says.

    Nobody has to say for these that they are to be prepared: somebody has, before.
    """
    return tuple(
        name for name, here in facts.items() if here.prepared and not (
            firewall.follows(config, name, here.stack(stack).opened)
            and network.follows(config, here.stack(stack).peers, facts)
        )
    )


def outdated(config: Config, facts: Mapping[str, Facts], handful: str) -> tuple[str, ...]:
    """Return the machines that another handful has prepared, or with other packages."""
    return tuple(
        name for name, here in facts.items()
        if here.prepared and dict(here.prepared) != document(config, handful, here.prepared)
    )
