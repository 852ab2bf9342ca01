from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_traffic import Traffic
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine
    from script_release import Made


def cut_short(machine: Machine, made: Made, *moments: str) -> None:
    """Begin a deploy that dies without a word at a moment, as in a power cut."""
    gate = machine.tap.gate(*moments)
    running = machine.begin_deploy(made)
    gate.wait()
    running.kill("KILL")
    running.end()
    gate.open()


def test_what_had_switched_is_finished(ready: Machine) -> None:
    """The next deploy says that it finishes the interrupted switch first, and then does its own."""
    ready.deployed(ready.make(1))
    second = ready.make(2)
    cut_short(ready, second, "current.new", "conf/50-shop.web.cfg.new")
    said = ready.deploy(ready.make(3))
    assert said.outcome == "done"
    (recovered,) = [event for event in said.events if event["event"] == "recovered"]
    assert recovered["text"] == f"the interrupted switch of web to {second.id} is finished first"
    assert (ready.app() / "released").read_text().split()[1] == second.id


def test_what_had_not_switched_is_taken_back(ready: Machine) -> None:
    """The next deploy clears the interrupted start away, its release included."""
    ready.deployed(ready.make(1))
    second = ready.make(2)
    cut_short(ready, second, "state maint")
    said = ready.deploy(ready.make(3))
    assert said.outcome == "done"
    (recovered,) = [event for event in said.events if event["event"] == "recovered"]
    assert recovered["text"] == "an interrupted start of web is cleared away first"
    assert not (ready.app() / "releases" / second.id).exists()
    until(lambda: second.image not in ready.docker.images)


def test_the_interrupted_release_itself_can_be_tried_again(ready: Machine) -> None:
    """Its folder is taken back with the rest, but not when it is the one that is about to run."""
    ready.deployed(ready.make(1))
    second = ready.make(2)
    cut_short(ready, second, "state maint")
    wholly_in(ready, ready.deployed(second))


def test_routes_that_an_interrupted_switch_did_not_set_are_set(ready: Machine) -> None:
    """The switch brought a domain and died before its route: finishing it sets the route."""
    ready.deployed(ready.make(1, domains=["old.test"]))
    second = ready.make(2, domains=["old.test", "new.test"])
    cut_short(ready, second, "current.new", "routes.map.new")
    assert "new.test" not in (ready.root / "proxy" / "conf" / "routes.map").read_text()
    gate = ready.tap.gate("run --detach --name shop.web-")
    running = ready.begin_deploy(ready.make(3, domains=["old.test", "new.test"]))
    gate.wait()
    assert ready.get(address="127.0.0.1", port=80, host="new.test") == f"200 {second.id} web-2"
    gate.open()
    assert running.end().outcome == "done"


def test_a_third_release_on_another_port_does_not_break_what_is_finished(ready: Machine) -> None:
    """The interrupted release listens on its own port: what finishes it must not write the third one's."""
    ready.deployed(ready.make(1))
    second = ready.make(2)
    cut_short(ready, second, "current.new", "conf/50-shop.web.cfg.new")
    third = ready.make(3, Behaviour(port=9000, answers={"/up": (200, "ok")}), port=9000)
    with Traffic(ready) as traffic:
        gate = ready.tap.gate("run --detach --name shop.web-")
        running = ready.begin_deploy(third)
        gate.wait()
        traffic.more()
    assert traffic.failures == []
    gate.open()
    assert running.end().outcome == "done"
    assert ready.get(port=9000).startswith(f"200 {third.id} ")


@pytest.mark.parametrize("moment", ["inspect --format {{.ID}}", "run --detach", "state maint"])
def test_no_other_release_is_lost(ready: Machine, moment: str) -> None:
    """Whatever a dead run left, putting it right touches the folders of no release that was in use."""
    first, second = ready.deployed(ready.make(1)), ready.deployed(ready.make(2))
    cut_short(ready, ready.make(3), moment)
    fourth = ready.deployed(ready.make(4))
    kept = sorted(folder.name for folder in (ready.app() / "releases").iterdir())
    assert kept == [first.id, second.id, fourth.id]


def test_a_deploy_that_fails_after_it_finished_another_keeps_that_one(ready: Machine) -> None:
    """The interrupted second release is finished; the third fails: the second serves."""
    ready.deployed(ready.make(1))
    second = ready.make(2)
    cut_short(ready, second, "update --restart unless-stopped")
    assert ready.deploy(ready.make(3, Behaviour(exits=1))).outcome == "failed"
    wholly_in(ready, second)


def test_a_reboot_between_does_not_matter(ready: Machine) -> None:
    """Power cut in a switch, boot, then the next deploy."""
    ready.deployed(ready.make(1))
    cut_short(ready, ready.make(2), "current.new", "conf/50-shop.web.cfg.new")
    ready.docker.reboot()
    wholly_in(ready, ready.deployed(ready.make(3)))
