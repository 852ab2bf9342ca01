"""How does a script tell things whose values may be anything? A line for each: its name, and the value in base64."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from handful.errors import ObserveFailed


def read_told(machine: str, text: str) -> dict[str, str]:
    """Return the values by their names. Raises ObserveFailed when the text is something else."""
    try:
        pairs = [line.split(" ") for line in text.splitlines()]
        return {name: base64.b64decode(value, validate=True).decode(errors="replace") for name, value in pairs}
    except (binascii.Error, ValueError) as wrong:
        raise not_told(machine, text, wrong) from wrong


def not_told(machine: str, text: str, wrong: Exception) -> ObserveFailed:
    """Return the error for a machine that said something else."""
    detail = f"{type(wrong).__name__}: {wrong}\n{text[:300]}"
    return ObserveFailed(f"{machine} did not tell what it is", detail=detail, advice=f"See: handful ssh {machine}")


def document(text: str | None) -> dict[str, Any]:
    """Read a JSON file's text; a damaged file is as good as none."""
    try:
        read = json.loads(text or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
