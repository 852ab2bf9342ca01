"""What is done to a machine, as data: nothing twice, nothing under anybody's feet."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from handful.config.model import Config
from handful.errors import PlanRefused
from handful.facts.survey import Survey
from handful.plan.docker import DAEMON, HELD, KEY, OWN_PACKAGES, SOURCE
from handful.plan.docker import PACKAGES as DOCKER
from handful.plan.firewall import follows, open_ports, opening, provider_ports, would_close
from handful.plan.prepare import (
    FIREWALL,
    KEEPS_TIME,
    PACKAGES,
    SSHD,
    SSHD_TEXT,
    SWAPPINESS,
    SWAPPINESS_TEXT,
    UPGRADES,
    UPGRADES_TEXT,
    Aim,
    prepare,
)

if TYPE_CHECKING:
    from handful.plan.task import Task

APPS = {"web": {"image": "x:1", "machines": ["m1"], "port": 8000, "domains": ["a.test"]}}
MACHINES = {"m1": {"address": "192.0.2.1", "private": "10.1.0.1"}, "m2": {"address": "192.0.2.2", "private": "10.1.0.2"}}
NEW = Survey("m1", "debian 13", memory=8 * 1024**3, disk=20 * 1024**3, keys=("ssh-ed25519 AAAA ann",))
PORTS = "ssh 22\ntcp 80\ntcp 443\nfrom 10.1.0.1\nfrom 10.1.0.2"


def config(**more: Any) -> Config:
    """Return a config of two machines."""
    return Config.model_validate({"project": "shop", "machines": MACHINES, "apps": APPS, **more})


def tasks(
    survey: Survey, machine: str = "m1", *, close: bool = False, devices: dict[str, dict[str, str]] | None = None, **more: Any
) -> tuple[Task, ...]:
    """Return what is to be done."""
    return prepare(Aim(config(**more), "shop", "1.0", "# rules", close, devices or {}, "KEY"), machine, survey)


def steps(survey: Survey, **more: Any) -> list[tuple[str, str]]:
    """Return (script, path or packages) of what is to be done."""
    found = [task.step for task in tasks(survey, **more)]
    return [(step.script, str(step.values.get("path") or step.values.get("packages") or "")) for step in found]


def prepared(**changes: Any) -> Survey:
    """Return a machine on which nothing is left to do."""
    daemon = {"log-driver": "json-file", "log-opts": {}, "live-restore": True, "default-address-pools": []}
    files = {DAEMON: json.dumps(daemon), SSHD: SSHD_TEXT.format(root="prohibit-password"), UPGRADES: UPGRADES_TEXT, FIREWALL: "# rules\n"}
    packages = frozenset({*PACKAGES, *DOCKER["debian 13"], KEEPS_TIME})
    told = {"docker": "26.1", "packages": packages, "keeps_time": True, "firewall": True, "own_open": PORTS, "files": files, "prepared": {"handful": "1.0", "packages": []}}
    return replace(NEW, **{**told, **changes})


def test_a_new_machine() -> None:
    """Docker's settings before Docker, so that it begins with them; sshd last, when the way in has been tried."""
    packages = " ".join(sorted({*PACKAGES, *DOCKER["debian 13"], KEEPS_TIME}))
    assert steps(NEW) == [
        ("prepare_docker", ""), ("prepare_packages", packages), ("prepare_file", UPGRADES), ("prepare_firewall", ""), ("prepare_file", SSHD),
        ("prepare_done", ""),
    ]
    assert [task.closes for task in tasks(NEW)] == [False, False, False, False, True, True]
    firewall = tasks(NEW)[3]
    assert firewall.says == "firewall: open to the world are 22, 80, 443"
    assert firewall.step.values["open"] == PORTS


