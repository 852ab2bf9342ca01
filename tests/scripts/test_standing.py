"""The scripts that stand on a machine for all its stacks: firewall.bash and wireguard.bash, with programs that only write down what they are told."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from handful.artifact.script import stand_alone
from handful.facts.told import read_told

SCRIPTS = Path(__file__).parents[2] / "src" / "handful" / "scripts"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A machine's folder, and the file in which `nft`, `wg` and `ip` write down what they are told."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nft").write_text(f'#!/bin/sh\nif [ "$1" = --file ]; then cat >{tmp_path}/rules; else cat {tmp_path}/rules 2>/dev/null; fi\n')
    (tools / "wg").write_text(f'#!/bin/sh\n[ "$1" = show ] || echo "wg $*" >>{tmp_path}/said\n')
    (tools / "ip").write_text(f'#!/bin/sh\ncase "$*" in *show*) ;; *) echo "ip $*" >>{tmp_path}/said ;; esac\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return tmp_path


def stack(folder: Path, name: str, **files: str) -> None:
    """Write a stack's parts."""
    (folder / "stacks" / name).mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / "stacks" / name / file).write_text(f"{text}\n")


def run(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one as it stands."""
    environ = {**os.environ, "HANDFUL_ROOT": str(folder), "PATH": f"{folder}/tools:{os.environ['PATH']}"}
    return subprocess.run(["bash", SCRIPTS / f"{script}.bash", *words], env=environ, capture_output=True, text=True, check=False)


def said(folder: Path) -> list[str]:
    """Return what the programs were told."""
    path = folder / "said"
    return path.read_text().splitlines() if path.exists() else []


def test_the_firewall_of_two_stacks(told: Path) -> None:
    """What one of them opens is open, each port once; the devices to the world are outside, whatever their kind."""
    stack(told, "shop", open="ssh 2222\ntcp 80\nfrom 10.1.0.2\ntunnel 10.2.0.2")
    stack(told, "blog", open="ssh 22\ntcp 80\ntcp 443\nudp 53")
    (told / "uplinks").write_text("br-ex\neth0\n")
    assert run(told, "firewall").returncode == 0
    rules = (told / "rules").read_text()
    assert "tcp dport { 22, 2222, 443, 80 } accept" in rules
    assert "udp dport { 53, 546, 68 } accept" in rules
    assert 'iifname != { "br-ex","eth0","handful" } meta iifkind { "bridge", "tun", "wireguard" } accept' in rules
    assert "iifname handful ip saddr { 10.2.0.2 } accept; ip saddr { 10.1.0.2 } accept" in rules
    assert run(told, "firewall", "check").returncode == 0
    stack(told, "blog", open="ssh 22")
    assert run(told, "firewall", "check").returncode == 1


def test_a_machine_that_two_stacks_know_by_two_addresses(told: Path) -> None:
    """Both lead to it."""
    stack(told, "shop", peers="address 10.1.0.1/24\npeer KEY2 192.0.2.2:51820 10.1.0.2")
    stack(told, "blog", peers="address 10.2.0.1/24\npeer KEY2 192.0.2.2:51820 10.2.0.2\npeer KEY3 192.0.2.3:51820 10.2.0.3")
    assert run(told, "wireguard").returncode == 0
    peers = sorted(line for line in said(told) if "peer" in line)
    assert [line.split()[4] for line in peers] == ["KEY2", "KEY3"]
    assert "allowed-ips 10.1.0.2/32,10.2.0.2/32" in peers[0]
    assert {line for line in said(told) if "address" in line} == {f"ip address replace 10.{number}.0.1/24 dev handful" for number in (1, 2)}


def test_a_machine_that_was_made_anew(told: Path) -> None:
    """At the address of before, with another key: the stack that has looked last knows it."""
    stack(told, "shop", peers="address 10.1.0.1/24\npeer OLD 192.0.2.2:51820 10.1.0.2")
    stack(told, "blog", peers="address 10.1.0.1/24\npeer NEW 192.0.2.2:51820 10.1.0.2")
    os.utime(told / "stacks/shop/peers", (1, 1))
    assert run(told, "wireguard").returncode == 0
    assert [line.split()[4] for line in said(told) if "peer" in line] == ["NEW"]


def farewell(folder: Path, docker: str) -> tuple[int, dict[str, str], str]:
    """Return how farewell.bash ends with a Docker that does so, and what it tells."""
    tool = folder / "tools" / "docker"
    tool.write_text(f"#!/bin/sh\n{docker}\n")
    tool.chmod(0o755)
    environ = {**os.environ, "HANDFUL_ROOT": str(folder), "PATH": f"{folder}/tools:{os.environ['PATH']}"}
    script = stand_alone("farewell", {"stack": "shop"})
    done = subprocess.run(["bash", "-s"], input=script, env=environ, capture_output=True, text=True, check=False)
    told = read_told("m1", done.stdout) if done.returncode == 0 else {}
    return done.returncode, told, done.stderr


def test_what_would_be_lost_with_a_machine(told: Path) -> None:
    """Volumes of whatever stack, those on a disk of their own apart; containers of nobody's, also stopped ones."""
    answers = f"""case "$*" in
      "volume ls"*) printf '%s\\n' shop.pgdata blog.files mine {"0" * 64} ;;
      *shop.pgdata) echo {told}/disks/data/shop.pgdata ;; *inspect*) echo ;;
      "ps --all"*) printf '%s\\n' 'shop.web-1 shop' 'stray ' ;;
    esac"""
    status, said_, _ = farewell(told, answers)
    assert status == 0
    assert said_ == {"volumes": "pgdata\nblog.files\nmine\n", "own": "blog.files\nmine\n", "stacks": "", "apps": "", "containers": "stray "}


def test_a_docker_that_does_not_answer_says_nothing(told: Path) -> None:
    """Nobody takes that for an empty machine."""
    status, _, why = farewell(told, "exit 1")
    assert status != 0
    assert "Docker does not answer: nobody knows what is on this machine" in why


def test_ports_that_take_a_connection(told: Path) -> None:
    """And no others."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port, other = listener.getsockname()[1], closed.getsockname()[1]
        script = stand_alone("try_ports", {"address": "127.0.0.1", "ports": (str(port), str(other))})
        environ = {**os.environ, "HANDFUL_ROOT": str(told)}
        done = subprocess.run(["bash", "-s"], input=script, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{port}\n")


def test_one_address_of_two_machines_changes_nothing(told: Path) -> None:
    """Nobody's packets go to another's machine."""
    stack(told, "shop", peers="address 10.1.0.1/24\npeer KEY2 192.0.2.2:51820 10.1.0.2")
    stack(told, "blog", peers="address 10.1.0.1/24\npeer KEY9 192.0.2.9:51820 10.1.0.2")
    done = run(told, "wireguard")
    assert (done.returncode, done.stderr) == (1, "two stacks have other machines at 10.1.0.2 \n")
    assert said(told) == []
