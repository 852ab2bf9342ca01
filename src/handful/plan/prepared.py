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


def newer(version: str, other: str) -> bool:
    """Whether a version of handful is newer than another; what is no version is older than any."""
    return _numbers(version) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def behind(config: Config, stack: str, facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """Return the machines whose firewall, or whose part of the private network, is not what the file says.

    Nobody has to say for these that they are to be prepared: somebody has, before. And those whose volumes are not in
    their places: nothing may be started beside these.
    """
    return tuple(
        name for name, here in facts.items() if not config.machines[name].volumes.keys() <= here.volumes or (
            here.prepared and not (
                firewall.follows(config, name, here.stack(stack).opened)
                and network.follows(config, here.stack(stack).peers, facts)
            )
        )
    )


def outdated(config: Config, facts: Mapping[str, Facts], handful: str) -> tuple[str, ...]:
    """Return the machines that an older handful has prepared, or that lack packages of the file."""
    return tuple(
        name for name, here in facts.items() if here.prepared and (
            newer(handful, here.prepared.get("handful", ""))
            or not set(config.packages) <= set(here.prepared.get("packages", ()))
        )
    )
