"""Can the machines that have no address be made?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.values import BYTES
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import Config
    from handful.config.provider import Provider

SSH_PORT = 22
LAB_IMAGES = frozenset({"debian-13", "debian-12"})


def check_provider(config: Config) -> Iterator[Problem]:
    """Say which machines nobody would make, and what a provider must be told."""
    provider = config.provider
    made = [name for name, machine in config.machines.items() if machine.address is None]
    yield from _of_those_that_exist(config)
    if provider is None:
        for name in made:
            spot = ("machines", name)
            sentence = f"machine {code(name)} has no `address`: write it, or `provider: {{name: lab}}` for a trial"
            yield Problem((*spot, KEY), sentence, ((*spot, "address"), (*spot, "size"), ("provider",)))
        return
    for name in made:
        yield from _volumes(config, name)
    if provider.name == "lab":
        yield from _lab(provider)
        return
    yield from _elsewhere(config, provider, made)


def _of_those_that_exist(config: Config) -> Iterator[Problem]:
    for name, machine in config.machines.items():
        for key in ("volumes", "fixed_address"):
            if machine.address is not None and getattr(machine, key):
                sentence = f"`{key}` is of machines that the provider makes: {code(name)} has an `address`"
                yield Problem(("machines", name, key, KEY), sentence, (("machines", name, "address"),))


def _volumes(config: Config, name: str) -> Iterator[Problem]:
    for volume, size in config.machines[name].volumes.items():
        if size % BYTES["g"]:
            yield Problem(("machines", name, "volumes", volume), "a volume has whole gigabytes, like 40g")


def _elsewhere(config: Config, provider: Provider, made: list[str]) -> Iterator[Problem]:
    for key in ("region", "token"):
        if getattr(provider, key) is None and (provider.name, key) != ("aws", "token"):
            yield Problem(("provider", KEY), f"{provider.name} needs `{key}`", (("provider", key),))
    if provider.name == "aws" and provider.token is not None:
        sentence = "aws takes no token: its keys are found as the `aws` command finds them"
        yield Problem(("provider", "token", KEY), sentence)
    if made and config.ssh.port not in {None, SSH_PORT}:
        sentence = f"sshd of a machine that was just made listens on 22, not on {config.ssh.port}: leave it out"
        yield Problem(("ssh", "port"), sentence)
    for name in made:
        yield from _made(config, provider, name)


def _made(config: Config, provider: Provider, name: str) -> Iterator[Problem]:
    machine, spot = config.machines[name], ("machines", name)
    if provider.name == "digitalocean" and machine.private is not None:
        yield Problem((*spot, "private", KEY), "digitalocean gives private addresses by itself: leave it out")
    if provider.name == "digitalocean" and machine.fixed_address:
        sentence = "reserved addresses of digitalocean carry no label, so handful could not tell whose one is"
        yield Problem((*spot, "fixed_address", KEY), sentence)
    if machine.size is None and provider.size is None:
        sentence = f"machine {code(name)} needs a `size`, here or under `provider`"
        yield Problem((*spot, KEY), sentence, ((*spot, "size"), ("provider", "size")))


def _lab(provider: Provider) -> Iterator[Problem]:
    if provider.image not in LAB_IMAGES:
        yield Problem(("provider", "image"), f"a lab has no {provider.image}: debian-13 or debian-12")
    for key in ("region", "size", "token"):
        if getattr(provider, key) is not None:
            yield Problem(("provider", key, KEY), f"`{key}` is of providers elsewhere: a lab is on this computer")
