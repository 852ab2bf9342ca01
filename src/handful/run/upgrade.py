"""How are Docker and the proxy upgraded on many machines, while they serve?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import in_turn, stand_alone
from handful.artifact.system_image import image_names
from handful.errors import HandfulError, Interrupted
from handful.plan.agent import agent_text
from handful.plan.model import Plan, Work
from handful.plan.steps import setup, system_images
from handful.run.deploy import bring_images
from handful.run.prepare import run_through
from handful.run.project import facts_of
from handful.run.together import new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.run.engine import Operator
    from handful.run.project import Project
    from handful.run.together import Stop


def upgrade_all(project: Project, operator: Operator, names: Iterable[str], handful: str) -> None:
    """Upgrade machines one after the other, so that a bad Docker, or a bad proxy, meets one of them.

    `handful` is its version. Raises the first one's error.
    """
    stop = new_stop()
    for name in names:
        (error,) = side_by_side([partial(_upgrade, project, operator, name, handful, stop)], stop)
        if stop.is_set():
            message = f"interrupted at {name}: it ends by itself"
            raise Interrupted(message, advice="Go on with: handful machines upgrade")
        if error is not None:
            raise error


def _upgrade(project: Project, operator: Operator, name: str, handful: str, stop: Stop) -> HandfulError | None:
    script = stand_alone("upgrade_docker", {"stack": project.stack})
    try:
        run_through(project.machines[name], script, operator, stop)
        if not stop.is_set():
            _upgrade_parts(project, operator, name, handful, stop)
    except HandfulError as failed:
        return failed
    return None


def _upgrade_parts(project: Project, operator: Operator, name: str, handful: str, stop: Stop) -> None:
    """Have a machine's proxy and names be of the images that the file, and this handful, name: by overlap."""
    facts = facts_of(project, (name,))
    images = system_images(facts[name], image_names(project.config.images))
    told = agent_text(project.config, name)
    steps = setup(facts[name], project.stack, told, images, handful)
    if not steps:
        return
    lacking = tuple(image for image in images.values() if image not in facts[name].images)
    plan = Plan(project.stack, 0, "upgrade", {}, ((Work(name, steps, images=lacking),),), ())
    bring_images(project, plan, {}, facts, operator)
    run_through(project.machines[name], in_turn(steps), operator, stop)
