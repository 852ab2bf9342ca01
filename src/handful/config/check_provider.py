"""Can the machines that have no address be made?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import Config
    from handful.config.provider import Provider

LAB_IMAGES = frozenset({"debian-13", "debian-12"})


def check_provider(config: Config) -> Iterator[Problem]:
    """Say which machines nobody would make, and what a provider must be told."""
    provider = config.provider
    made = [name for name, machine in config.machines.items() if machine.address is None]
    if provider is None:
        for name in made:
            spot = ("machines", name)
            sentence = f"machine {code(name)} has no `address`: write it, or `provider: {{name: lab}}` for a trial"
            yield Problem((*spot, KEY), sentence, ((*spot, "address"), (*spot, "size"), ("provider",)))
        return
    if provider.name == "lab":
        yield from _lab(provider)
        return
    for key in ("region", "token"):
        if getattr(provider, key) is None:
            yield Problem(("provider", KEY), f"{provider.name} needs `{key}`", (("provider", key),))
    for name in made:
        if provider.name == "digitalocean" and config.machines[name].private is not None:
            sentence = "digitalocean gives private addresses by itself: leave it out"
            yield Problem(("machines", name, "private", KEY), sentence)
        if config.machines[name].size is None and provider.size is None:
            sentence = f"machine {code(name)} needs a `size`, here or under `provider`"
            yield Problem(("machines", name, KEY), sentence, (("machines", name, "size"), ("provider", "size")))


def _lab(provider: Provider) -> Iterator[Problem]:
    if provider.image not in LAB_IMAGES:
        yield Problem(("provider", "image"), f"a lab has no {provider.image}: debian-13 or debian-12")
    for key in ("region", "size", "token"):
        if getattr(provider, key) is not None:
            yield Problem(("provider", key, KEY), f"`{key}` is of providers elsewhere: a lab is on this computer")
