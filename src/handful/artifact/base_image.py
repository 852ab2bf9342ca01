"""Where do the images come from that handful builds itself, and are they here already?"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.artifact.docker import docker
from handful.errors import BuildFailed, CommandFailed
from handful.machine.local import Said, last_lines, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUITES = MappingProxyType({"debian:13-slim": "trixie", "debian:12-slim": "bookworm"})
PULL_SECONDS = 60
# The classic builder leaves the container of a step that failed, unless it is told not to.
CLASSIC = ("env", "DOCKER_BUILDKIT=0", "docker", "build", "--force-rm")
NO_ARGUMENTS: Mapping[str, str] = MappingProxyType({})
LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)


def ensure_base(reference: str, say: Callable[[str], None]) -> str:
    """Return `reference` (a key of SUITES) once the engine here has it: found, pulled, or made with mmdebstrap.

    Raises BuildFailed when it can neither be pulled nor made.
    """
    if reference not in SUITES:
        raise BuildFailed(f"{reference} is not a base image of handful.", advice=f"Known: {', '.join(SUITES)}.")
    if image_id(reference) is None and not _pulled(reference):
        _make(reference, say)
    return reference


def image_tag(name: str, *contents: str) -> str:
    """Return `NAME:HASH`, where the hash covers all `contents`: the Dockerfile, and whatever else goes into it."""
    digest = hashlib.sha256("\0".join(contents).encode())
    return f"{name}:{digest.hexdigest()[:12]}"


def build_image(
    tag: str,
    dockerfile_text: str,
    say: Callable[[str], None],
    *,
    context: Path | None = None,
    arguments: Mapping[str, str] = NO_ARGUMENTS,
    platform: str = "",
) -> str:
    """Return the id of the image `tag`, building it from `dockerfile_text` when the engine here does not have it.

    `tag` comes from `image_tag`, so that other contents are another tag. `context` is the folder that COPY sees
    (an empty one when None); `arguments` are the Dockerfile's ARGs; `platform`: for another one, which takes BuildKit.
    Raises BuildFailed with the build's last lines.
    """
    if (found := image_id(tag)) is not None:
        return found
    started = time.monotonic()
    say(f"building the image {tag} (once; some minutes at most)")
    words = [*_given(arguments), *(("--platform", platform) if platform else ())]
    said = _build(["--quiet", "--tag", tag, "--file", "-", *words], dockerfile_text, context)
    built = image_id(tag) if said.status == 0 else None
    if built is None:
        raise BuildFailed(
            f"The image {tag} could not be built.",
            detail=last_lines(f"{said.out}\n{said.err}"),
            advice="Its packages come from Debian: check that containers on this computer reach the network.",
        )
    say(f"built the image {tag} in {time.monotonic() - started:.0f} s")
    return built


def _build(words: list[str], dockerfile_text: str, context: Path | None) -> Said:
    with TemporaryDirectory(prefix="handful-") as empty:
        line = [*(("docker", "build") if has_buildx() else CLASSIC), *words, str(context or empty)]
        return run(line, stdin=dockerfile_text, check=False)


def image_id(reference: str) -> str | None:
    """Return the id of an image that the engine here has, None when it has not."""
    said = docker("image", "inspect", "--format", "{{.Id}}", reference, check=False)
    return said.out.strip() if said.status == 0 else None


def has_buildx() -> bool:
    """Whether docker has its plug-in buildx here, and builds with BuildKit."""
    return docker("buildx", "version", check=False).status == 0


def _given(arguments: Mapping[str, str]) -> list[str]:
    return [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]


def _pulled(reference: str) -> bool:
    """Try the registry, for PULL_SECONDS at most."""
    try:
        return docker("pull", "--quiet", reference, check=False, timeout=PULL_SECONDS).status == 0
    except CommandFailed:
        return False


def _make(reference: str, say: Callable[[str], None]) -> None:
    """Make the base image from Debian's packages, from wherever this computer gets its own."""
    started = time.monotonic()
    say(f"{reference} cannot be pulled: making it with mmdebstrap (once; about a minute)")
    words = ["--quiet", "--variant=apt", "--include=ca-certificates", *(f"--dpkgopt={line}" for line in LEFT_OUT)]
    with TemporaryDirectory(prefix="handful-") as folder:
        tar = str(Path(folder) / "base.tar")
        try:
            run(["mmdebstrap", *words, SUITES[reference], tar])
        except CommandFailed as failed:
            raise BuildFailed(
                f"The image {reference} could neither be pulled nor made with mmdebstrap.",
                detail=str(failed),
                advice="Install mmdebstrap (on Debian and Ubuntu: apt install mmdebstrap), "
                f"or connect to a network where `docker pull {reference}` works.",
            ) from failed
        docker("import", "--change", "LABEL handful.made=mmdebstrap", "--change", 'CMD ["bash"]', tar, reference)
    say(f"made {reference} in {time.monotonic() - started:.0f} s")
