"""Machines made of containers: they are reached, run Docker, reboot, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from handful.artifact.docker import docker
from handful.errors import MachineError, NoDocker, UsageError
from handful.provider import lab
from handful.provider.lab_machines import container_name
from handful.provider.lab_ready import wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handful.machine.access import Access

pytestmark = pytest.mark.lab

STACK = f"t-{os.getpid()}"
SECONDS_TO_REBOOT = 60
# An image out of the machine's own /bin/sleep: nothing is pulled.
TINY_IMAGE = "tar -ch /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') 2>/dev/null | docker import - tiny >/dev/null"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for keys whose name has a blank, as people's folders do."""
    return tmp_path_factory.mktemp("the state")


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    """Without a Docker engine there is no lab: that is a failure where tests must run, a skip elsewhere."""
    try:
        docker("version")
    except NoDocker as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def machines(state: Path) -> Iterator[dict[str, Access]]:
    """Have two machines of Debian 13."""
    yield lab.up(STACK, {"m1": None, "m2": None}, state=state, say=print)
    lab.down(STACK, state, print)


@pytest.fixture
def small(state: Path) -> Iterator[str]:
    """Give the name of another lab, which is gone after the test."""
    yield f"{STACK}-small"
    lab.down(f"{STACK}-small", state, print)


def test_ssh_enters_as_root_without_a_question(machines: dict[str, Access]) -> None:
    """The Access is all that ssh needs, and nothing is said about unknown hosts."""
    done = _ssh(machines["m1"], "hostname; id -un")
    assert (done.stdout, done.stderr) == ("m1\nroot\n", "")


def test_the_private_address_is_the_machines_own(machines: dict[str, Access]) -> None:
    """What the machine sees on its interface is what the Access says."""
    assert f"inet {machines['m2'].private}/24" in _ssh(machines["m2"], "ip -4 address show eth0").stdout


def test_machines_differ_like_servers(machines: dict[str, Access]) -> None:
    """Host key and machine id are made at first boot, not baked into the image."""
    told = {_ssh(access, "cat /etc/machine-id /etc/ssh/ssh_host_*.pub").stdout for access in machines.values()}
    assert len(told) == len(machines)


def test_a_password_opens_nothing(machines: dict[str, Access]) -> None:
    """Without the lab's key sshd offers keys only."""
    host = machines["m1"].host
    words = ["-o", "PubkeyAuthentication=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]
    done = _run("ssh", "-o", "BatchMode=yes", *words, f"root@{host}", "true")
    assert "Permission denied (publickey)" in done.stderr


def test_containers_run_inside_on_overlay(machines: dict[str, Access]) -> None:
    """The machine's own Docker runs a container, on overlay2, with addresses apart from the lab's."""
    script = f"{TINY_IMAGE}; docker run --rm tiny /bin/sleep 0 && docker info --format '{{{{.Driver}}}}'"
    assert _ssh(machines["m1"], script).stdout == "overlay2\n"
    assert "inet 10.213.0.1/24" in _ssh(machines["m1"], "ip -4 address show docker0").stdout


def test_the_hosts_file_can_be_replaced_like_on_a_server(machines: dict[str, Access]) -> None:
    """A rename over /etc/hosts works, though Docker binds it."""
    done = _ssh(machines["m1"], "cp /etc/hosts /etc/hosts.new && mv /etc/hosts.new /etc/hosts && cat /etc/hosts")
    assert f"{machines['m1'].private}\tm1" in done.stdout


def test_a_restart_is_a_reboot(machines: dict[str, Access]) -> None:
    """Files stay; sshd, dockerd and containers with a restart policy come back; the host key is the same."""
    begin = f"{TINY_IMAGE}; mkdir -p /var/lib/handful; echo kept >/var/lib/handful/it; echo 10.1.2.3 db >>/etc/hosts"
    run = "docker run --detach --restart unless-stopped --stop-signal KILL --name stays tiny /bin/sleep 1000000"
    assert _ssh(machines["m1"], f"{begin}; {run}").returncode == 0
    docker("restart", container_name(STACK, "m1"))
    look = "docker inspect --format '{{.State.Running}}' stays; cat /var/lib/handful/it; tail -n 1 /etc/hosts"
    assert _poll(machines["m1"], look, "true\nkept\n10.1.2.3 db\n") == "true\nkept\n10.1.2.3 db\n"


def test_up_again_changes_nothing(machines: dict[str, Access], state: Path) -> None:
    """Machines that run stay the same containers, started once."""
    before = _containers()
    assert lab.up(STACK, {"m1": None, "m2": None}, state=state, say=print) == machines
    assert _containers() == before


def test_up_starts_what_was_stopped(machines: dict[str, Access], state: Path) -> None:
    """A stopped machine is seen as stopped, and is the same machine afterwards."""
    identity = _ssh(machines["m2"], "cat /etc/machine-id").stdout
    docker("stop", container_name(STACK, "m2"))
    assert lab.machines(STACK)["m2"].state == "stopped"
    lab.up(STACK, {"m2": None}, state=state, say=print)
    assert _ssh(machines["m2"], "cat /etc/machine-id").stdout == identity


def test_a_machine_made_anew_is_known_at_once(machines: dict[str, Access], state: Path) -> None:
    """Another host key at the same address does not keep ssh out."""
    docker("rm", "--force", container_name(STACK, "m2"))
    again = lab.up(STACK, {"m1": None, "m2": None}, state=state, say=print)
    assert again == machines
    assert _ssh(again["m2"], "hostname").stdout == "m2\n"


def test_a_lost_key_is_replaced(machines: dict[str, Access], state: Path) -> None:
    """Without its key the lab says so; `up` gives running machines a new one."""
    (state / STACK / "id_ed25519").unlink()
    with pytest.raises(MachineError, match="key of the lab is gone"):
        lab.access(STACK, state)
    lab.up(STACK, {"m1": None, "m2": None}, state=state, say=print)
    assert _ssh(machines["m1"], "hostname").stdout == "m1\n"


def test_machines_and_access_agree(machines: dict[str, Access], state: Path) -> None:
    """What Docker's labels say is enough to reach everything again."""
    assert lab.access(STACK, state) == machines
    assert {name: machine.address for name, machine in lab.machines(STACK).items()} == {
        name: access.host for name, access in machines.items()
    }


def test_a_range_of_another_lab_is_refused_by_name(machines: dict[str, Access], state: Path, small: str) -> None:
    """The error says who holds the addresses, and nothing was made."""
    with pytest.raises(MachineError, match=f"belongs to the lab {STACK}"):
        lab.up(small, {"db": machines["m1"].private}, state=state, say=print)
    assert _left(small) == []


def test_addresses_of_handful_itself_are_refused(state: Path, small: str) -> None:
    """10.210 to 10.213 are used inside every machine."""
    with pytest.raises(MachineError, match="belongs to handful itself"):
        lab.up(small, {"db": "10.211.0.5"}, state=state, say=print)


def test_an_unknown_image_is_refused(state: Path, small: str) -> None:
    """The error names those that exist."""
    with pytest.raises(UsageError, match="debian-13, debian-12"):
        lab.up(small, {"db": None}, state=state, say=print, image="plan9")


def test_a_machine_that_stops_is_not_waited_for(state: Path, small: str) -> None:
    """The wait ends long before its deadline, and names the machine."""
    lab.up(small, {"m1": None}, state=state, say=print, bare=True)
    docker("kill", container_name(small, "m1"))
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"m1 of the lab .* stopped while it started"):
        wait_ready(small, ["m1"], "")
    assert time.monotonic() - started < SECONDS_TO_REBOOT


