"""Does every situation in tests/plans/ lead to the plan, or to the refusal, that is written beside it?

A file holds `config` (as in handful.yml, short: see `_config`), `past` (acts that the model of tests/support/world.py
carries out), `facts` (what is different from a machine that is set up: see `CHANGES`), `command`, and what is
expected: `changes` and `waves`, or `refused`. Hashes of releases are left out: `0002-b2c9f1` is written `0002`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from world import bare, carried_out, planned, ready

from handful.artifact.script import call
from handful.config.load import load
from handful.errors import HandfulError
from handful.facts.model import AppState, Container, Facts, Listener, StackState
from handful.report.plan import plan_lines

if TYPE_CHECKING:
    from handful.config.model import Config
    from handful.plan.model import Plan

SITUATIONS = sorted((Path(__file__).parent.parent / "plans").glob("*.yml"))
STACK = "shop"
RELEASE = re.compile(r"\b(\d{4,})-[0-9a-f]{6}\b")


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda path: path.stem)
def test_situation(path: Path, tmp_path: Path) -> None:
    """Everything that is expected is compared: reasons, order, every value of every step."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = {key: told[key] for key in ("changes", "waves", "history", "refused") if key in told}
    assert outcome(told, tmp_path, history="history" in told) == expected


def outcome(told: Mapping[str, Any], folder: Path, *, history: bool = False) -> dict[str, Any]:
    """Return what a situation leads to, as it is written in its file."""
    config = _config(told["config"], folder)
    machines = {name: told.get("facts", {}).get(name, {}) for name in config.machines}
    facts = {name: bare(name) if change == "bare" else ready(name, STACK, config) for name, change in machines.items()}
    for act in told.get("past", []):
        act = {"command": act} if isinstance(act, str) else act
        then = _config(_merged(told["config"], act.get("config", {})), folder)
        plan = planned(then, STACK, facts, **_command(act))
        facts = carried_out(plan, facts, act.get("ends", {}))
    for name, change in machines.items():
        for key, value in (change.items() if change != "bare" else ()):
            facts[name] = CHANGES[key](facts[name], value)
    facts = {name: here for name, here in facts.items() if name not in told.get("away", [])}
    try:
        plan = planned(config, STACK, facts, **_command(told))
    except HandfulError as refusal:
        return {"refused": [type(refusal).__name__, *_short(str(refusal)).splitlines()]}
    shown = {"changes": [re.sub(" +", " ", _short(line)) for line in plan_lines(plan)], "waves": _waves(plan)}
    return shown | ({"history": _history(plan)} if history else {})


def _waves(plan: Plan) -> list[str]:
    """Return a wave as its machines, each with the images and releases it is sent, and its steps."""
    return ["".join(f"{line}\n" for work in wave for line in (
        work.machine,
        *(f"  image {image}" for image in work.images),
        *(f"  release {each.app} {_short(each.id)}" for each in work.releases),
        *(f"  {_short(call(step))}" for step in work.steps),
    )) for wave in plan.waves]


def _history(plan: Plan) -> str:
    """Return what the plan's line in history will say."""
    told = plan.begun
    apps = (f"{app} {change['from'] or '-'} → {change['to'] or '-'}" for app, change in told["apps"].items())
    undoes = f", undoes {told['undoes']}" if "undoes" in told else ""
    return _short(f"{told['what']} {told['deploy']} on {' '.join(told['machines'])}: {', '.join(apps)}{undoes}")


def _command(act: Mapping[str, Any]) -> dict[str, Any]:
    """Read `rollback web --to 1` or `scale web=4 --for 60`, as it would be typed, and what the apps' sources hold."""
    what, *words = act["command"].split()
    words, seconds = (words[:-2], float(words[-1])) if "--for" in words else (words, None)
    words, to = (words[:-2], words[-1]) if "--to" in words else (words, None)
    return {"what": what, "apps": words, "to": to, "versions": act.get("versions", {}), "seconds": seconds}


def _config(told: Mapping[str, Any], folder: Path) -> Config:
    """Load a config that may leave out the project, addresses, and `build` where there is no `image`."""
    own = told["machines"] if isinstance(told["machines"], dict) else {name: {} for name in told["machines"]}
    machines = {name: {"address": f"192.0.2.{n}", **own[name]} for n, name in enumerate(own, 1)}
    apps = {name: app if "image" in app else {"build": {}, **app} for name, app in told["apps"].items()}
    whole = {"project": STACK, **told, "machines": machines, "apps": apps}
    for name in ("Dockerfile", "app.toml", "warm.bash"):
        (folder / name).touch()
    (folder / "handful.yml").write_text(yaml.safe_dump(whole, sort_keys=False))
    return load(folder, None).config


