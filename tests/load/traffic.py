"""What does the load send, when, over which connections, and which answers does it accept?"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tally import Failure, Tally
from wire import CLOSE, TEXT, Answer, Connection, masked_frame, question

MAX_RATE = 5000
MAX_AT_ONCE = 500
TIMEOUT_SECONDS = 10.0  # of one request
MAX_LATE_SECONDS = 0.25  # what was due longer ago is not sent any more, so that a slow app is not buried
NEW_CONNECTIONS = 32  # at most so many short ones at once
NEW_SHARE = 0.1  # of the short requests come over a new connection each
POSTS = (0, 3, 6)  # of ten short requests
POST_BYTES = 1024
LONG_SECONDS = 3.0  # of slow requests and streams
LONG_PAUSE_SECONDS = 0.25  # at least between two beginnings, so that a refusing app is not stormed
ECHO_EVERY_SECONDS = 0.2
NORMAL_CLOSURE = (1000).to_bytes(2, "big")  # RFC 6455, section 7.4.1
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


@dataclass(frozen=True)
class Mix:
    """What is sent: `rate` short requests a second, 90 % of them over kept connections, and so many long ones at once.

    After `websocket_seconds` the client itself closes a websocket and opens another one, so that a drain can end.
    """

    rate: float = 500
    connections: int = 16
    slow: int = 20
    streams: int = 5
    websockets: int = 5
    websocket_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuse, with ValueError, what would be no load or a flood."""
        if not 1 <= self.rate <= MAX_RATE:
            raise ValueError(f"A rate of {self.rate} requests a second is outside 1..{MAX_RATE}.")
        for count in (self.connections, self.slow, self.streams, self.websockets):
            if not 0 <= count <= MAX_AT_ONCE:
                raise ValueError(f"{count} at once is outside 0..{MAX_AT_ONCE}.")


@dataclass(frozen=True)
class Run:
    """One load: where it goes, as which host, until when, and how it goes."""

    addresses: Iterator[tuple[str, int]]
    host: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tally: Tally = field(default_factory=Tally)

    async def pause(self, seconds: float) -> bool:
        """Wait so long, or until the load is over; whether it is."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stop.wait()
        return self.stop.is_set()


def senders(run: Run, mix: Mix) -> list[Coroutine[Any, Any, None]]:
    """List the loops that together send the mix, each until the run stops."""
    kept, new = Schedule(run.tally, mix.rate * (1 - NEW_SHARE)), Schedule(run.tally, mix.rate * NEW_SHARE)
    return [
        *(send_short(run, kept, keep=True) for _ in range(mix.connections)),
        *(send_short(run, new, keep=False) for _ in range(NEW_CONNECTIONS)),
        *(send_long(run, "/slow", LONG_SECONDS * (n + 1) / mix.slow) for n in range(mix.slow)),
        *(send_long(run, "/stream", LONG_SECONDS * (n + 1) / mix.streams) for n in range(mix.streams)),
        *(hold_websocket(run, mix.websocket_seconds) for _ in range(mix.websockets)),
    ]


class Schedule:
    """When the short requests are due: evenly, whatever the answers do, but never a storm of late ones."""

    def __init__(self, tally: Tally, rate: float) -> None:
        """Have the first one due now, `rate` a second."""
        self._tally = tally
        self._every = 1 / rate
        self._due = tally.clock()
        self._number = 0

    def take(self) -> tuple[int, float]:
        """Give the number and due time of the next request to the worker that will send it."""
        missed = math.ceil((self._tally.clock() - MAX_LATE_SECONDS - self._due) / self._every)
        if missed > 0:
            self._tally.unsent += missed
            self._due += missed * self._every
        due = self._due
        self._due += self._every
        self._number += 1
        return self._number, due


async def send_short(run: Run, schedule: Schedule, *, keep: bool) -> None:
    connection: Connection | None = None
    while True:
        number, due = schedule.take()
        if await run.pause(due - run.tally.clock()):
            break
        if connection and not connection.is_usable():
            connection.close()
            connection = None
        ask = post() if number % 10 in POSTS else greeting(run.tally)
        connection = await request(run, ask, connection, due)
        if connection and not keep:
            connection.close()
            connection = None
    if connection:
        connection.close()


async def send_long(run: Run, path: str, seconds: float) -> None:
    """Have one such request in flight all the time; the first is shorter, so that they do not all end together."""
    while not run.stop.is_set():
        began = run.tally.clock()
        connection = await request(run, Ask("GET", f"{path}?seconds={seconds:.2f}"))
        if connection:
            connection.close()
        seconds = LONG_SECONDS
        await run.pause(began + LONG_PAUSE_SECONDS - run.tally.clock())


@dataclass(frozen=True)
class Ask:
    """A request and the answer that it should get."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    status: int = 200
    is_right: Callable[[Answer], bool] = lambda _: True


