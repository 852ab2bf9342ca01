from __future__ import annotations

import contextlib
import fcntl
import re
from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_release import NAMES, PROXY
from script_tap import Answer
from script_traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from script_machine import Machine

NEXT = "handful/proxy:2"
CHECK = "docker exec handful-proxy haproxy -c -f /etc/haproxy/conf"


def state(machine: Machine) -> dict[Path, tuple[int, bytes]]:
    """Return modes and contents of all that setup writes; a socket has none."""
    files = [path for folder in (machine.root, machine.etc) for path in sorted(folder.rglob("*"))]
    return {path: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in files if path.exists()}


def test_a_second_run_changes_nothing(ready: Machine) -> None:
    """Same files, same containers, and no container is made, stopped, renamed or removed."""
    before, containers = state(ready), {each.id for each in ready.docker.containers.values()}
    ready.tap.calls.clear()
    ready.set_up()
    assert state(ready) == before
    assert {each.id for each in ready.docker.containers.values()} == containers
    # The proxy is asked whether it takes its files.
    assert {line for line in ready.tap.lines("docker ") if " inspect " not in line} <= {CHECK}


def test_service_addresses_are_local_now(ready: Machine) -> None:
    """Any address of the range can be bound, without an interface for it."""
    with ready.namespace.socket() as made:
        made.bind(("10.210.200.7", 80))


def test_service_addresses_are_local_at_each_boot_before_docker(ready: Machine) -> None:
    """A unit of systemd's puts the route back: the service that ran is the one that is enabled."""
    unit = (ready.etc / "systemd/system/handful-network.service").read_text()
    assert "Before=docker.service\n" in unit
    assert "WantedBy=multi-user.target\n" in unit
    assert ready.tap.lines("systemctl") == [
        "systemctl daemon-reload", "systemctl --quiet enable handful-network.service",
        "systemctl restart handful-network.service",
    ]


def test_the_proxy_may_bind_an_address_that_comes_later(ready: Machine) -> None:
    """The setting holds now, and its file is there for the next boot."""
    assert ready.inside("cat", "/proc/sys/net/ipv4/ip_nonlocal_bind") == "1\n"
    assert ready.inside("cat", "/proc/sys/net/ipv4/tcp_migrate_req") == "1\n"
    assert "net.ipv4.ip_nonlocal_bind = 1\n" in (ready.etc / "sysctl.d/60-handful.conf").read_text()


def test_others_may_read_what_systemd_reads(ready: Machine) -> None:
    """The scripts' own umask is strict; files in /etc are not secret."""
    files = list(ready.etc.rglob("*handful*"))
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_the_name_server_reads_the_folder_of_names(ready: Machine) -> None:
    """It listens on its own address only, so that it does not meet the machine's resolver."""
    container = ready.docker.containers["handful-names"]
    assert container.options["volume"] == [f"{ready.root}/names:/names:ro"]
    assert "--listen-address=10.210.255.53" in container.command
    assert (ready.root.stat().st_mode & 0o777, (ready.root / "names").stat().st_mode & 0o777) == (0o711, 0o755)


def test_a_new_image_of_the_name_server_replaces_it(ready: Machine) -> None:
    """The container is made again from the new image."""
    ready.docker.images["handful/names:2"] = Behaviour(port=None)
    said = ready.alone("setup_names", image="handful/names:2", address="10.210.255.53")
    assert said.code == 0, said
    assert ready.docker.containers["handful-names"].image == "handful/names:2"


def test_a_dead_name_server_is_made_again(ready: Machine) -> None:
    """Same image, but it does not run."""
    ready.docker.end(ready.docker.containers["handful-names"], 1)
    assert ready.alone("setup_names", image=NAMES, address="10.210.255.53").code == 0
    assert ready.docker.containers["handful-names"].running


def test_a_new_proxy_takes_over_without_a_lost_request(ready: Machine) -> None:
    """The new one stands beside the old one, which ends when it has answered; then it is removed."""
    ready.deployed(ready.make(1))
    ready.docker.images[NEXT] = Behaviour()
    with Traffic(ready) as traffic:
        said = ready.alone("setup_proxy", image=NEXT)
        assert said.code == 0, said
        until(lambda: ready.docker.containers.keys() == {"handful-proxy", "handful-names", "shop.web-1"})
    assert traffic.failures == []
    assert ready.docker.containers["handful-proxy"].image == NEXT


def test_a_new_proxy_that_is_slow_to_start_is_waited_for(ready: Machine) -> None:
    """The old proxy answers on its own sockets meanwhile: that must not pass for the new one's readiness."""
    ready.deployed(ready.make(1))
    ready.docker.images[NEXT] = Behaviour(delay=1.0)
    with Traffic(ready) as traffic:
        said = ready.alone("setup_proxy", image=NEXT)
        assert said.code == 0, said
        until(lambda: ready.docker.containers.keys() == {"handful-proxy", "handful-names", "shop.web-1"})
    assert traffic.failures == []


def test_deploys_go_on_with_the_new_proxy(ready: Machine) -> None:
    """Its sockets are where the scripts look for them."""
    ready.deployed(ready.make(1))
    ready.docker.images[NEXT] = Behaviour()
    assert ready.alone("setup_proxy", image=NEXT).code == 0
    new = ready.deployed(ready.make(2))
    assert ready.get() == f"200 {new.id} web-2"
    assert ready.proxy_says("show info") != ""


