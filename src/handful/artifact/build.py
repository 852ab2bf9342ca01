"""What is an image built from, and how is it built: here, by whichever builder this computer has?"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.artifact.base_image import CLASSIC, has_buildx
from handful.artifact.context import context_hash
from handful.artifact.docker import docker
from handful.artifact.dockerfile import read_dockerfile
from handful.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from handful.config.images import Build

# Of a build that failed: all of it, unless somebody let it talk without end.
LAST_BUILD_LINES = 500
NOTHING: Mapping[str, str] = MappingProxyType({})
# BuildKit takes a secret from the environment of the one call: it stands in no file and in no argument.
GIVEN = "HANDFUL_SECRET_"
FIRST_WITHOUT_BUILDKIT = 23
DIGEST_OR_ID = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}"


def inputs_of(name: str, build: Build, project: Path, left_out: Collection[str]) -> str:
    """Return a hash of what a build is made from, but for the images it begins from. Nothing is asked of Docker.

    `left_out` are paths of the context that do not count. Raises BuildFailed when a file cannot be read.
    """
    context = project / build.context
    try:
        found = context_hash(context, context / build.dockerfile, left_out=left_out)
    except OSError as wrong:
        message = f"the files that {name} is built from cannot be read: {wrong.strerror} ({wrong.filename})"
        raise BuildFailed(message, advice="What the image does not need can stand in .dockerignore.") from wrong
    told = {"args": dict(build.args), "target": build.target, "platform": build.platform}
    return _short([found, told]) if any(told.values()) else found


def bases_of(build: Build, project: Path, *, pull: bool, variables: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """Return what the images that a build begins from stand for on this computer, by reference; pulled where missing.

    `pull`: pulled anew, but for what came from no registry; `variables` are the environment of docker. What is not
    here and cannot be had is left to the build to tell. Raises BuildFailed when a newer one cannot be had.
    """
    text = (project / build.context / build.dockerfile).read_text(encoding="utf-8", errors="replace")
    found = {}
    for reference in read_dockerfile(text, build.args).bases:
        digest = "" if pull else _digest(reference)
        if not digest:
            said = docker("pull", "--quiet", reference, check=False, env=variables or None)
            digest = _digest(reference)
            if pull and said.status != 0 and digest and not only_here(reference):
                message = f"{reference}, which {build.dockerfile} begins from, could not be pulled anew"
                raise BuildFailed(message, detail=said.err.strip(), advice="Nothing was changed.")
        found[reference] = digest
    return found


def only_here(reference: str) -> bool:
    """Whether the engine here has an image that came from no registry: nothing newer can be had."""
    said = docker("image", "inspect", "--format", "{{len .RepoDigests}}", reference, check=False)
    return said.status == 0 and said.out.strip() == "0"


def identity(inputs: str, bases: Mapping[str, str], again: str) -> str:
    """Return what makes a built image what it is; `again` tells it from one that was built of the same before."""
    return _short([inputs, dict(bases), again]) if any(bases.values()) or again else inputs


def build_image(
    name: str, build: Build, project: Path, *, say: Callable[[str], None],
    secrets: Mapping[str, str] = NOTHING, variables: Mapping[str, str] = NOTHING, anew: bool = False,
) -> None:
    """Have the engine here build an image. `secrets` by name; `variables` are the environment; `anew`: all of it.

    Raises BuildFailed with the last lines of what Docker said, or when it lacks what the build needs.
    """
    context = project / build.context
    line = [*_builder(build, context), *options(build, anew=anew), "--tag", name]
    line += ["--file", str(context / build.dockerfile)]
    line += [word for each in secrets for word in ("--secret", f"id={each},env={GIVEN}{each}")]
    line += ["--ssh", "default"] if build.ssh else []
    given = {f"{GIVEN}{each}": value for each, value in secrets.items()}
    lines: deque[str] = deque(maxlen=LAST_BUILD_LINES)
    with subprocess.Popen(
        [*line, str(context)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", errors="replace", env={**variables, **given} if variables else None,
    ) as process:
        for said in process.stdout or ():
            if said.strip():
                lines.append(said.rstrip())
                say(said.rstrip())
    if process.returncode != 0:
        raise build_failed(context / build.dockerfile, lines)


def options(build: Build, *, anew: bool, pull: bool = False) -> list[str]:
    """Return the words for `docker build` that are the same wherever it runs."""
    words = [*(["--no-cache"] if anew else []), *(["--pull"] if pull else [])]
    words += ["--target", build.target] if build.target else []
    words += ["--platform", build.platform] if build.platform else []
    return words + [word for name, value in sorted(build.args.items()) for word in ("--build-arg", f"{name}={value}")]


def build_failed(dockerfile: Path, lines: Collection[str]) -> BuildFailed:
    """Return the error of a build that ended badly."""
    message = f"the build of {dockerfile} failed"
    return BuildFailed(message, detail="\n".join(lines), advice="Nothing was changed on any machine.")


def needs_buildkit(build: Build, context: Path) -> str:
    """Return what of a build only BuildKit can do, in the user's words; "" when nothing."""
    named = {"build.secrets": build.secrets, "build.ssh": build.ssh, "build.platform": build.platform}
    told = next((key for key, value in named.items() if value), "")
    text = (context / build.dockerfile).read_text(encoding="utf-8", errors="replace")
    return told or read_dockerfile(text, build.args).buildkit


def _builder(build: Build, context: Path) -> tuple[str, ...]:
    """BuildKit where docker has it by itself, or where the build needs it."""
    if has_buildx():
        return "docker", "build", "--progress=plain"
    needed = needs_buildkit(build, context)
    if not needed:
        return CLASSIC
    if _has_old_buildkit():
        return "env", "DOCKER_BUILDKIT=1", "docker", "build", "--progress=plain"
    message = f"{context / build.dockerfile} needs BuildKit ({needed}), and docker has none on this computer"
    advice = "Install its plug-in buildx (Debian: apt-get install docker-buildx). Nothing was changed."
    raise BuildFailed(message, advice=advice)


def _has_old_buildkit() -> bool:
    """Before version 23 the program docker had BuildKit without a plug-in."""
    told = docker("version", "--format", "{{.Client.Version}}", check=False).out.partition(".")[0]
    return told.isdecimal() and int(told) < FIRST_WITHOUT_BUILDKIT


def _digest(reference: str) -> str:
    said = docker("image", "inspect", "--format", DIGEST_OR_ID, reference, check=False)
    return said.out.strip().rpartition("@")[2] if said.status == 0 else ""


def _short(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
