"""Which programs did a script call, with which words and environment, and what is each to do?

A small bash file stands first on the script's PATH under the name of each program (`docker`, `perl`, `mv` …).
Every call waits for an answer from here, so that a test can look at the machine at each of them, or hold one.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from script_poll import DEADLINE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from script_namespace import Namespace

CLIENT = Path(__file__).with_name("script_tap.bash")


@dataclass(frozen=True)
class Call:
    """One call of a program: its words without its own name, and its whole environment, as bytes."""

    program: str
    words: tuple[str, ...]
    environ: dict[bytes, bytes] = field(repr=False)
    pid: int = 0

    @property
    def line(self) -> str:
        """The call as one line."""
        return " ".join([self.program, *self.words])


@dataclass(frozen=True)
class Answer:
    """What a program says, and its exit status."""

    out: str = ""
    err: str = ""
    status: int = 0


@dataclass(frozen=True)
class Become:
    """The caller becomes another program."""

    words: tuple[str, ...]


@dataclass
class Gate:
    """Waits for calls whose lines hold `texts`, one after the other, and holds the last, until it is opened."""

    texts: list[str]
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Return when the call has come."""
        assert self.reached.wait(DEADLINE), f"no call held {self.texts[0]!r}"

    def open(self) -> None:
        """Let the call, and every later one, go on."""
        self.opened.set()

    def hold(self, call: Call) -> None:
        """Let a call wait here when it is the one."""
        if self.reached.is_set() or self.texts[0] not in call.line:
            return
        if len(self.texts) > 1:
            del self.texts[0]
            return
        self.reached.set()
        self.opened.wait(DEADLINE)


class Tap:
    """Answers the calls of the programs in `folder`, and keeps them in `calls`, in their order."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        self.calls: list[Call] = []
        self.watchers: list[Callable[[Call], None]] = []
        self._gates: list[Gate] = []
        self._namespace = namespace
        self._folder = folder
        self._programs: dict[str, Callable[[Call], Answer | Become]] = {}
        self._server = namespace.socket()
        self._server.bind(("127.1.1.1", 1))
        self._server.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def open(self) -> None:
        """Open every gate."""
        for gate in self._gates:
            gate.open()

    def close(self) -> None:
        """End; the namespace must have ended before, so that no caller is left."""
        with contextlib.suppress(OSError):
            self._server.shutdown(2)
        self._server.close()
        for thread in self._threads:
            thread.join(DEADLINE)

    def serve(self, program: str, answer: Callable[[Call], Answer | Become]) -> None:
        """Stand in for a program."""
        self._programs[program] = answer
        shutil.copy(CLIENT, self._folder / program)

    def watch(self, program: str) -> None:
        """Let calls of a real program be seen before it runs."""
        real = shutil.which(program)
        assert real, f"{program} is not on this computer"
        self.serve(program, lambda call: Become((real, *call.words)))

    def gate(self, *texts: str) -> Gate:
        """Hold the first call whose line holds the text; of several texts the last, after the others have come."""
        gate = Gate(list(texts))
        self._gates.append(gate)
        self.watchers.append(gate.hold)
        return gate

    def lines(self, text: str = "") -> list[str]:
        """Return the calls whose line holds `text`, as lines."""
        return [call.line for call in tuple(self.calls) if text in call.line]

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(caller,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            call = self._read(caller)
            if call is None:
                return
            self.calls.append(call)
            for watcher in tuple(self.watchers):
                watcher(call)
            if not _gone(caller):
                caller.sendall(_packed(self._programs[call.program](call)))

    def _read(self, caller: socket.socket) -> Call | None:
        """Return what a caller asks for; None when it was ended before."""
        told = caller.recv(16)
        process = self._namespace.path(f"/proc/{told.decode().strip()}")
        words = (process / "cmdline").read_bytes().removesuffix(b"\0").split(b"\0") if told else []
        # bash -p PROGRAM WORDS…
        if len(words) < 3:
            return None
        pairs = (entry.partition(b"=") for entry in (process / "environ").read_bytes().split(b"\0") if entry)
        decoded = tuple(word.decode(errors="surrogateescape") for word in words[2:])
        return Call(Path(decoded[0]).name, decoded[1:], {name: value for name, _, value in pairs}, int(told))


def _gone(caller: socket.socket) -> bool:
    """Whether a caller was ended while it waited: what it asked for is not done then."""
    caller.setblocking(False)
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        caller.setblocking(True)


def _packed(answer: Answer | Become) -> bytes:
    if isinstance(answer, Become):
        words = [word.encode(errors="surrogateescape") for word in answer.words]
        return b"exec %d 0\n" % len(words) + b"".join(b"%d\n%s" % (len(word), word) for word in words)
    out, err = (text.encode(errors="surrogateescape") for text in (answer.out, answer.err))
    return b"%d %d %d\n%s%s" % (answer.status, len(out), len(err), out, err)
