"""How do machines, apps and instances look, also when they are not as they should be?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from world import ready

from handful.config.model import Config
from handful.errors import HandfulError, Unreachable
from handful.facts.model import AppState, Container, Facts, Slot, StackState
from handful.machine.access import Access
from handful.report.status import addresses, drift, health, status_json, status_text, unfinished
from handful.report.table import ago, size, table

NOON = 1795348800.0
WEB = Container(
    "shop.web-1", "handful/shop/web:v1", running=True, stack="shop", app="web", release="0001-a", instance="web-1",
    started="2026-11-22T11:58:20.123456789Z", restart="unless-stopped", address="10.211.0.2",
)
UP = Slot("shop.web", "s1", "10.211.0.2", up=True, ready=True)
STATE = AppState(number=1, instances=1, current="0001-a", released=("0001-a",))


def config(*machines: str, **app: Any) -> Config:
    """Return a config with the app web on all machines."""
    told = {name: {"address": f"192.0.2.{number}"} for number, name in enumerate(machines, 1)}
    web = {"image": "x", "port": 80, "machines": list(machines), **app}
    return Config.model_validate({"project": "shop", "machines": told, "apps": {"web": web}})


def machine(name: str = "m1", *containers: Container, state: AppState = STATE, holder: str = "", **more: Any) -> Facts:
    """Return a machine with the app web."""
    stacks = {"shop": StackState(holder=holder, apps={"web": state})}
    parts = ready(name).containers
    return replace(ready(name), clock=NOON, containers=(*parts, *containers), stacks=stacks, slots=(UP,), **more)


def text(found: Mapping[str, Facts | HandfulError]) -> list[str]:
    """Return the lines of `handful status`."""
    return status_text(config(*found), "shop", found).splitlines()


def test_a_machine_and_its_instances() -> None:
    """A block each; what is as it should be needs no sentence."""
    assert text({"m1": machine("m1", WEB)}) == [
        "MACHINE  OS         DOCKER  CPUS  LOAD  MEMORY FREE       DISK FREE",
        "m1       debian 13  26.1.5  2     0.00  3.2 GB of 4.3 GB  21.5 GB of 42.9 GB",
        "",
        "APP  MACHINE  RELEASE  INSTANCE  HEALTH   SINCE  ADDRESS",
        "web  m1       0001-a   web-1     healthy  100 s  10.211.0.2",
    ]


def test_nothing_runs_yet() -> None:
    """A machine that knows nothing of the stack."""
    assert text({"m1": ready("m1")})[-1] == "shop: nothing runs yet"


def test_a_machine_that_is_silent_has_its_error() -> None:
    """And the others are shown all the same."""
    lines = text({"m1": Unreachable("m1 cannot be reached"), "m2": machine("m2", WEB)})
    assert lines[1].split(maxsplit=1) == ["m1", "m1 cannot be reached"]
    assert "healthy" in lines[-1]


def test_a_machine_without_docker() -> None:
    """Says so where its version would stand."""
    assert text({"m1": replace(ready("m1"), docker="")})[1].split()[3] == "none"


def test_a_machine_where_somebody_is_at_work() -> None:
    """Of whatever stack."""
    busy = replace(ready("m1"), stacks={"blog": StackState(holder="ann")})
    assert text({"m1": busy})[1].endswith("  a deploy is at work")


@pytest.mark.parametrize(
    ("change", "state", "slots", "told"),
    [
        ({}, {}, (UP,), "healthy"),
        ({}, {}, (replace(UP, up=False),), "unhealthy"),
        ({}, {}, (replace(UP, ready=False),), "unhealthy"),
        ({}, {}, (replace(UP, backend="blog.web"),), "running"),
        ({}, {}, (replace(UP, address="10.211.0.3"),), "running"),
        ({"restarts": 3}, {}, (), "running, 3 restarts"),
        ({"running": False, "exit_code": 137}, {}, (UP,), "exited 137"),
        ({"running": False, "exit_code": 0}, {"stopped": True}, (), "stopped"),
        ({"restart": "no"}, {}, (UP,), "draining"),
        ({"restart": "no", "release": "0002-b"}, {"deploying": "0002-b"}, (UP,), "starting"),
    ],
)
def test_health(change: dict[str, Any], state: dict[str, Any], slots: tuple[Slot, ...], told: str) -> None:
    """What the proxy sees counts, where there is one in front."""
    instance = replace(WEB, **change)
    here = replace(machine("m1", instance, state=replace(STATE, **state)), slots=slots)
    assert health(here, instance) == told


@pytest.mark.parametrize("started", ["", "yesterday", "2026-13-45T99:99:99Z"])
def test_a_start_that_is_no_date_is_not_shown(started: str) -> None:
    """Docker of another version may write it in another way."""
    assert text({"m1": machine("m1", replace(WEB, started=started))})[-1].split() == [
        "web", "m1", "0001-a", "web-1", "healthy", "10.211.0.2",
    ]


def test_an_app_without_instances() -> None:
    """It has a line of its own, with the release that would run."""
    assert text({"m1": machine()})[4].split() == ["web", "m1", "0001-a", "-", "nothing", "runs"]
    assert text({"m1": machine(state=replace(STATE, stopped=True))})[4].split() == ["web", "m1", "0001-a", "-", "stopped"]
    assert text({"m1": machine(state=AppState())})[4].split() == ["web", "m1", "none", "-", "nothing", "runs"]


def test_another_stacks_instances_are_not_shown() -> None:
    """Nor are the system's own parts."""
    other = replace(WEB, stack="shop-stage", name="shop-stage.web-1")
    assert len([line for line in text({"m1": machine("m1", WEB, other)}) if line.startswith("web ")]) == 1


