"""How do machines, apps and instances stand, as people and programs read it?"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError
from handful.plan.away import pages
from handful.plan.hours import wanted
from handful.plan.order import edges_of, machines_of
from handful.report.table import ago, size, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from handful.config.model import Config
    from handful.facts.model import AppState, Container, Facts, StackState
    from handful.machine.access import Access

SKEW_SECONDS = 2.0
# Names below these lead nowhere (RFC 2606).
RESERVED = frozenset({"localhost", "test", "example", "invalid"})
MACHINE = ("MACHINE", "OS", "DOCKER", "CPUS", "LOAD", "MEMORY FREE", "DISK FREE", "")
INSTANCE = ("APP", "MACHINE", "RELEASE", "INSTANCE", "HEALTH", "SINCE", "ADDRESS")


def status_text(config: Config, stack: str, found: Mapping[str, Facts | HandfulError]) -> str:
    """Return what `handful status` shows."""
    facts = {name: each for name, each in found.items() if not isinstance(each, HandfulError)}
    blocks = [table(MACHINE, [_machine(name, each) for name, each in found.items()])]
    rows = [row for name, each in facts.items() for row in _apps(stack, name, each)]
    if rows or len(facts) == len(found):
        blocks.append(table(INSTANCE, rows) if rows else f"{stack}: nothing runs yet")
    notes = [*unfinished(stack, facts, config), *drift(config, stack, facts), *passing(config, stack, facts)]
    return "\n\n".join([*blocks, "\n".join(notes)] if notes else blocks)


def status_json(config: Config, stack: str, found: Mapping[str, Facts | HandfulError]) -> str:
    """Return the same as one JSON document."""
    facts = {name: each for name, each in found.items() if not isinstance(each, HandfulError)}
    told: dict[str, Any] = {
        "stack": stack,
        "machines": {name: _machine_json(each) for name, each in found.items()},
        "instances": [
            {"app": c.app, "machine": name, "release": c.release, "instance": c.instance, "health": health(each, c),
             "since": c.started, "address": c.address}
            for name, each in facts.items() for c in _shown(stack, each)
        ],
        "unfinished": unfinished(stack, facts, config),
        "drift": drift(config, stack, facts),
        "passing": passing(config, stack, facts),
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def passing(config: Config, stack: str, facts: Mapping[str, Facts]) -> list[str]:
    """Return a sentence for what is otherwise than usual for a time: maintenance, other numbers of instances."""
    found = []
    for name, each in facts.items():
        away = pages(each)
        for app in config.apps:
            if f"{stack}.{app}" in away:
                found.append(f"maintenance: {app} is away on {name}. Bring it back: handful maintenance off {app}")
            scaled = each.app(stack, app).scaled
            if scaled is not None and each.clock < scaled[1]:
                span = ago(scaled[1] - each.clock)
                found.append(f"scaled: {app} has {scaled[0]} instances on {name} for {span} more")
    return found


def unfinished(stack: str, facts: Mapping[str, Facts], config: Config | None = None) -> list[str]:
    """Return a sentence for every app that is not on the same release everywhere, or whose switch was cut short.

    Nothing is unfinished while a deploy is at work. With `config`, an app counts only where the file places it.
    """
    if any(each.stack(stack).holder for each in facts.values()):
        return []
    found = []
    for app in sorted({name for each in facts.values() for name in each.stack(stack).apps}):
        places = [name for name, each in facts.items() if _counts(app, name, each.stack(stack), config)]
        states = {name: facts[name].app(stack, app) for name in places}
        current = {name: state.current for name, state in states.items()}
        if len(set(current.values())) > 1 or any(state.deploying for state in states.values()):
            where = ", ".join(f"{name} on {_whereabouts(state)}" for name, state in states.items())
            found.append(f"unfinished: {app}: {where}. Finish it: handful deploy. Take it back: handful rollback.")
    return found


def _whereabouts(state: AppState) -> str:
    release = state.current or "nothing"
    if not state.deploying:
        return release
    moment = "after its switch" if state.deploying == release else f"on the way to {state.deploying}"
    return f"{release}, cut short {moment}"


def _counts(app: str, machine: str, state: StackState, config: Config | None) -> bool:
    return app in state.apps and (config is None or (app in config.apps and machine in machines_of(app, config)))


def drift(config: Config, stack: str, facts: Mapping[str, Facts]) -> list[str]:
    """Return a sentence for everything that is not as the file and the releases say."""
    found = []
    for name, each in facts.items():
        apps = dict.fromkeys([*each.stack(stack).apps, *config.apps]) if each.stack(stack).apps else ()
        found += [sentence for app in apps if (sentence := _drift(config, stack, app, each))]
        if abs(each.skew) > SKEW_SECONDS:
            found.append(f"drift: the clock of {name} is {each.skew:+.0f} s off")
    return found


def _drift(config: Config, stack: str, app: str, here: Facts) -> str:
    state = here.app(stack, app)
    if app not in config.apps:
        return f"drift: {app} on {here.machine} is not in the file. Take it away: handful remove {app}"
    if here.machine in machines_of(app, config):
        return _shortage(wanted(config.apps[app], stack, app, here), stack, app, here)
    if not state.current:
        return ""
    return f"drift: the file does not place {app} on {here.machine}. Take it away: handful apply"


def _shortage(count: int, stack: str, app: str, here: Facts) -> str:
    """Say when other than the wanted number of instances runs of what is placed here; nothing while a deploy works."""
    state = here.app(stack, app)
    if state.stopped or here.stack(stack).holder:
        return ""
    if not state.current:
        return f"drift: {app} is in the file and not on {here.machine}. Bring it: handful deploy {app}"
    lasting = [c for c in here.instances(stack, app) if c.running and c.restart != "no"]
    found = len([c for c in lasting if c.release == state.current])
    if found == count:
        return ""
    return f"drift: {found} of {count} instances of {app} run on {here.machine}. Mend it: handful apply"


def health(facts: Facts, instance: Container) -> str:
    """Return how an instance is: what the proxy sees of it when there is one in front, else what Docker says."""
    state = facts.app(instance.stack, instance.app)
    if not instance.running:
        return "stopped" if state.stopped else f"exited {instance.exit_code}"
    if instance.restart == "no":
        return "starting" if instance.release == state.deploying else "draining"
    backend = f"{instance.stack}.{instance.app}"
    slots = [slot for slot in facts.slots if (slot.backend, slot.address) == (backend, instance.address)]
    if not slots:
        return "running" + (f", {instance.restarts} restarts" if instance.restarts else "")
    return "healthy" if any(s.up and s.ready for s in slots) else "unhealthy"


def addresses(config: Config, machines: Mapping[str, Access], apps: Collection[str]) -> list[str]:
    """Return where those apps that have a domain are served.

    A reserved name leads nowhere but with the Host told.
    """
    found = []
    for name, app in ((name, app) for name, app in config.apps.items() if name in apps):
        hosts = [machines[machine].host for machine in edges_of(name, config)]
        for domain in app.domains:
            if domain.rpartition(".")[2] in RESERVED:
                found.append(f"{name}: curl -H 'Host: {domain}' http://{hosts[0]}{app.path}")
            else:
                found.append(f"{name}: http://{domain}{app.path}  (on {', '.join(hosts)})")
    return found


def _machine(name: str, each: Facts | HandfulError) -> tuple[str, ...]:
    if isinstance(each, HandfulError):
        return (name, "", "", "", "", "", "", each.message)
    return (
        name, each.os, each.docker or "none", str(each.cpus), f"{each.load:.2f}",
        f"{size(each.memory_free)} of {size(each.memory_total)}", f"{size(each.disk_free)} of {size(each.disk_total)}",
        "a deploy is at work" if any(s.holder for s in each.stacks.values()) else "",
    )


def _machine_json(each: Facts | HandfulError) -> dict[str, Any]:
    if isinstance(each, HandfulError):
        return {"error": each.message}
    return {
        "os": each.os, "docker": each.docker, "cpus": each.cpus, "load": each.load, "memory_free": each.memory_free,
        "memory_total": each.memory_total, "disk_free": each.disk_free, "disk_total": each.disk_total,
        "skew": each.skew,
    }


def _shown(stack: str, each: Facts) -> Iterable[Container]:
    mine = (c for c in each.containers if c.stack == stack and c.instance)
    return sorted(mine, key=lambda c: (c.app, c.instance))


def _apps(stack: str, name: str, each: Facts) -> Iterable[tuple[str, ...]]:
    shown = list(_shown(stack, each))
    for c in shown:
        yield (c.app, name, c.release, c.instance, health(each, c), _since(c, each.clock), c.address)
    for app, state in each.stack(stack).apps.items():
        if not any(c.app == app for c in shown):
            yield (app, name, state.current or "none", "-", "stopped" if state.stopped else "nothing runs", "", "")


def _since(instance: Container, clock: float) -> str:
    """Docker tells the start in UTC, down to nanoseconds; what is no date is not shown."""
    try:
        started = datetime.fromisoformat(instance.started[:19] + "+00:00")
    except ValueError:
        return ""
    return ago(clock - started.timestamp()) if instance.running else ""
