"""What is known of machines before anything was done, and after a plan was carried out: a pure model of the scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handful.facts.model import AppState, Container, Facts, StackState
from handful.plan.agent import agent_text
from handful.plan.back import way_back
from handful.plan.model import AppSource, ImageSource, Intent, Plan, Step, Work
from handful.plan.order import image_owner
from handful.plan.past import left_over, way_to
from handful.plan.plan import choose, make_plan
from handful.plan.whole import make_whole_plan

if TYPE_CHECKING:
    from handful.config.model import Config

GIGABYTE = 1024**3
IMAGES = {"proxy": "handful/system/proxy:1", "names": "handful/system/names:1", "agent": "handful/system/agent:1"}
NOBODY: Mapping[str, str] = {}


def bare(machine: str) -> Facts:
    """Return a machine with Docker and nothing else."""
    return Facts(
        machine, hostname=machine, os="debian 13", architecture="x86_64", docker="26.1.5", cpus=2,
        memory_total=4 * GIGABYTE, memory_free=3 * GIGABYTE, disk_total=40 * GIGABYTE, disk_free=20 * GIGABYTE,
        service_range_local=False,
    )


def ready(machine: str, stack: str = "", config: Config | None = None) -> Facts:
    """Return a machine that this handful has set up; with a config, its agent knows how the stack's logs are kept."""
    parts = tuple(
        Container(f"handful-{part}", image, running=True, part=part, restart="always")
        for part, image in IMAGES.items()
    )
    versions = {"format": 1, "handful": "0.1.0", "parts": {"network": 3, "names": 1, "proxy": 4, "agent": 1}}
    told = {stack: StackState(agent=agent_text(config, machine))} if config is not None else {}
    return replace(
        bare(machine), containers=parts, images=tuple(IMAGES.values()), parts=versions, service_range_local=True, stacks=told
    )


def sources(
    config: Config, stack: str, names: Iterable[str], versions: Mapping[str, str] = NOBODY
) -> dict[str, AppSource]:
    """Return what apps bring: `versions` tell, by app or by path of a file, which contents they have (v1 unless told)."""
    found = {}
    for name in names:
        owner = image_owner(name, config.apps)
        app, version = config.apps[name], versions.get(owner, "v1")
        reference = config.apps[owner].image if config.apps[owner].build is None else ""
        identity = f"reference:{reference}@{version}" if reference else f"build:{version}"
        image = ImageSource(f"handful/{stack}/{owner}:{version}", identity, str(reference))
        paths = [*app.files, *(path for path in (app.before_start, app.after_start) if path)]
        found[name] = AppSource(image, {path: _digest(path + versions.get(path, "v1")) for path in paths})
    return found


def planned(
    config: Config, stack: str, facts: Mapping[str, Facts], what: str, apps: Iterable[str] = (), *,
    to: str | None = None, versions: Mapping[str, str] = NOBODY, seconds: float | None = None,
) -> Plan:
    """Return the plan of a command, on the way that the command line takes."""
    intent = Intent(
        what, tuple(apps), who="ann", host="laptop", when="2026-11-22T12:00:00Z", handful="0.1.0", images=IMAGES
    )
    if what in {"stop", "remove"}:
        return make_whole_plan(stack, facts, intent, "stop" if what == "stop" else "remove")
    if what == "rollback" and "--all" in apps:
        back = way_to(config, stack, facts, int(to) if (to or "").isdecimal() else str(to))
        intent = replace(intent, apps=(), targets=back.targets)
    elif what == "rollback":
        back = way_back(config, stack, facts, next(iter(apps), None), to)
        intent = replace(intent, apps=(), targets=back.targets, undoes=back.undoes)
    elif what in {"restart", "start"}:
        current = {name: next(c for each in facts.values() if (c := each.app(stack, name).current)) for name in apps}
        intent = replace(intent, apps=(), targets=current)
    elif "--resume" in apps:
        left = left_over(config, stack, facts)
        intent = replace(intent, what=what if left.undoes is None else "rollback", apps=(), targets=left.targets, undoes=left.undoes)
    elif what == "scale":
        counts = {name: int(count) for name, count in (each.split("=") for each in apps)}
        current = {name: next(c for each in facts.values() if (c := each.app(stack, name).current)) for name in counts}
        intent = replace(intent, apps=(), targets=current, counts=counts, seconds=seconds)
    brings = {} if intent.targets else sources(config, stack, choose(config, intent), versions)
    return make_plan(config, stack, facts, brings, intent)


