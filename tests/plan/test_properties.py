"""What holds for every plan, whatever the file says and whatever happened before?

Acts of all kinds, on one to three machines, that end well or not, are carried out by the model of
tests/support/world.py; then a plan is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from world import STEPS, carried_out, planned, ready

from handful.artifact.script import contract, run_app, work_script
from handful.config.model import Config
from handful.errors import HandfulError
from handful.plan.back import history
from handful.plan.model import Plan, Step, Work
from handful.plan.traffic import NAMES_NUMBER

if TYPE_CHECKING:
    from handful.facts.model import Facts

NAMES = ["api", "db", "web", "worker"]
MACHINES = ["m1", "m2", "m3"]
PHASES = ["release_command", "start", "wait", "switch", "promote", "finish"]
settings.register_profile("plans", max_examples=60, deadline=None)
settings.load_profile("plans")


SHARED = "shared"
APP = st.fixed_dictionaries({
    "machines": st.sets(st.sampled_from(MACHINES), min_size=1),
    "instances": st.integers(1, 3),
    "env": st.sampled_from([{}, {"A": "0"}, {"A": "1"}]),
    "deploy": st.fixed_dictionaries({"keep": st.integers(1, 3), "strategy": st.sampled_from(["rolling", "all", "recreate"])}),
    "needs": st.sets(st.sampled_from(NAMES), max_size=2),
    "image": st.sampled_from([None, "postgres:17", SHARED]),
    "more": st.sampled_from([
        {}, {"port": 8000}, {"port": 8000, "domains": True}, {"release_command": ["migrate"]},
        {"port": 8000, "release_command": ["migrate"]}, {"network": "host", "port": 9000},
    ]),
})
FILE = st.dictionaries(st.sampled_from(NAMES), APP, min_size=1)
VERSIONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["v1", "v2"]), max_size=2)
END = st.sampled_from(["failed", "interrupted", "missing", *(f"crash {steps}" for steps in range(1, 30))])
ENDS: st.SearchStrategy[dict[str, str]] = st.just({}) | st.dictionaries(st.sampled_from(MACHINES), END, max_size=2)
COMMAND = st.sampled_from(["deploy", "deploy", "deploy", "apply", "rollback", "stop", "start", "restart", "remove"])
# `file` tells which of two files the command is given with.
ACT = st.tuples(COMMAND, st.sampled_from(NAMES), st.integers(0, 1), VERSIONS, ENDS)
# None: the machines do not share their apps; else they do, over a network of their own, and those take public traffic.
EDGES: st.SearchStrategy[set[str] | None] = st.none() | st.sets(st.sampled_from(MACHINES))
TALE = st.tuples(st.sampled_from([1, 2, 3]), EDGES, FILE, FILE, st.lists(ACT, min_size=1, max_size=5))
Act = tuple[str, str, int, dict[str, str], dict[str, str]]


class World:
    """The second of two files, and what is known of one to three machines after some acts with both of them."""

    def __init__(
        self, count: int, files: list[dict[str, Any]], acts: list[Act], stack: str = "shop", *, edges: set[str] | None = None
    ) -> None:
        self.machines = MACHINES[:count]
        self.acts = acts
        fit = [fitting(each, self.machines, private=edges is not None) for each in files]
        self.files = [config_of(each, self.machines, edges=edges) for each in fit]
        self.config = self.files[1]
        self.facts = self.after({name: ready(name) for name in self.machines}, acts, stack)

    def after(self, facts: dict[str, Facts], acts: list[Act], stack: str) -> dict[str, Facts]:
        """Return what is known after acts; one that is refused changes nothing."""
        for what, name, file, versions, ends in acts:
            names = [name] if what in {"stop", "start", "restart", "remove"} else []
            try:
                plan = planned(self.files[file], stack, facts, what, names, versions=versions)
            except (HandfulError, StopIteration):
                continue
            facts = carried_out(plan, facts, ends)
        return facts


def worlds(stack: str = "shop", *, faults: bool = True) -> st.SearchStrategy[World]:
    """Return worlds; without faults, every act ends well."""
    def world(tale: tuple[int, set[str] | None, dict[str, Any], dict[str, Any], list[Act]]) -> World:
        count, edges, one, other, acts = tale
        return World(count, [one, other], [(*act[:4], act[4] if faults else {}) for act in acts], stack, edges=edges)

    return TALE.map(world)


def fitting(found: dict[str, Any], machines: list[str], *, private: bool) -> dict[str, Any]:
    """Make apps fit together: needs come before, on the same machines or in reach; images belong to an app that has one."""
    fit: dict[str, Any] = {}
    for name, told in found.items():
        app = {key: value for key, value in told.items() if key not in {"more", "image"}} | told["more"]
        app["machines"] = sorted(app["machines"] & set(machines)) or machines[:1]
        if app.get("network") == "host":
            app |= {"instances": 1, "machines": app["machines"][:1]}
        if app.get("domains"):
            app["domains"] = [f"{name}.example.com"]
        app["needs"] = sorted(n for n in app["needs"] if n in fit and (private or set(app["machines"]) <= set(fit[n]["machines"])))
        owner = next((other for other in fit if "build" in fit[other]), None)
        shared = {"image": {"app": owner}} if owner else {"build": {}}
        app |= shared if told["image"] == SHARED else {"image": told["image"]} if told["image"] else {"build": {}}
        fit[name] = app
    return fit


def config_of(found: Mapping[str, Any], machines: list[str], *, edges: set[str] | None = None) -> Config:
    """Return the config of these apps."""
    told = {name: {"address": f"192.0.2.{number}"} for number, name in enumerate(machines, 1)}
    if edges is not None:
        told = {name: {**each, "private": f"10.0.0.{number}"} for number, (name, each) in enumerate(told.items(), 1)}
    here = {"edge": taken} if (taken := sorted((edges or set()) & set(machines))) else {}
    return Config.model_validate({"project": "shop", "machines": told, "apps": dict(found)} | here)


def wanted(config: Config, facts: Mapping[str, Facts], what: str = "deploy", versions: Mapping[str, str] = {}) -> Plan:  # read only
    """Return a plan; an example whose plan is refused is passed over."""
    try:
        plan = planned(config, "shop", facts, what, versions=versions)
    except HandfulError as refusal:
        event(f"refused: {type(refusal).__name__}")
        assume(False)
        raise
    event("empty" if plan.empty else "something to do")
    return plan


def steps_of(work: Work, phase: str) -> list[int]:
    """Return the places of a phase's steps among all steps."""
    return [place for place, step in enumerate(work.steps) if step.values.get("phase") == phase]


