"""What may a single value of handful.yml look like, and what does it become?

Durations become seconds, sizes bytes. Each type carries the JSON Schema of what may be written.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = MappingProxyType({"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400})
BYTES = MappingProxyType({"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3})
MOST_INSTANCES = 50
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
NAME = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
FOLDER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
REFERENCE = r"^[^\s-][^\s]*$"
MACHINE_ADDRESS = r"^[A-Za-z0-9_:][A-Za-z0-9._:%-]*$"
PRIVATE_ADDRESS = rf"^{_BYTE}(\.{_BYTE}){{3}}$"
RANGE = rf"^{_BYTE}(\.{_BYTE}){{3}}/(1[6-9]|2[0-8])$"
LOGIN = r"^[^\s@-][^\s]*$"
DOMAIN = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
TARGET = r"^/[^:\n]+$"
URL_PATH = r"^/[^\s]*$"
ROUTE_PATH = r"^/[A-Za-z0-9._~/-]*$"
PLATFORM = r"^linux/[a-z0-9]+(/v[0-9]+)?$"
# To Docker a host has a dot or a port.
_HOST = r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+:[0-9]+)"
SERVER = rf"^{_HOST}(/[a-z0-9._/-]+)?$"
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
OPEN_PORT = rf"^{_PORT}(/(tcp|udp))?$"
WORD = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
PHRASE = r"^[^\n]+$"
LONG = r"^([1-9][0-9]{0,4})(h|d)$"
PACKAGE = r"^[a-z0-9][a-z0-9+.-]+$"
REPOSITORY = r"^(https?://|file:/)[A-Za-z0-9._~:/@%-]+$"
VERSION = r"^[0-9][A-Za-z0-9.+:~*-]*$"
_DAYS = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAYS = f"{_DAYS}(-{_DAYS})?"
_TIME = "([01]?[0-9]|2[0-3]):[0-5][0-9]"
WHEN = rf"^(default|({_DAYS}(,{_DAYS})* )?{_TIME}-({_TIME}|24:00))$"
# Each pattern → what it asks for, in words that follow "must be".
MEANING = MappingProxyType({
    NAME: "a name: lower-case letters, digits and dashes, beginning with a letter, 40 characters at most",
    REFERENCE: "an image reference, like postgres:17",
    FOLDER: "the name of a folder beside handful.yml",
    VARIABLE: "a name of letters, digits and _, like DATABASE_URL",
    LOGIN: "a user name",
    MACHINE_ADDRESS: "an IP address or a host name",
    PRIVATE_ADDRESS: "an IPv4 address, like 10.114.0.1",
    RANGE: "a range of addresses, like 10.114.0.0/24",
    DOMAIN: "a host name in lower case, like shop.example.com",
    TARGET: "an absolute path in the container, without a colon, like /srv/data",
    URL_PATH: "a path that begins with /, without spaces",
    WHEN: "`default` or hours, like Mon-Fri 8:00-18:00",
    SERVER: "a host name, without https://, like registry.example.com or ghcr.io/acme",
    PLATFORM: "a platform, like linux/amd64 or linux/arm64",
    OPEN_PORT: "a port, like 25 or 53/udp",
    REPOSITORY: "the address of a repository of packages, like https://packages.example.com/debian",
    VERSION: "a version, as apt writes it, like 5:28.5.2*",
    PHRASE: "text of one line, and not empty",
    WORD: "a word of letters, digits, dots and dashes",
    PACKAGE: "the name of a package, like htop",
    ROUTE_PATH: "a path that begins with /, of letters, digits, dots, dashes and underscores",
})


def seconds(value: object) -> object:
    """Turn `500ms`, `10s`, `5m`, `1h`, `14d` or a plain number into seconds."""
    return _measure(value, SECONDS, "a duration: a number with ms, s, m, h or d, like 30s")


def span(text: str) -> float | None:
    """Return the seconds of a time that was typed, like `3h`; None when it is none, or no time at all."""
    try:
        found = seconds(text)
    except ValueError:
        return None
    return float(found) if isinstance(found, int | float) and found > 0 else None


def long_seconds(value: object) -> object:
    """Turn `12h` or `14d` into seconds; a number alone might mean either, and is refused."""
    if isinstance(value, float) and value >= SECONDS["h"]:
        # What was loaded is loaded again.
        return value
    found = re.fullmatch(LONG, value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("wanted", "{what}", {"what": "a number of hours or days, like 12h or 14d"})
    return float(found[1]) * SECONDS[found[2]]


def size(value: object) -> object:
    """Turn `512m`, `1g` or a plain number into bytes (powers of 1024, as Docker counts)."""
    return int(_measure(value, BYTES, "a size: a number with b, k, m or g, like 512m"))


def text(value: object) -> object:
    """Turn a YAML number or boolean into the text that an environment variable holds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def words(value: object) -> object:
    """Turn one string into a list of words, as a shell would split it; a list stays as it is."""
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("wanted", "text, or a list of words")
    import shlex

    try:
        return tuple(shlex.split(value))
    except ValueError as unclosed:
        raise PydanticCustomError("wanted", "words whose quotes are closed") from unclosed


