"""What can be the name of a secret, and what its value?"""

from __future__ import annotations

import re

from handful.errors import UsageError

# What fingerprints of secrets are made with: a secret among the others, which no app can name.
FINGERPRINTS = "handful_fingerprint_key"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Without environments, the file is called so.
DEFAULT = "default"
OPEN_SUFFIX = "_unencrypted"


def check_name(name: str) -> None:
    """Refuse what can be no secret's name. Raises UsageError."""
    if not NAME.fullmatch(name) or name in {FINGERPRINTS, "sops"} or name.startswith("sops_"):
        advice = "Letters, digits and _, not a digit first: DATABASE_URL"
        raise UsageError(f"{name!r} is no name for a secret", advice=advice)
    if name.endswith(OPEN_SUFFIX):
        raise UsageError(f"{name}: sops leaves values unencrypted whose name ends with {OPEN_SUFFIX}")


def check_value(name: str, value: str) -> None:
    """Refuse what can be no secret's value. Raises UsageError."""
    if not value.strip():
        raise UsageError(f"the value of {name} is empty", advice=f"To take it away: handful secrets remove {name}")
    if "\0" in value:
        raise UsageError(f"the value of {name} holds a zero byte: no environment variable can")
