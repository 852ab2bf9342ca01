"""Do the parts of a config fit together, and are the files that it names there?

Pure but for looking whether files exist. Each problem has the spot it is about, and the spots it relies on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from handful.config.check_app import check_app
from handful.config.check_docker import check_docker, check_env
from handful.config.check_files import check_files, check_key
from handful.config.check_network import check_network
from handful.config.check_provider import check_provider
from handful.config.check_secrets import check_secrets
from handful.config.images import SameImage
from handful.config.tree import KEY, Problem
from handful.config.words import code, no_such

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handful.config.model import App, Config
    from handful.config.tree import Spot


def check(config: Config, folder: Path) -> tuple[Problem, ...]:
    """Return everything that is wrong between the parts of `config`, whose files are in `folder`."""
    return tuple(_all(config, folder))


def _all(config: Config, folder: Path) -> Iterator[Problem]:
    yield from _machines(config)
    yield from check_provider(config)
    yield from check_network(config)
    yield from check_key(config.docker, folder)
    yield from check_env(("env",), config.env)
    for name, app in config.apps.items():
        yield from check_app(config, name, app)
        yield from check_docker(name, app)
        yield from check_files(name, app, folder)
        yield from check_secrets(config, name, app)
        yield from _same_image(config, name, app)
        yield from _needs(config, name, app)
    yield from _circles(config)
    yield from _shared_volumes(config)
    yield from _shared_routes(config)
    yield from _edges(config)
    yield from _levels(config)


def _machines(config: Config) -> Iterator[Problem]:
    if not config.machines:
        sentence = "there is no machine: write at least one under `machines`"
        yield Problem(("machines", KEY), sentence, relies=(("machines",),))
    for key in ("address", "private"):
        yield from _same_address(config, key)


def _same_address(config: Config, key: str) -> Iterator[Problem]:
    holders: dict[str, str] = {}
    for name, machine in config.machines.items():
        address = getattr(machine, key)
        holder = holders.setdefault(address, name)
        if address is not None and holder != name:
            which = "address" if key == "address" else "private address"
            sentence = f"machines {code(holder)} and {code(name)} have the same {which} {address}"
            yield Problem(("machines", name, key), sentence, others=(("machines", holder, key),))


def _same_image(config: Config, name: str, app: App) -> Iterator[Problem]:
    if not isinstance(app.image, SameImage):
        return
    spot, other = ("apps", name, "image", "app"), app.image.app
    if other not in config.apps:
        yield Problem(spot, no_such("app", other, list(config.apps)), relies=(("apps", other),))
    elif isinstance(config.apps[other].image, SameImage):
        whose = "itself" if other == name else f"app {code(other)}, which has the image of another one too"
        yield Problem(spot, f"app {code(name)} has the image of {whose}: name an app with an image of its own")


def _needs(config: Config, name: str, app: App) -> Iterator[Problem]:
    for index, other in enumerate(app.needs):
        spot = ("apps", name, "needs", index)
        if other == name:
            yield Problem(spot, f"app {code(name)} needs itself")
        elif other not in config.apps:
            yield Problem(spot, no_such("app", other, list(config.apps)), relies=(("apps", other),))


def _circles(config: Config) -> Iterator[Problem]:
    """Find circles of needs; each is told once, from its app that stands first in the file."""
    from graphlib import CycleError, TopologicalSorter

    order = list(config.apps)
    graph = {name: set(app.needs) & set(order) - {name} for name, app in config.apps.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as circle:
            trail = circle.args[1][:0:-1]
        else:
            return
        first = min(range(len(trail)), key=lambda index: order.index(trail[index]))
        trail = [*trail[first:], *trail[: first + 1]]
        graph[trail[0]].discard(trail[1])
        needs = [(name, config.apps[name].needs.index(other)) for name, other in pairwise(trail)]
        spot, *others = (("apps", name, "needs", index) for name, index in needs)
        yield Problem(spot, f"these apps need each other in a circle: {' → '.join(trail)}", others=tuple(others))


def _shared_volumes(config: Config) -> Iterator[Problem]:
    holders: dict[str, str] = {}
    for name, app in config.apps.items():
        for volume in app.volumes:
            holder = holders.setdefault(volume, name)
            if holder != name:
                sentence = f"apps {code(holder)} and {code(name)} both have a volume {code(volume)}: rename one of them"
                others = (("apps", holder, "volumes", volume, KEY),)
                yield Problem(("apps", name, "volumes", volume, KEY), sentence, others=others)


def _edges(config: Config) -> Iterator[Problem]:
    """An edge reaches apps on other machines by the private network; both must be in it."""
    for index, name in enumerate(config.edge or ()):
        spot = ("edge", index)
        if name not in config.machines:
            yield Problem(spot, no_such("machine", name, list(config.machines)), relies=(("machines", name),))
        elif name in (config.edge or ())[:index]:
            yield Problem(spot, f"machine {code(name)} is here twice")
        for bare in () if config.provider is not None else _without_private(config, name):
            sentence = f"edge {code(name)} reaches apps on other machines: write a `private` address of {code(bare)}"
            yield Problem(spot, sentence, (("machines", bare), ("apps",)), (("machines", bare, KEY),))


def _without_private(config: Config, edge: str) -> Iterator[str]:
    """Find the machines that would have to have one: this edge, and those on which the apps with domains run."""
    far = [other for app in config.apps.values() if app.domains for other in app.machines or () if other != edge]
    for name in dict.fromkeys([edge, *far] if far else []):
        if name in config.machines and config.machines[name].private is None:
            yield name


def _shared_routes(config: Config) -> Iterator[Problem]:
    holders: dict[tuple[str, str], Spot] = {}
    for name, app in config.apps.items():
        spots: list[tuple[str, Spot]] = [(host, ("apps", name, "domains", n)) for n, host in enumerate(app.domains)]
        led = [host for host in app.redirects if host not in app.domains]
        for domain, spot in (*spots, *((host, ("apps", name, "redirects", host, KEY)) for host in led)):
            holder = holders.setdefault((domain, app.path.rstrip("/")), spot)
            if holder[1] == name and holder != spot:
                yield Problem(spot, f"{domain} is here twice")
            elif holder != spot:
                both = f"apps {code(holder[1])} and {code(name)} both take {domain}{app.path}"
                relies = ((*holder[:2], "path"), (*spot[:2], "path"))
                yield Problem(spot, f"{both}: give one of them a different `path`", relies, others=(holder,))


def _levels(config: Config) -> Iterator[Problem]:
    for name in config.logs.levels:
        if name not in config.apps:
            spot = ("logs", "levels", name, KEY)
            yield Problem(spot, no_such("app", name, list(config.apps)), relies=(("apps", name),))
