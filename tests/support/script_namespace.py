"""Where do scripts run, so that nothing they do can leave the test?

In namespaces of their own: network (service addresses become local there), mounts, and processes (all end with it).
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNET = 0x40000000
# `cat` ends when the test lets go of its standard input, and with the first process all others end.
FIRST_PROCESS = """
mount -t tmpfs none /run
ip link set lo up
ip route add local 10.211.0.0/16 dev lo
echo ready
cat
exit 0
"""


class Namespace:
    """Network, mounts and processes apart from the computer's; instances' addresses (10.211.0.0/16) are local.

    Raises OSError where this is not allowed.
    """

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", FIRST_PROCESS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )
        assert self._holder.stdout
        if self._holder.stdout.readline() != b"ready\n":
            _, said = self._holder.communicate()
            raise PermissionError(said.decode().strip() or "unshare did not answer")
        self.first = int(child(self._holder.pid))
        self._here = threading.local()
        self._network = os.open(f"/proc/{self.first}/ns/net", os.O_RDONLY)

    def close(self) -> None:
        """End everything that runs in it."""
        os.close(self._network)
        self._holder.communicate(timeout=10)

    def words(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` in it."""
        return ["nsenter", f"--target={self.first}", "--net", "--mount", "--pid", "--", *argv]

    def path(self, path: str) -> Path:
        """Return where a path of its own mounts is for this process."""
        return Path(f"/proc/{self.first}/root{path}")

    def join(self) -> None:
        """Take the calling thread, for the rest of its life, into this network."""
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(self._network, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        self._here.joined = True

    def socket(self) -> socket.socket:
        """Return a TCP socket of its network: a socket stays where it was made."""
        if getattr(self._here, "joined", False):
            return socket.socket()
        made: list[socket.socket] = []

        def make() -> None:
            self.join()
            made.append(socket.socket())

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]


def child(pid: int) -> str:
    """Return the process id of a process's only child; "" while it has none."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip()