def carried_out(plan: Plan, facts: Mapping[str, Facts], ends: Mapping[str, str] = NOBODY) -> dict[str, Facts]:
    """Return what is known after a plan; `ends` tells how machines took it that did not end it well.

    `failed` and `interrupted`: it went back by itself; `missing`: it was not begun; `crash N`: the power failed
    after N steps. As in the engine, no wave begins after one that did not end well.
    """
    after = dict(facts)
    for wave in plan.waves:
        for work in wave:
            after[work.machine] = _worked(after[work.machine], plan, work, _end(work, ends))
        if any(_end(work, ends) != "done" for work in wave):
            break
    return after


def _end(work: Work, ends: Mapping[str, str]) -> str:
    """Return how a machine took its work; to learn where apps are goes well."""
    return "done" if work.learns else ends.get(work.machine, "done")


def _worked(facts: Facts, plan: Plan, work: Work, end: str) -> Facts:
    if end == "missing":
        return facts
    if work.learns:
        for step in work.steps:
            facts = STEPS[step.script](facts, step, work)
        return replace(facts, images=tuple(dict.fromkeys([*facts.images, *work.images])))
    told = json.loads(json.dumps(plan.begun, ensure_ascii=False))
    facts = _stack(facts, plan.stack, history=(*facts.stack(plan.stack).history, told))
    facts = replace(facts, images=tuple(dict.fromkeys([*facts.images, *work.images])))
    steps = work.steps
    if end in {"failed", "interrupted"}:
        steps = tuple(step for step in steps if step.script.startswith("setup") or step.script == "place_app")
    elif end.startswith("crash"):
        steps = steps[: int(end.split()[1])]
    for step in steps:
        facts = STEPS[step.script](facts, step, work)
    if end.startswith("crash"):
        return facts
    used = {name: state for name, state in facts.stack(plan.stack).apps.items() if state.current or state.released}
    ended = {"deploy": plan.deploy, "event": "ended", "outcome": end, "seconds": 1.5}
    return _stack(facts, plan.stack, apps=used, history=(*facts.stack(plan.stack).history, ended))


def _setup_network(facts: Facts, step: Step, work: Work) -> Facts:
    del step, work
    return replace(facts, service_range_local=True)


