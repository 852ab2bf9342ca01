"""What holds for every plan, whatever the file says and whatever happened before?

Acts of all kinds, on one to three machines, that end well or not, are carried out by the model of
tests/support/world.py; then a plan is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from handful.artifact.script import contract, run_app, work_script
from handful.config.model import Config
from handful.errors import HandfulError
from handful.facts.model import Facts
from handful.plan.back import history
from handful.plan.model import Plan, Step, Work
from handful.plan.traffic import NAMES_NUMBER
from world import STEPS, carried_out, planned, ready

NAMES = ["api", "db", "web", "worker"]
MACHINES = ["m1", "m2", "m3"]
PHASES = ["release_command", "start", "wait", "switch", "finish"]
settings.register_profile("plans", max_examples=120, deadline=None)
settings.load_profile("plans")


@st.composite
def apps(draw: st.DrawFn, machines: list[str]) -> dict[str, dict[str, Any]]:
    """Return one to four apps that fit together: needs are on the same machines, images belong to one another."""
    found: dict[str, dict[str, Any]] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        on = draw(st.lists(st.sampled_from(machines), min_size=1, unique=True))
        owners = [other for other, app in found.items() if "build" in app]
        near = [other for other, app in found.items() if set(on) <= set(app["machines"])]
        app: dict[str, Any] = {
            "machines": on,
            "instances": draw(st.integers(1, 3)),
            "env": draw(st.dictionaries(st.sampled_from("AB"), st.sampled_from("01"))),
            "deploy": {"keep": draw(st.integers(1, 3)), "strategy": draw(st.sampled_from(["rolling", "recreate"]))},
            "needs": draw(st.lists(st.sampled_from(near), unique=True)) if near else [],
        }
        app |= draw(st.sampled_from([{}, {"port": 8000}, {"port": 8000, "domains": [f"{name}.example.com"]}]))
        host = {"network": "host", "domains": [], "instances": 1, "machines": on[:1]}
        app |= draw(st.sampled_from([{}, {"release_command": ["migrate"]}, host]))
        image = draw(st.sampled_from(["build", "reference", "shared"]))
        shared = {"image": {"app": draw(st.sampled_from(owners))}} if owners else {"build": {}}
        app |= {"build": {"build": {}}, "reference": {"image": "postgres:17"}, "shared": shared}[image]
        found[name] = app
    return found


VERSIONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["v1", "v2"]))
ENDS = st.dictionaries(
    st.sampled_from(MACHINES),
    st.sampled_from(["failed", "interrupted", "missing"]) | st.integers(1, 30).map(lambda steps: f"crash {steps}"),
    max_size=2,
)


@st.composite
def acts(draw: st.DrawFn, machines: list[str], *, faults: bool = True) -> list[dict[str, Any]]:
    """Return acts as they follow one another: with which file, with which sources, and how machines take them."""
    what = st.sampled_from(["deploy", "deploy", "deploy", "apply", "rollback", "stop", "start", "restart", "remove"])
    found = []
    for _ in range(draw(st.integers(1, 5))):
        ends = draw(ENDS) if faults and draw(st.booleans()) else {}
        found.append({
            "what": draw(what), "apps": draw(apps(machines)), "name": draw(st.sampled_from(NAMES)),
            "versions": draw(VERSIONS), "ends": ends,
        })
    return found


@dataclass(frozen=True)
class World:
    """A file, and what is known of its machines after some acts."""

    config: Config = field(repr=False)
    facts: dict[str, Facts] = field(repr=False)
    machines: list[str]
    acts: list[dict[str, Any]]


@st.composite
def worlds(draw: st.DrawFn, stack: str = "shop", *, faults: bool = True) -> World:
    """Return one to three machines after some acts, and the file of the last one."""
    machines = draw(st.sampled_from([MACHINES[:count] for count in (1, 2, 3)]))
    found = draw(acts(machines, faults=faults))
    facts = after(found, machines, {name: ready(name) for name in machines}, stack)
    return World(config_of(found[-1]["apps"], machines), facts, machines, found)


def config_of(found: Mapping[str, Any], machines: list[str]) -> Config:
    """Return the config of these apps."""
    told = {name: {"address": f"192.0.2.{number}"} for number, name in enumerate(machines, 1)}
    return Config.model_validate({"project": "shop", "machines": told, "apps": dict(found)})


def after(
    found: list[dict[str, Any]], machines: list[str], facts: dict[str, Facts], stack: str = "shop"
) -> dict[str, Facts]:
    """Return what is known after acts; one that is refused changes nothing."""
    for act in found:
        names = [act["name"]] if act["what"] in {"stop", "start", "restart", "remove"} else []
        try:
            plan = planned(config_of(act["apps"], machines), stack, facts, act["what"], names, versions=act["versions"])
        except (HandfulError, StopIteration):
            continue
        facts = carried_out(plan, facts, act["ends"])
    return facts


def wanted(config: Config, facts: Mapping[str, Facts], what: str = "deploy", versions: Mapping[str, str] = {}) -> Plan:  # noqa: B006  # read only
    """Return a plan; an example whose plan is refused is passed over."""
    try:
        plan = planned(config, "shop", facts, what, versions=versions)
    except HandfulError as refusal:
        event(f"refused: {type(refusal).__name__}")
        assume(False)  # noqa: FBT003  # hypothesis' signature
        raise
    event("empty" if plan.empty else "something to do")
    return plan


def steps_of(work: Work, phase: str) -> list[int]:
    """Return the places of a phase's steps among all steps."""
    return [place for place, step in enumerate(work.steps) if step.values.get("phase") == phase]


