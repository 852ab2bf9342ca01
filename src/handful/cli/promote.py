"""`handful promote`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from handful.cli.act import present_release
from handful.cli.common import intent, json_option, open_project, show_lines, verbose_option
from handful.cli.deploy import carry
from handful.errors import UsageError
from handful.plan.model import ImageSource
from handful.plan.order import image_owner, need_app
from handful.run.collect import Home
from handful.run.project import facts_of

if TYPE_CHECKING:

    from handful.run.project import Project


@click.command("promote")
@click.argument("app")
@click.option("--from", "source", metavar="ENV", required=True, help="Where the image runs now.")
@click.option("--to", "goal", metavar="ENV", required=True, help="Where it is to run.")
@verbose_option
@json_option
def promote_command(app: str, source: str, goal: str, *, verbose: bool, as_json: bool) -> None:
    """Deploy the image of APP that runs in one environment to another: built never again, by its digest.

    All else (env, secrets, files, machines) is the other environment's own.
    """
    if source == goal:
        raise UsageError(f"{app} runs in {source} already", advice="Name two environments.")
    began, lines = time.monotonic(), show_lines(as_json=as_json, verbose=verbose)
    there, here = open_project(source), open_project(goal)
    owner = image_owner(app, here.config.apps) if need_app(here.config, app) else app
    image, origin = _image(there, here, owner)
    lines.say(f"{owner} is promoted from {image.promoted}")
    facts = facts_of(here)
    from handful.run.deploy import Foreign, plan_deploy

    asked = intent("promote", here, apps=(owner,), origin=image.promoted)
    foreign = Foreign(images={owner: image}, homes={image.name: origin})
    plan, sources = plan_deploy(here, facts, asked, foreign=foreign)
    carry(here, facts, plan, sources, asked, lines, began, foreign)


def _image(there: Project, here: Project, app: str) -> tuple[ImageSource, Home]:
    """Return the image that an app runs there, under the name that it is to have here, and a machine that has it."""
    need_app(there.config, app)
    facts = facts_of(there)
    release = present_release(there, facts, app, "promote")
    machine = next(name for name, each in facts.items() if each.app(there.stack, app).current == release)
    manifest = facts[machine].app(there.stack, app).releases[release]
    told = manifest["built_from"]
    # A name of its own: a machine here may have another image that was built of the same inputs.
    tag = f"{told['image'].rpartition(':')[2]}-{there.stack}"
    image = ImageSource(
        f"handful/{here.stack}/{app}:{tag}", manifest["image"], told["reference"], told["git"], told.get("inputs", ""),
        told.get("bases", {}), f"{there.stack} {release}",
    )
    return image, Home(there.machines[machine], told["image"])
