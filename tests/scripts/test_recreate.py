from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from script_containers import Behaviour
from script_poll import until
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine
    from script_tap import Call

RECREATE: dict[str, Any] = {"deploy": {"strategy": "recreate"}, "volumes": {"data": "/data"}}


class Together:
    """Remembers calls at which two releases' containers ran at once."""

    def __init__(self, machine: Machine) -> None:
        self.seen: list[str] = []
        self._machine = machine
        machine.tap.watchers.append(self.look)

    def look(self, call: Call) -> None:
        """Look at what runs."""
        if len({each.labels["handful.release"] for each in self._machine.instances(running=True)}) > 1:
            self.seen.append(call.line)


def test_the_old_stops_before_the_new_starts(ready: Machine) -> None:
    """Two releases never run at once on one volume."""
    ready.deployed(ready.make(1, **RECREATE))
    together = Together(ready)
    new = ready.deployed(ready.make(2, **RECREATE))
    wholly_in(ready, new)
    assert together.seen == []


def test_it_says_that_the_app_stops(ready: Machine) -> None:
    """The outage is announced."""
    ready.deployed(ready.make(1, **RECREATE))
    said = ready.deploy(ready.make(2, **RECREATE))
    assert "web stops: its strategy is recreate" in [event["text"] for event in said.events]


@pytest.mark.parametrize("behaviour", [Behaviour(exits=1), Behaviour(answers={"/up": (500, "broken")})])
def test_the_old_starts_again_when_the_new_fails(ready: Machine, behaviour: Behaviour) -> None:
    """The failed instance is gone before the old one, on its own address, starts again."""
    health = {"path": "/up", "every": "0.1s", "within": "1s"}
    old = ready.deployed(ready.make(1, **RECREATE))
    together = Together(ready)
    said = ready.deploy(ready.make(2, behaviour, health=health, **RECREATE))
    assert said.outcome == "failed"
    until(lambda: ready.answer().startswith("200 "))
    wholly_in(ready, old)
    assert together.seen == []


def test_a_failure_after_the_switch_starts_the_old_again(ready: Machine) -> None:
    """The new one had taken over; the way back stops it before it starts the old one, and traffic follows."""
    old = ready.deployed(ready.make(1, **RECREATE))
    together = Together(ready)
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2, **RECREATE))
    gate.wait()
    running.kill()
    gate.open()
    assert running.end().outcome == "interrupted"
    until(lambda: ready.answer().startswith("200 "))
    wholly_in(ready, old)
    assert together.seen == []


def test_an_old_release_that_is_slow_to_come_back_gets_the_traffic(ready: Machine) -> None:
    """The way back does not wait for its health: the proxy sends it requests as soon as it answers."""
    behaviour = Behaviour(answers={"/up": (200, "ok")})
    old = ready.deployed(ready.make(1, behaviour, **RECREATE))
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2, **RECREATE))
    gate.wait()
    running.kill()
    behaviour.answers["/up"] = (503, "replaying its log")
    gate.open()
    assert running.end().outcome == "interrupted"
    until(lambda: ready.ready() == [])
    behaviour.answers["/up"] = (200, "ok")
    wholly_in(ready, old)


def test_killed_between_stop_and_start_the_next_run_puts_it_right(ready: Machine) -> None:
    """A power cut while nothing runs: the next deploy starts from there and ends in its own release."""
    ready.deployed(ready.make(1, **RECREATE))
    gate = ready.tap.gate("run --detach")
    running = ready.begin_deploy(ready.make(2, **RECREATE))
    gate.wait()
    running.kill("KILL")
    running.end()
    gate.open()
    wholly_in(ready, ready.deployed(ready.make(3, **RECREATE)))


def test_the_volume_is_the_same(ready: Machine) -> None:
    """Both releases get the stack's volume of that name."""
    ready.deployed(ready.make(1, **RECREATE))
    ready.deployed(ready.make(2, **RECREATE))
    assert {volume for each in ready.instances() for volume in each.options["volume"]} == {"shop.data:/data"}
