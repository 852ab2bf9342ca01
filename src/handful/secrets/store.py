"""The secrets of one environment: a file in the project, read and written whole."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handful.errors import SecretsError
from handful.secrets import file as sops
from handful.secrets.age import recipient, sealed
from handful.secrets.cipher import ENCRYPTED
from handful.secrets.generate import KINDS
from handful.secrets.names import DEFAULT, FINGERPRINTS, check_name, check_value
from handful.secrets.recipients import Readers, Recipient, readers_of, with_rule
from handful.secrets.scalars import Value, as_typed
from handful.secrets.text import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from handful.secrets.age import Keyring
    from handful.secrets.file import Opened

KEPT_MODE = 0o644


class Conflict(SecretsError):
    """Somebody else has changed the same; `text` has what both have changed, and goes on from `now`."""

    def __init__(self, names: Sequence[str], file: str, text: str, now: Opened) -> None:
        """Name the secrets; none when it was a comment or something nested, which nobody can put together."""
        what = ", ".join(names) or "a comment or nested value that you changed"
        super().__init__(f"{what} in {file} was changed by somebody else in the meantime")
        self.names, self.text, self.now = names, text, now


@dataclass(frozen=True)
class Store:
    """A file of secrets; `now` tells the time as RFC 3339 has it."""

    folder: Path
    path: Path
    keyring: Keyring
    now: Callable[[], str]

    @property
    def name(self) -> str:
        """The file, as seen from the project's folder."""
        return self.path.relative_to(self.folder).as_posix()

    def hint(self, words: str) -> str:
        """Return a command about these secrets, as it is typed."""
        environment = "" if self.path.stem == DEFAULT else f"-e {self.path.stem} "
        return f"handful {environment}secrets {words}"

    def text(self) -> str:
        """Return the file as it is. Raises SecretsError when there is none."""
        try:
            return self.path.read_bytes().decode()
        except FileNotFoundError:
            raise SecretsError(f"there is no file {self.name}", advice=f"Make it: {self.hint('init')}") from None
        except UnicodeDecodeError:
            raise SecretsError(f"{self.name} is not text in UTF-8") from None
        except OSError as wrong:
            raise SecretsError(f"{self.name} could not be read: {wrong.strerror}") from wrong

    def opened(self, *, comments: bool = True) -> Opened:
        """Return the file decrypted. Raises SecretsError."""
        return sops.opened(self.text(), lambda keys: self.keyring.open(keys, self.name), self.name, comments=comments)

    def values(self) -> dict[str, str]:
        """Return all secrets by name, and what fingerprints are made with. Raises SecretsError."""
        found = {}
        for name, value in self.opened(comments=False).tops().items():
            try:
                found[name] = value.text
            except UnicodeDecodeError:
                raise SecretsError(f"{name} in {self.name} is no text: an app could not be given it") from None
        return found

    def names(self) -> dict[str, bool]:
        """Return the names of the top level, and whether each is encrypted. It takes no key. Raises SecretsError."""
        leaves = sops.parse(self.text(), self.name, comments=False).leaves
        return {leaf.path[0]: ENCRYPTED.fullmatch(leaf.raw) is not None for leaf in leaves if leaf.is_top}

    # Changing.

    def set(self, name: str, value: str) -> bool:
        """Give a secret a value; return whether that is another one. Raises SecretsError or UsageError."""
        check_name(name)
        check_value(name, value)
        with self._locked():
            before = self.opened()
            if before.tops().get(name) == Value("str", value.encode()):
                return False
            self._write(sops.sealed(_with(before.text, self.name, name, value), before, self.name, self.now()))
        return True

    def remove(self, names: Sequence[str]) -> None:
        """Take secrets away. Raises SecretsError."""
        with self._locked():
            before = self.opened()
            missing = [name for name in names if name not in before.tops()]
            if missing:
                raise SecretsError(f"{self.name} has no {', '.join(missing)}", advice=f"See: {self.hint('list')}")
            text = before.text
            for name in names:
                text = _changed(text, self.name, name, None)
            self._write(sops.sealed(text, before, self.name, self.now()))

    def save(self, text: str, before: Opened) -> None:
        """Seal a text that was edited; what somebody else has changed in the meantime stays. Raises SecretsError."""
        with self._locked():
            now = self.opened()
            if now.encrypted != before.encrypted:
                text, before = self._merged(text, before, now), now
            self._write(sops.sealed(text, before, self.name, self.now()))

    def _merged(self, text: str, before: Opened, now: Opened) -> str:
        mine, base, theirs = plain_tops(text, self.name), before.tops(), now.tops()
        changed = [name for name in {**base, **mine} if mine.get(name) != base.get(name)]
        both = [name for name in changed if theirs.get(name) != base.get(name) and theirs.get(name) != mine.get(name)]
        if _besides(text, self.name) != _besides(before.text, self.name):
            raise Conflict((), self.name, text, now)
        made = now.text
        for name in changed:
            made = _changed(made, self.name, name, mine.get(name))
        if both:
            raise Conflict(both, self.name, made, now)
        return made

    # Recipients.

    def readers(self) -> Readers:
        """Return the rule of `.sops.yaml` for this file. Raises SecretsError when there is none."""
        found = readers_of(self.path)
        if found is None:
            advice = f"It says who can read what. Make it: {self.hint('init')}"
            raise SecretsError(f"no rule of a .sops.yaml fits {self.name}", advice=advice)
        return found

    def present(self) -> tuple[str, ...]:
        """Return the recipients for whom the file is encrypted now. It takes no key. Raises SecretsError."""
        metadata = sops.parse(self.text(), self.name, comments=False).metadata
        return tuple(key for key, _ in sops.sealed_keys(metadata, self.name))

    def init(self, own: Recipient) -> list[Path]:
        """Make what is missing: a rule for the file, the file, its key for fingerprints. Return what was written."""
        recipient(own.key)
        written = []
        if readers_of(self.path) is None:
            path, text = with_rule(self.folder, self.path, own)
            write(path, text)
            written.append(path)
        plain = self.text() if self.path.exists() else ""
        if sops.parse(plain, self.name, comments=False).metadata is None:
            key, readers = sops.data_key(), self.readers()
            self._check_reader([each.key for each in readers.recipients])
            new = sops.new_key(sealed(key, [each.key for each in readers.recipients]), key, rule=readers.rule)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = _with(plain, self.name, FINGERPRINTS, KINDS["key"]())
            self._write(sops.sealed(text, new, self.name, self.now()))
            written.append(self.path)
        elif FINGERPRINTS not in self.names():
            with self._locked():
                before = self.opened()
                text = _with(before.text, self.name, FINGERPRINTS, KINDS["key"]())
                self._write(sops.sealed(text, before, self.name, self.now()))
            written.append(self.path)
        return written

    def rotate(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Encrypt all of it anew for these recipients; return those who could read it until now.

        When somebody goes, fingerprints get another key, too: with the old one, short values can be guessed.
        """
        self._check_reader(wanted)
        with self._locked():
            before = self._own()
            gone = tuple(key for key, _ in sops.sealed_keys(before.metadata, self.name) if key not in wanted)
            key = sops.data_key()
            new = sops.new_key(sealed(key, wanted), key, before)
            text = _with(before.text, self.name, FINGERPRINTS, KINDS["key"]()) if gone else before.text
            self._write(sops.sealed(text, new, self.name, self.now()))
        return gone

    def _check_reader(self, wanted: Sequence[str]) -> None:
        """Refuse to encrypt what one could not read afterwards. Raises SecretsError."""
        try:
            self.keyring.open(sealed(b"tried", wanted), self.name)
        except SecretsError as wrong:
            message = f"{self.name} would be encrypted for others alone: you could not read it any more"
            advice = "Put your public key on the list in .sops.yaml, or let somebody who is on it do this."
            raise SecretsError(message, detail=wrong.detail, advice=advice) from wrong

    def _own(self) -> Opened:
        """Return the file decrypted, when nobody else than age's recipients holds its key. Raises SecretsError."""
        before = self.opened()
        others = sops.services(before.metadata)
        if others:
            message = f"{self.name} is encrypted with {' and '.join(others)}, too, whose entries only sops can renew"
            raise SecretsError(message, advice=f"sops does it, where it is installed: sops updatekeys {self.name}")
        return before

    def share(self, wanted: Sequence[str]) -> None:
        """Encrypt the file's key for these recipients; the values keep their ciphertexts."""
        with self._locked():
            before = self._own()
            had = dict(sops.sealed_keys(before.metadata, self.name))
            entries = [(key, had[key]) if key in had else sealed(before.key, [key])[0] for key in wanted]
            new = sops.new_key(entries, before.key, before)
            self._write(sops.sealed(before.text, sops.keeping(new, before), self.name, self.now()))

    # Writing.

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let nobody else on this computer write at the same time."""
        try:
            held = os.open(self.path.parent, os.O_RDONLY)
        except OSError as wrong:
            raise SecretsError(f"there is no file {self.name}", advice=f"Make it: {self.hint('init')}") from wrong
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)

    def _write(self, text: str) -> None:
        write(self.path, text)


def write(path: Path, text: str) -> None:
    """Write a file whole, or leave the old one. Raises SecretsError."""
    made = ""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else KEPT_MODE
        number, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(made).chmod(mode)
        Path(made).replace(path)
    except OSError as wrong:
        with suppress(OSError):
            Path(made).unlink()
        message = f"{path} could not be written: {wrong.strerror}"
        raise SecretsError(message, advice="What was there before is still there.") from wrong


def plain_tops(text: str, file: str) -> Mapping[str, Value]:
    """Return the values of the top level of a text that is not encrypted. Raises SecretsError."""
    leaves = sops.parse(text, file, comments=False).leaves
    return {leaf.path[0]: as_typed(leaf.raw, leaf.value) for leaf in leaves if leaf.is_top and leaf.value}


def _with(text: str, file: str, name: str, value: str) -> str:
    return _changed(text, file, name, Value("str", value.encode()))


def _changed(text: str, file: str, name: str, value: Value | None) -> str:
    """Return a text with another value of the top level, or without it. Raises SecretsError."""
    document = sops.parse(text, file)
    place = next((at for at, leaf in enumerate(document.leaves) if leaf.is_top and leaf.path[0] == name), None)
    try:
        if value is None:
            return text if place is None else document.without(place)
        return document.added(name, value) if place is None else document.with_value(place, value)
    except Unreadable as wrong:
        raise SecretsError(f"{name} in {file}: {wrong}") from wrong


def _besides(text: str, file: str) -> list[object]:
    """Return all that a text holds besides the values of the top level."""
    leaves = sops.parse(text, file).leaves
    return [(leaf.path, leaf.raw if leaf.comment else leaf.value) for leaf in leaves if not leaf.is_top]