def test_a_machine_that_is_prepared_is_left_alone() -> None:
    """Nothing at all is done, not even written down."""
    assert tasks(prepared()) == ()


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"packages": frozenset({*PACKAGES, KEEPS_TIME, "docker-ce"})}, []),
    ({"packages": frozenset(PACKAGES) - {"zstd"}}, [("prepare_packages", "zstd")]),
    ({"files": {}, "packages": frozenset(PACKAGES)}, [("prepare_docker", ""), ("prepare_file", UPGRADES), ("prepare_firewall", ""), ("prepare_file", SSHD)]),
    ({"firewall": False}, [("prepare_firewall", "")]),
    ({"own_open": "tcp 22"}, [("prepare_firewall", "")]),
    ({"sshd": {"passwordauthentication": ("yes",)}}, [("prepare_file", SSHD)]),
    ({"sshd": {"passwordauthentication": ("no",), "kbdinteractiveauthentication": ("no",)}}, []),
    ({"keeps_time": False, "packages": frozenset(PACKAGES)}, [("prepare_packages", KEEPS_TIME)]),
    ({"keeps_time": False, "packages": frozenset(PACKAGES), "virtual": "docker"}, []),
    ({"memory": 2 * 1024**3}, [("prepare_swap", ""), ("prepare_file", SWAPPINESS)]),
    ({"memory": 2 * 1024**3, "swap": 1}, []),
    ({"memory": 2 * 1024**3, "virtual": "docker"}, []),
    ({"memory": 2 * 1024**3, "disk": 1024**3}, []),
])  # fmt: skip
def test_what_is_missing_is_all_that_is_done(changes: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    """A Docker of whatever origin stays; a container has the clock and the memory of its computer."""
    done = [("prepare_done", "")] if wanted else []
    assert steps(prepared(**changes)) == [*wanted, *done]


def test_swappiness_that_is_written_is_not_written_again() -> None:
    """With a swap of one's own, nothing is."""
    files = {**prepared().files, SWAPPINESS: SWAPPINESS_TEXT}
    assert steps(prepared(memory=1024**3, files=files)) == [("prepare_swap", ""), ("prepare_done", "")]


def test_what_the_owner_says_to_docker_stays() -> None:
    """Only what is not there is added; other log drivers have other options; live-restore and Swarm do not go together."""
    told = {"log-driver": "journald", "bip": "10.9.0.1/24", "debug": True}
    files = {**prepared().files, DAEMON: json.dumps(told)}
    (task, _) = tasks(prepared(files=files))
    assert json.loads(task.step.values["text"]) == {**told, "live-restore": True}
    assert tasks(prepared(files=files, swarm=True)) == ()
    with pytest.raises(PlanRefused, match="is no JSON"):
        tasks(prepared(files={DAEMON: "{"}))


def test_dockers_networks_lead_nowhere_else() -> None:
    """Not to the provider's, and not to a machine."""
    survey = replace(NEW, networks=(("10.212.4.0/24", "eth1"), ("10.222.0.0/16", "docker0")))
    text = json.loads(tasks(survey)[0].step.values["text"])
    assert text["default-address-pools"] == [{"base": "10.220.0.0/16", "size": 24}]
    everything = tuple((f"10.{number}.0.0/16", "eth1") for number in range(200, 230))
    with pytest.raises(PlanRefused, match="Docker's networks have no place"):
        tasks(replace(NEW, networks=everything))


def test_a_user_is_made_with_the_keys_of_who_was_let_in() -> None:
    """Root is closed then, unless another stack is here that may need it; nobody is made without a key."""
    first, *_, closing, _ = tasks(NEW, ssh={"user": "deploy"})
    assert first.step.values == {"says": first.says, "user": "deploy", "keys": "ssh-ed25519 AAAA ann"}
    assert "PermitRootLogin no" in closing.step.values["text"]
    assert closing.says.startswith("sshd lets nobody in by password, and not root")
    *_, closing, _ = tasks(replace(NEW, shared=True), ssh={"user": "deploy"})
    assert "PermitRootLogin prohibit-password" in closing.step.values["text"]
    known = replace(NEW, user="deploy", user_keys=NEW.keys)
    assert tasks(known, ssh={"user": "deploy"})[0].step.script == "prepare_docker"
    with pytest.raises(PlanRefused, match="deploy would have none"):
        tasks(replace(NEW, keys=()), ssh={"user": "deploy"})


@pytest.mark.parametrize(("changes", "message"), [
    ({"os": "alpine 3.20"}, "m1 runs alpine 3.20, which handful does not prepare"),
    ({"os": ""}, "m1 runs an unknown system"),
    ({"trouble": "E: broken"}, "cloud-init failed on m1"),
])
def test_what_cannot_be_prepared_is_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything is changed."""
    with pytest.raises(PlanRefused, match=message):
        tasks(replace(NEW, **changes))


LISTENING = (
    'tcp LISTEN 0 100 0.0.0.0:25 0.0.0.0:* users:(("master",pid=1,fd=1))',
    'udp UNCONN 0 0 [::]:53 [::]:* users:(("named",pid=2,fd=1))',
    'tcp LISTEN 0 100 *:80 *:* users:(("nginx",pid=3,fd=1))',
    'tcp LISTEN 0 100 10.1.0.1:5432 0.0.0.0:* users:(("postgres",pid=4,fd=1))',
    "tcp LISTEN 0 100 0.0.0.0:22 0.0.0.0:*",
)


def test_nobody_is_closed_out_silently() -> None:
    """Who serves the world on a port is named, with what to write; `--close` closes; so it is with what is open already."""
    second = 'tcp LISTEN 0 9 *:2022 *:* users:(("sshd",pid=5,fd=1))'
    assert would_close(replace(NEW, listening=(second,)), ["22/tcp"], None) == ("2022/tcp (sshd)",)
    with pytest.raises(PlanRefused) as refused:
        tasks(replace(NEW, listening=LISTENING))
    assert refused.value.message == "m1 serves the world on 25/tcp (master), 53/udp (named), which handful would close"
    assert "machines: {m1: {open: [25/tcp, 53/udp]}}" in refused.value.advice
    assert tasks(replace(NEW, listening=LISTENING), close=True)
    opened = {"machines": {**MACHINES, "m1": {**MACHINES["m1"], "open": [25, "53/udp"]}}}
    assert "tcp 25\n" in tasks(replace(NEW, listening=LISTENING), **opened)[3].step.values["open"]
    opened_by_others = frozenset({"25/tcp", "53/udp"})
    assert would_close(replace(NEW, listening=LISTENING, opened=opened_by_others), ["22/tcp", "80/tcp"], "10.1.0.1") == ()


def test_what_is_open() -> None:
    """The port of the very session, too: nobody locks himself out; 80 and 443 only where an edge is."""
    survey = replace(NEW, port=2222, sshd={"port": ("22",)})
    assert open_ports(config(), "m2", survey) == ("22/tcp", "2222/tcp")
    assert open_ports(config(), "m1", survey) == ("22/tcp", "80/tcp", "443/tcp", "2222/tcp")
    assert open_ports(config(edge=["m2"]), "m1", survey) == ("22/tcp", "2222/tcp")
    opened = config(machines={**MACHINES, "m2": {**MACHINES["m2"], "open": ["53/udp"]}})
    assert opening(opened, "m2", ["22/tcp"]) == "ssh 22\nudp 53\nfrom 10.1.0.1\nfrom 10.1.0.2"


def test_a_firewall_that_follows_the_file() -> None:
    """Where sshd listens is the machine's; another domain, port or machine is the file's."""
    assert follows(config(), "m1", PORTS)
    assert follows(config(), "m1", PORTS.replace("ssh 22", "ssh 22\nssh 2222"))
    assert not follows(config(edge=["m2"]), "m1", PORTS)
    assert not follows(config(), "m2", PORTS)
    assert not follows(config(), "m1", "")
    more = {**MACHINES, "m3": {"address": "192.0.2.3", "private": "10.1.0.3"}}
    assert not follows(config(machines=more), "m1", PORTS)


def test_what_the_provider_lets_in() -> None:
    """What is open on any of the machines that it makes, with its protocol."""
    machines = {"m1": {"open": [25]}, "m2": {"open": ["53/udp"]}, "m9": {"address": "192.0.2.9", "open": [99], "private": "10.1.0.9"}}
    told = config(machines=machines, provider={"name": "lab"}, apps={"web": {**APPS["web"], "machines": ["m2"]}})
    assert provider_ports(told) == ("22/tcp", "25/tcp", "80/tcp", "443/tcp", "53/udp")


DISK = {"m1": {"volumes": {"data": 40 * 1024**3}}}


def test_volumes_come_into_their_places() -> None:
    """And grow there; one that nobody knows of is told."""
    told = {"machines": DISK, "provider": {"name": "lab"}, "apps": {}}
    (task, *_) = [each for each in tasks(NEW, devices={"m1": {"data": "/dev/x"}}, **told) if each.step.script == "prepare_volume"]
    assert task.step.values == {"says": "volume data: mounted at /var/lib/handful/disks/data", "name": "data", "device": "/dev/x"}
    with pytest.raises(PlanRefused, match="m1 has no volume data that handful knows of"):
        tasks(NEW, **told)
    for state, scripts in (("whole", []), ("grown", ["prepare_volume"])):
        found = tasks(replace(NEW, disks={"data": state}), **told)
        assert [each.step.script for each in found if each.step.script == "prepare_volume"] == scripts


def test_dockers_own_packages() -> None:
    """In the version of the file; not where Docker is of another origin, and none over one that is ill."""
    told = {"docker": {"repository": "https://packages.test/debian", "key": "docker.asc", "version": "5:28.5.2*"}}
    found = {each.step.values["path"]: each.step.values["text"] for each in tasks(NEW, **told) if each.step.script == "prepare_file"}
    assert found[KEY] == "KEY"
    assert "Suites: trixie\n" in found[SOURCE]
    assert "Pin: version 5:28.5.2*\n" in found[HELD]
    (packages,) = (each.step.values["packages"] for each in tasks(NEW, **told) if each.step.script == "prepare_packages")
    assert set(OWN_PACKAGES) <= set(packages.split())
    assert "docker.io" not in packages.split()
    assert tasks(prepared(), **told) == ()
    with pytest.raises(PlanRefused, match="Docker is on m1, and does not answer"):
        tasks(replace(NEW, dockerd="installed"))


def test_what_dockerd_was_told_is_not_said_again() -> None:
    """Both together keep it from starting."""
    survey = replace(NEW, docker="26.1", dockerd="/usr/sbin/dockerd -H fd:// --log-driver=journald --bip 10.9.0.1/24")
    text = json.loads(tasks(survey)[0].step.values["text"])
    assert text == {"live-restore": True}


def test_an_older_handful_undoes_nothing() -> None:
    """It refuses, and says so; a newer one goes on."""
    with pytest.raises(PlanRefused, match=r"m1 was prepared by handful 1.0.1, and this is 1.0"):
        tasks(prepared(prepared={"handful": "1.0.1", "packages": []}))


def test_who_prepared_it_is_written_down() -> None:
    """By another handful, or with other packages, it is written anew; another stack's packages stay."""
    (done,) = tasks(prepared(prepared={"handful": "0.9", "packages": ["tree"]}))
    assert json.loads(done.step.values["text"]) == {"handful": "1.0", "packages": ["tree"]}
    (done,) = tasks(prepared(prepared={}))
    assert json.loads(done.step.values["text"]) == {"handful": "1.0", "packages": []}
