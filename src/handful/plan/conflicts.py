"""What on a machine stands in the way of a plan, and who holds it?"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.errors import Locked, NoDocker, PlanRefused
from handful.plan.order import edges_of, machines_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts
    from handful.plan.model import Goal, Release

OLDEST_DOCKER = (20, 10)
PARTS = MappingProxyType({"network": 3, "names": 1, "proxy": 4, "agent": 1})
EVERYWHERE = frozenset({"*", "0.0.0.0", "[::]"})  # noqa: S104  # as ss writes it; nothing is bound
EDGE_PORT = 80
SPARE_DISK = 300 * 1024**2
GIGABYTE = 1024**3
# Those of a stack's network that are given to instances: see lib_instances.bash.
ADDRESSES = 190


def check_lock(facts: Facts, stack: str) -> None:
    """Refuse to plan while a deploy of the stack is at work: what it does is not in the facts yet."""
    if holder := facts.stack(stack).holder:
        message = f"another deploy is at work on {stack} ({facts.machine})"
        raise Locked(message, detail=holder, advice="Wait until it has ended, then try again.")


def check_machine(facts: Facts) -> None:
    """Refuse a machine without a usable Docker, or one that a newer handful set up."""
    if not facts.docker:
        message = f"{facts.machine} has no Docker that answers"
        raise NoDocker(
            message, detail=facts.docker_trouble,
            advice=f"Install it: handful machines prepare {facts.machine}" if facts.bare
            else f"Start it there: handful ssh {facts.machine} systemctl restart docker",
        )
    if tuple(int(part) for part in facts.docker.split(".")[:2] if part.isdigit()) < OLDEST_DOCKER:
        message = f"Docker {facts.docker} on {facts.machine} is too old"
        raise NoDocker(message, advice="handful needs Docker 20.10 or newer.")
    for part, version in facts.parts.get("parts", {}).items():
        if version > PARTS.get(part, 0):
            message = f"{facts.machine} was set up by a newer handful ({facts.parts.get('handful', '?')})"
            raise PlanRefused(message, advice="Update handful on this computer; parts of a machine never go back.")


def check_apps(goal: Goal, everywhere: Collection[str]) -> None:
    """Refuse what two apps, stacks or host services would both hold, and a `needs` that cannot be reached.

    What is to run decides: a rollback may want a port or a domain that the file does not. `everywhere` are the
    machines that serve the stack's apps, whether they run there or not.
    """
    troubles = [
        trouble
        for name in goal.releases
        for machine in dict.fromkeys((*machines_of(name, goal.config), *everywhere))
        if machine in goal.facts
        for trouble in _troubles(name, machine, goal)
    ]
    if troubles:
        raise PlanRefused("\n".join(dict.fromkeys(troubles)), advice="Nothing was changed.")


def _troubles(name: str, machine: str, goal: Goal) -> Iterable[str]:
    config, stack, facts = goal.config, goal.stack, goal.facts[machine]
    settings = goal.releases[name].manifest["settings"]
    placed, on_host = machine in machines_of(name, config), settings["network"] == "host"
    if placed:
        yield from _room(name, machine, goal)
        yield from _needs(name, machine, config, stack, goal.facts, goal.releases)
        yield from _names(name, stack, facts)
    if is_edge := machine in edges_of(name, config):
        yield from _routes(name, config, stack, facts, goal.releases)
    # On the host's network the app itself has the port, where it runs, already.
    served = settings["port"] and (not on_host or (placed and not facts.app(stack, name).current))
    wanted = [settings["port"]] if served else []
    yield from _ports(name, [*wanted, EDGE_PORT] if settings["domains"] and is_edge else wanted, facts)


def _room(name: str, machine: str, goal: Goal) -> Iterable[str]:
    """Say what a machine cannot hold: the memory of an app's instances, or the addresses of a stack's."""
    # Hours that come must fit as well.
    count = max(goal.count(name, machine), goal.config.apps[name].most)
    memory = goal.releases[name].manifest["settings"]["memory"] or 0
    facts = goal.facts[machine]
    if count * memory > facts.memory_total > 0:
        wanted, have = count * memory / GIGABYTE, facts.memory_total / GIGABYTE
        yield (
            f"{count} instances of {name} with {memory / GIGABYTE:.1f} GB each may take {wanted:.1f} GB; "
            f"{machine} has {have:.1f} GB of memory"
        )
    placed = [app for app in goal.releases if machine in machines_of(app, goal.config)]
    most = sum(goal.count(app, machine) for app in placed) * 2
    if most > ADDRESSES and name == placed[0]:
        yield (
            f"{most // 2} instances of {goal.stack} on {machine} need {most} addresses while a deploy replaces them; "
            f"its network has {ADDRESSES}"
        )


def _needs(
    name: str, machine: str, config: Config, stack: str, facts: Mapping[str, Facts], chosen: Collection[str]
) -> Iterable[str]:
    for need in config.apps[name].needs:
        # One that is away may have it, and come back.
        places = machines_of(need, config)
        elsewhere = machine not in places
        private = [place for place in places if config.machines[place].private]
        far = [] if private and config.machines[machine].private else [machine, *places]
        if elsewhere and far:
            which = " and ".join(place for place in dict.fromkeys(far) if not config.machines[place].private)
            yield (
                f"{name} on {machine} needs {need}, which has no instance on {machine}: "
                f"to reach it on another machine, {which} must have a `private` address"
            )
        elif need not in chosen and all(place in facts for place in places) and not _runs(
            need, stack, [facts[place] for place in places]
        ):
            where = "anywhere" if elsewhere else "there"
            yield f"{name} on {machine} needs {need}, which does not run {where}: deploy it too, or start it"


def _runs(app: str, stack: str, places: Iterable[Facts]) -> bool:
    return any(instance.running for here in places for instance in here.instances(stack, app))


def _names(name: str, stack: str, facts: Facts) -> Iterable[str]:
    for container in facts.containers:
        prefix, _, number = container.name.rpartition("-")
        if prefix == f"{stack}.{name}" and number.isdigit() and (container.stack, container.app) != (stack, name):
            yield f"the name {container.name} is held on {facts.machine} by a container that is not handful's"


def _routes(
    name: str, config: Config, stack: str, facts: Facts, releases: Mapping[str, Release]
) -> Iterable[str]:
    """Say who holds a domain: another stack, or an app of this one that does not give it up in the same deploy."""
    settings = releases[name].manifest["settings"]
    held = dict(line.split(" ", 1) for line in facts.proxy_files.get("routes.map", "").splitlines() if " " in line)
    path = settings["path"]
    for domain in settings["domains"]:
        owner_stack, _, owner_app = held.get(f"{domain}{path.rstrip('/')}/", stack).partition(".")
        if owner_stack != stack:
            holder = f"{owner_app} of the stack {owner_stack}"
            yield f"{domain}{path} of {name} is taken on {facts.machine} by {holder}"
        elif owner_app in config.apps and owner_app not in releases and owner_app != name:
            yield f"{domain}{path} of {name} is {owner_app}'s on {facts.machine}: deploy both"


def _ports(name: str, wanted: Collection[int], facts: Facts) -> Iterable[str]:
    """Say who holds a port on all addresses: no service address can listen on it then, nor the edge."""
    for port, process in held_ports(wanted, facts):
        yield f"port {port} of {name} is taken on {facts.machine} by {process} (on all addresses)"


def held_ports(wanted: Collection[int], facts: Facts) -> Iterator[tuple[int, str]]:
    """Yield those of the ports that somebody else holds on all addresses of a machine, and who that is."""
    edge_is_ours = "10-edge.cfg" in facts.proxy_files
    for listener in facts.listening:
        ours = edge_is_ours and listener.port == EDGE_PORT and listener.process == "haproxy"
        if listener.port in wanted and listener.address in EVERYWHERE and not ours:
            yield listener.port, listener.process


def check_disk(facts: Facts, needed: int) -> None:
    """Refuse when the images to come, of `needed` bytes as far as known, would fill the disk."""
    if facts.disk_free < needed + SPARE_DISK:
        free, want = facts.disk_free // 1024**2, (needed + SPARE_DISK) // 1024**2
        message = f"{facts.machine} has {free} MB of disk left; this deploy needs about {want} MB"
        raise PlanRefused(message, advice="Nothing was changed. Make room: docker system df, on the machine.")
