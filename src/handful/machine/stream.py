"""How do whole images reach a machine? `docker save`, packed, over ssh into `docker load`."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from contextlib import suppress
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from handful.errors import CommandFailed
from handful.machine.local import last_lines
from handful.machine.session import Ended
from handful.machine.ssh import command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handful.machine.access import Access

CHUNK = 65536
TURN_SECONDS = 0.2
# What `docker load` of every version reads, and what takes a sixth of the time where both sides have it.
PACKERS = MappingProxyType({
    "gzip": ("gzip", "-1", "--stdout"),
    "zstd": ("zstd", "-3", "--threads=0", "--quiet", "--stdout"),
})
# Called with what the sender can pack with, and the images' names; says what it unpacks, then the layers of each image.
LOAD = """
set -o pipefail
how=$1; shift
[ "$how" = zstd ] && command -v zstd >/dev/null || how=gzip
echo "$how"
unpack() { if [ "$how" = zstd ]; then zstd --decompress --quiet --stdout; else cat; fi; }
unpack | docker load --quiet >/dev/null &&
for name; do
  # So that Docker knows since when it is here.
  docker tag "$name" "$name"
  docker image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' "$name"
done
"""


def send_whole(
    access: Access, images: Mapping[str, Sequence[str]], stopped: Callable[[], bool], on_sent: Callable[[int], None]
) -> Ended:
    """Stream images from the engine here into the machine's; one session.

    `images`: the layers of each, by name, that the machine must have in the end: else the status is 1. `on_sent` is
    told how many bytes have gone so far. Ends early once `stopped` says so. Raises CommandFailed when the engine here
    cannot save them.
    """
    best = "zstd" if shutil.which("zstd") else "gzip"
    pipe = subprocess.PIPE
    line = command(access, ["bash", "-c", LOAD, "load", best, *images])
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as load:
        how = _first_line(load, stopped)
        failed = _send(tuple(images), PACKERS[how], load, stopped, on_sent) if how in PACKERS else ""
        if stopped():
            load.terminate()
        out, err = load.communicate()
    said = out.decode(errors="replace")
    if failed and load.returncode == 0:
        raise CommandFailed(f"docker save {' '.join(images)} failed", status=1, detail=last_lines(failed))
    wanted = [" ".join(layers) for layers in images.values()]
    whole = [each.strip() for each in said.splitlines()] == wanted
    status = load.returncode or (0 if whole or stopped() else 1)
    return Ended(status, said, err.decode(errors="replace"))


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
