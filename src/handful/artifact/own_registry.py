"""How do images get into a registry of the user's own, and what do machines need to fetch them from there?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from handful.artifact.docker import docker
from handful.artifact.docker_config import HUB, logged_in
from handful.artifact.registry import image_here
from handful.errors import NoRegistry
from handful.machine.local import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.artifact.registry import Stored


class OwnRegistry:
    """A registry that exists: `server` is its host name, with a path where it wants one; `login` is USER:PASSWORD."""

    def __init__(self, server: str, login: str, variables: Mapping[str, str], *, keep_login: bool) -> None:
        """Nothing is asked yet; `variables` is the environment of `docker`. `keep_login`: machines remember it."""
        self.server, self.login, self.keep_login = server, login, keep_login
        self._variables = variables

    def __enter__(self) -> Self:
        """Have a login for this command alone."""
        self._configured = logged_in({self.server.partition("/")[0]: self.login} if self.login else {}, self._variables)
        self.variables = self._configured.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Forget it."""
        self._configured.__exit__(None, None, None)

    def store(self, name: str) -> Stored:
        """Push an image of the engine here. Raises NoRegistry: not reached, not let in, or no room there."""
        inner = name.removeprefix("handful/")
        if self.server.partition("/")[0] == HUB:
            # It has no folders within a user's; no name of handful's holds an underscore.
            inner = inner.replace("/", "_")
        there = f"{self.server}/{inner}"
        docker("tag", name, there)
        try:
            said = docker("push", "--quiet", there, check=False, env=self.variables)
            form = "{{range .RepoDigests}}{{println .}}{{end}}"
            found = docker("image", "inspect", "--format", form, name).out.split()
        finally:
            docker("rmi", there, check=False)
        repository = there.rpartition(":")[0].removeprefix(f"{HUB}/")
        digest = next((each.rpartition("@")[2] for each in found if each.startswith(f"{repository}@")), "")
        if said.status != 0 or not digest:
            message = f"{name} could not be pushed to {self.server}"
            advice = "Are server, user and password of `registry` right? Nothing was changed on any machine."
            raise NoRegistry(message, detail=last_lines(said.err), advice=advice)
        return image_here(name, f"{inner.rpartition(':')[0]}@{digest}")
