"""Projects beside the site's own one, on some of its machines, which they reach by name through an ssh config."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import yaml

from harness.site import HOME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.site import Site


class Fleet:
    """A project of its own with one app; `keys` are the app's."""

    def __init__(self, site: Site, name: str, machines: Mapping[str, str | None], keys: Mapping[str, object]) -> None:
        """Write a handful.yml; `machines` maps the names of the ssh config to private addresses, or None."""
        self.site, self.stack = site, f"{site.stack}-{name}"
        self.machines = tuple(machines)
        self.folder = site.folder.with_name(name)
        shutil.copytree(HOME / "examples" / "hello", self.folder)
        told = {machine: {"address": machine} | ({"private": at} if at else {}) for machine, at in machines.items()}
        self.app: dict[str, object] = {"machines": list(machines), **keys}
        self._config = {"project": self.stack, "machines": told, "apps": {"web": self.app}}
        self._version = 0

    @property
    def version(self) -> str:
        """The version that handful.yml asks for."""
        return str(self._version)

    def change(self) -> None:
        """Ask for the next version."""
        self._version += 1
        self.app["env"] = {"VERSION": self.version}
        (self.folder / "handful.yml").write_text(yaml.safe_dump(self._config), encoding="utf-8")

    def handful(self, *words: str, config: Path | None = None, fresh: bool = False) -> float:
        """Run `handful` in the project's folder, and return the seconds it took."""
        return self.site.elsewhere(self.folder, *words, config=config, fresh=fresh)


def of_lab(site: Site, name: str, machines: Sequence[str], **keys: object) -> Fleet:
    """Return a project on machines of the site's lab, deployed."""
    fleet = Fleet(site, name, {machine: site.address(machine) for machine in machines}, keys)
    fleet.change()
    fleet.handful("deploy")
    return fleet
