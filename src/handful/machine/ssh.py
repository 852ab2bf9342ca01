"""How does text reach a machine, and how do its lines come back?

The user's own ssh program: it alone gets configs, agents, jump hosts, hardware keys and certificates right.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from handful.errors import CommandFailed
from handful.machine.local import run
from handful.machine.session import Ended, Session, no_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from handful.machine.access import Access

OPTIONS = (
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "StrictHostKeyChecking=accept-new",
)
# How long a connection waits for the next session.
KEPT_SECONDS = 60
SHARING_SINCE = (8, 5)
# As root, through sudo when the user is another.
AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n "$@"; fi'
# The tar ends, the heartbeat begins: tar reads no further than its own end.
UNPACK = (
    'umask 077; folder=$(mktemp -d /run/handful.XXXXXX) && tar -xf - -C "$folder" && '
    'exec bash "$folder/session.bash" "$folder"; rm -rf "$folder"; exit 1'
)

# A script ends with a zero byte; behind it, stdin is the script's own.
FROM_STDIN = "IFS= read -r -d '' script; eval \"$script\""


def command(access: Access, words: Sequence[str], *, terminal: bool = False, batch: bool = True) -> list[str]:
    """Return the ssh command line that runs `words` on a machine as root; without `words`, a login shell.

    `batch`: ssh never asks. `terminal`: the other side gets one.
    """
    options = (*access.options, *OPTIONS, *_shared(access), *(("BatchMode=yes",) if batch else ()))
    line = ["ssh", "-t" if terminal else "-T", *(word for option in options for word in ("-o", option))]
    line += ["-p", str(access.port)] if access.port else []
    line += ["-l", access.user] if access.user else []
    line += ["--", access.host]
    return [*line, shlex.join(["sh", "-c", AS_ROOT, "sh", *words])] if words else line


def _shared(access: Access) -> tuple[str, ...]:
    """Sessions of a minute share one connection: a deploy logs in once, and what follows it does not log in at all."""
    socket = _socket(access)
    if socket is None:
        return ()
    path = str(socket).replace("%", "%%")
    return ("ControlMaster=auto", f'ControlPath="{path}"', f"ControlPersist={KEPT_SECONDS}")


def _socket(access: Access) -> Path | None:
    """Return a machine's own socket. ssh's `%C` is the same for two machines of one address behind two jump hosts."""
    if access.sockets is None:
        return None
    told = repr((access.name, access.host, access.user, access.port, access.options))
    return Path(access.sockets) / hashlib.sha256(told.encode()).hexdigest()[:40]


def ask(access: Access, script: str, *, batch: bool = True) -> Ended:
    """Run a bash script that comes on stdin and return all it says; one session. Without `batch`, ssh may ask its user.

    A shared connection may have died unnoticed, with a machine that restarts: then a new one is tried.
    """
    socket = _socket(access)
    shared = socket is not None and socket.exists()
    ended = _ask(access, script, batch=batch)
    if not (ended.cut and shared):
        return ended
    close([access])
    return _ask(access, script, batch=batch)


def _ask(access: Access, script: str, *, batch: bool) -> Ended:
    process = _start(command(access, ["bash", "-s"], batch=batch), apart=batch)
    out, err = process.communicate(script.encode())
    return Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def can_share() -> bool:
    """Whether the ssh of this computer lets go of its caller when it stays: before 8.5 it kept stderr (bug 1988)."""
    try:
        said = run(["ssh", "-V"], check=False).err
    except CommandFailed:
        return False
    version = re.match(r"OpenSSH\S*?_(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= SHARING_SINCE


def close(accesses: Iterable[Access]) -> None:
    """End shared connections, where there are any; those of a machine that goes would hang."""
    for access in accesses:
        if access.sockets is not None:
            run(["ssh", "-O", "exit", *command(access, [])[1:]], check=False)


def relay(access: Access, script: str, on_line: Callable[[str], None], stopped: Callable[[], bool]) -> Ended:
    """Run a bash script and pass on each line as it comes; one session.

    A heartbeat goes over stdin until `stopped` says so: a script that goes on for ever ends when its stdin does.
    """
    return Session(_start(command(access, ["bash", "-c", script])), b"", on_line, stopped).relay()


def work(
    access: Access,
    tar: bytes,
    on_line: Callable[[str], None],
    stopped: Callable[[], bool],
    next_word: Callable[[], str] = no_word,
) -> Ended:
    """Send a tar that holds session.bash and work.bash, and relay each line that the work says; one session.

    A heartbeat and the words of `next_word` go over the same stdin. Once `stopped` says so, stdin is closed: the
    machine cleans up, or finishes when it has begun to switch, and says so in its last lines.
    """
    process = _start(command(access, ["sh", "-c", UNPACK]))
    return Session(process, tar, on_line, stopped, next_word).relay()


def through(
    access: Access, script: str, on_line: Callable[[str], None], stopped: Callable[[], bool],
    tunnel: tuple[int, int] | None = None,
) -> Ended:
    """Run a bash script that must stand in no argument, and relay each line that it says; one session.

    `tunnel`: while it runs, the first port of the machine's loopback address leads to the second one of this computer.
    That takes a connection of its own: a shared one would keep the way open. When the way cannot be had, ssh fails
    before the script begins. A heartbeat goes over stdin until `stopped` says so.
    """
    own = access
    words: list[str] = []
    if tunnel is not None:
        own = replace(access, sockets=None, options=(*access.options, "ExitOnForwardFailure=yes", "ControlPath=none"))
        words = ["-R", f"127.0.0.1:{tunnel[0]}:127.0.0.1:{tunnel[1]}"]
    line = command(own, ["bash", "-c", FROM_STDIN])
    return Session(_start([line[0], *words, *line[1:]]), f"{script}\0".encode(), on_line, stopped).relay()


def _start(line: Sequence[str], *, apart: bool = True) -> subprocess.Popen[bytes]:
    """`apart` from the terminal: Ctrl-C reaches handful, which ends the session in order; but nothing can be asked."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(line), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=apart)
