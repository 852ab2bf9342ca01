"""Are apps wholly in one release, and in nothing else?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_poll import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from script_machine import Machine
    from script_release import Made


def two_apps(
    machine: Machine, counter: int, web: Sequence[str] = (), api: Sequence[str] = (), **keys: object
) -> tuple[Made, Made]:
    """Make releases of two apps, web and api, that have these domains; `keys` are api's."""
    other = Behaviour(port=9000, answers={"/up": (200, "ok")})
    made = machine.make(counter, other, app="api", number=2, port=9000, domains=list(api), **keys)
    return machine.make(counter, domains=list(web)), made


def wholly_in(machine: Machine, made: Made, *, count: int = 1) -> None:
    """Check that an app's traffic, containers, restart policies, `current` and fragment are those of one release.

    Waits until drains have ended. Fails when anything of another release is left.
    """
    app, stack = made.app, made.stack
    until(
        lambda: len(machine.instances(app, stack)) == count,
        f"instances: {machine.names(app, stack)}", 12,
    )
    instances = machine.instances(app, stack)
    assert {each.labels["handful.release"] for each in instances} == {made.id}
    assert {(each.running, each.restart) for each in instances} == {(True, "unless-stopped")}
    assert machine.current(app, stack) == made.id
    assert not (machine.app(app, stack) / "deploying").exists()
    addresses = sorted(each.address for each in instances)
    until(lambda: machine.ready(app, stack) == addresses, f"the proxy has not {addresses}", 12)
    until(lambda: machine.slots(app, stack) == dict.fromkeys(addresses, "active"), f"not {addresses} alone on disk", 12)
    answers = {machine.get() for _ in range(2 * count)} if made.number == 1 else set()
    assert all(answer.startswith(f"200 {made.id} ") for answer in answers), answers