def _setup_part(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    part = step.script.removeprefix("setup_")
    others = tuple(each for each in facts.containers if each.part != part)
    mine = Container(f"handful-{part}", step.values["image"], running=True, part=part, restart="always")
    return replace(facts, containers=(*others, mine))


def _setup_logs(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    return _stack(facts, step.values["stack"], agent=step.values["text"])


def _setup_done(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    return replace(facts, parts=json.loads(step.values["machine"]))


def _ensure_network(facts: Facts, step: Step, work: Work) -> Facts:
    del step, work
    return facts


def _place_app(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    number = step.values["number"]
    return _app(facts, step, number=int(number) if number else None, instances=int(step.values["instances"]))


def _reach_app(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    stack, app, text = (step.values[key] for key in ("stack", "app", "text"))
    others = {name: each for name, each in facts.stack(stack).reach.items() if name != app}
    return _stack(facts, stack, reach={**others, app: text} if text else others)


def _await_word(facts: Facts, step: Step, work: Work) -> Facts:
    del step, work
    return facts


def _keep_hours(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    count, _, until = step.values["scaled"].partition(" ")
    facts = _mended(facts, step.values["app"], "hours")
    return _app(facts, step, hours=step.values["hours"], scaled=(int(count), float(until)) if until else None)


def _replace_release(facts: Facts, step: Step, work: Work) -> Facts:
    assert any(each.app == step.values["app"] for each in work.releases)
    return _mended(facts, step.values["app"], "file ")


def _mend_app(facts: Facts, step: Step, work: Work) -> Facts:
    release = facts.app(step.values["stack"], step.values["app"])
    image = release.releases[release.current]["built_from"]["image"]
    assert image in {*facts.images, *work.images}
    return _mended(facts, step.values["app"], "traffic")


def _mend_names(facts: Facts, step: Step, work: Work) -> Facts:
    del step, work
    return _mended(facts, "", "names")


def _mended(facts: Facts, name: str, what: str) -> Facts:
    left = tuple(line for line in facts.drift.get(name, ()) if not line.startswith(what))
    return replace(facts, drift={**facts.drift, name: left})


def _receive_release(facts: Facts, step: Step, work: Work) -> Facts:
    release = next(each for each in work.releases if each.app == step.values["app"])
    manifest = json.loads(json.dumps(release.manifest))
    kept = facts.app(step.values["stack"], step.values["app"]).releases
    return _app(facts, step, releases={**kept, step.values["release"]: manifest})


def _run_release(facts: Facts, step: Step, work: Work) -> Facts:
    stack, name, release = (step.values[key] for key in ("stack", "app", "release"))
    state = facts.app(stack, name)
    match step.values["phase"]:
        case "start":
            if state.deploying:
                facts = _recovered(facts, step, work, state)
            return _started(facts, step, facts.app(stack, name))
        case "scale":
            return _scaled(facts, step, state)
        case "switch":
            return _app(facts, step, current=release)
        case "finish":
            return _finished(facts, step, work, release)
        case _:
            return facts


def _maintenance(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    app, page = f"{step.values['stack']}.{step.values['app']}", step.values["page"]
    others = [line for line in facts.proxy_files.get("maintenance.map", "").splitlines() if line.split()[0] != app]
    lines = [*others, f"{app} {page}"] if page else others
    return replace(facts, proxy_files={**facts.proxy_files, "maintenance.map": "".join(f"{line}\n" for line in lines)})


def _switch_together(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    return _app(facts, step, current=step.values["release"])


def _recovered(facts: Facts, step: Step, work: Work, state: AppState) -> Facts:
    """Finish an interrupted switch, or clear an interrupted start away."""
    if state.current == state.deploying:
        return _finished(facts, step, work, state.current, spared=step.values["release"])
    stack, name = step.values["stack"], step.values["app"]
    gone = {c.name for c in facts.instances(stack, name) if c.restart == "no" and c.release == state.deploying}
    containers = tuple(replace(c, running=True) if _is(c, step) else c for c in facts.containers if c.name not in gone)
    return _app(replace(facts, containers=containers), step, deploying="")


def _started(facts: Facts, step: Step, state: AppState, *, beside: bool = False) -> Facts:
    """Start as many as `state` says; `beside` those that are there, whatever the strategy."""
    stack, name, release = (step.values[key] for key in ("stack", "app", "release"))
    manifest = state.releases[release]
    taken = {c.name for c in facts.containers}
    free = (number for number in range(1, 1000) if f"{stack}.{name}-{number}" not in taken)
    image = manifest["built_from"]["image"]
    assert image in facts.images, f"{image} is not on {facts.machine}"
    new = tuple(
        Container(
            f"{stack}.{name}-{number}", image, running=True, stack=stack, app=name, release=release,
            instance=f"{name}-{number}", address=f"10.211.0.{len(facts.containers) + number}",
        )
        for _, number in zip(range(1 if state.instances is None else state.instances), free, strict=False)
    )
    stops = manifest["settings"]["strategy"] == "recreate" and not beside
    old = tuple(replace(c, running=c.running and not (stops and _is(c, step))) for c in facts.containers)
    return _app(replace(facts, containers=(*old, *new)), step, deploying=release)


def _scaled(facts: Facts, step: Step, state: AppState) -> Facts:
    """Start what is missing; those that are too many will not be kept."""
    mine = [c for c in facts.instances(step.values["stack"], step.values["app"]) if c.restart != "no"]
    kept = [c for c in mine if c.running and c.release == state.current][: state.instances]
    leaving = {c.name for c in mine} - {c.name for c in kept}
    facts = replace(facts, containers=tuple(replace(c, restart="no", running=False) if c.name in leaving else c for c in facts.containers))
    return _started(facts, step, replace(state, instances=(state.instances or 1) - len(kept)), beside=True)


def _finished(facts: Facts, step: Step, work: Work, release: str, spared: str = "") -> Facts:
    """Promote the new, remove the old, and keep as many releases as the app was placed with, and `spared`."""
    state = facts.app(step.values["stack"], step.values["app"])
    mine = [c for c in facts.containers if _is(c, step) and c.running]
    new = {c.name for c in mine if c.release == release and c.restart == "no"}
    if any(s.values.get("phase") == "scale" and s.values["app"] == step.values["app"] for s in work.steps):
        new |= {c.name for c in mine if c.restart == "unless-stopped"}
    containers = tuple(
        replace(c, restart="unless-stopped") if c.name in new else c
        for c in facts.containers if c.name in new or not _is(c, step)
    )
    keep = next(
        int(s.values["keep"]) for s in work.steps if s.script == "place_app" and s.values["app"] == step.values["app"]
    )
    released = (*(each for each in state.released if each != release), release)[-keep:]
    kept = {name: manifest for name, manifest in state.releases.items() if name in {*released, spared}}
    return _app(
        replace(facts, containers=containers), step, released=released, releases=kept, deploying="", stopped=False
    )


def _stop_app(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    containers = tuple(
        replace(c, running=False, restart="no") if _is(c, step) else c for c in facts.containers
    )
    return _app(replace(facts, containers=containers), step, stopped=True)


def _remove_app(facts: Facts, step: Step, work: Work) -> Facts:
    del work
    stack, name = step.values["stack"], step.values["app"]
    apps = {key: state for key, state in facts.stack(stack).apps.items() if key != name}
    containers = tuple(c for c in facts.containers if not _is(c, step))
    return _stack(replace(facts, containers=containers), stack, apps=apps)


STEPS: Mapping[str, Callable[[Facts, Step, Work], Facts]] = {
    "setup_network": _setup_network, "setup_names": _setup_part, "setup_proxy": _setup_part, "setup_agent": _setup_part,
    "setup_logs": _setup_logs,
    "setup_done": _setup_done, "ensure_network": _ensure_network, "place_app": _place_app, "reach_app": _reach_app, "await_word": _await_word, "switch_together": _switch_together, "maintenance": _maintenance,
    "keep_hours": _keep_hours, "replace_release": _replace_release, "mend_app": _mend_app, "mend_names": _mend_names, "receive_release": _receive_release, "run_release": _run_release, "stop_app": _stop_app, "remove_app": _remove_app,
}


def _is(container: Container, step: Step) -> bool:
    return (container.stack, container.app) == (step.values["stack"], step.values["app"])


def _app(facts: Facts, step: Step, **changes: Any) -> Facts:
    stack, name = step.values["stack"], step.values["app"]
    apps = {**facts.stack(stack).apps, name: replace(facts.app(stack, name), **changes)}
    return _stack(facts, stack, apps=apps)


def _stack(facts: Facts, stack: str, **changes: Any) -> Facts:
    return replace(facts, stacks={**facts.stacks, stack: replace(facts.stack(stack), **changes)})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

