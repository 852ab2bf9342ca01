"""Is what a machine tells before it is prepared read as it was meant?"""

from __future__ import annotations

import base64

import pytest

from handful.errors import ObserveFailed
from handful.facts.survey import Survey, read_survey
from handful.facts.told import read_told

NOTHING = {
    "trouble": "", "os": "debian 13", "virtual": "none\n", "memory": "4096", "swap": "0", "disk": "100", "port": "", "sshd": "", "login": "root",
    "keys": "", "packages": "", "docker": "", "swarm": "inactive", "time": "", "firewall": "", "dockerd": "", "prepared": "{", "disks": "", "own_open": "", "opened": "",
    "stacks": "shop", "listening": "", "networks": "", "kernel_wireguard": "", "wireguard_key": "", "wireguard_up": "", "peers": "", "reboot": "",
    "resolves": "yes",
}


def told(**changes: str) -> str:
    """Return what survey.bash says."""
    values = {**NOTHING, **changes}
    return "\n".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


def test_a_new_machine() -> None:
    """What is not there is told as nothing."""
    assert read_survey("m1", told(), "shop") == Survey("m1", "debian 13", memory=4096, disk=100)


def test_a_machine_that_has_it_all() -> None:
    """Settings that come twice, comments among keys, files by their path, other stacks."""
    text = told(
        sshd="port 22\nport 2222\npermitrootlogin no", keys="# mine\nssh-ed25519 A ann\n\nssh-ed25519 A ann\n", port="2222", user="deploy:x:1000:",
        user_keys="ssh-ed25519 A ann", packages="curl\nzstd", networks="10.1.0.0/16 eth1\n10.2.0.0/16\n", stacks="shop shop-stage", opened="22/tcp 53/udp",
        time="1", swarm="active", virtual="docker", firewall="yes", **{"file:/etc/x": "a\nb"},
    )
    found = read_survey("m1", text, "shop")
    assert found.sshd == {"port": ("22", "2222"), "permitrootlogin": ("no",)}
    assert (found.keys, found.user_keys, found.user) == (("ssh-ed25519 A ann",), ("ssh-ed25519 A ann",), "deploy")
    assert (found.port, found.packages, found.networks) == (2222, {"curl", "zstd"}, (("10.1.0.0/16", "eth1"),))
    assert (found.shared, found.keeps_time, found.swarm, found.virtual, found.firewall) == (True, True, True, "docker", True)
    assert (found.opened, found.files) == ({"22/tcp", "53/udp"}, {"/etc/x": "a\nb"})


@pytest.mark.parametrize("text", ["bash: line 1: x", "os ???", told(memory="1e+10"), "\n".join(told().splitlines()[1:])])
def test_what_is_no_survey_is_refused(text: str) -> None:
    """A number that is none, a line too few, or something else altogether."""
    with pytest.raises(ObserveFailed, match="m1 did not tell what it is"):
        read_survey("m1", text, "shop")


def test_values_may_be_anything() -> None:
    """Also nothing at all, and what is no text."""
    assert read_told("m1", "a \nb " + base64.b64encode(b"x\xffy\n").decode()) == {"a": "", "b": "x�y\n"}