def test_a_proxy_that_does_not_start(ready: Machine) -> None:
    """It says what the proxy wrote; the old one serves on."""
    made = ready.deployed(ready.make(1))
    ready.docker.images[NEXT] = Behaviour()
    with ready.fragment().open("a") as opened:
        opened.write("nonsense\n")
    said = ready.alone("setup_proxy", image=NEXT)
    assert said.failed["text"] == "the proxy did not start in 10 s"
    assert "nonsense" in said.failed["detail"]
    assert ready.get() == f"200 {made.id} web-1"


def test_a_proxy_that_died_is_started_again_with_what_it_had(ready: Machine) -> None:
    """Someone stopped it by hand: setup starts it, and routes and slots are on disk."""
    made = ready.deployed(ready.make(1, domains=["shop.test"]))
    assert ready.bash("docker stop -t 0 handful-proxy").code == 0
    assert ready.answer() == ""
    assert ready.alone("setup_proxy", image=PROXY).code == 0
    until(lambda: ready.answer() == f"200 {made.id} web-1")
    assert ready.get(address="127.0.0.1", port=80, host="shop.test") == f"200 {made.id} web-1"


@pytest.mark.parametrize("name", ["setup_proxy", "setup_names"])
def test_docker_that_refuses_is_told(machine: Machine, name: str) -> None:
    """What Docker says stands in what the script says."""
    machine.docker.faults["run"] = Answer(err="docker: no space left on device\n", status=125)
    said = machine.alone(name, image=PROXY, address="10.210.255.53")
    assert said.code != 0
    assert said.failed["text"].startswith("the script stopped unexpectedly")
    assert "no space left on device" in said.err


def test_the_versions_of_the_parts_are_written_last(machine: Machine) -> None:
    """machine.json is what the next plan compares; without the parts it is not written."""
    machine.root.mkdir()
    assert machine.alone("setup_done", machine='{"format":1}').code != 0
    assert not (machine.root / "machine.json").exists()
    machine.set_up()
    assert machine.alone("setup_done", machine='{"format":1}').code == 0
    assert (machine.root / "machine.json").read_text() == '{"format":1}\n'


AGENT = "handful/agent:1"


@contextlib.contextmanager
def held(machine: Machine) -> Iterator[None]:
    """Hold the lock that an agent which has begun holds."""
    folder = machine.root / "logs/.agent"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_the_agent_sees_all_and_may_change_nothing(ready: Machine) -> None:
    """No capabilities, nothing to write to but its logs, a hard limit of memory; and its logs are root's."""
    ready.docker.images[AGENT] = Behaviour(port=None)
    with held(ready):
        said = ready.alone("setup_agent", image=AGENT)
    assert said.code == 0, said
    container = ready.docker.containers["handful-agent"]
    told = {name: container.options[name] for name in ("network", "pid", "cgroupns", "memory", "cap-drop", "security-opt", "restart", "log-driver")}
    assert told == {
        "network": ["host"], "pid": ["host"], "cgroupns": ["host"], "memory": ["96m"], "cap-drop": ["ALL"],
        "security-opt": ["no-new-privileges"], "restart": ["always"], "log-driver": ["json-file"],
    }
    assert "read-only" in container.options
    assert [re.sub(",rslave$", "", each) for each in container.options["volume"]] == ["/:/host:ro", f"{ready.root}/logs:/logs"]
    assert container.command == ("collect",)
    assert container.options["env"] == [f"HANDFUL_SEEN=/host{ready.root} /host{ready.docker.folder}/containers"]
    assert (ready.root / "logs").stat().st_mode & 0o777 == 0o700


def test_an_agent_that_runs_is_left_alone_and_another_image_replaces_it(ready: Machine) -> None:
    """The old one is asked to end first, so that it writes down how far it has read."""
    ready.docker.images |= {AGENT: Behaviour(port=None), "handful/agent:2": Behaviour(port=None)}
    with held(ready):
        assert ready.alone("setup_agent", image=AGENT).code == 0
        first = ready.docker.containers["handful-agent"].id
        assert ready.alone("setup_agent", image=AGENT).code == 0
        assert ready.docker.containers["handful-agent"].id == first
        ready.tap.calls.clear()
        assert ready.alone("setup_agent", image="handful/agent:2").code == 0
    assert ready.docker.containers["handful-agent"].image == "handful/agent:2"
    calls = [line.split()[1] for line in ready.tap.lines("docker ") if line.split()[1] in {"stop", "rm", "run"}]
    assert calls == ["stop", "rm", "run"]


def test_an_agent_that_does_not_begin_keeps_nobody_from_a_deploy(ready: Machine) -> None:
    """It is told with what it said: an image whose Python is too old, say, or what Docker refuses."""
    ready.docker.images[AGENT] = Behaviour(port=None, says="SyntaxError: invalid syntax\n")
    said = ready.alone("setup_agent", image=AGENT)
    assert said.code == 0, said
    assert "the agent did not start, and no logs are kept: SyntaxError" in said.out
    ready.docker.faults["run"] = Answer(err="docker: no space left on device\n", status=125)
    said = ready.alone("setup_agent", image="handful/agent:9")
    assert said.code == 0, said
    assert "no logs are kept: docker: no space left" in said.out


def test_what_the_agent_is_told_of_a_stack(ready: Machine) -> None:
    """A file, whole, which it reads by itself."""
    text = '{"machine": "m1", "levels": {"web": {"error": ["it\'s $(bad)"]}}}'
    assert ready.alone("setup_logs", stack="shop", text=text).code == 0
    assert (ready.root / "stacks/shop/agent.json").read_text() == f"{text}\n"
