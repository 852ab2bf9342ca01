"""What does a scalar of YAML mean to sops, and how is a value written so that it means itself?

sops reads YAML with Go's yaml.v3 (YAML 1.2 with some of 1.1). The type of a value is kept with its ciphertext, and the
MAC is made of a text form of it: decimal integers, floats without an exponent, True and False.
Source: resolve.go of go-yaml v3; aes/cipher.go and sops.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

Kind = Literal["str", "int", "float", "bool", "bytes", "time", "comment"]

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
TRUE = frozenset({"true", "True", "TRUE"})
FALSE = frozenset({"false", "False", "FALSE"})
SPECIAL = MappingProxyType({".nan": "NaN", ".NaN": "NaN", ".NAN": "NaN"} | {
    f"{sign}.{word}": f"{'-' if sign == '-' else '+'}Inf" for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")
})
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|\ )(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d+))?(Z|[-+]\d\d:\d\d)?)?"
)
# What needs no quotes for any reader of YAML: words, and URLs.
PLAIN = re.compile(
    r"[A-Za-z0-9_/][A-Za-z0-9_./+=@%~-]*(?: [A-Za-z0-9_./+=@%~-]+)*"
    r"|[a-z][a-z0-9+]*://[A-Za-z0-9_./+=@%~:-]*[A-Za-z0-9_/]"
)
# YAML 1.1 readers take these for booleans.
WORDS = frozenset({"y", "n", "yes", "no", "on", "off"})
LARGEST = 2**63
OCTAL, DECIMAL = 8, 10
BINARY = "tag:yaml.org,2002:binary"
STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Value:
    """A value and its type, as sops has it; `data` is its text form: that is encrypted, and goes into the MAC."""

    kind: Kind
    data: bytes

    @property
    def text(self) -> str:
        """The value as an environment variable or a file would have it. Raises UnicodeDecodeError for binary data."""
        text = self.data.decode()
        return text.lower() if self.kind == "bool" else text


def resolve(text: str, tag: str | None, *, quoted: bool) -> Value | None:
    """Return what a scalar means; None for null. `tag` is an explicit one. Raises ValueError for what sops refuses."""
    if tag == BINARY:
        return Value("str", base64.b64decode(text, validate=False))
    if quoted or tag == STRING:
        return Value("str", text.encode())
    if text in NULLS:
        return None
    if text in TRUE or text in FALSE:
        return Value("bool", b"True" if text in TRUE else b"False")
    if text in SPECIAL:
        return Value("float", SPECIAL[text].encode())
    return _number(text) or Value("str", text.encode())


def as_typed(text: str, value: Value) -> Value:
    """Return what a person meant who typed `text`: 0042 and 1.10 are no numbers to an app that is given them."""
    typed = value.kind in {"int", "float", "bool", "time"} and written(value, None) != text
    return Value("str", text.encode()) if typed else value


def _number(text: str) -> Value | None:
    if text[0] not in "+-.0123456789":
        return None
    moment = _time(text)
    if moment is not None:
        return Value("time", moment.encode())
    plain = text.replace("_", "")
    whole = INTEGER.fullmatch(plain)
    if whole:
        number = _integer(whole)
        if not -LARGEST <= number < LARGEST:
            message = "a number that is too large for sops: put it in quotes"
            raise ValueError(message)
        return Value("int", str(number).encode())
    if FLOAT.fullmatch(plain) and not math.isinf(float(plain)):
        return Value("float", _float(float(plain)).encode())
    # What has too large an exponent is text to Go.
    return None


def _integer(found: re.Match[str]) -> int:
    """Read it as Go does: 0x, 0o and 0b say the base, and so does a zero in front."""
    digits = found[2].lower()
    if digits[:2] in {"0x", "0o", "0b"}:
        return int(found[1] + digits, 0)
    return int(found[1] + digits, OCTAL if digits.startswith("0") else DECIMAL)


def _float(number: float) -> str:
    """Write a float with as few digits as tell it apart, and without an exponent, as Go's 'f' does."""
    if number in {float("inf"), float("-inf")}:
        return "+Inf" if number > 0 else "-Inf"
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _time(text: str) -> str | None:
    """Return a timestamp in RFC 3339, as Go marshals it; None when it is none."""
    found = TIME.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(found[number] or 0) for number in range(1, 7))
    zone = found[8]
    if found[4] and not zone and "T" in text.upper():
        return None
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(zone))
    except ValueError:
        return None
    digits = (found[7] or "").rstrip("0")[:9]
    offset = "Z" if zone in {None, "Z"} else zone
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{digits}" if digits else "") + offset


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    span = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-span if text[0] == "-" else span)


def written(value: Value, indent: int | None) -> str:
    """Return a YAML scalar that means the value.

    `indent`: how far text of several lines is indented below its key; None where it must stay on one line.
    """
    if value.kind != "str":
        return value.data.decode().lower() if value.kind == "bool" else _bare(value)
    try:
        text = value.data.decode()
    except UnicodeDecodeError:
        return f"!!binary {base64.b64encode(value.data).decode()}"
    if PLAIN.fullmatch(text) and text.lower() not in WORDS and not _means_more(text):
        return text
    if indent is not None and _fits_block(text):
        lines = text.removesuffix("\n").split("\n")
        mark = "|" if text.endswith("\n") else "|-"
        return "\n".join([mark, *((" " * indent + line) if line else "" for line in lines)]) + "\n"
    return _quoted(text)


def _means_more(text: str) -> bool:
    """Whether it would be more than text without quotes."""
    try:
        value = resolve(text, None, quoted=False)
    except ValueError:
        return True
    return value is None or value.kind != "str"


def _bare(value: Value) -> str:
    words = {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}
    text = value.data.decode()
    # A float without a point would be read as an integer.
    whole = value.kind == "float" and "." not in text and text not in words
    return f"{text}.0" if whole else words.get(text, text)


def _fits_block(text: str) -> bool:
    """Whether text of several lines can stand below its key as it is."""
    body = text.removesuffix("\n")
    lines = body.split("\n")
    printable = all(char.isprintable() or char == "\n" for char in body)
    return len(lines) > 1 and printable and all(line == line.strip() for line in lines) and bool(lines[0] and lines[-1])


def _quoted(text: str) -> str:
    made = json.dumps(text, ensure_ascii=False)
    # JSON may leave as they are what no editor shows.
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in made)
