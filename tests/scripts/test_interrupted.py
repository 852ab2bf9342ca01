from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_tap import Answer
from script_traffic import Traffic
from script_whole import two_apps, wholly_in

if TYPE_CHECKING:
    from script_machine import Machine, Running
    from script_release import Made
    from script_tap import Gate

# What a deploy is about to do, in its order.
NUMBER, IMAGE, JOURNAL, RUN = BEFORE_SWITCH = (
    "{app}/number.new", "image inspect", "inspect --format {{{{.ID}}}}", "run --detach",
)
DISK, JOIN, JOINED, DRAIN, LINK, CURRENT, TURNED, ROUTES = SWITCH = (
    "{root}/proxy/conf/50", "state maint", "show servers state", "state drain", "ln -sfn", "{app}/current.new {app}/current",
    "{app}/current.new {app}/current >> {root}/proxy/conf/50", "routes.map.new",
)
PROMOTE, DEMOTE, REMEMBER, END = FINISH = (
    "update --restart unless-stopped", "update --restart no", "{app}/released.new", "rm -rf {app}/deploying {app}/stopped",
)


@pytest.fixture
def old(ready: Machine) -> Made:
    """Give the release that serves, with a domain: the next one brings another."""
    return ready.deployed(ready.make(1, domains=["a.test"]))


def second(machine: Machine, counter: int = 2) -> Made:
    """Make a release that takes the first one's place at runtime, with another domain."""
    return machine.make(counter, domains=["a.test", "b.test"])


@pytest.mark.parametrize("moment", [*BEFORE_SWITCH, *SWITCH, *FINISH])
def test_ended_at_any_moment_the_old_release_serves(ready: Machine, old: Made, moment: str) -> None:
    """The work's group is ended before, in and after the switch: everything goes back, and no request is lost."""
    with Traffic(ready) as traffic:
        running = hold(ready, moment)
        running.kill()
        ready.tap.open()
        said = running.end()
        wholly_in(ready, old)
    assert said.outcome == "interrupted", said
    assert ready.history()[-1]["outcome"] == "interrupted"
    assert traffic.failures == []
    kept = [made.name for made in (ready.app() / "releases").iterdir()]
    assert kept == [old.id] or moment == END


@pytest.mark.parametrize("moment", [DISK, JOIN, DRAIN, TURNED, DEMOTE])
def test_going_back_never_takes_a_serving_instance_out(ready: Machine, old: Made, moment: str) -> None:
    """Before the new one has joined the old one is alone: an instant of maintenance would be a failed request."""
    running = hold(ready, moment)
    running.kill()
    ready.tap.open()
    running.end()
    wholly_in(ready, old)
    assert [call for call in ready.tap.lines("state ready") if "web/s1 state maint" in call] == []


@pytest.mark.parametrize("moment", [JOURNAL, RUN, *SWITCH, *FINISH])
def test_killed_at_any_moment_the_next_deploy_puts_it_right(ready: Machine, old: Made, moment: str) -> None:
    """The work dies without a word, as at a power cut: traffic goes on, and the next deploy ends in its own release."""
    with Traffic(ready) as traffic:
        running = hold(ready, moment)
        running.kill("KILL")
        running.end()
        ready.tap.open()
        traffic.more()
        new = ready.deployed(second(ready, 3))
        wholly_in(ready, new)
    assert traffic.failures == []
    assert old.id in (ready.app() / "released").read_text()


@pytest.mark.parametrize("moment", [DISK, TURNED, DEMOTE])
def test_killed_at_any_moment_going_back_by_hand_works(ready: Machine, old: Made, moment: str) -> None:
    """After a power cut in a switch, the old release's own run_app.bash brings the machine wholly back to it."""
    running = hold(ready, moment)
    running.kill("KILL")
    running.end()
    ready.tap.open()
    said = ready.bash(f"bash {ready.app()}/releases/{old.id}/run_app.bash")
    assert said.code == 0, said
    wholly_in(ready, old)


