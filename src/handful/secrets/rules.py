"""Which values of a file are encrypted? A rule in the file's own metadata says it.

Source: sops.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.errors import SecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DEFAULT = ("unencrypted_suffix", "_unencrypted")
BY_PATH = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
BY_COMMENT = ("unencrypted_comment_regex", "encrypted_comment_regex")


@dataclass(frozen=True)
class Rule:
    """One of sops's rules, by its name in the metadata, and whether the MAC is made of encrypted values alone."""

    name: str = DEFAULT[0]
    pattern: str = DEFAULT[1]
    mac_only_encrypted: bool = False

    def encrypts(self, path: Iterable[str]) -> bool:
        """Whether a value is encrypted, by the names that lead to it."""
        return any(map(self._fits(), path)) is self.name.startswith("encrypted")

    def _fits(self) -> Callable[[str], bool]:
        if self.name.endswith("_suffix"):
            return lambda name: name.endswith(self.pattern)
        searched = re.compile(self.pattern)
        return lambda name: searched.search(name) is not None


def rule_of(metadata: Mapping[str, object], file: str) -> Rule:
    """Return a file's rule. Raises SecretsError for what only sops itself can do."""
    only = metadata.get("mac_only_encrypted") is True
    if any(metadata.get(name) for name in BY_COMMENT):
        raise SecretsError(f"{file}: which values are encrypted is told by comments", advice=by_sops(file))
    found = [(name, str(metadata[name])) for name in BY_PATH if metadata.get(name)]
    if len(found) > 1:
        raise SecretsError(f"{file}: its metadata has two rules: {found[0][0]} and {found[1][0]}")
    name, pattern = found[0] if found else DEFAULT
    try:
        re.compile(pattern)
    except re.error as wrong:
        raise SecretsError(f"{file}: its {name} is no regular expression: {wrong}") from wrong
    return Rule(name, pattern, only)


def by_sops(file: str) -> str:
    """Advice for what handful does not do."""
    return f"handful does not do that. sops does, where it is installed: sops {file}"
