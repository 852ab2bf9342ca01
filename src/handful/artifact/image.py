"""Which image does an app run, and how does the operator's computer come to have it?"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.artifact.base_image import image_id
from handful.artifact.build import DIGEST_OR_ID, bases_of, build_image, identity, inputs_of, only_here
from handful.artifact.docker import docker
from handful.errors import BuildFailed, CommandFailed
from handful.machine.local import run
from handful.plan.model import AppSource, ImageSource
from handful.plan.order import image_owner
from handful.plan.release import SIDE_SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from handful.config.images import Build
    from handful.config.model import App, Config

# What handful itself reads changes without the image changing (docs/decisions/0006); so do secrets.
OWN_FILES = ("handful.yml", "environments", ".sops.yaml")
# The metadata of sops, in YAML and in dotenv.
SEALED = re.compile(rb"^(?:\"?sops\"?:|sops_mac=)|\"sops\":", re.MULTILINE)
# Images that are smaller, all together, travel whole: a registry takes longer to start.
SMALL_BYTES = 5_000_000
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Wish:
    """What is to be made anew: `pull` looks references up again, `rebuild` builds again; no text twice.

    `variables` are the environment of docker.
    """

    pull: str = ""
    rebuild: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def read_sources(
    config: Config,
    stack: str,
    project: Path,
    chosen: Iterable[str],
    known: Mapping[str, Mapping[str, Any]],
    wish: Wish,
    given: Mapping[str, ImageSource] = MappingProxyType({}),
) -> dict[str, AppSource]:
    """Return what each chosen app brings. Nothing is built: a build is known by the hash of its inputs.

    `known` maps an app to the manifest of its present release: a reference that it was made from is not
    resolved again, unless that is wished. `given` images, by app, are neither built nor looked
    up. Raises BuildFailed when a reference cannot be resolved.
    """
    images = dict(given)
    git = revision(project)
    found = {}
    for name in chosen:
        owner = image_owner(name, config.apps)
        if owner not in images:
            own = (*OWN_FILES, *_store(project, config.secrets.source))
            images[owner] = _image(owner, config.apps[owner], stack, project, known.get(owner, {}), git, own, wish)
        found[name] = AppSource(images[owner], _digests(config.apps[name], project))
    return found


def make_image(
    source: ImageSource, build: Build | None, project: Path, *, say: Callable[[str], None],
    secrets: Mapping[str, str] = NOTHING, variables: Mapping[str, str] = NOTHING,
) -> None:
    """Have the engine here hold `source.name`: nothing when it does, else built or pulled.

    `secrets` are those of the build, by name; `variables` the environment that it has besides.
    Raises BuildFailed with the last lines of what Docker said.
    """
    if image_id(source.name) is not None:
        return
    if build is None:
        _pull(source, variables)
    else:
        build_image(source.name, build, project, say=say, secrets=secrets, variables=variables, anew=source.anew)


def image_sizes(names: Sequence[str]) -> dict[str, int]:
    """Return the sizes in bytes of images that the engine here should have, by name.

    Raises BuildFailed, naming the first that is nowhere.
    """
    sizes = {}
    for name in names:
        said = docker("image", "inspect", "--format", "{{.Size}}", name, check=False)
        if said.status != 0:
            message = f"the image {name} is neither on the machines that need it nor on this computer"
            raise BuildFailed(message, advice="Nothing was changed. `handful deploy` makes the release of now.")
        sizes[name] = int(said.out)
    return sizes


def is_large(name: str) -> bool:
    """Whether the engine here has an image that is too large to travel whole."""
    said = docker("image", "inspect", "--format", "{{.Size}}", name, check=False)
    return said.status == 0 and int(said.out) > SMALL_BYTES


def layers_of(name: str) -> tuple[str, ...]:
    """Return the diff ids of an image of the engine here, the lowest layer first."""
    form = "{{range .RootFS.Layers}}{{println .}}{{end}}"
    return tuple(docker("image", "inspect", "--format", form, name).out.split())


def revision(project: Path) -> str:
    """Return git's short revision of the project's folder, with `+dirty` when files differ; "" without git."""
    try:
        head = run(["git", "-C", str(project), "rev-parse", "--short=12", "HEAD"])
        status = run(["git", "-C", str(project), "status", "--porcelain", "--", "."])
    except CommandFailed:
        return ""
    return head.out.strip() + ("+dirty" if status.out.strip() else "")


def _image(
    name: str, app: App, stack: str, project: Path, known: Mapping[str, Any], git: str, own: tuple[str, ...],
    wish: Wish,
) -> ImageSource:
    if app.build is not None:
        return _built(name, app.build, stack, project, known, git, own, wish)
    reference = str(app.image)
    origin = known.get("built_from", {})
    if origin.get("reference") == reference and not wish.pull:
        return ImageSource(origin["image"], known["image"], reference)
    found = _resolve(name, reference, wish)
    short = hashlib.sha256(found.encode()).hexdigest()[:16]
    source = ImageSource(f"handful/{stack}/{name}:{short}", f"reference:{reference}@{found}", reference)
    docker("tag", reference, source.name)
    return source


def _built(
    name: str, build: Build, stack: str, project: Path, known: Mapping[str, Any], git: str, own: tuple[str, ...],
    wish: Wish,
) -> ImageSource:
    """Of the same inputs nothing is built: what the present release was built from on that day still holds."""
    left_out = own if (project / build.context).resolve() == project.resolve() else ()
    inputs, origin = inputs_of(name, build, project, left_out), known.get("built_from", {})
    if origin.get("inputs") == inputs and not wish.pull and not wish.rebuild:
        return ImageSource(origin["image"], known["image"], git=git, inputs=inputs, bases=origin.get("bases", {}))
    # What a machine that builds has is not looked into: it pulls, and builds again.
    bases = {} if build.on else bases_of(build, project, pull=bool(wish.pull), variables=wish.variables)
    told = identity(inputs, bases, wish.rebuild or (wish.pull if build.on else ""))
    pull, anew = bool(build.on and wish.pull), bool(wish.rebuild)
    tag = f"handful/{stack}/{name}:{told}"
    return ImageSource(tag, f"build:{told}", git=git, inputs=inputs, bases=bases, anew=anew, pull=pull)


def _store(project: Path, source: str) -> tuple[str, ...]:
    """Return the files of secrets: another value alone makes no other image."""
    files = sorted((project / source).glob("*")) if (project / source).is_dir() else []
    return tuple(each.relative_to(project).as_posix() for each in files if each.is_file() and _is_sealed(each))


def _is_sealed(path: Path) -> bool:
    return path.suffix in {".yml", ".yaml", ".env"} and SEALED.search(path.read_bytes()) is not None


def _resolve(name: str, reference: str, wish: Wish) -> str:
    """Return what a reference stands for now: the registry's digest; the image's id when it came from no registry."""
    if wish.pull or image_id(reference) is None:
        said = docker("pull", "--quiet", reference, check=False, env=wish.variables or None)
        if said.status != 0 and not only_here(reference):
            message = f"the image {reference} of {name} cannot be had"
            raise BuildFailed(
                message, detail=said.err.strip(),
                advice=f"Try: docker pull {reference}. Nothing was changed on any machine.",
            )
    return docker("image", "inspect", "--format", DIGEST_OR_ID, reference).out.strip().rpartition("@")[2]


def pull_again(source: ImageSource, platform: str, variables: Mapping[str, str]) -> None:
    """Have the engine here hold, under the name of `source`, what its reference stands for on another platform.

    What cannot be had leaves the image as it was.
    """
    exact = _exact(source)
    if docker("pull", "--quiet", "--platform", platform, exact, check=False, env=variables or None).status == 0:
        docker("tag", exact, source.name)


def _pull(source: ImageSource, variables: Mapping[str, str]) -> None:
    """Bring back an image whose release was made earlier, by its digest."""
    exact = _exact(source)
    said = docker("pull", "--quiet", exact, check=False, env=variables or None)
    if said.status != 0:
        message = f"the image that {source.reference} stood for ({exact.rpartition('@')[2]}) cannot be had any more"
        advice = "`handful deploy --pull` takes what it stands for now."
        raise BuildFailed(message, detail=said.err.strip(), advice=advice)
    docker("tag", exact, source.name)


def _exact(source: ImageSource) -> str:
    """Return a reference with the digest that a release was made from."""
    digest = source.identity.rpartition("@")[2]
    repository = source.reference.partition("@")[0]
    head, colon, tail = repository.rpartition(":")
    return f"{head if colon and '/' not in tail else repository}@{digest}"


def _digests(app: App, project: Path) -> dict[str, str]:
    paths = [*app.files, *(path for key in SIDE_SCRIPTS if (path := getattr(app, key)))]
    return {path: hashlib.sha256((project / path).read_bytes()).hexdigest() for path in paths}