def _measure(value: object, units: Mapping[str, float], wanted: str) -> float:
    measured = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        measured = float(value)
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)", value) if isinstance(value, str) else None
    if found is not None and found[2] in units:
        measured = float(found[1]) * units[found[2]]
    if not math.isfinite(measured):
        raise PydanticCustomError("wanted", "{what}", {"what": wanted})
    return measured


def _written(units: str, *, zero: bool) -> WithJsonSchema:
    number, least = ("", "minimum") if zero else ("(?=.*[1-9])", "exclusiveMinimum")
    pattern = rf"^{number}[0-9]+(\.[0-9]+)?({units})$"
    return WithJsonSchema({"type": ["string", "number"], "pattern": pattern, least: 0})


Name = Annotated[str, Field(pattern=NAME, description="lower-case letters, digits and dashes, 40 at most")]
Duration = Annotated[float, BeforeValidator(seconds), Field(ge=0), _written("ms|s|m|h|d", zero=True)]
Wait = Annotated[float, BeforeValidator(seconds), Field(gt=0), _written("ms|s|m|h|d", zero=False)]
Long = Annotated[float, BeforeValidator(long_seconds), WithJsonSchema({"type": "string", "pattern": LONG})]
Size = Annotated[int, BeforeValidator(size), Field(gt=0), _written("b|k|m|g", zero=False)]
Text = Annotated[str, BeforeValidator(text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Phrase = Annotated[
    str, BeforeValidator(text), Field(pattern=PHRASE),
    WithJsonSchema({"type": ["string", "number", "boolean"], "pattern": PHRASE}),
]
OpenPort = Annotated[
    str, BeforeValidator(text), Field(pattern=OPEN_PORT),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": OPEN_PORT}),
]
Word = Annotated[str, Field(pattern=WORD)]
Package = Annotated[str, Field(pattern=PACKAGE)]
Words = Annotated[
    tuple[Text, ...],
    BeforeValidator(words),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": ["string", "array"],
            "items": {"type": ["string", "number", "boolean"]},
            "minItems": 1,
            "pattern": r"\S",
        },
    ),
]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[Whole, Field(ge=1, le=MOST_INSTANCES)]
When = Annotated[str, Field(pattern=WHEN)]
Choice = Annotated[bool, Field(strict=True)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Address = Annotated[str, Field(pattern=PRIVATE_ADDRESS)]
Reference = Annotated[str, Field(pattern=REFERENCE)]
Domain = Annotated[str, Field(pattern=DOMAIN)]
Target = Annotated[str, Field(pattern=TARGET, description="an absolute path in the container")]
