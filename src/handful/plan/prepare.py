"""What is to be done until a machine is a safe place to run containers?

Pure: from the file and from what a machine is now to tasks, each with a sentence that says it before and after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.errors import PlanRefused
from handful.plan import firewall, network
from handful.plan.model import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.config.model import Config
    from handful.facts.survey import Survey

# What the scripts on a machine need, and what keeps it well.
PACKAGES = (
    "ca-certificates", "curl", "iproute2", "iptables", "nftables", "perl-base", "procps", "sudo", "unattended-upgrades",
    "util-linux", "zstd",
)
KEEPS_TIME = "systemd-timesyncd"
# Docker as the distribution has it.
DOCKER = MappingProxyType({
    "debian 12": ("docker.io",), "debian 13": ("docker.io", "docker-cli"),
    "ubuntu 22.04": ("docker.io",), "ubuntu 24.04": ("docker.io",),
})
DAEMON = "/etc/docker/daemon.json"
SSHD = "/etc/ssh/sshd_config.d/10-handful.conf"
UPGRADES = "/etc/apt/apt.conf.d/60handful"
SWAPPINESS = "/etc/sysctl.d/60-handful-swap.conf"
FIREWALL = "/var/lib/handful/firewall.bash"
WIREGUARD = "/var/lib/handful/wireguard.bash"
FILES = (DAEMON, SSHD, UPGRADES, SWAPPINESS, FIREWALL, WIREGUARD)
# Docker's own networks: not those of handful, of most providers, or of most offices.
POOLS = tuple(f"10.{number}.0.0/16" for number in (212, 220, 222, 224, 226))
SMALL_MEMORY, LEAST_DISK, GIGABYTE = 4 * 1024**3, 5 * 1024**3, 1024**3
SSHD_TEXT = """\
# handful: keys alone let in. Many sessions begin at once when many machines are worked on.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin {root}
MaxStartups 30:30:100
"""
UPGRADES_TEXT = """\
// handful: security upgrades come by themselves. A reboot does not, nor does Docker: both take a person who looks on.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "runc"; };
"""
SWAPPINESS_TEXT = "# handful: swap is for what is never used.\nvm.swappiness = 10\n"

@dataclass(frozen=True)
class Aim:
    """What holds for all machines. `handful` is its version, `firewall` the text of firewall.bash.

    `close`: ports, too, that something else serves the world on.
    """

    config: Config
    stack: str
    handful: str
    firewall: str
    close: bool = False


@dataclass(frozen=True)
class Task:
    """One thing to do, said before and after; `closes`: only once the new way in has been tried."""

    says: str
    step: Step
    closes: bool = False


def prepare(aim: Aim, machine: str, survey: Survey) -> tuple[Task, ...]:
    """Return what is to be done, in its order; nothing when the machine is as it should be.

    Raises PlanRefused: a system that is not supported, a machine that is not well, or ports that would be closed under
    somebody.
    """
    _check(survey)
    config = aim.config
    tasks = [
        *_user(config, survey), *_docker(config, survey), *_packages(config, survey),
        *_file(survey, UPGRADES, UPGRADES_TEXT, "security upgrades"), *_swap(survey),
        *_key(config, survey), *_firewall(aim, machine, survey), *_sshd(config, survey),
    ]
    if not tasks:
        return ()
    done = Step("prepare_done", {"text": json.dumps({"handful": aim.handful})})
    return (*tasks, Task("", done, closes=any(task.closes for task in tasks)))


def wanted_packages(config: Config) -> tuple[str, ...]:
    """Return every package that may be asked for, on whatever system."""
    docker = {package for packages in DOCKER.values() for package in packages}
    joins = {*network.PACKAGES, network.IN_USERSPACE}
    return tuple(sorted({*PACKAGES, KEEPS_TIME, *docker, *joins, *config.packages}))


def _check(survey: Survey) -> None:
    if survey.trouble:
        message = f"cloud-init failed on {survey.machine}"
        advice = f"See there: /var/log/cloud-init-output.log. {survey.machine} is as it was."
        raise PlanRefused(message, detail=survey.trouble, advice=advice)
    if survey.os not in DOCKER:
        message = f"{survey.machine} runs {survey.os or 'an unknown system'}, which handful does not prepare"
        advice = f"It prepares {', '.join(DOCKER)}. Others can be used as they are, with Docker."
        raise PlanRefused(message, advice=advice)


def _user(config: Config, survey: Survey) -> Iterable[Task]:
    user = config.ssh.user
    if user is None or user == survey.login or (survey.user == user and set(survey.keys) <= set(survey.user_keys)):
        return
    if not survey.keys:
        message = f"{survey.machine} lets {survey.login} in without a key in a file: {user} would have none"
        raise PlanRefused(message, advice=f"Make {user} there by hand, with password-less sudo.")
    says = f"user {user}, with the keys of {survey.login} and sudo without a password"
    yield Task(says, Step("prepare_user", {"says": says, "user": user, "keys": "\n".join(survey.keys)}))


def _packages(config: Config, survey: Survey) -> Iterable[Task]:
    wanted = {*PACKAGES, *config.packages, *(() if survey.docker else DOCKER[survey.os])}
    if not survey.keeps_time and not survey.virtual:
        wanted.add(KEEPS_TIME)
    if network.is_joined(config):
        wanted.update(network.packages(survey))
    missing = tuple(sorted(wanted - survey.packages))
    if missing:
        says = f"packages: {', '.join(missing)}"
        yield Task(says, Step("prepare_packages", {"says": says, "packages": " ".join(missing)}))


def _file(survey: Survey, path: str, text: str, what: str, *, check: str = "", heed: str = "") -> Iterable[Task]:
    if survey.files.get(path, "").rstrip("\n") != text.rstrip("\n"):
        says = f"{what}: {path}"
        values = {"says": says, "path": path, "text": text.rstrip("\n"), "check": check, "heed": heed}
        yield Task(says, Step("prepare_file", values))


def _docker(config: Config, survey: Survey) -> Iterable[Task]:
    """What the machine's owner has written stays: only what is not there is added."""
    try:
        told: dict[str, Any] = json.loads(survey.files.get(DAEMON, "") or "{}")
    except ValueError as wrong:
        message = f"{DAEMON} of {survey.machine} is no JSON: {wrong}"
        raise PlanRefused(message, advice="Mend it there; Docker cannot read it either.") from wrong
    wanted: dict[str, Any] = {"log-driver": "json-file", "live-restore": True}
    if survey.swarm:
        del wanted["live-restore"]
    if told.get("log-driver", "json-file") == "json-file":
        wanted["log-opts"] = {"max-size": "10m", "max-file": "3"}
    if not {"default-address-pools", "bip"} & told.keys():
        wanted["default-address-pools"] = [{"base": _pool(config, survey), "size": 24}]
    missing = {key: value for key, value in wanted.items() if key not in told}
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


