"""A SOPS file: opened with a data key into a text that can be read and edited, and sealed again.

What was not changed keeps its ciphertext. A file whose values are as they were stays as it is, byte for byte.
Source: sops.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from handful.errors import SecretsError
from handful.secrets.cipher import ENCRYPTED, Cipher, WrongCipher, place
from handful.secrets.dotenvtext import DotenvText
from handful.secrets.rules import DEFAULT, by_sops, rule_of
from handful.secrets.scalars import Value, as_typed
from handful.secrets.text import CONFLICT, Unreadable
from handful.secrets.yamltext import YamlText

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from handful.secrets.rules import Rule
    from handful.secrets.text import Leaf

    Unlock = Callable[[Sequence[tuple[str, str]]], bytes]

VERSION = "3.13.2"
KEY_BYTES = 32
# What the MAC starts with when it is made of encrypted values alone: the SHA-256 of "sops".
ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
SERVICES = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp")


@dataclass(frozen=True)
class Opened:
    """A file's values in a text, and what is needed to seal it again.

    `leaves` and `values` go together; comments are among them. `known`: ciphertexts by their place and value.
    `open_allowed`: values may be written that the rule leaves readable.
    """

    text: str
    key: bytes = field(repr=False)
    metadata: Mapping[str, Any]
    rule: Rule
    leaves: Sequence[Leaf]
    values: Mapping[int, Value] = field(repr=False)
    known: Mapping[tuple[str, Value], str] = field(repr=False)
    encrypted: str = ""
    open_allowed: bool = False

    def tops(self) -> dict[str, Value]:
        """Return the values of the top level by name."""
        pairs = ((leaf, self.values.get(number)) for number, leaf in enumerate(self.leaves))
        return {leaf.path[0]: value for leaf, value in pairs if value and leaf.is_top}


def parse(text: str, file: str, *, comments: bool = True) -> YamlText | DotenvText:
    """Read a text, as YAML or as dotenv by the file's name. Raises SecretsError."""
    if text.startswith("\ufeff"):
        raise SecretsError(f"{file} begins with a byte order mark", advice="Save it as UTF-8 without one.")
    if CONFLICT.search(text):
        advice = "Settle it in git first: take one side whole, then set again what the other side had changed."
        raise SecretsError(f"{file} holds the marks of a merge conflict", advice=advice)
    try:
        return (DotenvText if file.endswith(".env") else YamlText)(text, comments=comments)
    except Unreadable as wrong:
        raise SecretsError(f"{file}: {wrong}") from wrong


def sealed_keys(metadata: Mapping[str, Any] | None, file: str) -> list[tuple[str, str]]:
    """Return the data key's ciphertexts by recipient. Raises SecretsError where there are none that age can open."""
    if metadata is None:
        advice = "Encrypt it: handful secrets init, or sops --encrypt --in-place."
        raise SecretsError(f"{file} is not encrypted", advice=advice)
    try:
        groups = metadata.get("key_groups") or []
        if len(groups) > 1 or int(metadata.get("shamir_threshold") or 0) > 1:
            raise SecretsError(f"{file}: its key is shared out among groups (Shamir)", advice=by_sops(file))
        entries = metadata.get("age") or (groups[0].get("age") if groups else None) or []
        others = services(metadata)
        found = [(str(each["recipient"]), str(each["enc"])) for each in entries]
    except (ValueError, TypeError, KeyError, AttributeError) as wrong:
        raise _changed(file, "its section `sops` cannot be read") from wrong
    if not found:
        message = f"{file} is encrypted with {' and '.join(others) or 'nothing'}, not with age"
        raise SecretsError(message, advice=by_sops(file))
    return found


def services(metadata: Mapping[str, Any]) -> list[str]:
    """Return the key services besides age that hold a file's key."""
    groups = metadata.get("key_groups") or [{}]
    return [name for name in SERVICES if metadata.get(name) or groups[0].get(name)]


