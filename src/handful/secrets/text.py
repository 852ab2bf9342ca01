"""What is common to the texts in which secrets are kept: leaves with their places, and how other leaves are put there.

The rest of a text, its layout, its order, stays byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handful.secrets.scalars import Value


CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


class Unreadable(ValueError):
    """A text that is no YAML, no dotenv, or has what sops refuses; `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None) -> None:
        """Say what is wrong, and on which line."""
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Leaf:
    """A value, or a comment, between two places of the text (characters).

    `path`: the keys that lead to it. `raw`: its text without quotes. `value`: what it means where it is not encrypted.
    `paths`: of a comment, to what it may belong; its own first. `indent`: how far text below it would be indented, or
    None where there is no place below. `in_list`: its path does not tell it from its neighbours.
    """

    path: tuple[str, ...]
    start: int
    end: int
    raw: str
    value: Value | None
    comment: bool = False
    paths: tuple[tuple[str, ...], ...] = ()
    indent: int | None = None
    in_list: bool = False

    @property
    def is_top(self) -> bool:
        """Whether it is a value with a name of its own at the top level."""
        return len(self.path) == 1 and not self.in_list and not self.comment


class Document(Protocol):
    """A text with its leaves in order, and the metadata of sops, if it has any."""

    text: str
    leaves: Sequence[Leaf]
    metadata: Mapping[str, object] | None

    def bare(self, values: Mapping[int, Value]) -> str:
        """Return the text with these values for leaves (by number), and without metadata."""

    def sealed(self, ciphertexts: Mapping[int, str], metadata: Mapping[str, object]) -> str:
        """Return the text with these ciphertexts for leaves, and with this metadata."""


def spliced(text: str, pieces: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with other pieces between places: (start, end, piece), which do not overlap."""
    parts, at = [], 0
    for start, end, piece in sorted(pieces):
        parts += [text[at:start], piece]
        at = end
    return "".join([*parts, text[at:]])
