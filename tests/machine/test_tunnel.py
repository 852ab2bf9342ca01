"""What goes through the relay arrives, and is counted."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from handful.machine.tunnel import CHUNK, WAITING, Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 10


@contextmanager
def relay_to(serve: Callable[[socket.socket], None]) -> Iterator[Relay]:
    """Give a relay that runs, to a port where each connection is served so."""
    with socket.create_server(("127.0.0.1", 0)) as target:

        def accept() -> None:
            connection, _ = target.accept()
            with connection:
                serve(connection)

        with Relay(target.getsockname()[1]) as relay:
            threads = [threading.Thread(target=accept, daemon=True), threading.Thread(target=relay.run)]
            for thread in threads:
                thread.start()
            yield relay
            relay.close()
            threads[1].join(SECONDS)
            assert not threads[1].is_alive()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_both_ways_to_the_end() -> None:
    """Each side may end what it says, and still be told the rest."""
    question, answer = os.urandom(3 * CHUNK), os.urandom(5 * CHUNK)

    def serve(connection: socket.socket) -> None:
        assert read_all(connection) == question
        connection.sendall(answer)

    with relay_to(serve) as relay, socket.create_connection(("127.0.0.1", relay.port), SECONDS) as asks:
        asks.sendall(question)
        asks.shutdown(socket.SHUT_WR)
        assert read_all(asks) == answer
        assert (relay.received, relay.sent) == (len(question), len(answer))


def test_who_is_slow_is_waited_for() -> None:
    """However much there is to send, only some of it waits here."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        try:
            for _ in range(200):
                connection.sendall(bytes(CHUNK))
        except OSError:
            ended.set()

    with relay_to(serve) as relay, socket.create_connection(("127.0.0.1", relay.port), SECONDS) as asks:
        assert asks.recv(1) == b"\0"
        deadline = threading.Event()
        deadline.wait(0.5)  # what has come by then is bounded: nobody reads
        assert relay.sent < WAITING + 64 * CHUNK
        asks.close()
        assert ended.wait(SECONDS)


def test_a_target_that_is_not_there_closes_the_connection() -> None:
    """The other side hears that nobody is there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Relay(port) as relay:
        thread = threading.Thread(target=relay.run)
        thread.start()
        with socket.create_connection(("127.0.0.1", relay.port), SECONDS) as asks:
            assert asks.recv(1) == b""
        relay.close()
        thread.join(SECONDS)
    assert not thread.is_alive()
