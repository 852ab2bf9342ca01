"""How does Prometheus get the measurements: GET /metrics, on loopback and the machine's private addresses?

One thread for each address answers, one request after the other, so that whoever asks badly costs no memory, and no log
its reader.
"""

from __future__ import annotations

import errno
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LOOPBACK = "127.0.0.1"
# How long one may take to ask.
ASK_SECONDS = 2.0
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Answer(BaseHTTPRequestHandler):
    """Answers one request; `scrape` returns what is measured now."""

    scrape: ClassVar[Callable[[], str]]
    timeout = ASK_SECONDS
    server_version = "handful-agent"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the measurements, or say where they are."""
        here = self.path.partition("?")[0] == "/metrics"
        body = (type(self).scrape() if here else "See /metrics\n").encode()
        self.send_response(200 if here else 404)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


class _Server(HTTPServer):
    """As HTTPServer, without asking anybody for the name of this machine, and it ends at once when it is told to."""

    over = False

    def serve_until_over(self) -> None:
        """Answer, without looking up in between."""
        while not self.over:
            self.handle_request()
        self.server_close()

    def end(self) -> None:
        """Answer nobody any more."""
        self.over = True
        # Whoever waits for somebody to ask is waked by this; one that has just answered may have ended already.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A private address may come later: that of a tunnel.
        self.socket.setsockopt(socket.IPPROTO_IP, 15, 1)
        self.socket.bind(self.server_address)

    def handle_error(self, *_: object) -> None:
        """Who hangs up, or asks what is no HTTP, is no matter of ours."""


class Endpoint:
    """Listens where it is told."""

    def __init__(self, scrape: Callable[[], str], port: int) -> None:
        """Nothing listens yet."""
        self._answer = type("Answer", (_Answer,), {"scrape": staticmethod(scrape)})
        self._port = port
        self._servers: dict[str, _Server] = {}
        self._told: set[str] = set()

    def listen(self, addresses: Iterable[str]) -> None:
        """Listen on these addresses and no others; one that cannot be had is tried again with the next call."""
        wanted = {LOOPBACK, *addresses}
        for address in self._servers.keys() - wanted:
            self._servers.pop(address).end()
        for address in wanted - self._servers.keys():
            try:
                self._servers[address] = self._serve(address)
            except OSError as refused:
                self._complain(address, refused)

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers.values():
            server.end()
        self._servers.clear()

    def _serve(self, address: str) -> _Server:
        server = _Server((address, self._port), self._answer)
        threading.Thread(target=server.serve_until_over, daemon=True).start()
        return server

    def _complain(self, address: str, refused: OSError) -> None:
        if address not in self._told:
            self._told.add(address)
            who = ": something else listens there" if refused.errno == errno.EADDRINUSE else ""
            sys.stderr.write(f"no measurements at {address}:{self._port}{who} ({refused})\n")
