"""In which order do apps come up, and which of them can come together?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import App, Config


def need_app(config: Config, name: str) -> App:
    """Return an app of the file by its name. Raises UsageError, naming those that there are."""
    if name not in config.apps:
        message = f"there is no app {name} in handful.yml"
        raise UsageError(message, advice=f"Its apps: {', '.join(config.apps) or 'none yet'}.")
    return config.apps[name]


def levels(names: Iterable[str], apps: Mapping[str, App]) -> tuple[tuple[str, ...], ...]:
    """Group `names` so that every app comes after those it needs; apps of a group come up together.

    The config holds no circles of needs (its loader refuses them).
    """
    chosen = sorted(names)
    depth = {name: _depth(name, set(chosen), apps) for name in chosen}
    return tuple(tuple(n for n in chosen if depth[n] == level) for level in sorted(set(depth.values())))


def together(chosen: Iterable[str], apps: Mapping[str, App]) -> tuple[str, ...]:
    """Return `chosen` and the apps that share an image with one of them: they are deployed and rolled back together."""
    owners = {image_owner(name, apps) for name in chosen}
    wanted = set(chosen)
    shared = {name for name in apps if image_owner(name, apps) in owners and _shares(name, apps)}
    return tuple(name for name in apps if name in wanted | shared)


def image_owner(name: str, apps: Mapping[str, App]) -> str:
    """Return the app whose image this one runs: itself, or the one that `image: {app: …}` names."""
    image = apps[name].image
    return name if image is None or isinstance(image, str) else image.app


def machines_of(name: str, config: Config) -> tuple[str, ...]:
    """Return the machines an app is placed on; with one machine in the file, that one."""
    return config.apps[name].machines or tuple(config.machines)


def edges_of(name: str, config: Config) -> tuple[str, ...]:
    """Return the machines that take the public traffic of an app with domains: those of the file, or its own."""
    return machines_of(name, config) if config.edge is None else config.edge


def needed(machine: str, config: Config) -> set[str]:
    """Return the machines that run what an app of this one needs, and this one does not."""
    here = [app for name, app in config.apps.items() if machine in machines_of(name, config)]
    elsewhere = {need for app in here for need in app.needs if machine not in machines_of(need, config)}
    return {other for need in elsewhere for other in machines_of(need, config)}


def _shares(name: str, apps: Mapping[str, App]) -> bool:
    return any(other != name and image_owner(other, apps) == image_owner(name, apps) for other in apps)


def _depth(name: str, chosen: set[str], apps: Mapping[str, App]) -> int:
    """Return how long the longest chain of needs below an app is, through apps that are not chosen, too."""
    below = [_depth(need, chosen, apps) + (need in chosen) for need in apps[name].needs]
    return max(below, default=0)