def test_a_bare_machine_has_no_docker(state: Path, small: str) -> None:
    """That is what `handful` prepares on a new server; a second machine of another kind can join."""
    bare = lab.up(small, {"bare": None}, state=state, say=print, bare=True)
    assert _ssh(bare["bare"], "command -v docker dockerd || echo none; ls /etc/docker").stdout == "none\n"


def test_debian_12_runs_docker_on_the_wanted_address(state: Path, small: str) -> None:
    """The older release works as well, at an address from the file (.1, where the gateway would be)."""
    there = lab.up(small, {"old": "10.115.9.1"}, state=state, say=print, image="debian-12")
    script = f"{TINY_IMAGE}; docker run --rm tiny /bin/sleep 0 && docker info --format '{{{{.Driver}}}}'; hostname -I"
    driver, addresses = _ssh(there["old"], script).stdout.splitlines()
    assert driver == "overlay2"
    assert "10.115.9.1" in addresses.split()
    assert lab.machines(small)["old"].image == "debian-12"


def test_down_leaves_nothing(state: Path, small: str) -> None:
    """Machines with running containers, volumes (orphans too), network and keys go; a second time is no error."""
    there = lab.up(small, {"m1": None, "m2": None}, state=state, say=print)
    assert _ssh(there["m1"], f"{TINY_IMAGE}; docker run -d --restart always tiny /bin/sleep 1000000").returncode == 0
    docker("rm", "--force", container_name(small, "m2"))
    lab.down(small, state, print)
    assert _left(small) == []
    assert not (state / small).exists()
    lab.down(small, state, print)


def test_without_an_engine_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No traceback, no Docker prose: there is no engine, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(NoDocker, match="No Docker engine answers"):
        lab.machines(STACK)


def _ssh(access: Access, script: str) -> subprocess.CompletedProcess[str]:
    options = [word for option in access.options for word in ("-o", option)]
    return _run("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", *options, "-l", "root", access.host, script)


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _poll(access: Access, script: str, expected: str) -> str:
    """Return what the script says as soon as it is `expected`, or what it said last."""
    deadline = time.monotonic() + SECONDS_TO_REBOOT
    while True:
        told = _ssh(access, script).stdout
        if told == expected or time.monotonic() > deadline:
            return told
        time.sleep(0.2)


def _containers() -> str:
    names = [container_name(STACK, name) for name in ("m1", "m2")]
    return docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *names).out


def _left(stack: str) -> list[str]:
    """Every container, volume and network that is still there."""
    mine = f"--filter=label=handful.lab={stack}"
    commands = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    return [line for words in commands for line in docker(*words, "--quiet", mine).out.split()]
