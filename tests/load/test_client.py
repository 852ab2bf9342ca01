"""Does the load client see every failure, and invent none?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from client import Load, Mix, Summary, drive

HERE = Path(__file__).resolve().parent
APP = HERE.parents[1] / "examples" / "hello" / "app.py"
ONE_KEPT = Mix(rate=20, connections=1, slow=0, streams=0, websockets=0)
ONLY_WEBSOCKETS = Mix(rate=1, connections=0, slow=0, streams=0, websockets=5)
GREETING = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nversion=1\n"


def test_a_good_app_fails_nothing() -> None:
    """Short, slow, streamed and websocket requests are all sent and all counted as answered."""
    with app(VERSION="7") as url:
        summary = asyncio.run(drive([url], "hello.test", Mix(rate=200), seconds=2.5))
    assert (summary.failed_by_kind, summary.websocket_cut, summary.unfinished) == ({}, 0, 0)
    # the parts of the mix over 2.5 s: at least 2 s of short requests, slow ones, streams, 5 echoes/s of 5 websockets
    assert summary.sent == summary.ok >= 2 * 200 + 20 + 5 + 5 * 2 * 4
    assert list(summary.versions) == ["7"]


def test_an_app_that_dies_is_seen() -> None:
    """Requests in flight, streams half sent and refused connections are all failures, with samples."""
    with app(CRASH_AFTER="1.2") as url:
        summary = asyncio.run(drive([url], "hello.test", Mix(rate=200), seconds=2.5))
    assert {"refused", "unanswered", "cut"} <= summary.failed_by_kind.keys()
    assert summary.ok > 50
    assert summary.failed == sum(summary.failed_by_kind.values()) > 100
    assert {sample.path.split("?")[0] for sample in summary.samples} >= {"/slow", "/stream"}
    assert max(sum(sample.kind == kind for sample in summary.samples) for kind in summary.failed_by_kind) == 5


def test_websockets_of_an_app_that_dies_are_cut_not_failed() -> None:
    """A websocket that ends between two frames is its own count; opening it anew is a failure like any other."""
    with app(CRASH_AFTER="1") as url:
        summary = asyncio.run(drive([url], "hello.test", ONLY_WEBSOCKETS, seconds=1.8))
    assert summary.websocket_cut == 5
    assert set(summary.failed_by_kind) == {"refused"}


def test_machines_are_used_in_turn() -> None:
    """Two urls both get requests."""
    with app(VERSION="one") as first, app(VERSION="two") as second:
        summary = asyncio.run(drive([first, second], "hello.test", Mix(rate=100, slow=0), seconds=1))
    assert (set(summary.versions), summary.failed) == ({"one", "two"}, 0)


def test_a_connection_closed_while_idle_is_opened_again() -> None:
    """As a browser does, the client looks before it sends: an idle close costs no request."""
    summary = asyncio.run(against(one_answer_then_close, ONE_KEPT))
    assert (summary.failed_by_kind.get("stale"), summary.ok > 5) == (None, True)


@pytest.mark.parametrize("kind", ["stale", "unanswered", "cut", "malformed", "status_502", "wrong", "timeout"])
def test_each_kind_of_failure_is_told_apart(kind: str) -> None:
    """A server that fails in one way gives failures of that one kind."""
    summary = asyncio.run(against(SERVERS[kind], ONE_KEPT))
    assert kind in summary.failed_by_kind
    assert set(summary.failed_by_kind) <= {kind, "wrong"}  # these servers cannot answer POST /echo
    assert summary.first_failure_s is not None


def test_a_post_whose_body_arrived_changed_is_wrong() -> None:
    """The hash of the answer is compared: a good status with another body's hash is a failure."""
    summary = asyncio.run(against(another_hash, ONE_KEPT))
    assert set(summary.failed_by_kind) == {"wrong"}
    assert {sample.path for sample in summary.samples} == {"/echo"}


def test_load_runs_beside_until_the_with_ends() -> None:
    """The load in its own process stops when the block ends, and its summary arrives whole."""
    with app() as url, Load([url], "hello.test", Mix(rate=100, slow=2), seconds=60) as load:
        asyncio.run(drive([url], "hello.test", ONE_KEPT, seconds=1))
        summary = load.result()
    assert summary.failed_by_kind == {}
    assert summary.sent > 20
    assert summary.seconds < 30


def test_load_that_cannot_start_says_so() -> None:
    """A client that ends without a summary is an error, not a load without failures."""
    with pytest.raises(RuntimeError, match="ended with 2"), Load(["ftp://127.0.0.1"], "hello.test"):
        pass


def test_program_exits_with_1_when_a_request_failed() -> None:
    """A script can rely on the exit code."""
    client = [sys.executable, str(HERE / "client.py"), "--host=h", "--seconds=0.5", "--json"]
    done = subprocess.run([*client, "--url=http://127.0.0.1:1"], check=False, stdout=subprocess.PIPE)
    assert (done.returncode, set(json.loads(done.stdout)["failed_by_kind"])) == (1, {"refused"})


@contextmanager
def app(**environment: str) -> Iterator[str]:
    """Run the example app on a free port of the loopback; its url."""
    wishes = {"LISTEN_HOST": "127.0.0.1", "LISTEN_PORT": "0", **environment}
    command = [sys.executable, str(APP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **wishes}) as it:
        try:
            assert it.stdout
            found = re.search(r"listens on (\S+)", it.stdout.readline().decode())
            assert found
            yield f"http://{found[1]}"
        finally:
            it.terminate()


Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def against(server: Server, mix: Mix) -> Summary:
    """Drive a server that misbehaves, for half a second."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(EOFError, OSError):
            await server(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        return await drive([f"http://{host}:{port}"], "hello.test", mix, seconds=0.5)


async def one_answer_then_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(GREETING)


async def close_at_second_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_answer_then_close(reader, writer)
    await reader.readuntil(b"\r\n\r\n")


async def another_hash(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"sha256": "0" * 64, "length": 1024}).encode()
    if head.startswith(b"POST"):
        await reader.readexactly(1024)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    else:
        writer.write(GREETING)


def reply(answer: bytes) -> Server:
    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return server


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


SERVERS = {
    "stale": close_at_second_request,
    "unanswered": reply(b""),
    "cut": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    "malformed": reply(b"hello\r\n\r\n"),
    "status_502": reply(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
    "wrong": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "timeout": hang,
}
