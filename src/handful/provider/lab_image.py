"""Which image does a machine of the lab start from?"""

from __future__ import annotations

from importlib.resources import as_file, files
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.artifact.base_image import build_image, ensure_base, image_id, image_tag
from handful.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

BASES = MappingProxyType({"debian-13": "debian:13-slim", "debian-12": "debian:12-slim"})
# With what `handful machines prepare` would add, so that it has little to do.
DOCKER_PACKAGES = MappingProxyType({
    "debian-13": "docker.io docker-cli unattended-upgrades zstd", "debian-12": "docker.io unattended-upgrades zstd",
})


def machine_image(image: str, say: Callable[[str], None], *, bare: bool = False) -> str:
    """Return the tag of the machine image `image` (a key of BASES), built when this computer does not have it.

    `bare` leaves Docker out. Raises UsageError for another name, BuildFailed when it cannot be built.
    """
    name = f"handful-lab-{image_name(image, bare=bare)}"
    arguments = {"BASE": BASES[image], "DOCKER": "" if bare else DOCKER_PACKAGES[image]}
    with as_file(files("handful.provider").joinpath("images")) as folder:
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}
        tag = image_tag(name, *texts.values(), *arguments.values())
        if image_id(tag) is None:
            ensure_base(BASES[image], say)
            build_image(tag, texts["machine.Dockerfile"], say, context=folder, arguments=arguments)
    return tag


def image_name(image: str, *, bare: bool) -> str:
    """Return the name by which a machine remembers what it was made from: `debian-13`, or `debian-13-bare`.

    Raises UsageError when there is no such machine image.
    """
    if image not in BASES:
        raise UsageError(f"There is no machine image {image}.", advice=f"Choose one of: {', '.join(BASES)}.")
    return f"{image}-bare" if bare else image
