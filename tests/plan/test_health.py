"""What doctor and audit say, as data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from handful.config.model import Config
from handful.facts.model import NO_PROGRAM, Container, Facts, Listener, StackState
from handful.facts.survey import Survey
from handful.plan.audit import findings, listening, reached
from handful.plan.health import of_agent, of_facts, of_survey, overlapping, proxy_ports

GIGABYTE = 1024**3
WELL = Facts(
    "m1", docker="26.1.5", cpus=2, load=1.0, memory_total=4 * GIGABYTE, memory_free=GIGABYTE, disk_total=40 * GIGABYTE,
    disk_free=20 * GIGABYTE,
)


def test_a_machine_that_is_well() -> None:
    """Every line is good, and tells what it measured."""
    told = [*of_facts(WELL, "shop", (80,)), *of_survey(Survey("m1"), 0)]
    assert all(each.good for each in told)
    assert [each.text for each in told] == [
        "Docker 26.1.5", "its clock is right", "disk: 20.0 of 40.0 GB free", "memory: 1.0 of 4.0 GB free", "load 1.0 on 2 processors",
        "nobody else holds 80",
        "it resolves names", "sshd makes tunnels", "no restart is due", "it is prepared",
    ]


@pytest.mark.parametrize(("changes", "text", "mend"), [
    ({"docker": "", "docker_trouble": NO_PROGRAM}, "m1 has no Docker that answers", "handful machines prepare m1"),
    ({"docker": "19.3.1"}, "Docker 19.3.1 on m1 is too old", "20.10"),
    ({"skew": -70.0}, "its clock is 70 s off", "timedatectl"),
    ({"disk_free": GIGABYTE}, "disk: 1.0 of 40.0 GB free", "handful prune"),
    ({"disk_total": 400 * GIGABYTE}, "disk: 20.0 of 400.0 GB free", "handful prune"),
    ({"memory_free": 1024**2}, "memory: 0.0 of 4.0 GB free", "ps aux"),
    ({"load": 9.0}, "load 9.0 on 2 processors", "ps aux"),
    ({"stacks": {"shop": StackState(holder="ann, since noon")}}, "at work: ann, since noon", "--attach"),
])
def test_what_is_not_well_is_told_with_what_to_do(changes: dict[str, Any], text: str, mend: str) -> None:
    """One finding each."""
    (bad,) = [each for each in of_facts(replace(WELL, **changes), "shop", ()) if not each.good]
    assert text in bad.text
    assert mend in bad.mend


@pytest.mark.parametrize(("changes", "undone", "text", "mend"), [
    ({"resolves": False}, 0, "cannot resolve", "resolv.conf"),
    ({"sshd": {"allowtcpforwarding": ("local",)}}, 0, "makes no tunnels", "AllowTcpForwarding"),
    ({"reboot": True}, 0, "wait for a restart", "reboot"),
    ({}, 1, "1 thing is to prepare", "handful machines prepare m1"),
])
def test_what_a_survey_finds(changes: dict[str, Any], undone: int, text: str, mend: str) -> None:
    """Names, tunnels, restarts, and what is not prepared."""
    (bad,) = [each for each in of_survey(replace(Survey("m1"), **changes), undone) if not each.good]
    assert text in bad.text
    assert mend in bad.mend


def test_a_range_that_leads_elsewhere_from_here() -> None:
    """A company's VPN, or another network of one's own; the default route says nothing."""
    routes = "default via 192.0.2.1 dev eth0\n10.114.0.0/16 dev tun0 scope link\n192.0.2.0/24 dev eth0\n"
    assert list(overlapping("10.114.0.0/24", routes)) == [
        "the machines' network 10.114.0.0/24 overlaps 10.114.0.0/16, which leads to tun0 from here",
    ]
    assert list(overlapping("10.99.0.0/24", routes)) == []


def test_a_port_that_somebody_else_holds() -> None:
    """The edge's, or an app's; the proxy's own is none, and none on loopback."""
    apps = {
        "web": {"image": "x", "machines": ["m1"], "port": 8000, "domains": ["a.test"]}, "db": {"image": "x", "machines": ["m2"], "port": 5432},
        "host": {"image": "x", "machines": ["m1"], "port": 9000, "network": "host"},
    }
    config = Config.model_validate({"project": "shop", "machines": {"m1": {"address": "a"}, "m2": {"address": "b"}}, "apps": apps})
    assert (proxy_ports(config, "m1"), proxy_ports(config, "m2")) == ((80, 8000), (5432,))
    listening = (Listener("*", 80, "nginx"), Listener("127.0.0.1", 8000, "x"), Listener("*", 9000, "y"))
    (bad,) = [each for each in of_facts(replace(WELL, listening=listening), "shop", (80, 8000)) if not each.good]
    assert (bad.text, "nginx" in bad.mend) == ("port 80 is held by nginx, on all addresses", True)
    ours = replace(WELL, listening=(Listener("*", 80, "haproxy"),), proxy_files={"10-edge.cfg": ""})
    assert all(each.good for each in of_facts(ours, "shop", (80,)))


