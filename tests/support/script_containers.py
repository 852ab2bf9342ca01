"""What does a container of the recording docker do while it runs?

An instance is a thread that serves HTTP on its own address; the proxy is the real program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from script_namespace import child
from script_poll import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from script_namespace import Namespace


@dataclass
class Behaviour:
    """What a container of an image does; a test may change it while the container runs.

    `port` None: it does not listen. `on`: the address it listens on, its own when empty. `exits`: it says `says`
    and ends at once with this code. `answers`: status and body by path. `commands`: exit code and output by words.
    `raw`: it answers with these characters and no HTTP. `proxied`: it expects the PROXY protocol, and says what client
    that told. `tires`: it hangs up, without an answer, on who asks a second time on one connection. `heard` keeps the head of each
    request.
    """

    port: int | None = 8000
    on: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    commands: dict[tuple[str, ...], tuple[int, str]] = field(default_factory=dict)
    says: str = ""
    exits: int | None = None
    raw: str = ""
    proxied: bool = False
    tires: bool = False
    ignores_term: bool = False
    heard: list[str] = field(default_factory=list)
    # Seconds before the proxy begins to start.
    delay: float = 0.0
    # Requests for /slow wait for this.
    slow: threading.Event = field(default_factory=threading.Event)


@dataclass
class Container:
    """A container as Docker knows it; `address` is what it was promised, `held` what it has while it runs."""

    name: str
    id: str
    image: str
    behaviour: Behaviour
    labels: dict[str, str]
    env: dict[bytes, bytes]
    command: tuple[str, ...]
    options: dict[str, list[str]]
    network: str
    address: str = ""
    held: str = ""
    restart: str = "no"
    running: bool = False
    exit_code: int = 0
    restarts: int = 0
    by_hand: bool = False
    stays_down: bool = False
    logs: str = ""
    work: Service | Process | None = None

    @property
    def after_reboot(self) -> bool:
        """Whether Docker would start it at the next boot."""
        return self.restart == "always" or (self.restart == "unless-stopped" and not self.by_hand)


class Service(ThreadingHTTPServer):
    """An instance: answers on `address`, until it is ended, and then cuts every connection, as a killed process does."""

    daemon_threads = True

    def __init__(self, namespace: Namespace, container: Container, address: str) -> None:
        super().__init__((address, 0), Handler, bind_and_activate=False)
        self.container = container
        self._open: set[socket.socket] = set()
        self.socket.close()
        self.socket = namespace.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, container.behaviour.port))
        self.socket.listen(128)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections are cut in these tests."""

    def end(self) -> None:
        """Close everything."""
        self.shutdown()
        self.server_close()
        for request in tuple(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
        self.container.behaviour.slow.set()
        self._thread.join(DEADLINE)


class Handler(BaseHTTPRequestHandler):
    """Answers with the container's release and instance, unless its behaviour says otherwise."""

    protocol_version = "HTTP/1.1"
    server: Service
    timeout = DEADLINE
    asked = False

    def handle(self) -> None:
        """Tell who connects, when there is somebody: a check tells nobody's address."""
        if not self.server.container.behaviour.proxied:
            super().handle()
            return
        head = self.rfile.read(16)
        told = self.rfile.read(int.from_bytes(head[14:]))
        assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n"
        with contextlib.suppress(OSError):
            self.wfile.write(".".join(str(byte) for byte in told[:4]).encode())

    def do_GET(self) -> None:
        """Answer."""
        container = self.server.container
        container.behaviour.heard.append(f"{self.requestline}\n{self.headers}")
        if container.behaviour.tires and self.asked:
            self.close_connection = True
            return
        self.asked = True
        if container.behaviour.raw:
            self.wfile.write(container.behaviour.raw.encode())
            self.close_connection = True
            return
        if self.path == "/slow":
            container.behaviour.slow.wait(DEADLINE)
        own = f"{container.labels['handful.release']} {container.labels['handful.instance']}"
        status, body = container.behaviour.answers.get(self.path, (200, own))
        sent = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it
        """Say nothing."""


class Process:
    """The real proxy, with the container's volumes where it looks for them; `ended` is called with its exit code."""

    def __init__(
        self, namespace: Namespace, words: tuple[str, ...], volumes: Mapping[str, str], log: Path,
        ended: Callable[[Process, int], None], delay: float,
    ) -> None:
        self._log: IO[bytes] = log.open("ab")
        self._errors: IO[bytes] = log.with_suffix(".err").open("ab")
        mounts = "".join(f"mkdir -p {target} && mount --bind {source} {target} && " for target, source in volumes.items())
        script = f'sleep {delay} && mount -t tmpfs none /run && mount -t tmpfs none /etc/haproxy && {mounts}exec "$@"'
        self._process = subprocess.Popen(
            namespace.words(["unshare", "--mount", "sh", "-c", script, "sh", *words]),
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._errors,
        )
        self._pid = int(until(lambda: child(self._process.pid) or (self._process.poll() is not None and "0")))
        self._thread = threading.Thread(target=lambda: ended(self, self._wait()))
        self._thread.start()

    def _wait(self) -> int:
        with self._log, self._errors:
            return self._process.wait()

    def signal(self, name: str) -> None:
        """Send a signal to the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, getattr(signal, f"SIG{name.removeprefix('SIG')}"))

    def inside(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the command line that runs `words` beside the program; it is for a caller inside the namespace."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        return ("nsenter", f"--target={numbers[-1]}", "--mount", "--", *words)

    def end(self) -> None:
        """Kill it."""
        self.signal("KILL")
        self._thread.join(DEADLINE)

