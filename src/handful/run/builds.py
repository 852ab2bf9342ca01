"""How do the images of a plan come to be: built here or on a machine, or pulled?"""

from __future__ import annotations

import gzip
import tarfile
from collections import deque
from functools import partial
from typing import IO, TYPE_CHECKING

from handful.artifact.base_image import image_id
from handful.artifact.build import LAST_BUILD_LINES, build_failed, needs_buildkit, options
from handful.artifact.context import large_files, sent_files
from handful.artifact.docker import docker, refuse_podman
from handful.artifact.docker_config import logged_in
from handful.artifact.image import make_image, pull_again
from handful.artifact.script import stand_alone
from handful.artifact.system_image import image_names, make_part
from handful.errors import BuildFailed
from handful.machine.diagnose import unreachable
from handful.machine.stream import pour
from handful.plan.order import image_owner
from handful.plan.steps import system_images
from handful.run.collect import Home
from handful.secrets.vault import wanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from handful.config.images import Build
    from handful.facts.model import Facts
    from handful.plan.model import AppSource, ImageSource, Plan, Value
    from handful.run.engine import Operator
    from handful.run.project import Project

LARGE_BYTES = 100_000_000
OF_IMAGE = "{{.Os}}/{{.Architecture}}"
OF_ENGINE = "{{.Server.Os}}/{{.Server.Arch}}"


def make_images(
    project: Project, plan: Plan, sources: Mapping[str, AppSource], facts: Mapping[str, Facts], operator: Operator,
    origins: Mapping[str, Home],
) -> dict[str, Home]:
    """Have every image that a machine lacks; return those that only a machine has.

    `origins` are where promoted ones run now. Raises BuildFailed: what cannot be built or had,
    or would not run on a machine that needs it.
    """
    needing = _needing(plan)
    if needing:
        refuse_podman()
    _make_parts(project, needing, facts, operator)
    homes: dict[str, Home] = {}
    for app, source in sources.items():
        name = source.image.name
        if name not in needing or name in homes:
            continue
        machines = [facts[each] for each in needing[name]]
        if name in origins:
            # What runs there, and nothing of this computer's: the same inputs may have made other bytes here.
            homes[name] = origins[name]
        elif home := _make(project, app, source.image, machines, facts, operator):
            homes[name] = Home(project.machines[home], name)
            check_platform(name, facts[home].platform, machines)
    return homes


def _make_parts(
    project: Project, needing: Mapping[str, list[str]], facts: Mapping[str, Facts], operator: Operator
) -> None:
    """Have the engine here hold the system's images that machines lack, for the platforms of those machines."""
    names = image_names(project.config.images)
    for platform in sorted({facts[machine].platform for machines in needing.values() for machine in machines}):
        some = next(each for each in facts.values() if each.platform == platform)
        for part, name in system_images(some, names).items():
            if name in needing:
                say = partial(operator.tell, "image")
                make_part(part, project.config.images, name, platform, say=say)
                check_platform(name, _platform(name), [facts[each] for each in needing[name]])


def _needing(plan: Plan) -> dict[str, list[str]]:
    """Return the machines that lack each image."""
    needing: dict[str, list[str]] = {}
    for work in (work for wave in plan.waves for work in wave):
        for image in work.images:
            needing.setdefault(image, []).append(work.machine)
    return needing


def make_one(project: Project, app: str, image: ImageSource, operator: Operator) -> None:
    """Have the engine here hold an app's image, for no machine. Raises BuildFailed."""
    build = project.config.apps[image_owner(app, project.config.apps)].build
    if build is not None and build.on:
        message = f"{app} is built on {build.on}, and a package needs its image on this computer"
        raise BuildFailed(message, advice="Leave `on` out for it, for example in an environment of its own.")
    _make(project, app, image, [], {}, operator)


def registry_logins(project: Project) -> dict[str, str]:
    """Return USER:PASSWORD of the user's own registry, by its host; nothing when there is none, or none is needed."""
    own = project.config.registry
    if own is None or own.password is None:
        return {}
    name = own.password.secret
    password = project.vault.values(wanted([("registry", name)]))[name]
    return {own.server.partition("/")[0]: f"{own.user}:{password}"}


