"""What goes into a session, what comes out, and how does it end?"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

HEARTBEAT_SECONDS = 5.0
# How often it is looked whether there is something to say.
TURN_SECONDS = 0.02
# ssh's own exit status for its own failures; a remote program's is its own.
SSH_FAILED = 255
CHUNK = 65536


@dataclass(frozen=True)
class Ended:
    """How a session ended: its exit status (255: ssh itself failed), its lines, and its last words on stderr."""

    status: int
    out: str
    err: str

    @property
    def cut(self) -> bool:
        """Whether ssh itself failed, before or during the session."""
        return self.status == SSH_FAILED


def no_word() -> str:
    """Return that there is nothing to say."""
    return ""


class Session:
    """One running program: bytes and then heartbeats go in, lines come out, in one thread and without blocking."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        sent: bytes,
        on_line: Callable[[str], None],
        stopped: Callable[[], bool],
        next_word: Callable[[], str] = no_word,
    ) -> None:
        """Take over a process whose three streams are pipes.

        After `sent`, a heartbeat follows every few seconds, and each word that `next_word` gives, as a line of its own.
        Once `stopped` says so, stdin is closed behind the last word.
        """
        self._process = process
        self._waiting = memoryview(sent)
        self._on_line = on_line
        self._stopped = stopped
        self._next_word = next_word
        self._line = b""
        self._errors = b""
        self._beat = time.monotonic()

    def relay(self) -> Ended:
        """Go on until the program has closed its output and ended."""
        streams = self._process
        if streams.stdin is None or streams.stdout is None or streams.stderr is None:
            raise ValueError("a session needs three pipes")
        with selectors.DefaultSelector() as selector:
            for stream, kind in ((streams.stdout, "out"), (streams.stderr, "err")):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, kind)
            os.set_blocking(streams.stdin.fileno(), False)
            while any(key.data in {"out", "err"} for key in selector.get_map().values()):
                self._feed(selector)
                for key, _ in selector.select(timeout=TURN_SECONDS):
                    if key.data in {"out", "err"} and not self._read(key.fd, key.data):
                        selector.unregister(key.fileobj)
        self._close()
        if self._line:
            self._on_line(self._line.decode(errors="replace"))
        for stream in (streams.stdout, streams.stderr):
            stream.close()
        return Ended(self._process.wait(), "", self._errors.decode(errors="replace"))

    def _feed(self, selector: selectors.BaseSelector) -> None:
        """Write what can be written now; watch stdin only while something waits to go."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        stopped = self._stopped()
        if not self._waiting and (word := self._next_word()):
            self._waiting = memoryview(f"{word}\n".encode())
        elif stopped:
            self._unwatch(selector)
            self._close()
            return
        if not self._waiting and time.monotonic() >= self._beat:
            self._waiting, self._beat = memoryview(b".\n"), time.monotonic() + HEARTBEAT_SECONDS
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(stdin.fileno(), self._waiting[:CHUNK]) :]
        except BlockingIOError:
            if stdin not in (key.fileobj for key in selector.get_map().values()):
                selector.register(stdin, selectors.EVENT_WRITE, "in")
            return
        except OSError:
            self._unwatch(selector)
            self._close()
            return
        self._unwatch(selector)

    def _unwatch(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(self._process.stdin)  # type: ignore[arg-type]  # a KeyError when it is None

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _read(self, descriptor: int, kind: str) -> bool:
        """Take what has come; False at the end of the stream."""
        try:
            chunk = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        if kind == "err":
            self._errors += chunk
            return bool(chunk)
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._on_line(line.decode(errors="replace"))
        return bool(chunk)
