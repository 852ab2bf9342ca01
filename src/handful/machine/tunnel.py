"""How much goes through to a port of this computer? A relay that counts, for tunnels that ssh makes to it."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 256 * 1024
# What may wait for a side that is slow to take it: so many tunnels need this much memory, whatever goes through.
WAITING = 4 * CHUNK
TURN_SECONDS = 0.2


class Relay:
    """Passes connections on to a port of this computer, while `run` is running.

    `sent` counts the bytes that have come back from there, `received` those that have gone there.
    """

    def __init__(self, target: int) -> None:
        """Pass on to port `target` of the loopback address."""
        self.sent = self.received = 0
        self._target = target
        self._ends: dict[socket.socket, End] = {}
        self._open = True

    def __enter__(self) -> Self:
        """Listen on a port of its own, `port`."""
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.setblocking(False)  # noqa: FBT003  # its only argument
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port: int = self._listener.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Close what `run` has not."""
        self.close()
        self._listener.close()

    def close(self) -> None:
        """End: `run` returns soon after."""
        self._open = False

    def run(self) -> None:
        """Pass on what comes, in this thread, until it is closed."""
        with self._selector:
            while self._open:
                for key, events in self._selector.select(TURN_SECONDS):
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._pass(key.data, events)
            for end in tuple(self._ends.values()):
                end.socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection((LOOPBACK, self._target), timeout=2)
            except OSError:
                client.close()
                return
            here, there = End(client, is_target=False), End(server, is_target=True)
            here.other, there.other = there, here
            for end in (here, there):
                end.socket.setblocking(False)  # noqa: FBT003  # its only argument
                self._ends[end.socket] = end
                self._selector.register(end.socket, selectors.EVENT_READ, end)

    def _pass(self, end: End, events: int) -> None:
        if end.socket not in self._ends:
            return
        try:
            if events & selectors.EVENT_WRITE:
                end.flush()
            if events & selectors.EVENT_READ:
                count = end.read()
                if end.is_target:
                    self.sent += count
                else:
                    self.received += count
        except OSError:
            self._close(end)
            return
        if end.over and not end.waiting and end.other.over and not end.other.waiting:
            self._close(end)
            return
        for each in (end, end.other):
            self._watch(each)

    def _watch(self, end: End) -> None:
        wanted = selectors.EVENT_WRITE if end.waiting else 0
        if not end.over and len(end.other.waiting) < WAITING:
            wanted |= selectors.EVENT_READ
        with suppress(KeyError):
            self._selector.unregister(end.socket)
        if wanted:
            self._selector.register(end.socket, wanted, end)

    def _close(self, end: End) -> None:
        for each in (end, end.other):
            with suppress(KeyError):
                self._selector.unregister(each.socket)
            self._ends.pop(each.socket, None)
            each.socket.close()


class End:
    """One side of a connection: `waiting` is to be written to it, `over` says that nothing more comes from it."""

    other: End

    def __init__(self, endpoint: socket.socket, *, is_target: bool) -> None:
        """Take over a connected socket."""
        self.socket, self.is_target = endpoint, is_target
        self.waiting = bytearray()
        self.over = False

    def read(self) -> int:
        """Hand what has come to the other side; return how much that was."""
        with suppress(BlockingIOError):
            data = self.socket.recv(CHUNK)
            if data:
                self.other.waiting += data
            else:
                self.over = True
            self.other.flush()
            return len(data)
        return 0

    def flush(self) -> None:
        """Write what can be written now; pass on the end once all is written."""
        with suppress(BlockingIOError):
            while self.waiting:
                del self.waiting[: self.socket.send(self.waiting)]
        if self.other.over and not self.waiting:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
