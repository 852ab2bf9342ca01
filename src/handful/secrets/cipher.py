"""How is one value encrypted in a SOPS file?

AES-256-GCM with a nonce of 32 bytes; the path of keys to the value is authenticated with it, so a ciphertext is good
in its own place alone. Source: aes/cipher.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, get_args

from handful.secrets.scalars import Kind, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:([^,\]]+),iv:([^,\]]+),tag:([^,\]]+),type:([a-z]+)\]")
# The type of a value is not sealed with it: what does not have its form was something else.
FORMS = MappingProxyType({
    "int": re.compile(rb"0|-?[1-9][0-9]*"), "float": re.compile(rb"-?[0-9]+(\.[0-9]*[1-9])?|[-+]Inf|NaN"),
    "bool": re.compile(b"True|False"), "time": re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[-+][0-9:]{5})"),
})
NONCE_BYTES = 32
TAG_BYTES = 16


class WrongCipher(ValueError):
    """A ciphertext that was changed or moved, or is none."""


def place(path: Iterable[str]) -> str:
    """Return what is authenticated with a value: the keys that lead to it; places in lists are not part of it."""
    return ":".join(path) + ":"


class Cipher:
    """Encrypts and decrypts values with one data key.

    A value that it has decrypted gets the same ciphertext again in the same place, so that diffs stay small.
    """

    def __init__(self, key: bytes, known: Mapping[tuple[str, Value], str] | None = None) -> None:
        """Take the data key, of 32 bytes; `known` are ciphertexts by their place and value."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._gcm = AESGCM(key)
        self.known = dict(known or {})

    def decrypt(self, text: str, where: str) -> Value:
        """Return the value of a ciphertext. Raises WrongCipher."""
        from cryptography.exceptions import InvalidTag

        found = ENCRYPTED.fullmatch(text)
        if not found or found[4] not in get_args(Kind):
            message = "it is not encrypted"
            raise WrongCipher(message)
        try:
            data, nonce, tag = (_decoded(found[number]) for number in (1, 2, 3))
            plain = self._gcm.decrypt(nonce, data + tag, where.encode())
        except (InvalidTag, binascii.Error, ValueError) as wrong:
            message = "its ciphertext was changed, or belongs to another place"
            raise WrongCipher(message) from wrong
        value = Value(found[4], plain)  # type: ignore[arg-type]  # looked up above
        if value.kind in FORMS and not FORMS[value.kind].fullmatch(plain):
            message = "its type was changed"
            raise WrongCipher(message)
        self.known[where, value] = text
        return value

    def encrypt(self, value: Value, where: str) -> str:
        """Return the ciphertext of a value that is not empty."""
        if (where, value) in self.known:
            return self.known[where, value]
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._gcm.encrypt(nonce, value.data, where.encode())
        data, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
        encoded = (base64.b64encode(each).decode() for each in (data, nonce, tag))
        return "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{}]".format(*encoded, value.kind)


def _decoded(text: str) -> bytes:
    """Read base64 that is written in the one right way: other spellings of the same bytes are changes, too."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        message = "its base64 was changed"
        raise ValueError(message)
    return data