def opened(text: str, unlock: Unlock, file: str, *, comments: bool = True) -> Opened:
    """Decrypt all of a file, and check that nobody has changed it. Raises SecretsError.

    `unlock` returns the data key from its ciphertexts by recipient. Without `comments` it cannot be sealed again.
    """
    document = parse(text, file, comments=comments)
    key, metadata = unlock(sealed_keys(document.metadata, file)), document.metadata or {}
    if len(key) != KEY_BYTES:
        raise _changed(file, "its data key has another length")
    rule, cipher = rule_of(metadata, file), Cipher(key)
    every = {number: _value(leaf, rule, cipher, file) for number, leaf in enumerate(document.leaves)}
    values = {number: value for number, value in every.items() if value is not None}
    try:
        mac = cipher.decrypt(str(metadata.get("mac", "")), str(metadata.get("lastmodified", "")))
    except WrongCipher as wrong:
        raise _changed(file, "its `mac` or `lastmodified` does not fit") from wrong
    if mac.data.decode() != _mac(document.leaves, values, rule):
        raise _changed(file, "values were added, removed, reordered or edited past sops")
    try:
        bare = document.bare(_replaced(document.leaves, values, rule)) if comments else ""
    except Unreadable as wrong:
        raise SecretsError(f"{file}: {wrong}") from wrong
    return Opened(bare, key, metadata, rule, document.leaves, values, cipher.known, text)


def sealed(text: str, before: Opened, file: str, when: str) -> str:
    """Encrypt a text that was edited, with the key and the rules it had before; `when` as RFC 3339 has it."""
    document = parse(text, file)
    if document.metadata is not None:
        raise SecretsError(f"{file}: it has a section `sops`, which handful writes itself", advice="Take it out.")
    rule, cipher = before.rule, Cipher(before.key, before.known)
    values = {number: _meant(leaf, rule) for number, leaf in enumerate(document.leaves)}
    _refuse_open(document.leaves, before, file)
    ciphertexts = {
        number: cipher.encrypt(value, _place(document.leaves[number], value, before))
        for number, value in values.items()
        if rule.encrypts(document.leaves[number].path) and value.data and not _is_sealed(document.leaves[number])
    }
    mac = _mac(document.leaves, values, rule)
    if before.encrypted and text == before.text:
        return before.encrypted
    made = Cipher(before.key).encrypt(Value("str", mac.encode()), when)
    text = document.sealed(ciphertexts, {**before.metadata, "lastmodified": when, "mac": made, "version": VERSION})
    _prove(text, document.leaves, before, file)
    return text


def _meant(leaf: Leaf, rule: Rule) -> Value:
    if leaf.value is None:
        return Value("comment", leaf.raw.encode())
    # What an app can be given arrives as it was typed; what is nested keeps the type that sops gives it.
    return as_typed(leaf.raw, leaf.value) if leaf.is_top and rule.encrypts(leaf.path) else leaf.value


def _is_sealed(leaf: Leaf) -> bool:
    """Whether it is a comment's ciphertext that could not be read: it stays as it is."""
    return leaf.comment and ENCRYPTED.fullmatch(leaf.raw) is not None


def _refuse_open(leaves: Sequence[Leaf], before: Opened, file: str) -> None:
    """Refuse values that the file's rule would leave readable, but for those that were so already."""
    was_open = {leaf.path for leaf in before.leaves if not before.rule.encrypts(leaf.path)}
    values = (leaf for leaf in leaves if not leaf.comment and leaf.raw)
    found = [
        ".".join(leaf.path) for leaf in values if not before.rule.encrypts(leaf.path) and leaf.path not in was_open
    ]
    if found and not before.open_allowed:
        advice = f"The file's rule is {before.rule.name}: {before.rule.pattern}"
        raise SecretsError(f"{file}: {found[0]} would not be encrypted", advice=advice)


def _place(leaf: Leaf, value: Value, before: Opened) -> str:
    """Return where a leaf stands; a comment may have been sealed for another of the maps around it."""
    known = (place(path) for path in leaf.paths if (place(path), value) in before.known)
    return next(known, place(leaf.path))


