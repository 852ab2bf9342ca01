from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_release import run_steps
from script_traffic import Traffic
from script_whole import wholly_in

from handful.plan.model import Step

if TYPE_CHECKING:
    from script_machine import Machine, Running, Said
    from script_release import Made


def begin_scale(machine: Machine, made: Made, count: int) -> Running:
    """Start the work that gives an app so many instances."""
    placed, *_ = [step for step in made.first_steps if step.script == "place_app"]
    steps = [Step("place_app", {**placed.values, "instances": str(count)})]
    for step in run_steps(made):
        scale = step.values.get("phase") == "start"
        steps.append(Step(step.script, {**step.values, "phase": "scale"}) if scale else step)
    return machine.begin(steps)


def scale(machine: Machine, made: Made, count: int) -> Said:
    """Give an app so many instances."""
    return begin_scale(machine, made, count).end()


def test_more_instances_join_those_that_serve(ready: Machine) -> None:
    """The first goes on as it is; nothing else is started or stopped, and no request fails."""
    web = ready.deployed(ready.make(1))
    first = ready.instances()[0].id
    with Traffic(ready) as traffic:
        said = scale(ready, web, 3)
        traffic.more()
    assert said.outcome == "done", said
    assert traffic.failures == []
    assert "web has 3 instances" in [event["text"] for event in said.events]
    assert ready.names(running=True) == ["shop.web-1", "shop.web-2", "shop.web-3"]
    assert first in {each.id for each in ready.instances()}
    assert len(ready.ready()) == 3
    wholly_in(ready, web, count=3)


def test_those_that_are_too_many_drain(ready: Machine) -> None:
    """The lowest numbers stay."""
    web = ready.deployed(ready.make(1, instances=3))
    with Traffic(ready) as traffic:
        said = scale(ready, web, 1)
        until(lambda: ready.names() == ["shop.web-1"])
        traffic.more()
    assert said.outcome == "done", said
    assert traffic.failures == []
    wholly_in(ready, web)


def test_one_that_has_ended_is_replaced_alone(ready: Machine) -> None:
    """The other one serves on."""
    web = ready.deployed(ready.make(1, instances=2))
    gone, stays = sorted(ready.instances(), key=lambda each: each.name)
    ready.docker.end(gone, 3)
    assert scale(ready, web, 2).outcome == "done"
    until(lambda: gone.id not in {each.id for each in ready.instances()})
    assert stays.id in {each.id for each in ready.instances()}
    wholly_in(ready, web, count=2)


def test_a_new_instance_that_fails_changes_nothing(ready: Machine) -> None:
    """Those that served serve on, and the count is as before."""
    web = ready.deployed(ready.make(1))
    ready.docker.images[web.image] = Behaviour(exits=1)
    with Traffic(ready) as traffic:
        said = scale(ready, web, 2)
        traffic.more()
    assert said.outcome == "failed"
    assert traffic.failures == []
    assert (ready.app() / "instances").read_text() == "1\n"
    wholly_in(ready, web)


@pytest.mark.parametrize(
    ("before", "after", "at"),
    [
        (1, 3, "docker run"), (1, 3, "ln -sfn"), (1, 3, "docker update --restart unless-stopped"),
        (3, 1, "state drain"), (3, 1, "ln -sfn"), (3, 1, "docker update --restart no"),
    ],
)
def test_cut_short_at_any_moment_it_is_put_right_by_the_next_deploy(ready: Machine, before: int, after: int, at: str) -> None:
    """A kill leaves the app serving, and the next deploy goes well."""
    web = ready.deployed(ready.make(1, instances=before))
    gate = ready.tap.gate(at)
    running = begin_scale(ready, web, after)
    gate.wait()
    with Traffic(ready) as traffic:
        running.kill("KILL")
        gate.open()
        running.end()
        new = ready.deployed(ready.make(2))
        traffic.more()
    assert traffic.failures == []
    wholly_in(ready, new)