def phase_of(step: Step) -> str:
    """Return which phase of an app a step is; nothing for one that is none."""
    phase = "switch" if step.script == "switch_together" else step.values.get("phase", "")
    # Instances are added to those that run instead of beside them.
    return "start" if phase == "scale" else str(phase)


def turned(facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """Return the same facts with every mapping the other way round."""
    found = {}
    for name, here in reversed(list(facts.items())):
        stacks = {key: replace(each, apps=dict(reversed(list(each.apps.items())))) for key, each in reversed(list(here.stacks.items()))}
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
            switched, finished = steps_of(work, "promote"), steps_of(work, "finish")
            removed = [place for place, step in enumerate(work.steps) if step.script == "remove_app"]
            assert max(switched, default=-1) < min([*finished, *removed], default=len(work.steps))
            for app in {step.values["app"] for step in work.steps if step.script == "run_release"}:
                phases = [phase for step in work.steps if step.values.get("app") == app if (phase := phase_of(step))]
                assert phases[0] in {"release_command", "start"}
                assert phases == PHASES[PHASES.index(phases[0]) :]


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
    facts = world.after(world.facts, data.draw(st.lists(ACT, max_size=3)), mine)
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


@given(worlds(), VERSIONS)
def test_a_rollback_takes_everything_back(world: World, versions: dict[str, str]) -> None:
    """After two deploys that ended well, a rollback leaves every app on the release that it had between them."""
    config, facts = world.config, world.facts
    config = config.model_copy(update={
        "apps": {name: app.model_copy(update={"deploy": app.deploy.model_copy(update={"keep": 9})})
                 for name, app in config.apps.items()}
    })
    between = carried_out(wanted(config, facts, "apply", versions), facts)
    plan = wanted(config, between, "deploy", dict.fromkeys(NAMES, "v3"))
    changed = {change.app for change in plan.changes if change.action == "deploy"}
    assert changed == set(config.apps)
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
