"""What goes over one HTTP/1.1 connection: a question, its answer, and what became of the connection?"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

TEXT, CLOSE = 0x1, 0x8  # RFC 6455, section 5.2


@dataclass(frozen=True)
class Answer:
    """A whole answer; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        """Whether the server lets the connection be used again."""
        return self.headers.get("connection", "").lower() != "close"


class Connection:
    """A raw socket. Nothing reads it while it idles, so that `is_usable` sees what a browser would see."""

    def __init__(self, endpoint: socket.socket) -> None:
        """Take over a connected socket."""
        self.answered = False
        self._socket = endpoint
        self._received = bytearray()

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Self:
        """Connect to a host and port; OSError if that fails."""
        endpoint = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        endpoint.settimeout(0)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(endpoint, address)
        except BaseException:
            endpoint.close()
            raise
        return cls(endpoint)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def is_usable(self) -> bool:
        """Whether the other side has neither closed nor said anything unasked."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._received
        except OSError:
            return False
        return False

    async def ask(self, question: bytes) -> Answer:
        """Send a request, wait for all of its answer.

        EOFError or OSError if the connection ends before (`answered` says whether a part had come), ValueError if
        the answer is not HTTP.
        """
        self.answered = False
        await self.send(question)
        status_line, *lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        status = int(status_line.split(" ", 2)[1])
        return Answer(status, headers, await self._body(headers, status))

    async def send(self, data: bytes) -> None:
        """Send all the bytes."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next websocket frame, which must be shorter than 126 bytes.

        EOFError or OSError if the connection ends before; `is_within_frame` says whether a part had come.
        """
        await self._have(2)
        size = self._received[1]
        await self._have(2 + size)
        frame = self._take(2 + size)
        return frame[0] & 0x0F, frame[2:]

    @property
    def is_within_frame(self) -> bool:
        """Whether a part of a websocket frame has come."""
        return bool(self._received)

    async def _body(self, headers: Mapping[str, str], status: int) -> bytes:
        if status in (101, 204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = bytearray()
            while size := int(await self._until(b"\r\n"), 16):
                await self._have(size + 2)
                body += self._take(size + 2)[:-2]
            await self._until(b"\r\n")
            return bytes(body)
        size = int(headers["content-length"]) if "content-length" in headers else 0
        await self._have(size)
        return self._take(size)

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._received.find(mark)) < 0:
            await self._receive()
        return self._take(end + len(mark))

    async def _have(self, size: int) -> None:
        while len(self._received) < size:
            await self._receive()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _receive(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if not data:
            raise EOFError
        self.answered = True
        self._received += data


def question(method: str, path: str, host: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Bytes of a websocket frame from a client; at most 125 bytes of payload."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked
