"""Does a well-kept program carry the kept lines elsewhere, with the very configuration that the guide shows?"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from agent_support import seal_all
from script_poll import until

from handful.agent.codec import Gzip
from handful.agent.lines import LONGEST, Line
from handful.agent.store import Source, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONFIGURATION = Path(__file__).parents[2] / "docs/guide/ship-logs.rsyslog.conf"
WEB, WEB_2, DB = (Source("shop", app, f"{app}-{number}", "0001-abc") for app, number in (("web", 1), ("web", 2), ("db", 1)))


class Receiver:
    """A server that keeps the lines it is sent."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._connections: list[socket.socket] = []
        self._listening: socket.socket | None = None
        self.port = 0
        self.come()

    def come(self) -> None:
        """Listen, where it did before."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def leave(self) -> None:
        """Take no more."""
        assert self._listening
        for each in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._connections.clear()

    def times(self) -> Counter[str]:
        """Return how often each text came."""
        return Counter(line["x"] for line in tuple(self.lines))

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = listening.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    self.lines.append(json.loads(line))


class Rsyslog:
    """The program, by itself, with the guide's configuration."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.logs, self.spool = folder / "logs", folder / "spool"
        self._program, self._folder = program, folder
        self.logs.mkdir()
        self.spool.mkdir()
        text = CONFIGURATION.read_text(encoding="utf-8")
        for ours, test in (
            ('"/var/spool/rsyslog"', f'"{self.spool}"'), ('"/logs/', f'"{self.logs}/'),
            ('"logs.example.com"', '"127.0.0.1"'), ('"6514"', f'"{port}"'),
        ):  # fmt: skip
            assert text.count(ours) == 1, ours
            text = text.replace(ours, test)
        (folder / "rsyslog.conf").write_text(text, encoding="utf-8")
        self._process = self._start()

    def kill(self) -> None:
        """End it at once, as its image does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def start_again(self) -> None:
        """In the folder of the one before."""
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        line = [self._program, "-n", "-f", str(self._folder / "rsyslog.conf"), "-i", "NONE"]
        with (self._folder / "said").open("ab") as said:
            return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that listens."""
    made = Receiver()
    yield made
    made.leave()


@pytest.fixture
def rsyslog(tmp_path: Path, receiver: Receiver) -> Iterator[Rsyslog]:
    """One that runs; without the program that is a failure where tests must run, a skip elsewhere."""
    program = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None and not os.environ.get("CI"):
        pytest.skip("rsyslogd is not here")
    assert program, "rsyslogd is not here"
    made = Rsyslog(program, tmp_path, receiver.port)
    yield made
    made.kill()


def say(store: Store, source: Source, texts: Iterable[str], hour: int = 12, level: str = "info") -> None:
    """Write lines down; whoever follows sees them."""
    for text in texts:
        store.append(source, Line(f"2026-01-01T{hour:02}:00:00.5Z", "stderr", text), level, 0.0)
    store.flush()


def told(source: Source, text: str, level: str = "info", hour: int = 12) -> dict[str, Any]:
    """Return what arrives of a line."""
    return {
        "t": f"2026-01-01T{hour:02}:00:00.5", "stack": source.stack, "app": source.app, "i": source.instance, "r": source.release,
        "s": "stderr", "l": level, "x": text, "machine": socket.gethostname().partition(".")[0],
    }


def test_each_line_arrives_with_all_that_is_known_of_it(rsyslog: Rsyslog, receiver: Receiver) -> None:
    """While it is appended, in a new hour, of an app that is new, as long as a line can be; and what is packed at once."""
    store = Store(rsyslog.logs, Gzip())
    odd, long = 'ü "quoted" \\ / \x1b[1m\ttab €', "\x01" * LONGEST
    say(store, WEB, ["first"])
    until(lambda: told(WEB, "first") in receiver.lines, "the first line")
    say(store, WEB, ["second", odd], level="error")
    say(store, WEB_2, ["of another instance"], level="")
    say(store, DB, [long], level="warning")
    say(store, WEB, ["next"], hour=13)
    expected = [
        told(WEB, "second", "error"), told(WEB, odd, "error"), told(WEB_2, "of another instance", ""), told(DB, long, "warning"),
        told(WEB, "next", hour=13),
    ]
    until(lambda: all(line in receiver.lines for line in expected), "more lines")
    # So many that they are still being read when their file is packed and gone; then its hour has another one.
    say(store, WEB, (f"many {number}" for number in range(20_000)), hour=13)
    store.checkpoint({}, {})
    assert len(seal_all(store, 200.0, "2026-01-01T14")) == 3
    assert list(rsyslog.logs.glob("*/*/*.jsonl")) == []
    say(store, WEB, ["late"], hour=13)
    until(lambda: len(receiver.lines) >= 20_007, "all lines")
    assert set(receiver.times().values()) == {1}
    assert told(WEB, "late", hour=13) in receiver.lines


def test_what_a_killed_agent_cut_off_and_wrote_again(rsyslog: Rsyslog, receiver: Receiver) -> None:
    """No line is lost, in whatever order they come then; those of the file come twice."""
    store = Store(rsyslog.logs, Gzip())
    say(store, WEB, ["kept"])
    store.checkpoint({}, {})
    before = [f"before {number}" for number in range(100)]
    say(store, WEB, before)
    say(store, WEB, before[:1], hour=13)
    until(lambda: len(receiver.lines) == 102, "what comes before")
    for turn in range(2, 5):
        store = Store(rsyslog.logs, Gzip())
        until(lambda turn=turn: receiver.times()["kept"] >= turn, "the file once more, from its beginning")
        say(store, WEB_2, [f"after {turn}"])
        say(store, WEB, reversed(before))
        say(store, WEB, [f"after {turn}, next hour", *before], hour=13)
        until(lambda turn=turn: {f"after {turn}", f"after {turn}, next hour", *before} <= set(receiver.times()), f"turn {turn}")
        until(lambda turn=turn: min(receiver.times()[text] for text in before) >= 2 * turn - 2, f"all, turn {turn}")
    assert told(WEB_2, "after 4") in receiver.lines


def test_nobody_is_there_to_take_them(rsyslog: Rsyslog, receiver: Receiver) -> None:
    """Lines wait on the disk, also when the program is killed, again and again; it goes on where it was, and few come twice."""
    store, said = Store(rsyslog.logs, Gzip()), set[str]()

    def say_more(turn: int) -> None:
        fresh = [f"turn {turn}, line {number}" for number in range(4000)]
        say(store, WEB, fresh)
        said.update(fresh)

    say_more(0)
    until(lambda: set(receiver.times()) == said, "what comes before")
    receiver.leave()
    for turn in range(1, 5):
        say_more(turn)
        until(lambda: list(rsyslog.spool.glob("unsent.0*")), "a queue on the disk")
        rsyslog.kill()
        rsyslog.start_again()
    receiver.come()
    until(lambda: set(receiver.times()) == said, "what waited")
    assert len(receiver.lines) < 2 * len(said)
