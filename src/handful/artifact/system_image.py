"""Which images do the system's own parts run, and how does the operator's computer come to have them?"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from handful.artifact.base_image import build_image, ensure_base, image_id, image_tag
from handful.artifact.docker import docker
from handful.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from handful.config.images import Images

BASE = "debian:13-slim"
PULL_SECONDS = 60


def image_names(images: Images) -> dict[str, str]:
    """Return the tag that each part's image has on machines, by part: `proxy` and `names`. Asks nobody.

    A tag follows from what handful.yml says and from handful's own Dockerfile, not from where the image came from.
    """
    return {part: part_name(part, images) for part in ("proxy", "names")}


def part_name(part: str, images: Images) -> str:
    """Return the tag of one part's image; the registry is of this computer, and no machine's."""
    digest = hashlib.sha256(f"{_reference(part, images)}\0{_dockerfile(part)}".encode()).hexdigest()
    return f"handful/system/{part}:{digest[:12]}"


def make_part(part: str, images: Images, name: str, platform: str = "", *, say: Callable[[str], None]) -> None:
    """Have the engine here hold a part's image as `name`: pulled when one is named that can be had, else built.

    `platform`: for machines of that; "" for this computer.
    """
    if image_id(name) is not None:
        return
    other = platform if platform and platform != _platform_here() else ""
    reference = _reference(part, images)
    if reference is not None and ((not other and image_id(reference) is not None) or _pulled(reference, other)):
        docker("tag", reference, name)
        return
    if reference is not None:
        say(f"{reference} cannot be pulled: {part} is built from Debian's package instead")
    text = _dockerfile(part)
    # Of another platform the builder itself pulls the base.
    base = BASE if other else ensure_base(BASE, say)
    built = image_tag(f"handful/{part}", text, BASE, *([other] if other else []))
    build_image(built, text, say, arguments={"BASE": base}, platform=other)
    docker("tag", built, name)


def _reference(part: str, images: Images) -> str | None:
    return {"proxy": images.proxy, "names": images.dns, "registry": images.registry}[part]


def _dockerfile(part: str) -> str:
    return files("handful.artifact").joinpath("images", f"{part}.Dockerfile").read_text(encoding="utf-8")


def _pulled(reference: str, platform: str) -> bool:
    words = ["--platform", platform] if platform else []
    try:
        return docker("pull", "--quiet", *words, reference, check=False, timeout=PULL_SECONDS).status == 0
    except CommandFailed:
        return False


def _platform_here() -> str:
    return docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").out.strip()
