"""What goes over a slow line to a machine, and at which of handful's events?"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RATE = ("tbf", "rate", "100mbit", "burst", "256kb", "latency", "50ms")
COMMAND_SECONDS, DEPLOY_SECONDS = 200, 300


@dataclass(frozen=True)
class Deploy:
    """What a `handful deploy` took, and what of it is the way of its images: none, when no event tells of one.

    `bytes` are those that the machine has received, `sent` what handful says has gone. `peak` is resident memory: the
    largest of handful, of each program that it has waited for, and of the bench when it started handful.
    """

    seconds: float
    bytes: int
    shipping_s: float
    shipping_bytes: int
    sent: int
    peak: int


class Line:
    """The way to a machine of the lab: as long as the `with` lasts, no more than 100 Mbit/s go there."""

    def __init__(self, container: str) -> None:
        """Find this computer's end of it."""
        self._pid = said(["docker", "inspect", "--format", "{{.State.Pid}}", container])
        shown = said(["nsenter", "-t", self._pid, "-n", "ip", "-o", "link", "show", "eth0"])
        found = re.match(r"\d+: eth0@if(\d+):", shown)
        self._end = socket.if_indextoname(int(found[1])) if found else ""
        # This computer's own way out is not to be slowed down, whatever was found.
        if not self._end.startswith("veth"):
            message = f"{container} is reached through {self._end or shown!r}, which is no veth"
            raise RuntimeError(message)

    def __enter__(self) -> Self:
        """Slow it down."""
        said(["tc", "qdisc", "add", "dev", self._end, "root", *RATE])
        return self

    def __exit__(self, *_: object) -> None:
        """Let it be as fast as before."""
        line = ["tc", "qdisc", "del", "dev", self._end, "root"]
        subprocess.run(line, capture_output=True, timeout=COMMAND_SECONDS, check=False)

    def received(self) -> int:
        """Return how many bytes the machine's own interface has received."""
        text = Path(f"/proc/{self._pid}/net/dev").read_text(encoding="ascii")
        return int(text.partition("eth0:")[2].split()[0])

    def deploy(self, folder: Path, environ: Mapping[str, str]) -> Deploy:
        """Run `handful deploy`, and see what the machine has received at each event. Raises when it fails."""
        began, before = time.monotonic(), self.received()
        process = subprocess.Popen(
            ["handful", "deploy", "--json"], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
        )
        late = threading.Timer(DEPLOY_SECONDS, process.kill)
        late.daemon = True
        late.start()
        events: dict[str, tuple[float, int]] = {}
        sent = 0
        with process:
            for line in process.stdout or ():
                event = json.loads(line)
                events[event["event"]] = event["seconds"], self.received()
                sent = int(event["bytes"]) if event["event"] == "sent" else sent
            # What subprocess would wait for tells nothing of memory.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds, size = time.monotonic() - began, self.received() - before
        late.cancel()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, "handful deploy")
        start = events.get("shipping", (0.0, 0))
        end = events.get("sent", start)
        return Deploy(seconds, size, end[0] - start[0], end[1] - start[1], sent, usage.ru_maxrss * 1024)


def said(words: Sequence[str]) -> str:
    """Run a program on this computer, and return what it says."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    return done.stdout.strip()