def turned(facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """Return the same facts with every mapping the other way round."""
    found = {}
    for name, here in reversed(facts.items()):
        stacks = {key: replace(each, apps=dict(reversed(each.apps.items()))) for key, each in reversed(here.stacks.items())}
        found[name] = replace(here, stacks=stacks)
    return found


@given(worlds(), VERSIONS, st.sampled_from(["deploy", "apply"]))
def test_the_same_facts_give_the_same_plan(world: World, versions: dict[str, str], what: str) -> None:
    """Whatever the order in which machines, stacks and apps were found."""
    config, facts = world.config, world.facts
    plan = wanted(config, facts, what, versions)
    again = wanted(config, turned(facts), what, versions)
    assert plan.waves == again.waves
    assert plan.begun == again.begun
    assert set(plan.changes) == set(again.changes)


@given(worlds(), VERSIONS, st.sampled_from(["deploy", "apply"]))
def test_planning_after_success_is_empty(world: World, versions: dict[str, str], what: str) -> None:
    """Also when acts before it failed, were cut short by the power, or left some machines behind."""
    config, facts = world.config, world.facts
    done = carried_out(wanted(config, facts, what, versions), facts)
    plan = planned(config, "shop", done, what, versions=versions)
    assert plan.empty
    assert {change.action for change in plan.changes} <= {"nothing"}


@given(worlds(), VERSIONS)
def test_apply_leaves_what_the_file_says_and_nothing_else(world: World, versions: dict[str, str]) -> None:
    """Every app is where it is placed, with as many instances of one release, unless it was stopped."""
    config, facts = world.config, world.facts
    done = carried_out(wanted(config, facts, "apply", versions), facts)
    for machine, here in done.items():
        placed = {name for name, app in config.apps.items() if machine in (app.machines or ())}
        assert set(here.stack("shop").apps) == placed
        for name in placed:
            state, instances = here.app("shop", name), here.instances("shop", name)
            running = [c for c in instances if c.running and c.release == state.current and c.restart != "no"]
            assert len(running) == (0 if state.stopped else config.apps[name].instances)
            assert len(instances) == len(running) or state.stopped


@given(worlds(), VERSIONS)
def test_the_old_stops_only_after_the_new_serves(world: World, versions: dict[str, str]) -> None:
    """On a machine: an app starts, proves its health and then switches; nothing ends before all have switched."""
    config, facts = world.config, world.facts
    for wave in wanted(config, facts, "apply", versions).waves:
        for work in wave:
            switched, finished = steps_of(work, "switch"), steps_of(work, "finish")
            removed = [place for place, step in enumerate(work.steps) if step.script == "remove_app"]
            assert max(switched, default=-1) < min([*finished, *removed], default=len(work.steps))
            for app in {step.values["app"] for step in work.steps if step.script == "run_release"}:
                phases = [step.values["phase"] for step in work.steps if step.values.get("app") == app if "phase" in step.values]
                assert phases == PHASES[PHASES.index(phases[0]) :]
                assert phases[0] in {"release_command", "start"}


@given(worlds(), VERSIONS)
def test_what_an_app_needs_serves_before_it_starts(world: World, versions: dict[str, str]) -> None:
    """Its release command, too, may ask for what it needs."""
    config, facts = world.config, world.facts
    for wave in wanted(config, facts, "deploy", versions).waves:
        for work in wave:
            place = {(s.values["app"], s.values["phase"]): n for n, s in enumerate(work.steps) if "phase" in s.values}
            for app, phase in place:
                for need in config.apps[app].needs:
                    if phase in {"release_command", "start"} and (need, "switch") in place:
                        assert place[need, "switch"] < place[app, phase]


@given(worlds(), VERSIONS, st.sampled_from(["deploy", "apply", "stop", "remove", "rollback"]), st.sampled_from(NAMES))
def test_a_step_has_the_values_that_its_script_asks_for(
    world: World, versions: dict[str, str], what: str, name: str
) -> None:
    """No more and no fewer; none is empty that must not be; a release has all that run_app.bash reads."""
    config, facts = world.config, world.facts
    try:
        plan = planned(config, "shop", facts, what, [name] if what in {"stop", "remove"} else [], versions=versions)
    except HandfulError:
        return
    for work in (work for wave in plan.waves for work in wave):
        for step in work.steps:
            asked = contract(step.script)
            assert set(step.values) == set(asked)
            assert all(value or asked[key] for key, value in step.values.items())
        for release in work.releases:
            scalars = {key: value for key, value in release.settings.items() if isinstance(value, str)}
            asked = contract("run_app")
            assert set(scalars) == set(asked)
            assert all(value or asked[key] for key, value in scalars.items())


@settings(max_examples=60)
@given(st.data(), st.sampled_from([("shop", "shop-stage"), ("shop-stage", "shop"), ("shop", "blog")]))
def test_a_plan_never_names_what_is_another_stacks(data: st.DataObject, stacks: tuple[str, str]) -> None:
    """Its paths, labels, names and images: not one begins or ends with the other's name, which may be its own, shortened."""
    mine, other = stacks
    world = data.draw(worlds(other, faults=False))
    config, machines = world.config, world.machines
    facts = after(data.draw(acts(machines)), machines, world.facts, mine)
    what = data.draw(st.sampled_from(["deploy", "apply", "stop", "remove"]))
    names = [data.draw(st.sampled_from(NAMES))] if what in {"stop", "remove"} else []
    try:
        plan = planned(config, mine, facts, what, names, versions=data.draw(VERSIONS))
    except HandfulError:
        return
    for work in (work for wave in plan.waves for work in wave):
        written = work_script(plan, work, "handful") + "".join(run_app(release) for release in work.releases)
        assert not re.search(rf"(?<![a-z0-9-]){other}(?![a-z0-9-])", written)
        assert not any(f"handful/{other}/" in image for image in work.images)
    assert carried_out(plan, facts)[machines[0]].stack(other) == facts[machines[0]].stack(other)


@given(worlds(faults=False), VERSIONS)
def test_a_rolling_deploy_never_leaves_fewer_instances_than_there_were(
    world: World, versions: dict[str, str]
) -> None:
    """At every step there run as many as before, or as many as are asked for when that is fewer."""
    config, facts = world.config, world.facts
    for work in (work for wave in wanted(config, facts, "deploy", versions).waves for work in wave):
        here = replace(facts[work.machine], images=(*facts[work.machine].images, *work.images))
        rolling = [app for app in config.apps if config.apps[app].strategy == "rolling"]
        least = {app: min(serving(here, app), config.apps[app].instances) for app in rolling}
        for step in work.steps:
            here = STEPS[step.script](here, step, work)
            assert all(serving(here, app) >= least[app] for app in rolling), step


def serving(here: Facts, app: str) -> int:
    """Return how many instances the proxy sends requests to: those of the present release that came up before."""
    state = here.app("shop", app)
    return len([c for c in here.instances("shop", app) if c.running and c.release == state.current])


@given(worlds(), VERSIONS, VERSIONS)
def test_a_rollback_takes_everything_back(
    world: World, first: dict[str, str], second: dict[str, str]
) -> None:
    """After two deploys that ended well, a rollback leaves every app on the release that it had between them."""
    config, facts = world.config, world.facts
    config = config.model_copy(update={
        "apps": {name: app.model_copy(update={"deploy": app.deploy.model_copy(update={"keep": 9})})
                 for name, app in config.apps.items()}
    })
    between = carried_out(wanted(config, facts, "apply", first), facts)
    plan = wanted(config, between, "deploy", second)
    changed = {change.app for change in plan.changes if change.action == "deploy"}
    assume(changed)
    done = carried_out(plan, between)
    back = carried_out(planned(config, "shop", done, "rollback"), done)
    for machine in back:
        for app in changed & set(back[machine].stack("shop").apps):
            assert back[machine].app("shop", app).current == between[machine].app("shop", app).current


@given(worlds(), VERSIONS)
def test_numbers_and_counters_belong_to_one(world: World, versions: dict[str, str]) -> None:
    """Two apps of a machine never share a number, nor have the name server's; two releases never share a counter."""
    config, facts = world.config, world.facts
    done = carried_out(wanted(config, facts, "deploy", versions), facts)
    for here in done.values():
        numbers = [state.number for state in here.stack("shop").apps.values() if state.number is not None]
        assert len(numbers) == len(set(numbers))
        assert all(0 < number < 65535 and number != NAMES_NUMBER for number in numbers)
    released: dict[tuple[str, str], set[str]] = {}
    for past in history("shop", done):
        for app, (_, release) in past.apps.items():
            released.setdefault((app, release.split("-")[0]), set()).add(release)
    assert all(len(ids) == 1 for ids in released.values())


@given(worlds(), VERSIONS)
def test_a_number_stays_with_its_app(world: World, versions: dict[str, str]) -> None:
    """As long as it has a port: other apps, and the containers that ask for them, remember the address."""
    config, facts = world.config, world.facts
    done = carried_out(wanted(config, facts, "deploy", versions), facts)
    for machine, here in done.items():
        for app, state in here.stack("shop").apps.items():
            before = facts[machine].app("shop", app).number
            assert None in {before, state.number} or before == state.number


def test_every_script_that_the_planner_names_is_in_the_model() -> None:
    """Else the model would not notice a new step."""
    assert all(contract(name) for name in STEPS)
    assert Step("stop_app", {}).script in STEPS