def test_the_hours_of_an_app(ready: Machine) -> None:
    """Each minute the machine looks at its clock; what was asked for until some time comes first."""
    web = ready.deployed(ready.make(1))
    every, never = "1234567 0 1440", "1234567 0 0"
    hours(ready, f"{never} 5\n{every} 3\ndefault 1")
    assert tick(ready).code == 0
    assert len(ready.ready()) == 3
    told = ready.history()[-1]
    assert (told["event"], told["from"], told["to"], "deploy" in told) == ("hours", 1, 3, False)
    hours(ready, "default 1", "2 99999999999")
    tick(ready)
    assert len(ready.ready()) == 2
    hours(ready, "default 1", "2 1000")
    tick(ready)
    assert len(ready.ready()) == 1
    assert not (ready.app() / "scaled").exists()
    until(lambda: len(ready.instances()) == 1)
    wholly_in(ready, web)
    tick(ready)
    assert not (ready.app() / "hours").exists(), "what was for a time only is over"
    (ready.app() / "instances").write_text("2\n")
    assert tick(ready).out == ""
    assert len(ready.instances()) == 1


def test_hours_do_not_start_what_is_stopped(ready: Machine) -> None:
    """Nor do they run beside a deploy."""
    ready.deployed(ready.make(1))
    hours(ready, "1234567 0 1440 3\ndefault 1")
    assert ready.alone("stop_app", stack="shop", app="web", stop_timeout="1").code == 0
    tick(ready)
    assert ready.instances(running=True) == []


def test_hours_that_fail_leave_the_count(ready: Machine) -> None:
    """It is tried again after ten minutes, and history is told nothing."""
    web = ready.deployed(ready.make(1))
    hours(ready, "1234567 0 1440 3\ndefault 1")
    ready.docker.images[web.image] = Behaviour(exits=1)
    before = ready.history()
    tick(ready)
    assert (ready.app() / "instances").read_text() == "1\n"
    wholly_in(ready, web)
    assert ready.history() == before
    ready.docker.images[web.image] = Behaviour(answers={"/up": (200, "ok")})
    tick(ready)
    assert len(ready.instances()) == 1, "it waits ten minutes"
    (ready.app() / "hours_failed").write_text("1\n")
    tick(ready)
    assert len(ready.ready()) == 3


def test_without_hours_nothing_is_kept(ready: Machine) -> None:
    """The file goes; the timer may stay."""
    ready.deployed(ready.make(1))
    hours(ready, "default 1")
    hours(ready, "")
    assert not (ready.app() / "hours").exists()
    assert ready.tap.lines("systemctl")[-1] == "systemctl --quiet enable --now handful-hours.timer"


def test_a_deploy_waits_for_the_hours(ready: Machine) -> None:
    """It does not fail because the full hour has just struck."""
    ready.deployed(ready.make(1))
    hours(ready, "1234567 0 1440 2\ndefault 1")
    gate = ready.tap.gate("docker run")
    text = (ready.root / "hours.bash").read_text().replace('"$(dirname "$0")/stacks"', f"{ready.root}/stacks")
    struck = ready.start(text)
    gate.wait()
    running = ready.begin_deploy(ready.make(2, instances=2))
    # For a second it would wait for anybody.
    until(lambda: "flock -w 120 9" in ready.inside("ps", "-eo", "args"))
    gate.open()
    struck.end()
    assert running.end().outcome == "done"
    assert ready.current().startswith("0002")


def test_hours_leave_alone_what_a_deploy_has_just_changed(ready: Machine) -> None:
    """An older release's run_app.bash does not bring itself back."""
    old, new = ready.deployed(ready.make(1)), ready.deployed(ready.make(2))
    file = ready.app() / "releases" / old.id / "run_app.bash"
    assert ready.bash(f"bash {file} scale_to 3").code == 0
    wholly_in(ready, new)


def hours(machine: Machine, lines: str, scaled: str = "") -> None:
    """Give web these hours."""
    said = machine.alone("keep_hours", stack="shop", app="web", hours=lines, scaled=scaled)
    assert said.code == 0, said


def tick(machine: Machine) -> Said:
    """Let a minute begin."""
    return machine.bash((machine.root / "hours.bash").read_text().replace('"$(dirname "$0")/stacks"', f"{machine.root}/stacks"))
