"""Do the secrets that an app is given get in each other's way, or in that of something else?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.config.tree import Problem
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import App, Config
    from handful.config.tree import Spot


# As in secrets/names.py.
RESERVED = "handful_fingerprint_key"


def check_secrets(config: Config, name: str, app: App) -> Iterator[Problem]:
    """Find variables that are written twice, and files in one place."""
    variables: dict[str, Spot] = {key: ("env", key) for key in config.env}
    variables |= {key: ("apps", name, "env", key) for key in app.env}
    places: dict[str, Spot] = {
        target.rstrip("/"): ("apps", name, "volumes", key) for key, target in app.volumes.items()
    }
    places |= {target.rstrip("/"): ("apps", name, "files", key) for key, target in app.files.items()}
    for index, use in enumerate(app.given):
        spot: Spot = ("apps", name, "secrets", index)
        if use.secret == RESERVED:
            yield Problem(spot, f"{code(RESERVED)} is handful's own: no app is given it")
        if use.env is not None:
            holder = variables.setdefault(use.env, spot)
            what = f"the variable {code(use.env)}"
        else:
            holder = places.setdefault(str(use.file).rstrip("/"), spot)
            what = f"the place {code(str(use.file))} in the container"
        if holder != spot:
            yield Problem(spot, f"{what} is taken already: write it once", others=(holder,))
