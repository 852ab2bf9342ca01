"""What does Docker need on a machine: packages, and settings that leave alone what the machine's owner has said?"""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.errors import PlanRefused
from handful.plan.model import Step
from handful.plan.task import Task, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import Config
    from handful.facts.survey import Survey

# As the distributions have it.
PACKAGES = MappingProxyType({
    "debian 12": ("docker.io",), "debian 13": ("docker.io", "docker-cli"),
    "ubuntu 22.04": ("docker.io",), "ubuntu 24.04": ("docker.io",),
})
# Docker's own, and the suites that it has them for.
OWN_PACKAGES = ("containerd.io", "docker-buildx-plugin", "docker-ce", "docker-ce-cli")
SUITES = MappingProxyType({
    "debian 12": "bookworm", "debian 13": "trixie", "ubuntu 22.04": "jammy", "ubuntu 24.04": "noble",
})
EVERY_PACKAGE = frozenset({*OWN_PACKAGES, *(each for packages in PACKAGES.values() for each in packages)})
DAEMON = "/etc/docker/daemon.json"
KEY = "/etc/apt/keyrings/handful-docker.asc"
SOURCE = "/etc/apt/sources.list.d/handful-docker.sources"
HELD = "/etc/apt/preferences.d/handful-docker"
FILES = (DAEMON, KEY, SOURCE, HELD)
SOURCE_TEXT = """\
# handful: Docker's own packages, as handful.yml says under docker.
Types: deb
URIs: {repository}
Suites: {suite}
Components: stable
Signed-By: {key}
"""
# Above 1000, apt takes it whatever else there is.
HELD_TEXT = """\
# handful: this version of Docker, until handful.yml says another.
Package: docker-ce docker-ce-cli
Pin: version {version}
Pin-Priority: 1001
"""
# Docker's own networks: not those of handful, of most providers, or of most offices.
POOLS = tuple(f"10.{number}.0.0/16" for number in (212, 220, 222, 224, 226))
# Options of dockerd that say the same as a key of daemon.json; both together keep it from starting.
OPTIONS = MappingProxyType({
    "--log-driver": "log-driver", "--log-opt": "log-opts", "--live-restore": "live-restore",
    "--default-address-pool": "default-address-pools", "--bip": "bip",
})


def packages(config: Config, survey: Survey) -> tuple[str, ...]:
    """Return the packages that bring Docker; none where it is, of whatever origin. Raises PlanRefused: it is ill."""
    if survey.docker:
        return ()
    if survey.dockerd:
        message = f"Docker is on {survey.machine}, and does not answer"
        raise PlanRefused(message, advice="See there: systemctl status docker. Mend it, or take it away.")
    return PACKAGES[survey.os] if config.docker is None else OWN_PACKAGES


def source(config: Config, survey: Survey, key: str) -> Iterator[Task]:
    """Have apt know Docker's own packages, and which version of them; `key` is the text of who signs them."""
    told = config.docker
    if told is None or (survey.docker and "docker-ce" not in survey.packages):
        return
    text = SOURCE_TEXT.format(repository=told.repository, suite=SUITES[survey.os], key=KEY)
    yield from written(survey, KEY, key, "the key of Docker's packages")
    yield from written(survey, SOURCE, text, "Docker's packages")
    if told.version is not None:
        yield from written(survey, HELD, HELD_TEXT.format(version=told.version), f"Docker is held at {told.version}")


def settings(config: Config, survey: Survey) -> Iterator[Task]:
    """Have Docker's settings be there; what the machine's owner has written, or told dockerd, stays."""
    try:
        told: dict[str, Any] = json.loads(survey.files.get(DAEMON, "") or "{}")
    except ValueError as wrong:
        message = f"{DAEMON} of {survey.machine} is no JSON: {wrong}"
        raise PlanRefused(message, advice="Mend it there; Docker cannot read it either.") from wrong
    options = {OPTIONS.get(word.partition("=")[0], "") for word in survey.dockerd.split()}
    said = told.keys() | options
    wanted: dict[str, Any] = {"log-driver": "json-file", "live-restore": True}
    if survey.swarm:
        del wanted["live-restore"]
    if told.get("log-driver", "json-file") == "json-file" and "log-driver" not in options:
        wanted["log-opts"] = {"max-size": "10m", "max-file": "3"}
    if not {"default-address-pools", "bip"} & said:
        wanted["default-address-pools"] = [{"base": _pool(config, survey), "size": 24}]
    missing = {key: value for key, value in wanted.items() if key not in said}
    if missing:
        says = f"Docker: {', '.join(missing)}"
        text = json.dumps({**told, **missing}, indent=2)
        yield Task(says, Step("prepare_docker", {"says": says, "text": text}))


def _pool(config: Config, survey: Survey) -> str:
    """Return a range for Docker's own networks that leads nowhere from this machine, and to no other machine."""
    taken = [IPv4Network(range_) for range_, device in survey.networks if device != "docker0"]
    taken += [IPv4Network(each.private) for each in config.machines.values() if each.private]
    free = (pool for pool in POOLS if not any(IPv4Network(pool).overlaps(each) for each in taken))
    if (found := next(free, None)) is None:
        message = f"{', '.join(POOLS)} all lead somewhere from {survey.machine}: Docker's networks have no place"
        raise PlanRefused(message, advice=f"Write default-address-pools into {DAEMON} there.")
    return found
