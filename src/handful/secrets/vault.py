"""Where do the values of secrets come from? Each is found once per run, and all side by side.

A secret's own entry in `secrets.names` comes first, then the file, then the program for all, then the environment.
"""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from handful.errors import CommandFailed, SecretsError, UsageError
from handful.machine.local import last_lines, run
from handful.secrets.names import FINGERPRINTS, check_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from handful.config.secrets import Secrets
    from handful.secrets.mask import Mask
    from handful.secrets.store import Store

SIDE_BY_SIDE = 8
DIGITS = 16


class Vault:
    """The secrets of one environment, as far as somebody has asked for them."""

    def __init__(self, settings: Secrets, store: Store, environ: Mapping[str, str], mask: Mask) -> None:
        """Read nothing yet."""
        self._settings, self._store, self._environ, self._mask = settings, store, environ, mask
        self._values: dict[str, str] = {}
        self._file: dict[str, str] | None = None

    def values(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return secrets by name; `wanted` maps each to who asks for it. Raises SecretsError, naming all that miss."""
        new = [name for name in wanted if name not in self._values]
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
            found = dict(zip(new, pool.map(lambda source: source(), [self._source(name) for name in new]), strict=True))
        # What CI gives for a secret that is not set is an empty text.
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise SecretsError(
                f"these secrets are set nowhere: {', '.join(f'{name} ({wanted[name]})' for name in missing)}",
                detail=f"Looked in {self._store.name}{' and your environment' if self._settings.environment else ''}",
                advice=f"Set it: {self._store.hint(f'set {missing[0]}')}. Nothing was built or changed.",
            )
        known = {name: value for name, value in found.items() if value}
        for name, value in known.items():
            try:
                check_value(name, value)
            except UsageError as wrong:
                raise SecretsError(f"{wrong.message} ({wanted[name]})") from wrong
        self._mask.learn(known)
        self._values |= known
        return {name: self._values[name] for name in wanted}

    def fingerprint(self, name: str, value: str) -> str:
        """Return what tells a value from others without telling the value: short ones cannot be guessed, either."""
        key = self._environ.get(FINGERPRINTS.upper()) or self._in_file().get(FINGERPRINTS)
        if key is None:
            advice = (
                f"It is kept encrypted beside the secrets. Make it: {self._store.hint('init')}. Where there is no such "
                f"file, it is a long text in the variable {FINGERPRINTS.upper()}, the same for all who deploy."
            )
            raise SecretsError(f"{self._store.name} has no key for fingerprints of secrets", advice=advice)
        return hmac.new(key.encode(), f"{name}\0{value}".encode(), hashlib.sha256).hexdigest()[:DIGITS]

    def learn_all(self) -> None:
        """Let values of the file be masked, where they can be read; who shows what others wrote may have no key."""
        try:
            self._mask.learn(self._in_file())
        except SecretsError:
            return

    def _source(self, name: str) -> Callable[[], str | None]:
        own = self._settings.names.get(name)
        if own is not None and own.command is not None:
            return lambda words=own.command: _told(name, words)  # type: ignore[misc]
        if own is not None:
            return lambda: self._environ.get(str(own.environment))
        if name in self._in_file():
            return lambda: self._in_file()[name]
        return lambda: self._from_all(name)

    def _from_all(self, name: str) -> str | None:
        settings = self._settings
        told = _told(name, settings.command) if settings.command is not None else None
        return told or (self._environ.get(name) if settings.environment else None)

    def _in_file(self) -> dict[str, str]:
        if self._file is None:
            self._file = self._store.values() if self._store.path.exists() else {}
        return self._file


def _told(name: str, words: Sequence[str]) -> str:
    """Return what a program writes, without the end of its line."""
    said_by = words[0]
    try:
        said = run([word.replace("{name}", name) for word in words], check=False)
    except CommandFailed as failed:
        raise SecretsError(f"{name}: {failed.message}", advice=failed.advice) from failed
    if said.status != 0:
        # Never what it wrote to its output: that may be the value.
        raise SecretsError(f"{name}: {said_by} ended with exit code {said.status}", detail=last_lines(said.err))
    if "\ufffd" in said.out:
        raise SecretsError(f"{name}: what {said_by} wrote is not text in UTF-8")
    return one_line(said.out)


def one_line(text: str) -> str:
    """Return text without the end of its line when it is one line; text of several lines is kept as it is."""
    body = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    return text if "\n" in body else body


def wanted(uses: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return who asks for each secret, from (app, secret) pairs."""
    found: dict[str, list[str]] = {}
    for app, secret in uses:
        found.setdefault(secret, []).append(app)
    return {secret: ", ".join(dict.fromkeys(apps)) for secret, apps in found.items()}
