"""`handful package`, and what `handful deploy --package` needs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.artifact.docker import docker
from handful.artifact.image import Wish
from handful.artifact.package import opened, write_package
from handful.artifact.release import app_files, manifest_files
from handful.cli.common import intent, now, open_project, operator, show_lines, verbose_option
from handful.cli.deploy import carry
from handful.cli.ready import look_at
from handful.config.secrets import SecretUse
from handful.plan.model import ImageSource
from handful.plan.order import image_owner, need_app
from handful.plan.release import describe, release
from handful.run.builds import make_one
from handful.run.deploy import Foreign, plan_deploy, sources_of

if TYPE_CHECKING:
    from handful.artifact.package import Package
    from handful.report.lines import Lines
    from handful.run.project import Project


@click.command("package")
@click.argument("app")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write."
)
@verbose_option
def package_command(app: str, output: Path, *, verbose: bool) -> None:
    """Write one file with the image and the release of APP as it is now, without secrets. Asks no machine.

    Anybody with Docker starts it: tar -xf FILE, then `bash run_app.bash`. `handful deploy --package FILE` deploys it.
    """
    project, lines = open_project(), show_lines(as_json=False, verbose=verbose)
    need_app(project.config, app)
    source = sources_of(project, (app,), {}, Wish(), Foreign())[app]
    make_one(project, app, source.image, operator(intent("package", project, apps=(app,)), lines))
    manifest = describe(app, project.config, source)
    made = release(project.stack, f"0001-{manifest['hash'][:6]}", manifest)
    used = project.config.apps[app]
    files = {**manifest_files(made), **app_files(used, project.folder)}
    given = [use.model_dump() for use in used.given]
    output.parent.mkdir(parents=True, exist_ok=True)
    size = write_package(output, made, files, {"given": given, "handful": __version__, "made": now()})
    lines.say(f"{output} has {app} {made.id}: {size / 1_000_000:.1f} MB")


def deploy_package(path: Path, lines: Lines, *, wait: bool, skip_down: bool) -> None:
    """Deploy the release in a package as it is, with the secrets of now, to the machines of the file."""
    began, project = time.monotonic(), open_project()
    with opened(path) as package:
        app, foreign = _foreign(project, package)
        facts = look_at(project, lines, wait=wait, skip_down=skip_down)
        asked = intent("deploy", project, apps=(app,), origin=next(iter(foreign.images.values())).promoted)
        plan, sources = plan_deploy(project, facts, asked, foreign=foreign)
        carry(project, facts, plan, sources, asked, lines, began, foreign)


def _foreign(project: Project, package: Package) -> tuple[str, Foreign]:
    """Return the app of a package, and what of it takes the place of the project's own; its image is here then."""
    app, told = str(package.told["app"]), package.told
    need_app(project.config, app)
    package.load_image()
    origin = told["manifest"]["built_from"]
    name = f"handful/{project.stack}/{app}:{told['image'].rpartition(':')[2]}"
    image = ImageSource(
        name, told["manifest"]["image"], origin["reference"], origin["git"], origin.get("inputs", ""),
        origin.get("bases", {}), f"a package of {told['stack']} {told['release']}",
    )
    docker("tag", told["image"], name)
    own = {path: content for path, content in package.files.items() if path.startswith("files/") or "_start" in path}
    uses = tuple(SecretUse.model_validate(use) for use in told["given"])
    owner = image_owner(app, project.config.apps)
    return app, Foreign({owner: image}, {app: told["manifest"]}, {}, {app: own}, {app: uses})