def check_platform(name: str, platform: str, machines: list[Facts]) -> None:
    """Refuse an image that a machine could not run. Raises BuildFailed."""
    for here in machines:
        if not _same(platform, here.platform):
            message = f"the image {name} is for {platform}, and {here.machine} is {here.platform}"
            advice = f"Write build: {{platform: {here.platform}}}, or build: {{on: {here.machine}}}."
            raise BuildFailed(message, advice=f"{advice} Nothing was changed.")


def _make(
    project: Project, app: str, image: ImageSource, machines: list[Facts], facts: Mapping[str, Facts],
    operator: Operator,
) -> str:
    """Return the machine that has the image when this computer has it not."""
    owner = image_owner(app, project.config.apps)
    # What a package brings is here, and built never again.
    build = None if image.promoted else project.config.apps[owner].build
    if build is not None and build.on:
        if build.on not in facts:
            raise BuildFailed(f"{build.on}, which is to build {owner}, is away", advice="Nothing was changed.")
        if image.name not in facts[build.on].images:
            operator.tell("building", f"building {owner} on {build.on} from {image.git or build.context}", build.on)
            _build_there(project, image, build, operator)
        return build.on
    if build is not None and image_id(image.name) is None:
        _tell_large(project.folder / build.context, build, operator)
        expected = build.platform or docker("version", "--format", OF_ENGINE).out.strip()
        check_platform(image.name, expected, machines)
        operator.tell("building", f"building {owner} from {image.git or build.context}")
    secrets = project.vault.values(wanted((owner, secret) for secret in build.secrets)) if build else {}
    say = partial(operator.tell, "output")
    # What a build begins from may be in the user's own registry.
    with logged_in(registry_logins(project), project.variables) as variables:
        make_image(image, build, project.folder, say=say, secrets=secrets, variables=variables)
        if build is None and machines and not _same(_platform(image.name), machines[0].platform):
            # What a reference stands for has a digest for all platforms together.
            pull_again(image, machines[0].platform, variables)
    check_platform(image.name, _platform(image.name), machines)
    return ""


def _same(one: str, other: str) -> bool:
    """Whether two platforms are the same but for the processor's variant."""
    return one.split("/")[:2] == other.split("/")[:2]


def _platform(name: str) -> str:
    return docker("image", "inspect", "--format", OF_IMAGE, name).out.strip()


def _tell_large(context: Path, build: Build, operator: Operator) -> None:
    """A file that nobody meant to send makes each build slow: it is named."""
    for path, size in large_files(context, context / build.dockerfile, LARGE_BYTES).items():
        text = f"{path} has {size // 1_000_000} MB, and each build is sent it: does it need it? Else: .dockerignore"
        operator.tell("image", text)


def _build_there(project: Project, image: ImageSource, build: Build, operator: Operator) -> None:
    context = project.folder / build.context
    if needed := needs_buildkit(build, context):
        message = f"{context / build.dockerfile} needs BuildKit ({needed}), which `build.on` does not use"
        advice = f"Only the classic builder keeps to half of {build.on}'s processors and memory. Nothing was changed."
        raise BuildFailed(message, advice=advice)
    lines: deque[str] = deque(maxlen=LAST_BUILD_LINES)

    def on_line(line: str) -> None:
        lines.append(line)
        operator.tell("output", line, str(build.on))

    words = ("--force-rm", *options(build, anew=image.anew, pull=image.pull))
    values: dict[str, Value] = {"name": image.name, "dockerfile": build.dockerfile, "options": words}
    access = project.machines[str(build.on)]
    ended = pour(access, stand_alone("build_image", values), partial(_send_context, context, build), on_line)
    if ended.cut:
        raise unreachable(access, ended.err)
    if ended.status != 0:
        raise build_failed(context / build.dockerfile, lines)


def _send_context(context: Path, build: Build, stream: IO[bytes]) -> None:
    # Packed: an unpacked tar that begins with a PAX header is no context to docker (tried, 26.1).
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for path in sent_files(context, context / build.dockerfile):
            tar.add(path, path.relative_to(context).as_posix(), recursive=False)