def greeting(tally: Tally) -> Ask:
    def is_right(answer: Answer) -> bool:
        words = dict(word.split("=", 1) for word in answer.body.decode().split())
        tally.see(words["version"])
        return True

    return Ask("GET", "/", is_right=is_right)


def post() -> Ask:
    body = os.urandom(POST_BYTES)
    expected = {"sha256": hashlib.sha256(body).hexdigest(), "length": POST_BYTES}
    return Ask("POST", "/echo", body=body, is_right=lambda answer: bool(json.loads(answer.body) == expected))


def handshake() -> Ask:
    key = base64.b64encode(os.urandom(16)).decode()
    accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
    wish = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    return Ask("GET", "/ws", wish, b"", 101, lambda answer: answer.headers.get("sec-websocket-accept") == accept)


async def request(run: Run, ask: Ask, kept: Connection | None = None, due: float | None = None) -> Connection | None:
    """Send it once, over the kept connection or a new one, and count how it ends; the connection if it is still good.

    Only short requests are `due`. What the end of the load cuts off is a `timeout` if short, `unfinished` if long.
    """
    began = round(run.tally.clock(), 3)
    try:
        connection, answer, fault = await exchange(run, ask, kept)
    except asyncio.CancelledError:
        if due is None:
            run.tally.unfinished += 1
        else:
            run.tally.fail(Failure("timeout", began, ask.method, ask.path, None))
        raise
    if fault:
        run.tally.fail(Failure(fault, began, ask.method, ask.path, answer.status if answer else None))
    else:
        run.tally.succeed(due)
    if connection and answer and answer.keeps_alive and not fault:
        return connection
    if connection:
        connection.close()
    return None


async def exchange(run: Run, ask: Ask, kept: Connection | None) -> tuple[Connection | None, Answer | None, str | None]:
    """Return the connection, the answer, and the kind of failure."""
    connection = kept
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = connection or await Connection.open(next(run.addresses))
            answer = await connection.ask(question(ask.method, ask.path, run.host, ask.headers, ask.body))
    except (OSError, EOFError, ValueError, LookupError) as error:
        return connection, None, fault_of_connection(error, connection, reused=kept is not None)
    except asyncio.CancelledError:
        if connection:
            connection.close()
        raise
    return connection, answer, fault_of_answer(ask, answer)


def fault_of_connection(error: Exception, connection: Connection | None, *, reused: bool) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if connection is None:
        return "refused" if isinstance(error, ConnectionRefusedError) else "connect"
    if isinstance(error, ValueError | LookupError):
        return "malformed"
    if connection.answered:
        return "cut"
    return "stale" if reused else "unanswered"


def fault_of_answer(ask: Ask, answer: Answer) -> str | None:
    if answer.status != ask.status:
        return f"status_{answer.status}"
    try:
        return None if ask.is_right(answer) else "wrong"
    except (ValueError, LookupError):
        return "wrong"


async def hold_websocket(run: Run, seconds: float) -> None:
    """Have one websocket open all the time, and open another one after so many seconds."""
    while not run.stop.is_set():
        connection = await request(run, handshake())
        if connection is None:
            await run.pause(LONG_PAUSE_SECONDS)
            continue
        try:
            ends = run.tally.clock() + seconds
            while await echo(run, connection):
                if await run.pause(ECHO_EVERY_SECONDS) or run.tally.clock() >= ends:
                    await part(connection)
                    break
        finally:
            connection.close()


async def echo(run: Run, connection: Connection) -> bool:
    """Send a text and count what comes back; whether the websocket can go on."""
    began, text = round(run.tally.clock(), 3), os.urandom(8).hex().encode()
    fault: str | None = None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await connection.send(masked_frame(TEXT, text))
            opcode, reply = await connection.frame()
    except TimeoutError:
        fault = "timeout"
    except (OSError, EOFError):
        opcode, fault = CLOSE, "cut" if connection.is_within_frame else None
    else:
        fault = None if opcode == CLOSE or reply == text else "wrong"
    if fault:
        run.tally.fail(Failure(fault, began, "WS", "/ws", None))
    elif opcode == CLOSE:
        run.tally.websocket_cut += 1
    else:
        run.tally.succeed()
    return not fault and opcode != CLOSE


async def part(connection: Connection) -> None:
    """Close a websocket as RFC 6455 wants it: say so, and wait for the same."""
    with suppress(OSError, EOFError):
        async with asyncio.timeout(1):
            await connection.send(masked_frame(CLOSE, NORMAL_CLOSURE))
            await connection.frame()
