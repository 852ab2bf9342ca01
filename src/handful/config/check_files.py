"""Are the files that a config names there, inside the project's folder?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handful.config.docker import DockerPackages
    from handful.config.model import App


def check_files(name: str, app: App, folder: Path) -> Iterator[Problem]:
    """Find the files of one app that cannot be used; the Dockerfile is looked for in its context."""
    for source in app.files:
        if wrong := _wrong(folder, source):
            yield Problem(("apps", name, "files", source, KEY), wrong)
    for key in ("before_start", "after_start", "maintenance"):
        if (script := getattr(app, key)) is not None and (wrong := _wrong(folder, script)):
            yield Problem(("apps", name, key), wrong)
    if app.build is None:
        return
    build = ("apps", name, "build")
    if wrong := _wrong(folder, app.build.context, want_folder=True):
        yield Problem((*build, "context"), wrong)
    elif wrong := _wrong(folder, f"{app.build.context}/{app.build.dockerfile}".removeprefix("./")):
        yield Problem((*build, "dockerfile"), wrong, relies=((*build, "context"),))


def check_key(docker: DockerPackages | None, folder: Path) -> Iterator[Problem]:
    """Find out whether the key of Docker's packages can be used."""
    if docker is not None and (wrong := _wrong(folder, docker.key)):
        yield Problem(("docker", "key"), wrong)


def _wrong(folder: Path, source: str, *, want_folder: bool = False) -> str:
    """Say what is wrong with a path of the file; nothing when it can be used."""
    wanted = "folder" if want_folder else "file"
    found = ""
    if not source:
        return f"this is empty: name a {wanted} in the project's folder"
    try:
        root = folder.resolve()
        path = (root / source).resolve()
        if not path.is_relative_to(root):
            return f"{code(source)} leads out of the project's folder"
        if path.exists():
            found = "folder" if path.is_dir() else "file" if path.is_file() else "device or a pipe"
    except (OSError, RuntimeError, ValueError):
        found = ""
    if found == wanted:
        return ""
    if not found:
        return f"there is no {wanted} {code(source)} in the project's folder"
    return f"{code(source)} is a {found}, and a {wanted} is needed"
