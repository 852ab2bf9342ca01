"""Which files make a release folder, and what stands in each?"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.artifact.script import run_app
from handful.plan.release import SIDE_SCRIPTS, file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from handful.config.model import App
    from handful.config.secrets import SecretUse
    from handful.plan.model import Release

# Docker reads an env file line by line, with a limit of 64 KiB.
LONGEST_LINE = 60_000
NOTHING: Mapping[str, str] = MappingProxyType({})


def release_files(
    release: Release, app: App, project: Path, secrets: Mapping[str, str] = NOTHING
) -> dict[str, bytes]:
    """Return a release folder's files by their path in it. Reads the app's own files from the project's folder.

    `secrets`: the values of those that the app is given, by name.
    """
    return {**manifest_files(release), **app_files(app, project), **secret_files(app.given, secrets)}


def manifest_files(release: Release) -> dict[str, bytes]:
    """Return the files of a release folder that follow from its manifest."""
    manifest = release.manifest
    return {
        "run_app.bash": run_app(release).encode(),
        "release.json": json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode() + b"\n",
        "proxy.cfg": "".join(f"{line}\n" for line in manifest["settings"]["proxy"]).encode(),
        "served": "".join(f"{line}\n" for line in _served(manifest["settings"])).encode(),
        **env_files(manifest["env"]),
    }


def app_files(app: App, project: Path) -> dict[str, bytes]:
    """Return the app's own files of a release folder, read from the project's folder."""
    found = {f"files/{file_name(target)}": (project / path).read_bytes() for path, target in app.files.items()}
    for name in SIDE_SCRIPTS:
        if path := getattr(app, name):
            found[f"{name}.bash"] = (project / path).read_bytes()
    return found


def secret_files(given: Iterable[SecretUse], secrets: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files that hold secrets: variables as for `env`, and files of their own. `secrets`: values by name."""
    given = tuple(given)
    if not given:
        return {}
    variables = {str(use.env): secrets[use.secret] for use in given if use.env}
    found = {f"secrets/{name}": content for name, content in env_files(variables).items()}
    files = {str(use.file): secrets[use.secret] for use in given if use.file}
    return found | {f"secrets/files/{file_name(target)}": value.encode() for target, value in files.items()}


def _served(settings: Mapping[str, Any]) -> list[str]:
    """Return how the app is reached, for who does not run it: its port, and its routes."""
    if settings["port"] is None or settings["network"] == "host":
        return []
    path = settings["path"].rstrip("/")
    return [f"port {settings['port']}", *(f"route {domain}{path}/" for domain in settings["domains"])]


def env_files(env: Mapping[str, str]) -> dict[str, bytes]:
    """Split variables into `env`, which Docker reads literally line by line, and those that no line can hold.

    `env.multiline` holds NAME=value, each ended by a zero byte.
    """
    plain = {name: value for name, value in env.items() if _fits_a_line(name, value)}
    others = {name: value for name, value in env.items() if name not in plain}
    return {
        "env": "".join(f"{name}={value}\n" for name, value in plain.items()).encode(),
        "env.multiline": "".join(f"{name}={value}\0" for name, value in others.items()).encode(),
    }


def _fits_a_line(name: str, value: str) -> bool:
    return not set(value) & {"\n", "\r"} and len(f"{name}={value}".encode()) < LONGEST_LINE
