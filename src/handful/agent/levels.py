"""How bad is what a line says? By its own word, where it is JSON or begins with one; else by rules, or not at all."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS = ("debug", "info", "warn", "error", "fatal")
# What programs call them; Bunyan and Pino write numbers.
WORDS = MappingProxyType({
    "trace": "debug", "debug": "debug", "dbg": "debug", "10": "debug", "20": "debug",
    "info": "info", "information": "info", "notice": "info", "log": "info", "30": "info",
    "warn": "warn", "warning": "warn", "wrn": "warn", "40": "warn",
    "error": "error", "err": "error", "eror": "error", "severe": "error", "50": "error",
    "fatal": "fatal", "critical": "fatal", "crit": "fatal", "panic": "fatal", "alert": "fatal", "emerg": "fatal",
    "emergency": "fatal", "60": "fatal",
})
# Nobody writes it further behind.
HEAD = 200
JSON_LEVEL = re.compile(r'"(?:level|severity|lvl|loglevel|log\.level|levelname)"\s*:\s*"?(\w+)', re.IGNORECASE)
# A word in capitals or brackets, or before a colon, after a time and the like: `2026-01-01 12:00:00 ERROR`, `[warn]`.
_WORD = "|".join(sorted((word for word in WORDS if word.isalpha()), key=len, reverse=True))
PREFIX = re.compile(
    rf"(?:^|[\s\[(|])(?:({_WORD.upper()})(?=[\s\]):|,]|$)|[\[(<]({_WORD})[\])>]|(?:level|lvl|severity)=\"?({_WORD})\b"
    rf"|^(?:\S+ )?({_WORD}): )",
)


def level_of(text: str, rules: Sequence[tuple[str, str]] = ()) -> str:
    """Return a line's level, "" when it says none. `rules`: (level, words), the app's own, which come first."""
    for level, words in rules:
        if words in text:
            return level
    head = text[:HEAD]
    if head.lstrip()[:1] == "{" and (found := JSON_LEVEL.search(text)):
        return WORDS.get(found[1].lower(), "")
    if found := PREFIX.search(head):
        return WORDS[next(word for word in found.groups() if word).lower()]
    return ""


def at_least(level: str) -> frozenset[str]:
    """Return the levels that are as bad as this one, or worse. Raises ValueError for a word that is none."""
    return frozenset(LEVELS[LEVELS.index(level) :])


def rules_of(told: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Return rules as `level_of` takes them, the worst first."""
    return tuple((level, words) for level in reversed(LEVELS) for words in told.get(level, ()))