def test_a_fleet_on_different_releases_is_unfinished() -> None:
    """Each machine with what it runs, and both ways out."""
    facts = {"m1": machine("m1", state=replace(STATE, current="0002-b")), "m2": machine("m2"), "m3": ready("m3")}
    assert unfinished("shop", facts) == [
        "unfinished: web: m1 on 0002-b, m2 on 0001-a. Finish it: handful deploy. Take it back: handful rollback."
    ]


def test_a_switch_that_was_cut_short_is_unfinished() -> None:
    """Unless the deploy is still at work."""
    cut = replace(STATE, deploying="0002-b")
    assert unfinished("shop", {"m1": machine(state=cut)}) == [
        "unfinished: web: m1 on 0001-a, cut short on the way to 0002-b. Finish it: handful deploy. Take it back: handful rollback."
    ]
    assert unfinished("shop", {"m1": machine(state=cut, holder="ann")}) == []


def test_a_deploy_that_never_ended_and_changed_nothing_is_not_unfinished() -> None:
    """There is nothing that a next one could finish: only history tells of it."""
    begun = {"deploy": 3, "event": "begun", "what": "deploy", "apps": {"web": {"from": "0001-a", "to": "0002-b"}}}
    here = machine("m1", WEB)
    facts = {"m1": replace(here, stacks={"shop": replace(here.stack("shop"), history=(begun,))})}
    assert unfinished("shop", facts) == []


def test_a_fleet_where_a_deploy_is_at_work_is_not_unfinished() -> None:
    """One machine has switched, the other is about to."""
    facts = {"m1": machine("m1", state=replace(STATE, current="0002-b")), "m2": machine("m2", holder="ann")}
    assert unfinished("shop", facts) == []


def test_an_app_in_a_place_that_it_left_is_not_unfinished() -> None:
    """`apply` takes it away; no deploy brings it to the new release."""
    facts = {"m1": machine("m1", state=replace(STATE, current="0002-b")), "m2": machine("m2")}
    named = config("m1", "m2").model_copy(update={"apps": config("m1").apps})
    assert unfinished("shop", facts, named) == []
    assert len(unfinished("shop", facts, config("m1", "m2"))) == 1


