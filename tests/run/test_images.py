"""How images go to a machine, with an `ssh` that does what a test says; the lab has the real one."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from handful.artifact.registry import FIRST_PORT, Stored, _free_ports
from handful.errors import DeployFailed, MachineError, NoTunnel
from handful.machine.access import Access
from handful.machine.tunnel import Relay
from handful.run.delivery import TRIES, Delivery, by_tunnel
from handful.run.engine import Operator
from handful.run.together import beside, new_stop

if TYPE_CHECKING:
    from pathlib import Path

    from handful.errors import HandfulError
    from handful.run.events import Event

IMAGE = Stored("handful/shop/web:1", "handful/shop/web@sha256:aa", (("sha256:l1", 10),))
WELL = 'cat >/dev/null & echo \'{"event":"fetching","text":""}\'; exit 0'
# Sessions with a tunnel are counted; one without it only asks whether the machine is there.
SSH = """#!/bin/bash
cd "${0%/*}"
if [[ " $* " == *" -R "* ]]; then
  echo "$*" >>tunnels
  TUNNEL
fi
OTHER
"""


class Try:
    """One delivery to a machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        operator = Operator("ann", self.events.append, time.monotonic())
        self.delivery = Delivery((IMAGE.name,), Access("m1", "192.0.2.1"), operator, new_stop())

    def run(self, tunnel: str, other: str = "exit 0") -> HandfulError | None:
        """Let ssh do this with a tunnel, and that without one."""
        program = self.folder / "ssh"
        program.write_text(SSH.replace("TUNNEL", tunnel).replace("OTHER", other))
        program.chmod(0o755)
        values = {"login": "eA==", "images": "x", "keep_login": ""}
        with Relay(1) as relay:
            return beside(relay.run, lambda: by_tunnel(self.delivery, "pull_images", values, relay))

    def shared(self) -> None:
        """Have sessions share a connection."""
        self.delivery.access = Access("m1", "192.0.2.1", sockets=str(self.folder))

    def ports(self) -> list[str]:
        """Return the machine's ports that were tried."""
        lines = (self.folder / "tunnels").read_text().splitlines()
        return [line.partition("-R 127.0.0.1:")[2].partition(":")[0] for line in lines]


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Give a delivery, with the fake first on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Try(tmp_path)


def test_a_port_that_is_taken_there_is_not_tried_again(delivery: Try) -> None:
    """Another one is, until one is free; what is sent is told with its size."""
    assert delivery.run(f"(($(wc -l <tunnels) > 2)) || exit 255\n{WELL}") is None
    assert len(set(delivery.ports())) == 3
    assert [event.kind for event in delivery.events] == ["sent"]


def test_where_no_port_can_be_had_that_is_told(delivery: Try) -> None:
    """After five; images travel whole then."""
    assert isinstance(delivery.run("exit 255"), NoTunnel)
    assert len(delivery.ports()) == TRIES


def test_a_login_that_would_ask_is_not_tried_five_times(delivery: Try) -> None:
    """The shared connection is there; a second one is refused without somebody to type the password."""
    delivery.shared()
    error = delivery.run("exit 255", '[[ " $* " == *ControlPath* ]] || exit 255')
    assert isinstance(error, NoTunnel)
    assert "lets nobody in a second time unasked" in error.message
    assert len(delivery.ports()) == 1


def test_a_machine_that_is_gone_is_no_matter_of_ports(delivery: Try) -> None:
    """It is not asked again."""
    assert isinstance(delivery.run("exit 255", "exit 255"), MachineError)
    assert len(delivery.ports()) == 1


@pytest.mark.parametrize("end", ["exit 255", "kill -KILL $$"])
def test_a_line_that_is_cut_later_is_told(delivery: Try, end: str) -> None:
    """Whoever ended ssh."""
    error = delivery.run(WELL.replace("exit 0", end))
    assert isinstance(error, DeployFailed)
    assert error.message == "the connection to m1 was lost while its images were sent"
    assert "try again" in error.advice


def test_what_the_machine_says_is_told(delivery: Try) -> None:
    """Its words, and what to do."""
    said = '{"event":"failed","text":"there is no room","detail":"d","advice":"handful prune"}'
    error = delivery.run(f"echo '{said}'; exit 77")
    assert error is not None
    assert (error.message, error.detail, error.advice) == ("m1: there is no room", "d", "handful prune")


def test_the_password_is_in_no_argument(delivery: Try) -> None:
    """The script that has it comes on stdin."""
    delivery.run(WELL)
    assert "eA==" not in (delivery.folder / "tunnels").read_text()


def test_a_port_of_this_computer_that_is_taken_is_passed_over() -> None:
    """The first one is the same each time, as Docker knows by it what it has pushed."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Where somebody else has it, all the better.
        with suppress(OSError):
            taken.bind(("127.0.0.1", FIRST_PORT))
            taken.listen()
        assert FIRST_PORT not in _free_ports()
