"""How are a user's own words, and lists of names, put into a sentence?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 60


def code(text: object) -> str:
    """Put backticks around what the user wrote, on one line and not too long."""
    return f"`{printable(str(text))}`"


def printable(text: str) -> str:
    """Escape what a terminal would obey, and cut what is too long to read."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def either(names: Sequence[str], last: str = "or") -> str:
    """Join names as in `a`, `a or b`, `a, b or c`."""
    *first, final = names or [""]
    return f"{', '.join(first)} {last} {final}" if first else final


def guess(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    import difflib

    return next(iter(difflib.get_close_matches(word[:LONGEST], list(known), n=1)), None)


def no_such(what: str, name: str, known: Sequence[str]) -> str:
    """Say that a name is unknown, with a guess or else all known ones."""
    meant = guess(name, known)
    if meant is not None:
        return f"there is no {what} {code(name)}; did you mean {code(meant)}?"
    have = f"there {'is' if len(known) == 1 else 'are'} {either(known, 'and')}" if known else "there is none"
    return f"there is no {what} {code(name)}: {have}"
