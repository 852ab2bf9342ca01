"""Values that only machines need to know."""

from __future__ import annotations

import base64
import secrets
import string
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = string.ascii_letters + string.digits
PASSWORD_LENGTH = 32
KEY_BYTES = 32
RSA_BITS = 3072


def _password() -> str:
    """Letters and digits alone: it fits into URLs and config files as it is."""
    return "".join(secrets.choice(LETTERS) for _ in range(PASSWORD_LENGTH))


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _rsa() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS))


def _ed25519() -> str:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return _pem(ed25519.Ed25519PrivateKey.generate())


def _pem(key: object) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    return made.decode()


KINDS: MappingProxyType[str, Callable[[], str]] = MappingProxyType(
    {"password": _password, "key": _key, "rsa": _rsa, "ed25519": _ed25519}
)
