"""Which images do the system's own parts run, and how does the operator's computer come to have them?"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from handful.artifact.base_image import build_image, ensure_base, image_id, image_tag
from handful.artifact.docker import docker
from handful.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from handful.config.images import Images

BASE = "debian:13-slim"
PULL_SECONDS = 60
# What handful adds to the image that is named for it, or to the distribution's: its own code.
AGENT = "agent"


def image_names(images: Images) -> dict[str, str]:
    """Return the tag that each part's image has on machines, by part: `proxy`, `names` and `agent`. Asks nobody.

    A tag follows from what handful.yml says and from handful's own files, not from where the image came from.
    """
    return {part: part_name(part, images) for part in ("proxy", "names", AGENT)}


def part_name(part: str, images: Images) -> str:
    """Return the tag of one part's image; the registry is of this computer, and no machine's."""
    contents = "\0".join((str(_reference(part, images)), _dockerfile(part), *_code(part).values()))
    return f"handful/system/{part}:{hashlib.sha256(contents.encode()).hexdigest()[:12]}"


def make_part(part: str, images: Images, name: str, platform: str = "", *, say: Callable[[str], None]) -> None:
    """Have the engine here hold a part's image as `name`: pulled when one is named that can be had, else built.

    `platform`: for machines of that; "" for this computer.
    """
    if image_id(name) is not None:
        return
    other = platform if platform and platform != _platform_here() else ""
    reference = _reference(part, images)
    had = reference is not None and ((not other and image_id(reference) is not None) or _pulled(reference, other))
    if reference is not None and had and part != AGENT:
        docker("tag", reference, name)
        return
    if reference is not None and not had:
        say(f"{reference} cannot be pulled: {part} is built from Debian's package instead")
    # Of another platform the builder itself pulls the base.
    base = reference if reference is not None and had else BASE if other else ensure_base(BASE, say)
    _build(part, name, base, other, say)


def _build(part: str, name: str, base: str, platform: str, say: Callable[[str], None]) -> None:
    text, code = _dockerfile(part), _code(part)
    built = image_tag(f"handful/{part}", text, base, *code.values(), *([platform] if platform else []))
    with TemporaryDirectory(prefix="handful-") as folder:
        for path, content in code.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        build_image(built, text, say, context=Path(folder), arguments={"BASE": base}, platform=platform)
    docker("tag", built, name)


def _reference(part: str, images: Images) -> str | None:
    return {"proxy": images.proxy, "names": images.dns, AGENT: images.agent, "registry": images.registry}[part]


def _dockerfile(part: str) -> str:
    return files("handful.artifact").joinpath("images", f"{part}.Dockerfile").read_text(encoding="utf-8")


def _code(part: str) -> dict[str, str]:
    """Return the files of handful's own that go into an image, by their paths."""
    if part != AGENT:
        return {}
    found = {each.name: each for each in files("handful.agent").iterdir() if each.name.endswith(".py")}
    texts = {f"handful/agent/{name}": found[name].read_text(encoding="utf-8") for name in sorted(found)}
    return {"handful/__init__.py": "", **texts}


def _pulled(reference: str, platform: str) -> bool:
    words = ["--platform", platform] if platform else []
    try:
        return docker("pull", "--quiet", *words, reference, check=False, timeout=PULL_SECONDS).status == 0
    except CommandFailed:
        return False


def _platform_here() -> str:
    return docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").out.strip()
