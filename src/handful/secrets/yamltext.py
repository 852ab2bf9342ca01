"""Secrets in YAML: where are the values and comments in the text?

Nothing but values, comments and the section `sops` is ever written: the places come from the parser's marks.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from handful.secrets.scalars import Value, resolve, written
from handful.secrets.text import Leaf, Unreadable, spliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECTION = "sops"
INDENT = 4
DEEPEST = 50
# What stands between two tokens: blanks and comments.
COMMENT = re.compile(r"(?:(?<=\s)|^)#([^\r\n]*)", re.MULTILINE)
TAGGED = re.compile(r"(?:&\S+\s+)?!")
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Number(str):
    """Text of metadata that has no quotes."""

    __slots__ = ()


class YamlText:
    """A text of YAML, one document or several."""

    def __init__(self, text: str, *, comments: bool = True) -> None:
        """Find the leaves. `comments` costs three times as much. Raises Unreadable."""
        self.text = text
        self.metadata: Mapping[str, object] | None = None
        self._sections: list[tuple[int, int]] = []
        self._roots: list[yaml.MappingNode] = []
        # Where each name and each item of a list begins, and what holds it.
        self._entries: list[tuple[int, tuple[str, ...], int]] = []
        found = list(self._walk_all())
        if comments:
            found = sorted([*found, *self._comments()], key=lambda leaf: leaf.start)
        self.leaves = tuple(found)

    def bare(self, values: Mapping[int, Value]) -> str:
        """Return the text with these values for leaves, and without the section of sops."""
        pieces = [self._bare_piece(self.leaves[number], value) for number, value in values.items()]
        return spliced(self.text, [*pieces, *((start, end, "") for start, end in self._sections)])

    def sealed(self, ciphertexts: Mapping[int, str], metadata: Mapping[str, object]) -> str:
        """Return the text with these ciphertexts for leaves, and metadata at the end of the first document."""
        pieces = [self._sealed_piece(self.leaves[number], text) for number, text in ciphertexts.items()]
        gone = [(start, end, "") for start, end in self._sections]
        in_flow = f'"{SECTION}": {json.dumps(metadata)}'
        section = f"{SECTION}:\n" + "".join(_lines(metadata, INDENT))
        return spliced(self.text, [*pieces, *gone, self._last(in_flow, section)])

    def added(self, name: str, value: Value) -> str:
        """Return the text with one more value at the end of the first document, which has no section of sops."""
        line = _ended(f"{name}: {written(value, INDENT)}")
        return spliced(self.text, [self._last(f"{name}: {written(value, None)}", line)])

    def _last(self, in_flow: str, line: str) -> tuple[int, int, str]:
        """Return the piece by which something comes last in the first document, in braces or without."""
        root = self._roots[0] if self._roots else None
        if root is not None and root.flow_style:
            at = root.end_mark.index - 1
            others = [key for key, _ in root.value if key.value != SECTION]
            return at, at, f", {in_flow}" if others else in_flow
        at = _end_of(self.text, self._roots)
        before = "" if not self.text[:at] or self.text[:at].endswith("\n") else "\n"
        return at, at, before + line

    def without(self, number: int) -> str:
        """Return the text without a leaf of the top level, and without its key."""
        leaf = self.leaves[number]
        if self._roots[0].flow_style:
            message = "it is written in braces: take the name out with handful secrets edit"
            raise Unreadable(message)
        start = self.text.rfind("\n", 0, self._keys[leaf.start]) + 1
        end = leaf.end if self.text[: leaf.end].endswith("\n") else self.text.find("\n", leaf.end) + 1 or len(self.text)
        return self.text[:start] + self.text[end:]

    def with_value(self, number: int, value: Value) -> str:
        """Return the text with another value for one leaf."""
        return spliced(self.text, [self._bare_piece(self.leaves[number], value)])

    def _bare_piece(self, leaf: Leaf, value: Value) -> tuple[int, int, str]:
        if leaf.comment:
            return leaf.start, leaf.end, f"#{value.data.decode()}"
        if value.kind == "comment" and leaf.in_list and leaf.indent is not None:
            # In a list, older and newer sops keep a comment as an item of its own.
            start = self.text.rindex("-", 0, leaf.start)
            return start, leaf.end, f"#{value.data.decode()}"
        # Text of several lines has no place below its key where a comment stands behind it.
        rest = self.text[leaf.end : self.text.find("\n", leaf.end) % (len(self.text) + 1)]
        alone = self.text[leaf.start : leaf.end].endswith("\n") or not rest.strip()
        piece = written(value, leaf.indent if alone else None)
        old_ends = self.text[leaf.start : leaf.end].endswith("\n")
        if piece.endswith("\n") and not old_ends:
            piece = piece.removesuffix("\n")
        return leaf.start, leaf.end, piece if piece.endswith("\n") or not old_ends else piece + "\n"

    def _sealed_piece(self, leaf: Leaf, text: str) -> tuple[int, int, str]:
        if leaf.comment:
            return leaf.start, leaf.end, f"#{text}"
        end = "\n" if self.text[leaf.start : leaf.end].endswith("\n") else ""
        before = " " if leaf.start and self.text[leaf.start - 1] in ":-" else ""
        return leaf.start, leaf.end, before + (text if leaf.indent is not None else f'"{text}"') + end

    # Finding leaves.

    def _walk_all(self) -> Iterator[Leaf]:
        self._keys: dict[int, int] = {}
        try:
            _check_shape(self.text)
            documents = list(yaml.compose_all(self.text, Loader=Loader))
        except yaml.YAMLError as wrong:
            mark = getattr(wrong, "problem_mark", None)
            problem = getattr(wrong, "problem", None) or "it is no YAML"
            raise Unreadable(str(problem), mark.line + 1 if mark else None) from wrong
        if len(documents) > 1 and not isinstance(documents[0], yaml.MappingNode):
            message = "its first document is empty, and would hold the section of sops"
            raise Unreadable(message)
        for number, root in enumerate(documents):
            if isinstance(root, yaml.ScalarNode) and _resolved(root) is None:
                continue
            if not isinstance(root, yaml.MappingNode):
                message = "a file of secrets holds names and values"
                raise Unreadable(message, root.start_mark.line + 1)
            self._roots.append(root)
            yield from self._walk_mapping(root, (), first=number == 0, flow=bool(root.flow_style))

    def _walk(self, node: yaml.Node, path: tuple[str, ...], column: int, *, flow: bool) -> Iterator[Leaf]:
        if isinstance(node, yaml.MappingNode):
            yield from self._walk_mapping(node, path, flow=flow or bool(node.flow_style))
        elif isinstance(node, yaml.SequenceNode):
            for each in node.value:
                self._entries.append((each.start_mark.index, path, node.start_mark.column))
                inner = self._walk(each, path, node.start_mark.column, flow=flow or bool(node.flow_style))
                yield from (replace(leaf, in_list=True) for leaf in inner)
        elif isinstance(node, yaml.ScalarNode):
            yield from self._leaf(node, path, column, flow=flow)

    def _walk_mapping(
        self, node: yaml.MappingNode, path: tuple[str, ...], *, flow: bool, first: bool | None = None
    ) -> Iterator[Leaf]:
        seen, last = set(), node.start_mark.index + 1
        for key, value in node.value:
            name = _name(key)
            if name in seen:
                message = f"`{name}` is there twice"
                raise Unreadable(message, key.start_mark.line + 1)
            seen.add(name)
            if first is not None and name == SECTION:
                self._take_section(key, value, last if node.flow_style else None, first=first)
                continue
            last = value.end_mark.index
            self._keys[value.start_mark.index] = key.start_mark.index
            self._entries.append((key.start_mark.index, path, key.start_mark.column))
            yield from self._walk(value, (*path, name), key.start_mark.column, flow=flow)

    def _leaf(self, node: yaml.ScalarNode, path: tuple[str, ...], column: int, *, flow: bool) -> Iterator[Leaf]:
        start, end = node.start_mark.index, node.end_mark.index
        tag = node.tag if TAGGED.match(self.text, start, end) else None
        value = _resolved(node, tag)
        if value is not None:
            yield Leaf(path, start, end, node.value, value, indent=None if flow else column + INDENT)

    def _take_section(self, key: yaml.Node, value: yaml.Node, last: int | None, *, first: bool) -> None:
        """Remember where it is; `last`: where the value before it ends, in braces."""
        start = key.start_mark.index if last is None else last
        end = value.end_mark.index
        if last is None and not self.text[start:end].endswith("\n"):
            end = self.text.find("\n", end) + 1 or len(self.text)
        self._sections.append((start, end))
        if first:
            self.metadata = _plain(value)
            if not isinstance(self.metadata, dict):
                message = "`sops` is no mapping"
                raise Unreadable(message, value.start_mark.line + 1)

    # Finding comments.

    def _comments(self) -> Iterator[Leaf]:
        for start, end in _gaps(self.text):
            if any(first <= start < last for first, last in self._sections):
                continue
            for found in COMMENT.finditer(self.text, start, end):
                paths = self._holders(found.start(), found.end())
                yield Leaf(paths[0], found.start(), found.end(), found[1], None, comment=True, paths=paths)

    def _holders(self, start: int, end: int) -> tuple[tuple[str, ...], ...]:
        """Return to what a comment may belong: on a line of its own to what stands in its column, else to the last."""
        place, column = bisect(self._entries, (start,)), start - self.text.rfind("\n", 0, start) - 1
        earlier, later = self._entries[:place][::-1], self._entries[place : place + 1]
        if self.text[start - column : start].strip():
            near = [each[1] for each in (*earlier[:1], *later)]
        else:
            ends_a_part = not self.text[end + 1 : self.text.find("\n", end + 1) + 1].strip()
            sides = [*earlier, *later] if ends_a_part else [*later, *earlier]
            fitting = [each[1] for each in sides if each[2] == column][:1]
            near = [*fitting, *(each[1] for each in (*later, *earlier[:1]))]
        near = near or [()]
        outwards = [path[:length] for path in near for length in range(len(path), -1, -1)]
        return tuple(dict.fromkeys([*near, *outwards]))


def _check_shape(text: str) -> None:
    """Refuse what cannot be: composing recurses in C, and thousands of brackets would crash Python."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            message = "a reference to an anchor: write the value out, because no place else can share its ciphertext"
            raise Unreadable(message, event.start_mark.line + 1 if event.start_mark else None)
        if depth > DEEPEST:
            message = "it is nested too deeply"
            raise Unreadable(message)