@pytest.mark.parametrize("moment", [RUN, JOIN, TURNED, DEMOTE])
def test_by_hand_ctrl_c_goes_back(ready: Machine, old: Made, moment: str) -> None:
    """Ctrl-C in `bash run_app.bash` takes back what it began."""
    script = ready.place(second(ready))
    gate = gate_at(ready, moment)
    running = ready.start(f"bash {script}")
    gate.wait()
    running.kill("INT")
    ready.tap.open()
    assert running.end().code != 0
    wholly_in(ready, old)
    assert ready.history()[-1]["outcome"] == "interrupted"


def test_by_hand_a_second_ctrl_c_does_not_break_the_way_back(ready: Machine, old: Made) -> None:
    """Who is impatient presses Ctrl-C again: what goes back goes on going back."""
    script = ready.place(second(ready))
    gate = gate_at(ready, TURNED)
    running = ready.start(f"bash {script}")
    gate.wait()
    back = ready.tap.gate("set server")
    running.kill("INT")
    gate.open()
    back.wait()
    running.kill("INT")
    back.open()
    assert running.end().code != 0
    wholly_in(ready, old)


def test_ended_while_it_waits_for_health(ready: Machine, old: Made) -> None:
    """An instance that never becomes healthy is taken away when the work is ended."""
    slow = Behaviour(answers={"/up": (503, "not yet")})
    running = ready.begin_deploy(ready.make(2, slow))
    until(lambda: slow.heard)
    running.kill()
    assert running.end().outcome == "interrupted"
    wholly_in(ready, old)


def test_ended_in_a_first_deploy_leaves_nothing(ready: Machine) -> None:
    """There is no old release: the app is gone, from disk, proxy and names."""
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(1))
    gate.wait()
    running.kill()
    gate.open()
    assert running.end().outcome == "interrupted"
    until(lambda: ready.instances() == [])
    assert not ready.app().exists()
    assert not ready.fragment().exists()
    assert ready.ready() == []
    assert "web.shop.internal" not in ready.hosts.read_text()


def test_ended_in_a_release_command(ready: Machine, old: Made) -> None:
    """Its container is removed, and nothing else was begun."""
    gate = ready.tap.gate("docker run --rm")
    running = ready.begin_deploy(ready.make(2, release_command=["migrate"]), commands=["web"])
    gate.wait()
    running.kill()
    gate.open()
    assert running.end().outcome == "interrupted"
    assert "shop.web.release-command" not in ready.docker.containers
    wholly_in(ready, old)


def test_ended_while_a_reload_is_under_way(ready: Machine, old: Made) -> None:
    """A switch that needs a reload goes back with another reload, without a lost request."""
    gate = ready.tap.gate(" reload")
    with Traffic(ready) as traffic:
        running = ready.begin_deploy(ready.make(2, timeouts={"response": "9s"}))
        gate.wait()
        running.kill()
        gate.open()
        assert running.end().outcome == "interrupted"
        wholly_in(ready, old)
    assert traffic.failures == []
    assert "timeout server 60000ms" in ready.fragment().read_text()


def test_of_two_apps_both_go_back(ready: Machine) -> None:
    """One app has switched, the other has not begun to: the machine is wholly in the old release of both."""
    web, api = two_apps(ready, 1)
    ready.deployed(web, api)
    gate = ready.tap.gate("set server shop.api/s2 state maint")
    running = ready.begin_deploy(*two_apps(ready, 2))
    gate.wait()
    running.kill()
    gate.open()
    assert running.end().outcome == "interrupted"
    wholly_in(ready, web)
    wholly_in(ready, api)


def test_a_failure_in_finish_leaves_no_app_halfway(ready: Machine, old: Made) -> None:
    """Docker refuses to demote the old instance's policy: whatever the outcome, one release is whole."""
    ready.docker.faults["update --restart unless-stopped shop.web-2"] = Answer(err="I/O error\n", status=1)
    said = ready.deploy(second(ready))
    ready.docker.faults.clear()
    assert said.outcome == "failed"
    wholly_in(ready, old)


def gate_at(machine: Machine, moment: str) -> Gate:
    """Return a gate at a moment; `>>` stands for: and after that."""
    return machine.tap.gate(*moment.format(app=machine.app(), root=machine.root).split(" >> "))


def hold(machine: Machine, moment: str) -> Running:
    """Start the second release's deploy and return it, held at a moment."""
    gate = gate_at(machine, moment)
    running = machine.begin_deploy(second(machine))
    gate.wait()
    return running
