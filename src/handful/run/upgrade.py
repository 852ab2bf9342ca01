"""How is Docker upgraded on many machines, while they serve?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.errors import HandfulError, Interrupted
from handful.run.prepare import run_through
from handful.run.together import new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.run.engine import Operator
    from handful.run.project import Project


def upgrade_all(project: Project, operator: Operator, names: Iterable[str]) -> None:
    """Upgrade machines one after the other, so that a bad Docker meets one of them. Raises the first one's error."""
    script, stop = stand_alone("upgrade_docker", {"stack": project.stack}), new_stop()
    for name in names:
        def upgrade(machine: str = name) -> HandfulError | None:
            try:
                run_through(project.machines[machine], script, operator, stop)
            except HandfulError as failed:
                return failed
            return None

        (error,) = side_by_side([upgrade], stop)
        if stop.is_set():
            message = f"interrupted at {name}: it ends by itself"
            raise Interrupted(message, advice="Go on with: handful machines upgrade")
        if error is not None:
            raise error