@pytest.mark.parametrize(
    ("here", "told"),
    [
        (machine("m1", WEB), []),
        (machine("m1"), ["drift: 0 of 1 instances of web run on m1. Mend it: handful apply"]),
        (machine("m1", WEB, replace(WEB, name="shop.web-2")), ["drift: 2 of 1 instances of web run on m1. Mend it: handful apply"]),
        (machine("m1", WEB, replace(WEB, name="shop.web-2", restart="no")), []),
        (machine("m1", replace(WEB, release="0000-z")), ["drift: 0 of 1 instances of web run on m1. Mend it: handful apply"]),
        (machine("m1", state=replace(STATE, stopped=True)), []),
        (machine("m1", state=AppState()), ["drift: web is in the file and not on m1. Bring it: handful deploy web"]),
        (machine("m1", holder="ann"), []),
        (machine("m1", WEB, skew=2.0), []),
        (machine("m1", WEB, skew=-75.0), ["drift: the clock of m1 is -75 s off"]),
    ],
)
def test_drift(here: Facts, told: list[str]) -> None:
    """What is not as it was left, with the way to mend it; a deploy at work is no drift."""
    assert drift(config("m1"), "shop", {"m1": here}) == told


def test_an_app_in_the_wrong_place_is_drift() -> None:
    """Left by the file, or by its `machines`."""
    facts = {"m1": machine("m1", WEB), "m2": machine("m2", WEB)}
    named = config("m1", "m2").model_copy(update={"apps": config("m1").apps})
    assert drift(named, "shop", facts) == ["drift: the file does not place web on m2. Take it away: handful apply"]
    nowhere = config("m1", "m2").model_copy(update={"apps": {}})
    assert drift(nowhere, "shop", {"m1": facts["m1"]}) == ["drift: web on m1 is not in the file. Take it away: handful remove web"]


def test_the_same_for_programs() -> None:
    """All that the text says, as JSON."""
    found: dict[str, Facts | HandfulError] = {"m1": machine("m1", WEB), "m2": Unreachable("m2 cannot be reached")}
    told = json.loads(status_json(config("m1", "m2"), "shop", found))
    assert told["stack"] == "shop"
    assert told["machines"]["m2"] == {"error": "m2 cannot be reached"}
    assert told["machines"]["m1"]["docker"] == "26.1.5"
    assert told["instances"] == [{
        "app": "web", "machine": "m1", "release": "0001-a", "instance": "web-1", "health": "healthy",
        "since": "2026-11-22T11:58:20.123456789Z", "address": "10.211.0.2",
    }]
    assert (told["unfinished"], told["drift"]) == ([], [])


def test_where_an_app_is_served() -> None:
    """A line per domain, with the machines that answer for it."""
    machines = {"m1": Access("m1", "192.0.2.1"), "m2": Access("m2", "192.0.2.2")}
    told = config("m1", "m2", domains=["a.example.com", "b.example.com"], path="/api/")
    assert addresses(told, machines, {"web"}) == [
        "web: http://a.example.com/api/  (on 192.0.2.1, 192.0.2.2)",
        "web: http://b.example.com/api/  (on 192.0.2.1, 192.0.2.2)",
    ]
    assert addresses(told, machines, {"other"}) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-3, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172799, "48 h"),
        (172800, "2 days"), (86400 * 400, "400 days"),
    ],
)
def test_ages(seconds: float, told: str) -> None:
    """In the largest unit that says enough; a clock that is behind does not make an instance come from the future."""
    assert ago(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (5e8, "500 MB"), (1.25e9, "1.2 GB"), (2e12, "2000.0 GB")],
)
def test_sizes(count: float, told: str) -> None:
    """As disks are sold: by thousands, and never a thousand of a unit that has a next one."""
    assert size(count) == told


def test_columns_line_up() -> None:
    """And no line ends in spaces."""
    assert table(("A", "B", ""), [("long", "", ""), ("x", "y", "z")]) == "A     B\nlong\nx     y  z"
