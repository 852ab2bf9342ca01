"""How do whole images reach a machine? `docker save`, packed, over ssh into `docker load`."""

from __future__ import annotations

import os
import select
import subprocess
from contextlib import suppress
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from handful.errors import CommandFailed
from handful.machine.local import last_lines
from handful.machine.session import Ended
from handful.machine.ssh import FROM_STDIN, command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handful.machine.access import Access

CHUNK = 65536
TURN_SECONDS = 0.2
# What `docker load` of every version reads, and what takes a sixth of the time where both sides have it.
PACKERS = MappingProxyType({
    "gzip": ("gzip", "-1", "--stdout"),
    "zstd": ("zstd", "-3", "--threads=0", "--quiet", "--stdout"),
})
def send_whole(
    access: Access, script: str, names: Sequence[str], on_line: Callable[[str], None], stopped: Callable[[], bool],
    on_sent: Callable[[int], None],
) -> Ended:
    """Stream images from the engine here to a script that loads them (load_images.bash); one session.

    It is told by the script's first line how to pack; each further line is passed on, and so is a first one that says
    something else. `on_sent` is told how many bytes have gone so far. Ends early once `stopped` says so. Raises
    CommandFailed when the engine here cannot save them.
    """
    pipe = subprocess.PIPE
    line = command(access, ["bash", "-c", FROM_STDIN])
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as load:
        _give(load, script)
        how = _first_line(load, stopped)
        failed = _send(names, PACKERS[how], load, stopped, on_sent) if how in PACKERS else ""
        if stopped():
            load.terminate()
        out, err = load.communicate()
    for each in [*([how] if how not in {*PACKERS, ""} else []), *out.decode(errors="replace").splitlines()]:
        on_line(each)
    if failed and load.returncode == 0:
        raise CommandFailed(f"docker save {' '.join(names)} failed", status=1, detail=last_lines(failed))
    return Ended(load.returncode, "", err.decode(errors="replace"))


def receive_whole(
    access: Access, script: str, stopped: Callable[[], bool], on_received: Callable[[int], None]
) -> Ended:
    """Stream images from a script that saves them (save_images.bash) into the engine here; one session.

    `on_received` and `stopped`: see `send_whole`. Raises CommandFailed when the engine here cannot load them.
    """
    pipe = subprocess.PIPE
    line, here = command(access, ["bash", "-c", FROM_STDIN]), ["docker", "load", "--quiet"]
    with (
        subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as save,
        subprocess.Popen(here, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as load,
    ):
        _give(save, script)
        if save.stdout is not None and load.stdin is not None:
            _copy(save.stdout, load.stdin, stopped, on_received)
        if stopped():
            save.terminate()
            load.terminate()
        _, said = load.communicate()
        if load.returncode != 0:
            save.terminate()
        _, err = save.communicate()
    if load.returncode != 0 and save.returncode == 0:
        detail = last_lines(said.decode(errors="replace"))
        raise CommandFailed("docker load failed", status=load.returncode, detail=detail)
    return Ended(save.returncode, "", err.decode(errors="replace"))


def _give(process: subprocess.Popen[bytes], script: str) -> None:
    """It may have ended before it has read all; then its words tell why."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.write(f"{script}\0".encode())
            process.stdin.flush()


def pour(
    access: Access, script: str, write: Callable[[IO[bytes]], None], on_line: Callable[[str], None]
) -> Ended:
    """Run a bash script whose stdin is what `write` writes, and pass on each line that it says; one session."""
    pipe, line = subprocess.PIPE, command(access, ["bash", "-c", script])
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        try:
            if process.stdin is not None:
                # It may end before it has read all; then its words tell why.
                with suppress(BrokenPipeError), process.stdin:
                    write(process.stdin)
            for said in process.stdout or ():
                on_line(said.decode(errors="replace").rstrip())
        except BaseException:
            process.terminate()
            raise
        err = process.stderr.read() if process.stderr is not None else b""
    return Ended(process.returncode, "", err.decode(errors="replace"))


def _first_line(load: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> str:
    """Return what the machine unpacks; "" when it said nothing."""
    if load.stdout is None:
        return ""
    line = b""
    while not line.endswith(b"\n") and not stopped():
        ready, _, _ = select.select([load.stdout], [], [], TURN_SECONDS)
        if ready:
            byte = os.read(load.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
    return line.decode(errors="replace").strip()


def _send(
    names: Sequence[str], packer: Sequence[str], load: subprocess.Popen[bytes], stopped: Callable[[], bool],
    on_sent: Callable[[int], None],
) -> str:
    """Save, pack and send; return what went wrong here, in the programs' own words."""
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(["docker", "save", *names], stdout=pipe, stderr=pipe, start_new_session=True) as save,
        subprocess.Popen(packer, stdin=save.stdout, stdout=pipe, stderr=pipe, start_new_session=True) as pack,
    ):
        if save.stdout is not None:
            save.stdout.close()
        if pack.stdout is not None and load.stdin is not None:
            _copy(pack.stdout, load.stdin, stopped, on_sent)
            pack.stdout.close()
        if stopped() or load.poll() is not None:
            pack.terminate()
            save.terminate()
        said = [each.stderr.read().decode(errors="replace") for each in (save, pack) if each.stderr is not None]
    return "".join(said) or "no reason was told" if save.returncode > 0 or pack.returncode > 0 else ""


def _copy(source: IO[bytes], target: IO[bytes], stopped: Callable[[], bool], on_sent: Callable[[int], None]) -> None:
    """Copy until the source ends, the other side has closed, or somebody wants no more of it."""
    sent = 0
    os.set_blocking(target.fileno(), False)
    while not stopped() and (chunk := os.read(source.fileno(), CHUNK)):
        waiting = memoryview(chunk)
        while waiting and not stopped():
            try:
                count = os.write(target.fileno(), waiting)
            except BlockingIOError:
                select.select([], [target], [], TURN_SECONDS)
                continue
            except OSError:
                return
            waiting, sent = waiting[count:], sent + count
            on_sent(sent)
