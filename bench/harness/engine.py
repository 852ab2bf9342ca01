"""How would an agent work that asks Docker: for what containers use, and for what they say?

Raw HTTP over Docker's socket, with as little work as can be: no client library.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOCKET = "/var/run/docker.sock"
API = "/v1.41/containers"
THREADS = 5
ANSWER_SECONDS = 60
LOOK_SECONDS = 0.2
CHUNK_BYTES = 1 << 18
# Each frame of a log begins with its stream and its size.
HEAD, SIZE = 8, 4


class Connection(HTTPConnection):
    """A connection to Docker."""

    def connect(self) -> None:
        """Connect to its socket."""
        self.sock = connected()


def connected() -> socket.socket:
    """Return a connection to Docker's socket."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.settimeout(ANSWER_SECONDS)
    found.connect(SOCKET)
    return found


def daemon() -> int:
    """Return the process id of Docker's daemon."""
    return int(Path("/run/docker.pid").read_text(encoding="ascii"))


def stats(containers: Sequence[str]) -> list[int]:
    """Ask what each container uses, several at a time, and return the bytes of memory of each."""
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(_stats_of, [containers[number::THREADS] for number in range(THREADS)])
        return [number for part in parts for number in part]


def _stats_of(containers: Sequence[str]) -> list[int]:
    connection, found = Connection("docker", timeout=ANSWER_SECONDS), []
    for container in containers:
        connection.request("GET", f"{API}/{container}/stats?stream=false&one-shot=true")
        told = json.loads(connection.getresponse().read())
        found.append(int(told["memory_stats"].get("usage", 0)))
    connection.close()
    return found


def follow(containers: Sequence[str], take: Callable[[bytes], None], over: Callable[[float], bool]) -> None:
    """Follow what containers say from now on; `take` is given each line, with its time.

    It ends with the streams, or when `over` says so: it is told when something came last, on the monotonic clock.
    """
    streams, last = selectors.DefaultSelector(), time.monotonic()
    buffers: dict[socket.socket, bytes] = {}
    for container in containers:
        asked = _asked(container)
        streams.register(asked, selectors.EVENT_READ)
        buffers[asked] = b""
    while buffers and not over(last):
        for key, _ in streams.select(LOOK_SECONDS):
            stream = key.fileobj
            if not isinstance(stream, socket.socket):
                continue
            if data := stream.recv(CHUNK_BYTES):
                buffers[stream], last = taken(buffers[stream] + data, take), time.monotonic()
            else:
                streams.unregister(stream)
                buffers.pop(stream)
                stream.close()
    for stream in buffers:
        stream.close()
    streams.close()


def _asked(container: str) -> socket.socket:
    """Return a connection on which nothing but frames comes from now on: of HTTP 1.0, it has no chunks."""
    stream = connected()
    asked = f"{API}/{container}/logs?follow=1&stdout=1&stderr=1&timestamps=1&tail=0"
    stream.sendall(f"GET {asked} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := stream.recv(1)):
            raise ConnectionError(head.decode())
        head += byte
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(head.decode())
    return stream


def taken(buffer: bytes, take: Callable[[bytes], None]) -> bytes:
    """Give out the frames of a buffer, and return what is left."""
    at = 0
    while len(buffer) >= at + HEAD:
        end = at + HEAD + int.from_bytes(buffer[at + SIZE : at + HEAD], "big")
        if end > len(buffer):
            break
        take(buffer[at + HEAD : end])
        at = end
    return buffer[at:]