def _merged(below: Any, above: Any) -> Any:
    """Lay one config over another, as overlays do."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    both = {key: _merged(below.get(key), above[key]) if key in above else below[key] for key in {**below, **above}}
    return {key: value for key, value in both.items() if value is not None}


def _short(text: str) -> str:
    return RELEASE.sub(r"\1", text)


def _with_listening(facts: Facts, told: list[str]) -> Facts:
    """Read `0.0.0.0:80 nginx`."""
    found = (re.fullmatch(r"(.*):(\d+) (.*)", line) for line in told)
    return replace(facts, listening=tuple(Listener(each[1], int(each[2]), each[3]) for each in found if each))


def _with_strangers(facts: Facts, told: list[str]) -> Facts:
    new = tuple(Container(name, "stranger:1", running=True) for name in told)
    return replace(facts, containers=(*facts.containers, *new))


def _without_containers(facts: Facts, told: list[str]) -> Facts:
    return replace(facts, containers=tuple(c for c in facts.containers if c.instance not in told))


def _with_draining(facts: Facts, told: list[str]) -> Facts:
    """Docker would not start these again: they drain."""
    containers = (replace(c, restart="no") if c.instance in told else c for c in facts.containers)
    return replace(facts, containers=tuple(containers))


def _with_agents(facts: Facts, told: Mapping[str, str]) -> Facts:
    """Read `handful-agent: handful/system/agent:0`: the agent has this image."""
    others = (c for c in facts.containers if c.part != "agent")
    agents = (Container(name, image, running=True, part="agent") for name, image in told.items())
    return replace(facts, containers=(*others, *agents))


def _with_proxies(facts: Facts, told: Mapping[str, str]) -> Facts:
    """Read `handful-proxy: handful/system/proxy:0`: instead of the proxy there are these, by name, with these images."""
    others = (c for c in facts.containers if c.part != "proxy")
    proxies = (Container(name, image, running=True, part="proxy") for name, image in told.items())
    return replace(facts, containers=(*others, *proxies))


def _without_releases(facts: Facts, told: Mapping[str, list[int]]) -> Facts:
    """Read `web: [1]`: release 0001 of web is not kept any more."""
    stack = facts.stack(STACK)
    apps = {
        name: replace(state, releases={
            key: each for key, each in state.releases.items() if int(key.split("-")[0]) not in told.get(name, [])
        })
        for name, state in stack.apps.items()
    }
    return replace(facts, stacks={**facts.stacks, STACK: replace(stack, apps=apps)})


def _with_holder(facts: Facts, told: str) -> Facts:
    return replace(facts, stacks={**facts.stacks, STACK: replace(facts.stack(STACK), holder=told)})


def _with_routes(facts: Facts, told: list[str]) -> Facts:
    return replace(facts, proxy_files={"routes.map": "".join(f"{line}\n" for line in told), "10-edge.cfg": ""})


def _with_other_stacks(facts: Facts, told: Mapping[str, Mapping[str, int]]) -> Facts:
    """Read `blog: {web: 1}`: the app web of the stack blog has the number 1."""
    stacks = {
        stack: StackState(apps={app: AppState(number=number) for app, number in apps.items()})
        for stack, apps in told.items()
    }
    return replace(facts, stacks={**facts.stacks, **stacks})


CHANGES: Mapping[str, Callable[[Facts, Any], Facts]] = {
    "drift": lambda facts, told: replace(facts, drift={name: tuple(lines) for name, lines in told.items()}),
    "away": lambda facts, told: replace(facts, proxy_files={"maintenance.map": "".join(f"{STACK}.{app} {page}\n" for app, page in told.items())}),
    "memory": lambda facts, told: replace(facts, containers=tuple(replace(c, memory=told.get(c.instance, 0)) for c in facts.containers)),
    "images_gone": lambda facts, told: replace(facts, images=tuple(each for each in facts.images if each not in told)),
    "clock": lambda facts, told: replace(facts, clock=told),
    "local": lambda facts, told: replace(facts, local=tuple(told)),
    "docker": lambda facts, told: replace(facts, docker=told),
    "trouble": lambda facts, told: replace(facts, docker="", docker_trouble=told),
    "disk_free": lambda facts, told: replace(facts, disk_free=told * 1024**2),
    "parts": lambda facts, told: replace(facts, parts=told),
    "listening": _with_listening,
    "strangers": _with_strangers,
    "gone": _without_containers,
    "draining": _with_draining,
    "agents": _with_agents, "proxies": _with_proxies,
    "not_kept": _without_releases,
    "holder": _with_holder,
    "routes": _with_routes,
    "stacks": _with_other_stacks,
}