CLEAN = {
    "sshd": "passwordauthentication no\npermitrootlogin without-password\n", "empty_passwords": "", "firewall": "yes", "upgrades": "yes",
    "reboot": "", "socket": "660", "docker_group": "", "writable": "", "readable": "", "opened": "22/tcp",
    "listening": 'tcp LISTEN 0 9 127.0.0.1:9 *:* users:(("x",pid=1,fd=1))\ntcp LISTEN 0 9 *:22 *:* users:(("sshd",pid=1,fd=1))\n',
}


def container(mounts: list[dict[str, str]] | None = None, **host: Any) -> dict[str, str]:
    """Return what a machine tells of a container."""
    return {"containers": json.dumps({"name": "/web", "host": host, "mounts": mounts})}


def test_a_clean_machine() -> None:
    """With a container as handful runs them."""
    assert list(findings("m1", {**CLEAN, **container(Privileged=False, PidMode="", CapAdd=None, PortBindings={})})) == []
    assert listening(CLEAN) == {22: "sshd"}


@pytest.mark.parametrize(("name", "capabilities", "bad"), [("handful-agent", ["ALL"], 0), ("handful-agent", None, 1), ("my-handful-agent", ["ALL"], 1)])
def test_the_agent_may_see_all(name: str, capabilities: list[str] | None, bad: int) -> None:
    """As long as it is the one that handful runs, without a capability."""
    told = json.dumps({"name": f"/{name}", "host": {"PidMode": "host", "CapDrop": capabilities}, "mounts": []})
    assert len(list(findings("m1", {**CLEAN, "containers": told}))) == bad


@pytest.mark.parametrize(("changes", "text"), [
    ({"sshd": "passwordauthentication yes"}, "sshd lets people in by password"),
    ({"sshd": "permitrootlogin yes"}, "sshd lets root in"),
    ({"sshd": "permitemptypasswords yes"}, "without a password"),
    ({"empty_passwords": "bob"}, "the user bob has an empty password"),
    ({"firewall": ""}, "the firewall is not in force"),
    ({"upgrades": ""}, "security upgrades do not come"),
    ({"reboot": "yes"}, "wait for a restart"),
    ({"socket": "666"}, "everybody may use Docker's socket (mode 666)"),
    ({"listening": 'tcp LISTEN 0 9 *:2375 *:* users:(("dockerd",pid=1,fd=1))'}, "Docker listens on port 2375"),
    ({"docker_group": "ann,bob"}, "as good as root: ann,bob"),
    ({"writable": "/etc/docker/daemon.json"}, "may write to /etc/docker/daemon.json"),
    ({"readable": "/x/secrets"}, "may read /x/secrets"),
    (container(Privileged=True), "the container web is privileged"),
    (container(PidMode="host"), "sees all processes"),
    (container(CapAdd=["CAP_SYS_ADMIN", "NET_ADMIN"]), "may take the machine over (SYS_ADMIN)"),
    (container(SecurityOpt=["seccomp=unconfined"]), "is not confined"),
    (container([{"Source": "/run/docker.sock"}]), "has Docker's socket"),
    (container(PortBindings={"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}), "is published on port 8080 of all addresses"),
])
def test_what_lets_strangers_in(changes: dict[str, str], text: str) -> None:
    """One finding each, and each says what to do."""
    (found,) = findings("m1", {**CLEAN, **changes})
    assert text in found.text
    assert found.mend


def test_a_port_on_loopback_is_no_finding() -> None:
    """It is what is advised."""
    assert list(findings("m1", {**CLEAN, **container(PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]})})) == []


def test_ports_are_compared_with_the_file() -> None:
    """What is open and should not be, and the other way round, when something listens there."""
    assert list(reached("m1", {22}, CLEAN, {"22/tcp", "80/tcp", "53/udp"})) == []
    (more,) = reached("m1", {22, 5432}, CLEAN, {"22/tcp"})
    assert more.text == "port 5432 (a program) is open to the world"
    assert "machines: {m1: {open: [5432]}}" in more.mend
    (less,) = reached("m1", set(), CLEAN, {"22/tcp"})
    assert "port 22 (sshd) is meant to be open, and is not" in less.text


def test_the_agent() -> None:
    """It must run where a machine was set up, and logs must fit on the disk."""
    config = Config(project="shop")
    assert list(of_agent(config, WELL)) == []
    agent = Container("handful-agent", "x", running=True, part="agent")
    ready = replace(WELL, parts={"parts": {}}, containers=(agent,))
    assert [(each.text, each.good) for each in of_agent(config, ready)] == [("the agent keeps logs", True)]
    (bad,) = of_agent(config, replace(ready, containers=(replace(agent, running=False),)))
    assert (bad.text, bad.good) == ("the agent does not run: no logs are kept", False)
    (bad,) = of_agent(config, replace(WELL, disk_total=4 * GIGABYTE))
    assert "logs may take 5.0 GB, and its disk has 4.0 GB" in bad.text
    assert "max_size" in bad.mend
