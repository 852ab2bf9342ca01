"""How is a machine restarted, or taken away, so that nobody notices who is served by others, too?"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.errors import HandfulError, ObserveFailed
from handful.facts.told import read_told
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import ask
from handful.plan.order import machines_of
from handful.run.prepare import run_through
from handful.run.together import new_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handful.config.model import Config, Machine
    from handful.machine.access import Access
    from handful.run.engine import Operator
    from handful.run.project import Project

# For what is under way when it stops; and for Docker and all containers to be there again.
DRAIN_SECONDS, BACK_SECONDS = 30, 180
PAUSE_SECONDS = 0.5


def restarted(access: Access, operator: Operator, restart: Callable[[], Access]) -> None:
    """Drain a machine, have it restarted, and return when it serves as it did. Raises why it does not.

    `restart` returns how it is reached from then on. Whatever keeps it from being restarted, the others send requests
    there again. One that does not answer cannot be drained: nobody gets anything from it anyway.
    """
    stop = new_stop()
    try:
        if ask(access, "true").status == 0:
            run_through(access, _drain("out"), operator, stop)
        else:
            operator.tell("drained", "does not answer, and is restarted without having been drained", access.name)
        # A connection from before the restart leads nowhere.
        fresh = replace(restart(), sockets=None)
    except BaseException:
        ask(replace(access, sockets=None), _drain("back"))
        raise
    deadline = time.monotonic() + BACK_SECONDS
    while ask(fresh, "true").status != 0 and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    run_through(fresh, stand_alone("await_machine", {"seconds": str(BACK_SECONDS)}), operator, stop)


def _drain(way: str) -> str:
    return stand_alone("drain_machine", {"way": way, "seconds": str(DRAIN_SECONDS)})


def with_leaving(project: Project, leaving: Mapping[str, tuple[Machine, Access]]) -> Project:
    """Return the project with machines that are to go: they are there, and nothing is placed on them."""
    config = project.config
    placed = {
        name: app.model_copy(update={"machines": machines_of(name, config)}) for name, app in config.apps.items()
    }
    machines = {**config.machines, **{name: machine for name, (machine, _) in leaving.items()}}
    reached = {**project.machines, **{name: access for name, (_, access) in leaving.items()}}
    whole: Config = config.model_copy(update={"apps": placed, "machines": machines})
    return replace(project, config=whole, machines=reached)


@dataclass(frozen=True)
class Left:
    """What would be lost with a machine: volumes and apps of the stack, other stacks, and containers of nobody's.

    `own`: those of the volumes that lie on its own disk.
    """

    volumes: tuple[str, ...]
    own: tuple[str, ...]
    apps: tuple[str, ...]
    stacks: tuple[str, ...]
    containers: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as words, "" for nothing."""
        parts = (
            ("the volumes ", self.volumes), ("the apps ", self.apps), ("apps of ", self.stacks),
            ("the containers ", self.containers),
        )
        return " and ".join(f"{words}{', '.join(names)}" for words, names in parts if names)


def left_on(access: Access, stack: str) -> Left:
    """Return what would be lost with a machine. Raises why it cannot be told."""
    ended = ask(access, stand_alone("farewell", {"stack": stack}))
    if ended.cut:
        raise unreachable(access, ended.err)
    if ended.status != 0:
        raise ObserveFailed(f"{access.name} did not tell what is on it", detail=last_lines(ended.err))
    told = read_told(access.name, ended.out)
    return Left(*(tuple(told[key].splitlines()) for key in ("volumes", "own", "apps", "stacks", "containers")))


def reachable(access: Access) -> HandfulError | None:
    """Return why a machine cannot be reached; None when it can."""
    ended = ask(access, "true")
    return None if ended.status == 0 and not ended.cut else unreachable(access, ended.err)
