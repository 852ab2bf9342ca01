"""`handful scale` and `handful maintenance`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import click

from handful.cli.act import present_release
from handful.cli.common import intent, json_option, open_project, show_lines
from handful.cli.deploy import carry
from handful.config.values import MOST_INSTANCES, span
from handful.errors import HandfulError, UsageError
from handful.plan.order import need_app
from handful.run.project import facts_of

if TYPE_CHECKING:
    from handful.config.model import App, Config


@click.command("scale")
@click.argument("wanted", nargs=-1, required=True, metavar="APP=COUNT...")
@click.option("--for", "span", metavar="TIME", help="For so long (3h, 2d); then it is as the file says.")
@json_option
def scale_command(wanted: tuple[str, ...], *, span: str | None, as_json: bool) -> None:
    """Start or stop instances of the present release now: so many on each of the app's machines.

    Without --for it holds until the next `handful apply` or a deploy of the app, which make it as the file says.
    """
    began = time.monotonic()
    project = open_project()
    seconds = None if span is None else _seconds(span)
    counts = dict(_count(project.config, each, forever=seconds is None) for each in wanted)
    facts = facts_of(project)
    from handful.run.deploy import plan_deploy

    targets = {name: present_release(project, facts, name, "scale") for name in counts}
    asked = intent("scale", project, targets=targets, counts=counts, seconds=seconds)
    plan, sources = plan_deploy(project, facts, asked)
    carry(project, facts, plan, sources, asked, show_lines(as_json=as_json), began)


@click.command("maintenance")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.argument("apps", nargs=-1)
def maintenance_command(state: Literal["on", "off"], apps: tuple[str, ...]) -> None:
    """Give the public a page instead of an app (all that have domains, unless named), at once; or the app again.

    The app runs on, and is reached from inside the stack. It holds over deploys and reboots, until `off`.
    """
    from handful.artifact.page import maintenance_page
    from handful.artifact.script import stand_alone
    from handful.plan.order import edges_of
    from handful.run.engine import tell

    project = open_project()
    config = project.config
    failed: list[HandfulError] = []
    for name in _public(config, apps):
        page = maintenance_page(config.apps[name], project.folder) if state == "on" else ""
        script = stand_alone("maintenance", {"stack": project.stack, "app": name, "page": page})
        # A machine that is no edge any more may have it still.
        places = edges_of(name, config) if state == "on" else tuple(config.machines)
        edges = [project.machines[machine] for machine in places]
        for access, error in zip(edges, tell(edges, script), strict=True):
            if error is None:
                click.echo(f"{access.name:<8} {name} is {'away for maintenance' if state == 'on' else 'back'}")
            else:
                failed.append(error)
    if failed:
        raise failed[0]


def _public(config: Config, apps: tuple[str, ...]) -> list[str]:
    for name in apps:
        if not need_app(config, name).domains:
            raise UsageError(f"{name} has no domains: the public does not reach it")
    found = [name for name, app in config.apps.items() if app.domains and name in (apps or config.apps)]
    if not found:
        raise UsageError("no app has domains: there is nothing that the public reaches")
    return found


def _seconds(text: str) -> float:
    found = span(text)
    if found is None:
        raise UsageError(f"{text} is no time", advice="Write a number with m, h or d: --for 3h")
    return found


def _count(config: Config, text: str, *, forever: bool) -> tuple[str, int]:
    name, _, count = text.partition("=")
    app = need_app(config, name)
    if not count.isdecimal() or not 1 <= int(count) <= MOST_INSTANCES:
        advice = f"To have none, stop it: handful stop {name}" if count == "0" else ""
        message = f"{text}: write how many instances of {name}, 1 to {MOST_INSTANCES}, like {name}=2"
        raise UsageError(message, advice=advice)
    if int(count) > 1 and _alone(app):
        raise UsageError(f"{name} is one instance: it has volumes, or the host's network")
    if forever and isinstance(app.instances, dict):
        raise UsageError(f"{name} has hours in the file, which would undo this", advice="Say for how long: --for 3h")
    return name, int(count)


def _alone(app: App) -> bool:
    return app.network == "host" or (bool(app.volumes) and app.deploy.strategy is None)

