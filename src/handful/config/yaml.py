"""What does the text of a YAML file say, by the rules of YAML 1.2, and where does each value stand?

Made from PyYAML's events, not its node tree: composing nodes recurses in C, and 100,000 brackets crash Python.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from handful.config.tree import Finding, Node, Place
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml._yaml import Mark

DEEPEST = 30
MOST = 100_000
# Longer numbers are text: nothing counts so far, and Python refuses to read thousands of digits.
LONGEST_NUMBER = 40
WORDS = MappingProxyType({
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
})
NUMBER = re.compile(
    r"(?P<octal>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)|(?P<whole>[-+]?[0-9]+)"
    r"|(?P<real>[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)|(?P<endless>[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))",
)
NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
UNSAYABLE = re.compile(r"[\0\ud800-\udfff]")
LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


def read(data: bytes, file: str) -> tuple[Node | None, list[Finding]]:
    """Return the value of a YAML file, and what is wrong with its text.

    The node is None when the file says nothing, or cannot be read to its end; an empty file is no problem here.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before = data[: wrong.start].decode("utf-8", "replace")
        sentence = f"this file is not UTF-8 text (byte 0x{data[wrong.start]:02x}): save it as UTF-8"
        return None, [Finding(_end(before, file), sentence)]
    unknown = NOT_TEXT.search(text)
    if unknown is not None:
        sentence = f"the control character U+{ord(unknown[0]):04X} cannot stand in YAML: remove it"
        return None, [Finding(_end(text[: unknown.start()], file), sentence)]
    return _Reader(file, text).read()


def scalar(written: str) -> str | int | float | bool | None:
    """Return what a scalar without quotes means in YAML 1.2 (core schema): `yes`, `1:30` and dates are text."""
    if written in WORDS:
        return WORDS[written]
    number = NUMBER.fullmatch(written) if len(written) <= LONGEST_NUMBER else None
    if number is None:
        return written
    if number["octal"] or number["hex"]:
        return int(written, 0)
    if number["whole"]:
        return int(written)
    return float(written.replace(".", "", 1) if number["endless"] else written)


def _end(before: str, file: str) -> Place:
    lines = LINE_END.split(before.removeprefix("\ufeff"))
    return Place(file, len(lines), len(lines[-1]) + 1)


class _Stop(Exception):
    """Reading on makes no sense."""


class _Reader:
    """Turns the events of one file into nodes, and gathers what is wrong on the way."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.events: Iterator[yaml.Event] = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.anchors: dict[str, Node | None] = {}
        self.findings: list[Finding] = []
        self.nodes = 0

    def read(self) -> tuple[Node | None, list[Finding]]:
        try:
            return self.document(), self.findings
        except _Stop:
            return None, self.findings
        except yaml.MarkedYAMLError as wrong:
            return None, [*self.findings, self.syntax(wrong)]
        except (yaml.YAMLError, ValueError, OverflowError) as wrong:
            return None, [*self.findings, Finding(Place(self.file, 1, 1), f"this is not YAML: {wrong}")]

    def document(self) -> Node | None:
        root = None
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event, 1)
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.find(event, "a second document begins here, and one file holds one: remove the `---`")
                raise _Stop
        return None if root is None or root.value is None else root

    def node(self, event: yaml.Event, depth: int) -> Node:
        self.count(event, depth)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise _Stop
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.find(event, f"tags mean nothing in this file: remove {code(tag)}")
        node = self.value(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def value(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, depth)
        items = (self.node(item, depth + 1) for item in self.until(yaml.SequenceEndEvent))
        return Node(tuple(items), self.at(event))

    def alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        node = self.anchors.get(name)
        if node is None:
            inside = name in self.anchors
            wrong = "stands inside what it repeats" if inside else f"repeats &{name}, which is not above it"
            self.find(event, f"{code('*' + name)} {wrong}")
            raise _Stop
        for below in _depths(node):
            self.count(event, depth + below)
        return node

    def scalar(self, event: yaml.ScalarEvent) -> Node:
        unknown = UNSAYABLE.search(event.value)
        if unknown is not None:
            self.find(event, f"the character U+{ord(unknown[0]):04X} cannot reach a program: remove it")
        plain = event.implicit[0] and event.tag is None
        return Node(scalar(event.value) if plain else event.value, self.at(event), event.value)

    def mapping(self, event: yaml.MappingStartEvent, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key_event in self.until(yaml.MappingEndEvent):
            key = self.node(key_event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            wrong = self.wrong_key(key, key_event, keys)
            if wrong:
                self.find(key_event, wrong)
            else:
                entries[key.written], keys[key.written] = value, self.at(key_event)
        return Node(entries, self.at(event), keys=keys)

    def wrong_key(self, key: Node, event: yaml.Event, keys: dict[str, Place]) -> str:
        if isinstance(key.value, dict | tuple):
            return "a key must be text, not a map or a list"
        if key.value is None:
            return f"{code(key.written)} is no key: put it in quotes" if key.written else "a key is missing before `:`"
        if key.written == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            return "`<<` is not part of YAML 1.2: write the keys out, or repeat a whole value with an alias"
        if key.written in keys:
            return f"the key {code(key.written)} is here twice: the first is on line {keys[key.written].line}"
        return ""

    def until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield event

    def count(self, event: yaml.Event, depth: int) -> None:
        self.nodes += 1
        if depth > DEEPEST or self.nodes > MOST:
            wrong = f"more than {DEEPEST} levels deep" if depth > DEEPEST else f"more than {MOST} values"
            self.find(event, f"this file is {wrong}: nothing that handful knows needs that")
            raise _Stop

    def syntax(self, wrong: yaml.MarkedYAMLError) -> Finding:
        """Give the parser's own words, except where a habit of people has a plainer name."""
        mark, began = wrong.problem_mark, wrong.context_mark
        sentence = f"this is not YAML: {wrong.problem}"
        if mark is None:
            return Finding(_mark(self.file, began), sentence)
        line = [*LINE_END.split(self.text), ""][mark.line]
        letter = line[mark.column : mark.column + 1]
        if letter == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
            sentence = "a tab stands here: YAML is indented with spaces"
        elif letter and letter in "@`%" and mark.column > 0:
            sentence = f"text that begins with {letter} must be in quotes"
        elif letter == ":":
            sentence += " (keys of one map stand below each other; text with a colon and a space in it goes in quotes)"
        elif began is not None and began.line != mark.line:
            sentence += f" {wrong.context}, which begins on line {began.line + 1}"
        return Finding(_mark(self.file, mark), sentence)

    def find(self, event: yaml.Event, sentence: str) -> None:
        self.findings.append(Finding(self.at(event), sentence))

    def at(self, event: yaml.Event) -> Place:
        return _mark(self.file, event.start_mark)


def _mark(file: str, mark: Mark | yaml.Mark | None) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1, 1)


def _depths(node: Node) -> Iterator[int]:
    yield 0
    for child in node.children():
        yield from (depth + 1 for depth in _depths(child))
