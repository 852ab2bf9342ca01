"""What is to be done until a machine is a safe place to run containers?

Pure: from the file and from what a machine is now to tasks, each with a sentence that says it before and after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handful.errors import PlanRefused
from handful.plan import docker, firewall, network
from handful.plan.model import Step
from handful.plan.prepared import document, newer
from handful.plan.task import Task, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import Config
    from handful.facts.survey import Survey

# What the scripts on a machine need, and what keeps it well.
PACKAGES = (
    "ca-certificates", "curl", "iproute2", "iptables", "nftables", "perl-base", "procps", "sudo", "unattended-upgrades",
    "util-linux", "zstd",
)
KEEPS_TIME = "systemd-timesyncd"
# For volumes.
FILE_SYSTEMS = "e2fsprogs"
SSHD = "/etc/ssh/sshd_config.d/10-handful.conf"
UPGRADES = "/etc/apt/apt.conf.d/60handful"
SWAPPINESS = "/etc/sysctl.d/60-handful-swap.conf"
FIREWALL = "/var/lib/handful/firewall.bash"
WIREGUARD = "/var/lib/handful/wireguard.bash"
DISKS = "/var/lib/handful/disks"
FILES = (*docker.FILES, SSHD, UPGRADES, SWAPPINESS, FIREWALL, WIREGUARD)
SMALL_MEMORY, LEAST_DISK, GIGABYTE = 4 * 1024**3, 5 * 1024**3, 1024**3
SSHD_TEXT = """\
# handful: keys alone let in. Many sessions begin at once when many machines are worked on.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin {root}
MaxStartups 30:30:100
"""
# sshd takes the first word that it finds on anything.
SSHD_CHECK = """\
sshd -t && { ! sshd -T | grep -E '^(password|kbdinteractive)authentication yes$' || {
  echo 'another file says so:' && grep -rniE '^ *(Password|KbdInteractive|ChallengeResponse)Authentication' /etc/ssh
  false; }; }"""
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

    `close`: ports, too, that something else serves the world on. `devices`: paths of the volumes' devices, by machine
    and volume, "" where the machine finds them in their places. `docker_key`: the text of the key of Docker's packages.
    """

    config: Config
    stack: str
    handful: str
    firewall: str
    close: bool = False
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    docker_key: str = ""


def prepare(aim: Aim, machine: str, survey: Survey) -> tuple[Task, ...]:
    """Return what is to be done, in its order; nothing when the machine is as it should be.

    Raises PlanRefused: a system that is not supported, a machine that is not well, or ports that would be closed under
    somebody.
    """
    _check(aim, survey)
    config = aim.config
    tasks = [
        *_user(config, survey), *docker.settings(config, survey), *docker.source(config, survey, aim.docker_key),
        *_packages(config, machine, survey), *written(survey, UPGRADES, UPGRADES_TEXT, "security upgrades"),
        *_swap(survey), *_volumes(aim, machine, survey), *_key(config, survey), *_firewall(aim, machine, survey),
        *_sshd(config, survey),
    ]
    wanted = document(config, aim.handful, survey.prepared)
    if not tasks and survey.prepared == wanted:
        return ()
    done = Step("prepare_done", {"text": json.dumps(wanted)})
    return (*tasks, Task("", done, closes=any(task.closes for task in tasks)))


def wanted_packages(config: Config) -> tuple[str, ...]:
    """Return every package that may be asked for, on whatever system."""
    joins = {*network.PACKAGES, network.IN_USERSPACE}
    return tuple(sorted({*PACKAGES, KEEPS_TIME, FILE_SYSTEMS, *docker.EVERY_PACKAGE, *joins, *config.packages}))


def _check(aim: Aim, survey: Survey) -> None:
    by = str(survey.prepared.get("handful", ""))
    if newer(by, aim.handful):
        message = f"{survey.machine} was prepared by handful {by}, and this is {aim.handful}"
        raise PlanRefused(message, advice="Use that one, or a newer: this one would undo what it does not know.")
    if survey.trouble:
        message = f"cloud-init failed on {survey.machine}"
        advice = f"See there: /var/log/cloud-init-output.log. {survey.machine} is as it was."
        raise PlanRefused(message, detail=survey.trouble, advice=advice)
    if survey.os not in docker.PACKAGES:
        message = f"{survey.machine} runs {survey.os or 'an unknown system'}, which handful does not prepare"
        advice = f"It prepares {', '.join(docker.PACKAGES)}. Others can be used as they are, with Docker."
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


def _packages(config: Config, machine: str, survey: Survey) -> Iterable[Task]:
    wanted = {*PACKAGES, *config.packages, *docker.packages(config, survey)}
    if not survey.keeps_time and not survey.virtual:
        wanted.add(KEEPS_TIME)
    if network.is_joined(config):
        wanted.update(network.packages(survey))
    if config.machines[machine].volumes:
        wanted.add(FILE_SYSTEMS)
    missing = tuple(sorted(wanted - survey.packages))
    if missing:
        says = f"packages: {', '.join(missing)}"
        yield Task(says, Step("prepare_packages", {"says": says, "packages": " ".join(missing)}))


def _swap(survey: Survey) -> Iterable[Task]:
    if survey.virtual or survey.swap or survey.memory > SMALL_MEMORY or survey.disk < LEAST_DISK:
        return
    megabytes = 1024 if survey.memory <= GIGABYTE else 2048
    says = f"swap of {megabytes} MiB"
    yield Task(says, Step("prepare_swap", {"says": says, "megabytes": str(megabytes)}))
    yield from written(survey, SWAPPINESS, SWAPPINESS_TEXT, "swap", heed=f"sysctl --quiet --load {SWAPPINESS}")


def _volumes(aim: Aim, machine: str, survey: Survey) -> Iterable[Task]:
    for name in aim.config.machines[machine].volumes:
        device = aim.devices.get(machine, {}).get(name)
        if name not in survey.disks and not device:
            message = f"{machine} has no volume {name} that handful knows of"
            raise PlanRefused(message, advice="Make it, or find it: handful machines apply")
        if survey.disks.get(name) != "whole":
            says = f"volume {name}: {'grown' if name in survey.disks else 'mounted'} at {DISKS}/{name}"
            yield Task(says, Step("prepare_volume", {"says": says, "name": name, "device": device or ""}))


def _key(config: Config, survey: Survey) -> Iterable[Task]:
    if network.is_joined(config) and not survey.wireguard_key:
        says = "a key for the private network, which stays there"
        yield Task(says, Step("prepare_key", {"says": says}))


def _firewall(aim: Aim, machine: str, survey: Survey) -> Iterable[Task]:
    ports = firewall.open_ports(aim.config, machine, survey)
    text = firewall.opening(aim.config, machine, firewall.ssh_ports(survey))
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
    """What counts is what sshd says of itself: another file of its may come before this one."""
    # Another stack here may log in as root.
    root = "prohibit-password" if (config.ssh.user or survey.login) == "root" or survey.shared else "no"
    what = "sshd lets nobody in by password" + ("" if root != "no" else ", and not root")
    told = {"passwordauthentication": "no", "kbdinteractiveauthentication": "no"}
    heeds = not survey.sshd or all(survey.sshd.get(name, (value,)) == (value,) for name, value in told.items())
    for task in written(
        survey, SSHD, SSHD_TEXT.format(root=root), what, check=SSHD_CHECK,
        heed="systemctl reload ssh || systemctl reload sshd", again=not heeds,
    ):
        yield Task(task.says, task.step, closes=True)