def _prove(text: str, leaves: Sequence[Leaf], before: Opened, file: str) -> None:
    """Open what was sealed, and refuse it unless it holds just what was meant."""
    found = opened(text, lambda _: before.key, file, comments=False)
    meant = [(leaf.path, _meant(leaf, before.rule)) for leaf in leaves if not leaf.comment and leaf.raw]
    told = [(found.leaves[number].path, value) for number, value in found.values.items() if found.leaves[number].raw]
    if told != meant:
        raise SecretsError(f"{file}: what would be written is not what was meant", advice="Nothing was written.")


def new_key(
    age: Sequence[tuple[str, str]], key: bytes, before: Opened | None = None, rule: Mapping[str, object] | None = None
) -> Opened:
    """Return what a new file is sealed with, or an opened one with another data key: all of it is encrypted anew.

    `rule`: which values of a new file are encrypted, as metadata has it; sops's own rule unless told.
    """
    entries = [{"recipient": recipient, "enc": text} for recipient, text in age]
    if before is not None:
        metadata = {name: value for name, value in before.metadata.items() if name not in {"age", "key_groups"}}
        return replace(before, key=key, metadata={"age": entries, **metadata}, known={}, encrypted="")
    said = dict(rule or {}) or {DEFAULT[0]: DEFAULT[1]}
    empty: dict[str, Any] = {"age": entries, "lastmodified": "", "mac": "", **said, "version": VERSION}
    return Opened("", key, empty, rule_of(empty, "the new file"), (), {}, {})


def keeping(new: Opened, before: Opened) -> Opened:
    """Return what is sealed with other metadata, and with the ciphertexts of before: the data key is the same."""
    return replace(new, known=before.known)


def data_key() -> bytes:
    """Return a new data key."""
    return secrets.token_bytes(KEY_BYTES)


def plain_leaves(document: YamlText | DotenvText, rule: Rule) -> list[str]:
    """Return the names of values that are not encrypted, for who has no key."""
    leaves = (leaf for leaf in document.leaves if not leaf.comment and leaf.raw)
    return [".".join(leaf.path) for leaf in leaves if not rule.encrypts(leaf.path) or not ENCRYPTED.fullmatch(leaf.raw)]


def _value(leaf: Leaf, rule: Rule, cipher: Cipher, file: str) -> Value | None:
    """Return what a leaf of an encrypted file holds; None for a comment that stays as it is."""
    if leaf.comment:
        return _comment(leaf, cipher)
    if not rule.encrypts(leaf.path):
        return leaf.value
    if not leaf.raw:
        return Value("str", b"")
    try:
        value = cipher.decrypt(leaf.raw, place(leaf.path))
    except WrongCipher as wrong:
        raise _changed(file, f"{'.'.join(leaf.path)}: {wrong}") from wrong
    if value.kind == "comment" and not (leaf.in_list and leaf.indent is not None):
        raise _changed(file, f"{'.'.join(leaf.path)}: a value was made a comment")
    return value


def _comment(leaf: Leaf, cipher: Cipher) -> Value | None:
    for path in leaf.paths:
        try:
            return cipher.decrypt(leaf.raw, place(path))
        except WrongCipher:
            continue
    return None


def _replaced(leaves: Sequence[Leaf], values: Mapping[int, Value], rule: Rule) -> dict[int, Value]:
    """Return the values that are written over ciphertexts: not those that stand there as they are."""
    return {
        number: value for number, value in values.items()
        if leaves[number].comment or (rule.encrypts(leaves[number].path) and value.data)
    }


def _mac(leaves: Sequence[Leaf], values: Mapping[int, Value], rule: Rule) -> str:
    """Hash all values in their order; comments are none, also those that are items of a list (getsops/sops#2243)."""
    digest = hashlib.sha512(ONLY_ENCRYPTED if rule.mac_only_encrypted else b"")
    for number, value in sorted(values.items()):
        leaf = leaves[number]
        if not leaf.comment and value.kind != "comment" and (rule.encrypts(leaf.path) or not rule.mac_only_encrypted):
            digest.update(value.data)
    return digest.hexdigest().upper()


def _changed(file: str, what: str) -> SecretsError:
    advice = f"Take the version that git has: git log -p {file}. Nothing of it was used."
    return SecretsError(f"{file} was changed by something other than sops or handful", detail=what, advice=advice)