def _gaps(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places between tokens, where comments may stand."""
    at = 0
    for token in yaml.scan(text, Loader=Loader):
        if token.start_mark.index > at:
            yield at, token.start_mark.index
        at = max(at, token.end_mark.index)
    yield at, len(text)


def _resolved(node: yaml.ScalarNode, tag: str | None = None) -> Value | None:
    try:
        return resolve(node.value, tag, quoted=bool(node.style))
    except ValueError as wrong:
        raise Unreadable(str(wrong), node.start_mark.line + 1) from wrong


def _name(key: yaml.Node) -> str:
    value = _resolved(key) if isinstance(key, yaml.ScalarNode) else None
    if value is None or value.kind != "str":
        message = "a name is text: put it in quotes"
        raise Unreadable(message, key.start_mark.line + 1)
    return value.data.decode()


def _plain(node: yaml.Node) -> Any:  # noqa: ANN401  # what YAML holds
    """Return the metadata as it stands, all of it text but for true, false and null."""
    if isinstance(node, yaml.MappingNode):
        return {_name(key): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each) for each in node.value]
    value = _resolved(node) if isinstance(node, yaml.ScalarNode) else None
    if value is None:
        return None
    return value.data == b"True" if value.kind == "bool" else node.value if value.kind == "str" else Number(node.value)


def _end_of(text: str, roots: list[yaml.MappingNode]) -> int:
    """Return where the first document ends."""
    at = roots[0].end_mark.index if roots else len(text)
    return len(text) if len(roots) < 2 and "\n---" not in text[at:] and "\n..." not in text[at:] else at  # noqa: PLR2004


def _lines(value: Mapping[str, object], indent: int, below: int | None = None) -> Iterator[str]:
    """Write metadata as sops does: four blanks deeper each time, long text below its key, at `below` in lists."""
    for key, each in value.items():
        yield _ended(f"{' ' * indent}{key}:{_written(each, indent if below is None else below)}")


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _written(value: object, indent: int) -> str:
    if isinstance(value, dict):
        return "\n" + "".join(_lines(value, indent + INDENT)) if value else " {}"
    if isinstance(value, list):
        return "\n" + "".join(_item(each, indent + INDENT) for each in value) if value else " []"
    if value is None or isinstance(value, bool):
        return " null" if value is None else f" {str(value).lower()}"
    text = str(value)
    if text.startswith("ENC[") or isinstance(value, Number):
        return f" {text}"
    return f" {written(Value('str', text.encode()), indent + INDENT)}" if text else ' ""'


def _item(value: object, indent: int) -> str:
    if not isinstance(value, dict):
        return _ended(f"{' ' * indent}-{_written(value, indent)}")
    text = "".join(_lines(value, indent + 2, indent))
    return f"{' ' * indent}- {text[indent + 2 :]}"
