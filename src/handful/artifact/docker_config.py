"""What lets a `docker` of this command in to registries? A folder that is gone with the command."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


HUB = "docker.io"
# Docker keeps its login under this name, and leaves HUB out of the names of images.
HUB_LOGIN = "https://index.docker.io/v1/"


@contextmanager
def logged_in(logins: Mapping[str, str], variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give the environment of a `docker` that is let in to more registries than the user's own.

    `logins` maps a server to `USER:PASSWORD`. All else is as the user has it (contexts, plug-ins, other logins), and
    what they have is not written to. Nobody else may read the folder.
    """
    if not logins:
        yield {**variables}
        return
    own = Path(variables.get("DOCKER_CONFIG") or Path(variables.get("HOME", "/")) / ".docker")
    with TemporaryDirectory(prefix="handful-") as folder:
        config = Path(folder)
        for entry in own.iterdir() if own.is_dir() else ():
            if entry.name != "config.json":
                (config / entry.name).symlink_to(entry.resolve())
        (config / "config.json").write_text(json.dumps(_with(_read(own / "config.json"), logins)), encoding="utf-8")
        yield {**variables, "DOCKER_CONFIG": folder}


def auth(login: str) -> str:
    """Return `USER:PASSWORD` as Docker writes it down."""
    return base64.b64encode(login.encode()).decode()


def _with(told: Mapping[str, Any], logins: Mapping[str, str]) -> dict[str, Any]:
    """An empty helper means: this file, whatever program keeps the user's other logins."""
    logins = {HUB_LOGIN if server == HUB else server: login for server, login in logins.items()}
    auths = {**told.get("auths", {}), **{server: {"auth": auth(login)} for server, login in logins.items()}}
    helpers = {**told.get("credHelpers", {}), **dict.fromkeys(logins, "")}
    return {**told, "auths": auths, "credHelpers": helpers}


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # What Docker itself cannot read, it will tell.
        return {}
    return told if isinstance(told, dict) else {}