def _swap(survey: Survey) -> Iterable[Task]:
    if survey.virtual or survey.swap or survey.memory > SMALL_MEMORY or survey.disk < LEAST_DISK:
        return
    megabytes = 1024 if survey.memory <= GIGABYTE else 2048
    says = f"swap of {megabytes} MiB"
    yield Task(says, Step("prepare_swap", {"says": says, "megabytes": str(megabytes)}))
    yield from _file(survey, SWAPPINESS, SWAPPINESS_TEXT, "swap", heed=f"sysctl --quiet --load {SWAPPINESS}")


def _key(config: Config, survey: Survey) -> Iterable[Task]:
    if network.is_joined(config) and not survey.wireguard_key:
        says = "a key for the private network, which stays there"
        yield Task(says, Step("prepare_key", {"says": says}))


def _firewall(aim: Aim, machine: str, survey: Survey) -> Iterable[Task]:
    ports = firewall.open_ports(aim.config, machine, survey)
    text = firewall.opening(ports, aim.config)
    same = survey.files.get(FIREWALL, "").rstrip("\n") == aim.firewall
    if survey.firewall and same and survey.own_open == text:
        return
    shut = firewall.would_close(survey, ports, aim.config.machines[machine].private)
    if shut and not aim.close and not survey.firewall:
        message = f"{machine} serves the world on {', '.join(shut)}, which handful would close"
        write = ", ".join(each.partition(" ")[0] for each in shut)
        advice = f"Keep them open: machines: {{{machine}: {{open: [{write}]}}}}. Close them: --close."
        raise PlanRefused(message, advice=f"{advice} Nothing was changed.")
    says = f"firewall: open to the world are {', '.join(each.removesuffix('/tcp') for each in ports)}"
    values = {"says": says, "stack": aim.stack, "open": text, "script": aim.firewall}
    yield Task(says, Step("prepare_firewall", values))


def _sshd(config: Config, survey: Survey) -> Iterable[Task]:
    # Another stack here may log in as root.
    root = "prohibit-password" if (config.ssh.user or survey.login) == "root" or survey.shared else "no"
    what = "sshd lets nobody in by password" + ("" if root != "no" else ", and not root")
    text = SSHD_TEXT.format(root=root)
    for task in _file(survey, SSHD, text, what, check="sshd -t", heed="systemctl reload ssh || systemctl reload sshd"):
        yield Task(task.says, task.step, closes=True)
