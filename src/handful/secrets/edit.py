"""The secrets in an editor: nothing is lost when what was written cannot be read, or somebody else was faster."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handful.errors import CommandFailed, SecretsError, UsageError
from handful.machine.local import foreground, undisturbed
from handful.secrets.file import parse
from handful.secrets.names import check_name, check_value
from handful.secrets.scalars import written
from handful.secrets.store import Conflict, plain_tops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from handful.secrets.store import Store

WRONG = "# handful: "
EDITORS = ("SOPS_EDITOR", "VISUAL", "EDITOR")
# In memory where there is such a place, so that no disk ever has it.
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of one's own is made there


def edit(store: Store, environ: Mapping[str, str], again: Callable[[str], bool]) -> bool:
    """Open the file in an editor until it can be saved; return whether anything changed.

    `again` is told what is wrong, and asked whether to go on. Raises SecretsError.
    """
    before = store.opened()
    with _folder() as folder, undisturbed():
        path = folder / store.path.name
        _put(path, before.text.encode())
        while True:
            _run_editor(environ, path)
            data = _taken(path)
            try:
                text = _without_notes(_decoded(data))
                if text == before.text:
                    return False
                _check(text, before.tops(), store.name)
                store.save(text, before)
            except (SecretsError, UsageError) as wrong:
                if not again(str(wrong)):
                    raise
                notes = str(wrong).splitlines()
                data = _without_note_bytes(data)
                if isinstance(wrong, Conflict):
                    notes += _theirs(wrong)
                    before, data = wrong.now, wrong.text.encode()
                _put(path, "".join(f"{WRONG}{line}\n" for line in notes).encode() + data)
                continue
            return True


def _theirs(conflict: Conflict) -> list[str]:
    """Return what stands in the file now, for whoever decides between two values."""
    now = conflict.now.tops()
    told = [f"{name} is {f'now: {written(now[name], None)}' if name in now else 'gone now'}" for name in conflict.names]
    return [*told, "What stands below is yours. Saved, it takes the place of theirs."]


def _put(path: Path, data: bytes) -> None:
    """Write what nobody else may read, and leave it whole for the editor."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def _taken(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        message = f"the editor left no file: {wrong.strerror}"
        raise SecretsError(message, advice="Nothing was changed.") from wrong


def _check(text: str, before: Mapping[str, object], file: str) -> None:
    """Refuse names and values that are new and can be none."""
    parse(text, file)
    for name, value in plain_tops(text, file).items():
        if before.get(name) == value:
            continue
        check_name(name)
        try:
            check_value(name, value.text)
        except UnicodeDecodeError:
            raise SecretsError(f"{name} is no text: an app could not be given it") from None


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretsError("the editor saved text that is not UTF-8", advice="Save it as UTF-8.") from None


def _without_notes(text: str) -> str:
    return _without_note_bytes(text.encode()).decode()


def _without_note_bytes(data: bytes) -> bytes:
    while data.startswith(WRONG.encode()):
        data = data.partition(b"\n")[2]
    return data


def _run_editor(environ: Mapping[str, str], path: Path) -> None:
    words = shlex.split(next((environ[name] for name in EDITORS if environ.get(name)), "vi"))
    try:
        status = foreground([*words, str(path)])
    except CommandFailed as wrong:
        raise SecretsError(f"the editor {words[0]} could not be started", advice="Choose one: EDITOR=nano") from wrong
    if status != 0:
        message = f"the editor {words[0]} ended with exit code {status}"
        raise SecretsError(message, advice="Nothing was changed.")


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that nobody else can enter, and take it away with what is in it."""
    place = str(MEMORY) if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="handful-", dir=place))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
