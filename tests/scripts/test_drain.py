from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_slow import Slow
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine


def drained(machine: Machine, counter: int, drain_timeout: str = "15s") -> Slow:
    """Deploy a release and begin a request to it: from the next deploy on it drains."""
    machine.deployed(machine.make(counter, drain_timeout=drain_timeout))
    return Slow(machine)


@pytest.mark.parametrize("keys", [{}, {"timeouts": {"response": "9s"}}], ids=["runtime", "reload"])
def test_a_request_under_way_is_answered_by_the_old_instance(ready: Machine, keys: dict[str, object]) -> None:
    """The deploy ends at the switch; the old instance stays until its last request is answered, after a reload too."""
    old = ready.deployed(ready.make(1))
    slow = Slow(ready)
    new = ready.deployed(ready.make(2, **keys))
    assert ready.get() == f"200 {new.id} web-2"
    assert "shop.web-1" in ready.names(running=True)
    assert ready.slots() == {"10.211.0.2": "backup", "10.211.0.3": "active"}
    assert slow.finish() == f"200 {old.id} web-1"
    wholly_in(ready, new)


def test_after_drain_timeout_it_is_stopped_all_the_same(ready: Machine) -> None:
    """A request that never ends holds its instance no longer than drain_timeout; a GET is then asked of the new one."""
    ready.deployed(ready.make(1))
    slow = Slow(ready)
    new = ready.deployed(ready.make(2, drain_timeout="1s"))
    wholly_in(ready, new)
    (instance,) = ready.instances()
    instance.behaviour.slow.set()
    assert slow.wait() == f"200 {new.id} web-2"


def test_slots_are_free_in_the_running_proxy_too(ready: Machine) -> None:
    """What drained is in maintenance, so that nothing checks an address that another may get."""
    ready.deployed(ready.make(1))
    ready.deployed(ready.make(2))
    wholly_in(ready, ready.deployed(ready.make(3)))

    def checked() -> list[str]:
        lines = [line.split() for line in ready.proxy_says("show servers state shop.web").splitlines()[2:] if line]
        return [line[4] for line in lines if not int(line[6]) & 1]

    until(lambda: checked() == ["10.211.0.4"])


def test_an_instance_that_ignores_its_stop_signal_is_killed(ready: Machine) -> None:
    """Docker is asked to wait for stop_timeout and not longer."""
    ready.deployed(ready.make(1, Behaviour(answers={"/up": (200, "ok")}, ignores_term=True)))
    wholly_in(ready, ready.deployed(ready.make(2)))
    assert ready.tap.lines("docker stop -t 1 ") != []


def test_the_drain_lives_on_without_the_deploy(ready: Machine) -> None:
    """The lock of the stack is free while a drain still runs: another deploy may begin."""
    ready.deployed(ready.make(1))
    slow = Slow(ready)
    ready.deployed(ready.make(2))
    assert ready.names(running=True) == ["shop.web-1", "shop.web-2"]
    assert ready.inside("flock", "-n", str(ready.root / "stacks/shop/lock"), "echo", "free") == "free\n"
    assert ready.inside("flock", "-n", str(ready.root / "lock"), "echo", "free") == "free\n"
    slow.finish()


def test_a_second_deploy_while_the_first_still_drains(ready: Machine) -> None:
    """Two generations drain side by side; the first still answers what it began, both end, and their slots are free."""
    old = ready.deployed(ready.make(1, drain_timeout="15s"))
    slow = Slow(ready)
    ready.deployed(ready.make(2, drain_timeout="15s"))
    third = ready.deployed(ready.make(3, drain_timeout="15s"))
    assert slow.finish() == f"200 {old.id} web-1"
    wholly_in(ready, third)


def test_a_drain_takes_nothing_that_came_after_it(ready: Machine) -> None:
    """What drained first is gone, and a later release has its name and its slot, when a second drain ends."""
    first, second = drained(ready, 1), drained(ready, 2)
    # This one's drain takes both.
    ready.deployed(ready.make(3, drain_timeout="15s"))
    first.finish()
    ready.docker.gone("shop.web-1")
    until(lambda: len(ready.slots()) == 2)
    fourth = ready.deployed(ready.make(4, drain_timeout="15s"))
    assert "shop.web-1" in ready.names(running=True)
    second.finish()
    wholly_in(ready, fourth)


def test_at_most_two_generations_drain(ready: Machine) -> None:
    """A third deploy ends the drain of the first release, however long its requests take."""
    first, second, third = (drained(ready, counter, "60s") for counter in (1, 2, 3))
    assert "shop.web-1" in ready.names(running=True)
    ready.deployed(ready.make(4, drain_timeout="60s"))
    ready.docker.gone("shop.web-1")
    assert {"shop.web-2", "shop.web-3"} <= set(ready.names(running=True))
    for each in (first, second, third):
        each.finish()


def test_a_drain_survives_the_removal_of_its_app(ready: Machine) -> None:
    """The app is removed while it drains: nothing of it is left, and nothing hangs."""
    ready.deployed(ready.make(1))
    slow = Slow(ready)
    ready.deployed(ready.make(2))
    said = ready.alone("remove_app", stack="shop", app="web", stop_timeout="1")
    assert said.code == 0, said
    slow.wait()
    assert ready.instances() == []
    assert not ready.fragment().exists()


def test_an_old_release_without_a_port_stops_at_once(ready: Machine) -> None:
    """A worker has no connections to wait for."""
    def worker(counter: int) -> dict[str, object]:
        return {"counter": counter, "app": "worker", "port": None, "health": None, "behaviour": Behaviour(port=None)}

    ready.deployed(ready.make(**worker(1)))  # type: ignore[arg-type]  # keys of different kinds
    ready.deployed(ready.make(**worker(2)))  # type: ignore[arg-type]  # likewise
    until(lambda: ready.names("worker") == ["shop.worker-2"])
