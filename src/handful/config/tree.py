"""What stands where in handful.yml, and what does an overlay make of it?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The last step of a spot that means the key itself, not its value: no list has an item of that index.
KEY = -1
Spot = tuple[str | int, ...]
"""The keys and list indexes that lead to a value: ("apps", "web", "needs", 0)."""


class Place(NamedTuple):
    """Where something is written; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """`handful.yml:3:5`."""
        return f"{self.file}:{self.line}:{self.column}"


class Finding(NamedTuple):
    """A problem at its place."""

    at: Place
    sentence: str

    def __str__(self) -> str:
        """`handful.yml:3:5: the sentence`."""
        return f"{self.at}: {self.sentence}"


class Problem(NamedTuple):
    """A problem at its spot.

    It is untrue if something is wrong at a spot that it `relies` on. It is as much about `others`: when one of them
    is what an overlay wrote, it is told there.
    """

    spot: Spot
    sentence: str
    relies: tuple[Spot, ...] = ()
    others: tuple[Spot, ...] = ()


@dataclass(frozen=True)
class Node:
    """A value of the file: a map, a list or a scalar, with its place.

    `keys` are the places of a map's keys; `written` is a scalar as it stands in the file.
    """

    value: dict[str, Node] | tuple[Node, ...] | str | int | float | bool | None
    at: Place
    written: str = ""
    keys: Mapping[str, Place] = field(default_factory=dict)

    def child(self, step: str | int) -> Node | None:
        """Return the value under a key or at an index, or None."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, tuple) and isinstance(step, int) and 0 <= step < len(self.value):
            return self.value[step]
        return None

    def children(self) -> tuple[Node, ...]:
        """Return the values of a map or a list; a scalar has none."""
        if isinstance(self.value, dict):
            return tuple(self.value.values())
        return self.value if isinstance(self.value, tuple) else ()


def find(tree: Node, spot: Spot) -> Node | None:
    """Return the node at a spot, or None."""
    node: Node | None = tree
    for step in spot:
        node = node and node.child(step)
    return node


def place(tree: Node, spot: Spot) -> Place:
    """Return where a spot is written; for what is not written, the key of what should hold it."""
    node, key = tree, tree.at
    for step in spot:
        child = node.child(step)
        if child is None:
            return key
        key = node.keys[step] if isinstance(step, str) else child.at
        node = child
    return node.at


def merge(base: Node, overlay: Node) -> Node:
    """Return `base` changed by `overlay`: maps merge, lists and scalars replace, null removes."""
    if not isinstance(overlay.value, dict):
        return overlay
    entries, keys = _copy(base)
    for key, child in overlay.value.items():
        if child.value is None:
            entries.pop(key, None)
            keys.pop(key, None)
            continue
        before = entries.get(key, child)
        if not (isinstance(before.value, dict) and isinstance(child.value, dict) and key in keys):
            keys[key] = overlay.keys[key]
        entries[key] = merge(before, child)
    return Node(entries, base.at if isinstance(base.value, dict) else overlay.at, keys=keys)


def idle_nulls(base: Node, overlay: Node) -> Iterator[Finding]:
    """Find each null of `overlay` that removes nothing: a mistake, or a null that was meant as a value."""
    if not isinstance(overlay.value, dict):
        return
    entries, _ = _copy(base)
    for key, child in overlay.value.items():
        if child.value is None and key not in entries:
            sentence = f"null removes {code(key)} from {base.at.file}, where it is not written: leave it out"
            yield Finding(overlay.keys[key], sentence)
        yield from idle_nulls(entries.get(key, Node(None, base.at)), child)


def _copy(node: Node) -> tuple[dict[str, Node], dict[str, Place]]:
    return (dict(node.value), dict(node.keys)) if isinstance(node.value, dict) else ({}, {})
