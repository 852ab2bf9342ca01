"""Whose keys open a file: age's identities, found where sops finds them, and its recipients.

Source: age/keysource.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import CommandFailed, SecretsError
from handful.machine.local import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KEY, KEY_FILE, KEY_COMMAND = "SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD"
SSH_FILE, SSH_COMMAND = "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"
WANTED = "SOPS_AGE_RECIPIENT"
PRIVATE = 0o600


@dataclass(frozen=True)
class Found:
    """An identity: `public` is its recipient where that can be told, `origin` where it was found."""

    identity: Any = field(repr=False)
    public: str
    origin: str


class Keyring:
    """The identities of whoever runs this, found at first use; `looked` tells where, and what was wrong there."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        """Look nowhere yet."""
        self._environ, self._home = environ, home
        self._found: list[Found] | None = None
        self.looked: list[str] = []

    def identities(self) -> Sequence[Found]:
        """Return all that there are, but for those that a command tells."""
        if self._found is None:
            self._found = [*self._ssh(), *self._age()]
        return self._found

    def forget(self) -> None:
        """Look again at the next use."""
        self._found, self.looked = None, []

    def open(self, sealed: Sequence[tuple[str, str]], file: str) -> bytes:
        """Return the data key of a file from (recipient, armored ciphertext) pairs. Raises SecretsError."""
        import pyrage

        own = [each.identity for each in self.identities()]
        for wanted, ciphertext in sealed:
            found = [*own, *(each.identity for each in self._told(wanted))]
            try:
                if found:
                    return bytes(pyrage.decrypt(ciphertext.encode(), found))
            except pyrage.DecryptError:
                continue
        raise SecretsError(
            f"{file}: no key of yours opens it",
            detail=_told("It is encrypted for:", [recipient for recipient, _ in sealed])
            + _told("Keys were looked for in:", self.looked),
            advice="Somebody who can read it adds you: handful secrets recipients add AGE1…",
        )

    def default_file(self) -> Path:
        """Return where an identity of one's own is kept: what SOPS_AGE_KEY_FILE names, or sops's own place."""
        named = self._environ.get(KEY_FILE)
        return Path(named) if named else self._config_folder() / "sops" / "age" / "keys.txt"

    def _config_folder(self) -> Path:
        configured = self._environ.get("XDG_CONFIG_HOME")
        if configured:
            return Path(configured)
        return self._home / ("Library/Application Support" if sys.platform == "darwin" else ".config")

    def _ssh(self) -> Iterator[Found]:
        named = self._environ.get(SSH_FILE)
        if named:
            yield from self._ssh_key(_bytes(Path(named)), f"{SSH_FILE} ({named})")
        for name in ("id_ed25519", "id_rsa"):
            path = self._home / ".ssh" / name
            yield from self._ssh_key(_bytes(path), str(path))

    def _ssh_key(self, text: bytes | None, origin: str) -> Iterator[Found]:
        import pyrage

        if not text:
            self.looked.append(f"{origin}: nothing there")
            return
        try:
            identity = pyrage.ssh.Identity.from_buffer(text)
        except pyrage.IdentityError:
            self.looked.append(f"{origin}: it has a passphrase, or is no ssh key")
            return
        self.looked.append(f"{origin}: an ssh key")
        yield Found(identity, "", origin)

    def _age(self) -> Iterator[Found]:
        in_environ = self._environ.get(KEY)
        if in_environ:
            yield from self._age_keys(in_environ, KEY)
        for path in dict.fromkeys([self.default_file(), self._config_folder() / "sops" / "age" / "keys.txt"]):
            text = _bytes(path)
            if text is None:
                self.looked.append(f"{path}: nothing there")
            else:
                yield from self._age_keys(text.decode(errors="replace"), str(path))

    def _age_keys(self, text: str, origin: str) -> Iterator[Found]:
        import pyrage

        words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
        usable = [word for word in words if word.startswith("AGE-SECRET-KEY-1")]
        told = f"{len(usable)} keys" if len(usable) != 1 else "a key"
        others = len(words) - len(usable)
        self.looked.append(f"{origin}: {told}" + (f", and {others} that handful cannot use" if others else ""))
        for word in usable:
            try:
                identity = pyrage.x25519.Identity.from_str(word)
            except pyrage.IdentityError:
                self.looked.append(f"{origin}: a key that was cut off or mistyped")
                continue
            yield Found(identity, str(identity.to_public()), origin)

    def _told(self, wanted: str) -> Iterator[Found]:
        """Ask the commands, which are told for which recipient a key is wanted."""
        ssh, age = self._environ.get(SSH_COMMAND), self._environ.get(KEY_COMMAND)
        if ssh:
            yield from self._ssh_key(self._run(ssh, SSH_COMMAND, wanted).encode(), SSH_COMMAND)
        if age:
            yield from self._age_keys(self._run(age, KEY_COMMAND, wanted), KEY_COMMAND)

    def _run(self, command: str, name: str, wanted: str) -> str:
        import shlex

        try:
            return run(shlex.split(command), env={**self._environ, WANTED: wanted}).out
        except (OSError, ValueError, CommandFailed):
            # Not what it wrote: that may be the key.
            self.looked.append(f"{name}: the command failed")
            return ""


def recipient(text: str) -> Any:  # noqa: ANN401  # of a library without types
    """Read a public key: age1… or ssh-…. Raises SecretsError."""
    import pyrage

    kinds = {"ssh-": pyrage.ssh.Recipient, "age1tag": pyrage.tag.Recipient, "age1": pyrage.x25519.Recipient}
    kind = next((each for start, each in kinds.items() if text.startswith(start)), None)
    try:
        if kind is not None:
            return kind.from_str(text)
    except pyrage.RecipientError:
        pass
    if text.startswith("age1"):
        advice = "Was it cut off? Keys of age's plug-ins and post-quantum keys are for sops alone."
        raise SecretsError(f"{text}: handful cannot encrypt for this key", advice=advice)
    raise SecretsError("that is no public key of age", advice="One looks like age1… or ssh-ed25519 …, in quotes.")


def sealed(key: bytes, recipients: Sequence[str]) -> list[tuple[str, str]]:
    """Return a data key encrypted for each of the recipients, armored, as sops keeps it."""
    import pyrage

    return [(each, pyrage.encrypt(key, [recipient(each)], armored=True).decode()) for each in recipients]


def make_identity(path: Path) -> str:
    """Write a new identity where only its owner can read it; return its recipient. Raises SecretsError."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as file:
            file.write(f"# public key: {public}\n{identity}\n")
    except OSError as wrong:
        raise SecretsError(f"{path} could not be written: {wrong.strerror}") from wrong
    return public


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _told(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines or ("nobody",))]) + "\n"
