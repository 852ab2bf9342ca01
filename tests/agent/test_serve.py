"""Does Prometheus get its answer, whoever else asks, and where it is to?"""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from handful.agent.serve import ASK_SECONDS, TYPE, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

# All of 127/8 is loopback: this is an address of a private network.
PRIVATE = "127.0.0.77"
DEADLINE = 20.0


@pytest.fixture
def endpoint(free_port: int) -> Iterator[Endpoint]:
    """One that listens."""
    made = Endpoint(lambda: 'up 1\nname{x="ü"} 2\n', free_port)
    made.listen(())
    yield made
    made.close()


def ask(port: int, path: str = "/metrics", address: str = "127.0.0.1") -> tuple[int, str, str]:
    """Return the status, the type and the body of an answer."""
    connection = http.client.HTTPConnection(address, port, timeout=DEADLINE)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def refused(port: int, address: str) -> bool:
    """Return whether nobody listens there, as soon as that is so."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), 5).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.usefixtures("endpoint")
def test_the_measurements(free_port: int) -> None:
    """As they are; of another path is said where they are."""
    assert ask(free_port) == (200, TYPE, 'up 1\nname{x="ü"} 2\n')
    assert ask(free_port, "/metrics?x=1")[0] == 200
    assert ask(free_port, "/")[::2] == (404, "See /metrics\n")
    assert ask(free_port, "/metrics/more")[0] == 404


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("said", [b"", b"\r\n\r\n", b"what?\r\n\r\n", b"\x16\x03\x01\x02\x00" * 50, b"GET /metrics HTTP/9.9\r\n\r\n", b"x" * 70000, b"POST /metrics HTTP/1.1\r\n\r\n"])
def test_who_asks_badly(free_port: int, said: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Or hangs up at once: the next one is answered, and nothing is complained of."""
    with socket.create_connection(("127.0.0.1", free_port), DEADLINE) as badly:
        badly.sendall(said)
    assert ask(free_port)[0] == 200
    assert capfd.readouterr().err == ""


def test_one_that_has_just_ended(endpoint: Endpoint, free_port: int) -> None:
    """Is closed all the same."""
    (server,) = endpoint._servers.values()  # what a thread does in a moment
    server.over = True
    with suppress(ConnectionError):
        # It may wait for one more.
        ask(free_port)
    assert refused(free_port, "127.0.0.1")
    endpoint.close()


@pytest.mark.usefixtures("endpoint")
def test_who_says_nothing_does_not_keep_the_others(free_port: int) -> None:
    """He is let go after a while."""
    with socket.create_connection(("127.0.0.1", free_port), DEADLINE) as silent:
        began = time.monotonic()
        assert ask(free_port)[0] == 200
        assert time.monotonic() - began < ASK_SECONDS + 2
        silent.settimeout(DEADLINE)
        assert silent.recv(1) == b""


def test_an_address_comes_and_goes(endpoint: Endpoint, free_port: int) -> None:
    """At once; loopback stays."""
    assert refused(free_port, PRIVATE)
    endpoint.listen((PRIVATE,))
    assert ask(free_port, address=PRIVATE)[0] == 200
    began = time.monotonic()
    endpoint.listen(())
    assert refused(free_port, PRIVATE)
    assert time.monotonic() - began < 2
    assert ask(free_port)[0] == 200
    endpoint.listen((PRIVATE,))
    assert ask(free_port, address=PRIVATE)[0] == 200
    endpoint.close()
    assert refused(free_port, PRIVATE)
    assert refused(free_port, "127.0.0.1")


def test_an_address_that_cannot_be_had(endpoint: Endpoint, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, and tried again each time; the others are listened on."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((PRIVATE, free_port))
        other.listen()
        for _ in range(3):
            endpoint.listen((PRIVATE,))
        assert capsys.readouterr().err.count(f"no measurements at {PRIVATE}:{free_port}: something else listens there") == 1
        assert ask(free_port)[0] == 200
    endpoint.listen((PRIVATE,))
    assert ask(free_port, address=PRIVATE)[0] == 200
    assert capsys.readouterr().err == ""


def test_an_address_that_is_not_here_yet(endpoint: Endpoint, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """That of a tunnel may come later: nothing is wrong about it."""
    endpoint.listen(("192.0.2.77",))
    assert capsys.readouterr().err == ""
    assert ask(free_port)[0] == 200
