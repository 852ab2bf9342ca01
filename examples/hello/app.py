"""What does handful do to a running app? This one, without any framework, can be asked from outside.

It exits at once on SIGTERM, without finishing what it was doing, so that only the proxy can save a request.
Environment: VERSION and LISTEN_HOST, LISTEN_PORT (8000; 0 takes a free one). To misbehave:
CRASH=1 exits with 3 at once, CRASH_AFTER=seconds later, UP_STATUS=404 answers /up so, UP_HANG=1 never answers it,
UP_FLAPS=1 answers it with 503 every second time.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CLOSE, PING, PONG = 0x8, 0x9, 0xA
IDLE_SECONDS = 5
NAMES = {"version": "VERSION", "release": "HANDFUL_RELEASE", "instance": "HANDFUL_INSTANCE", "host": "HOSTNAME"}


@dataclass(frozen=True)
class Request:
    """A request; `headers` by lower-case name, those that came twice joined by a comma."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An answer: bytes, a value that is sent as JSON, or an iterator that is sent in chunks, as it comes."""

    body: bytes | Mapping[str, object] | AsyncIterator[bytes]
    status: int = 200


async def main() -> None:
    """Listen until killed."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ.get("CRASH"):
        crash()
    if seconds := os.environ.get("CRASH_AFTER"):
        asyncio.get_running_loop().call_later(float(seconds), crash)
    host, port = os.environ.get("LISTEN_HOST", "0.0.0.0"), int(os.environ.get("LISTEN_PORT", "8000"))
    server = await asyncio.start_server(serve, host, port, backlog=1024)
    address = server.sockets[0].getsockname()
    print(f"version {os.environ.get('VERSION', '-')} listens on {address[0]}:{address[1]}", flush=True)
    await server.serve_forever()


def crash() -> None:
    print("hello: reading settings\nhello: cannot reach the database\nhello: giving up", file=sys.stderr, flush=True)
    os._exit(3)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, one after the other."""
    with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # it left, idled or sent nonsense
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            request = await read_request(head.decode("latin-1"), reader)
            if request.path == "/ws":
                await echo_websocket(request.headers.get("sec-websocket-key", ""), reader, writer)
                break
            await send(writer, request.method, await answer(request))
            if request.headers.get("connection", "").lower() == "close" or b" HTTP/1.0\r\n" in head:
                break
    writer.close()


async def read_request(head: str, reader: asyncio.StreamReader) -> Request:
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        earlier = headers.get(name.lower())
        headers[name.lower()] = f"{earlier}, {value.strip()}" if earlier else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Request(method, url.path, dict(parse_qsl(url.query)), headers, body)


async def answer(request: Request) -> Response:
    try:
        return await ENDPOINTS[request.path](request)
    except (LookupError, OSError, ValueError) as error:
        return Response(f"not here: {error!r}\n".encode(), 404)


async def send(writer: asyncio.StreamWriter, method: str, response: Response) -> None:
    body = json.dumps(response.body).encode() if isinstance(response.body, Mapping) else response.body
    framing = f"Content-Length: {len(body)}" if isinstance(body, bytes) else "Transfer-Encoding: chunked"
    head = f"HTTP/1.1 {response.status} -\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n".encode()
    writer.write(head + body if isinstance(body, bytes) and method != "HEAD" else head)
    if not isinstance(body, bytes):
        async for chunk in body:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


ASKED = itertools.count()


async def up(_: Request) -> Response:
    if os.environ.get("UP_HANG"):
        await asyncio.sleep(3600)
    if os.environ.get("UP_FLAPS") and next(ASKED) % 2:
        return Response(b"not now", 503)
    return Response(b"ok", int(os.environ.get("UP_STATUS", "200")))


async def root(_: Request) -> Response:
    return Response((" ".join(f"{word}={os.environ.get(name, '-')}" for word, name in NAMES.items()) + "\n").encode())


async def slow(request: Request) -> Response:
    await asyncio.sleep(float(request.query.get("seconds", "3")))
    return Response(b"done\n")


async def stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(round(float(request.query.get("seconds", "3")) * 10)):
            yield f"line {number}\n".encode()
            await asyncio.sleep(0.1)

    return Response(lines())


async def echo(request: Request) -> Response:
    return Response({"sha256": hashlib.sha256(request.body).hexdigest(), "length": len(request.body)})


async def headers(request: Request) -> Response:
    return Response(request.headers)


async def env(request: Request) -> Response:
    return Response(os.environb[request.query["name"].encode()])


async def file(request: Request) -> Response:
    return Response(await asyncio.to_thread(Path(request.query["path"]).read_bytes))


async def connect(request: Request) -> Response:
    return await ask(request.query["host"], int(request.query["port"]), "")


async def fetch(request: Request) -> Response:
    url = urlsplit(request.query["url"])
    target = url._replace(scheme="", netloc="").geturl() or "/"
    return await ask(url.hostname or "", url.port or 80, f"GET {target} HTTP/1.0\r\nHost: {url.netloc}\r\n")


async def ask(host: str, port: int, question: str) -> Response:
    """Connect from in here within 3 s and send the HTTP question, if there is one: did that work, and the answer."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"{question}Connection: close\r\n\r\n".encode() if question else b"")
            head, _, body = (await reader.read() if question else b"").partition(b"\r\n\r\n")
        writer.close()
    except OSError as error:
        return Response({"ok": False, "error": f"{type(error).__name__}: {error}"})
    return Response({"ok": True, "status": int(head.split()[1]) if head else None, "body": body.decode("latin-1")})


async def echo_websocket(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agree to a websocket (RFC 6455), then send every frame under 64 KiB back until the other side closes."""
    accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
    agreed = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{agreed}\r\n\r\n".encode())
    opcode = PING
    while opcode != CLOSE:
        first, second = await reader.readexactly(2)
        opcode, long = first & 0x0F, second & 0x7F == 126
        size = int.from_bytes(await reader.readexactly(2), "big") if long else second & 0x7F
        mask, masked = await reader.readexactly(4), await reader.readexactly(size)
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
        length = bytes([126]) + size.to_bytes(2, "big") if long else bytes([size])
        writer.write(bytes([0x80 | (PONG if opcode == PING else opcode)]) + length + payload)
        await writer.drain()


PAGES = (up, slow, stream, echo, headers, env, file, connect, fetch)
ENDPOINTS = {"/": root} | {f"/{page.__name__}": page for page in PAGES}

if __name__ == "__main__":
    asyncio.run(main())
