"""Is YAML read by the rules of 1.2, is every place right, and is every problem of a text told?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import yaml as pyyaml

from handful.config.tree import KEY, Place, place
from handful.config.yaml import DEEPEST, read, scalar

if TYPE_CHECKING:
    from pathlib import Path

    from handful.config.tree import Node

MEANINGS = [
    ("", None),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("nULL", "nULL"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("tRue", "tRue"),
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("Off", "Off"),
    ("y", "y"),
    ("n", "n"),
    ("0", 0),
    ("12", 12),
    ("-7", -7),
    ("+7", 7),
    ("007", 7),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("1_000", "1_000"),
    ("22:22", "22:22"),
    ("2026-11-22", "2026-11-22"),
    ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
    ("1.5", 1.5),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e3", 1000.0),
    ("-1.5E-2", -0.015),
    ("1.2.3", "1.2.3"),
    (".", "."),
    (".inf", math.inf),
    ("-.Inf", -math.inf),
    ("inf", "inf"),
    ("nan", "nan"),
    ("0x", "0x"),
    ("-0x1", "-0x1"),
    ("9" * 40, int("9" * 40)),
    ("9" * 5000, "9" * 5000),
    ("1e999", math.inf),
    ("=", "="),
    ("<<", "<<"),
    ("٣", "٣"),
]


@pytest.mark.parametrize(("written", "meaning"), MEANINGS)
def test_a_scalar_without_quotes_means_what_yaml_1_2_says(written: str, meaning: object) -> None:
    """The core schema, and nothing of YAML 1.1."""
    value = scalar(written)
    assert (type(value), value) == (type(meaning), meaning)


def test_not_a_number_is_a_number() -> None:
    """`.nan` is a float, which no key accepts."""
    value = scalar(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_a_scalar_in_quotes_or_a_block_is_text() -> None:
    """Only plain scalars can be numbers, booleans or nothing."""
    node, _ = read(b"a: '5'\nb: \"true\"\nc: |\n  12\nd: >-\n  null\n", "f.yml")
    assert node is not None
    assert [child.value for child in node.children()] == ["5", "true", "12\n", "null"]


def test_every_value_and_key_has_its_place() -> None:
    """Lines and columns count from 1, in characters; what is not written is where its map's key is."""
    node, _ = read("a: 1\nü:\n  - x\n  - {é: 2, c: 3}\n".encode(), "f.yml")
    assert node is not None
    assert place(node, ("a",)) == Place("f.yml", 1, 4)
    assert place(node, ("ü", KEY)) == Place("f.yml", 2, 1)
    assert place(node, ("ü", 1, "c")) == Place("f.yml", 4, 15)
    assert place(node, ("ü", 1, "c", KEY)) == Place("f.yml", 4, 12)
    assert place(node, ("ü", 1, "missing", "below")) == Place("f.yml", 4, 5)
    assert place(node, ("missing",)) == Place("f.yml", 1, 1)


def test_an_alias_repeats_the_value() -> None:
    """The latest anchor of a name above the alias counts."""
    node, findings = read(b"a: &x [1]\nb: *x\nc: &x 2\nd: *x\n", "f.yml")
    assert findings == []
    assert node is not None
    assert node.child("b") is node.child("a")
    assert node.child("d") == node.child("c")


WRONG = [
    (
        "a: 5\nb: !!str 5\nc: !secret x\n! d: {}\n",
        [
            "f.yml:2:4: tags mean nothing in this file: remove `!!str`",
            "f.yml:3:4: tags mean nothing in this file: remove `!secret`",
            "f.yml:4:1: tags mean nothing in this file: remove `!`",
        ],
    ),
    ("a:\n\tb: 1", ["f.yml:2:1: a tab stands here: YAML is indented with spaces"]),
    ("a: 1\n\tb: 1", ["f.yml:2:1: a tab stands here: YAML is indented with spaces"]),
    ("a:\n  b: 1\n \tc: 2", ["f.yml:3:2: a tab stands here: YAML is indented with spaces"]),
    ("a: &a [*a]", ["f.yml:1:8: `*a` stands inside what it repeats"]),
    ("a: *x", ["f.yml:1:4: `*x` repeats &x, which is not above it"]),
    ("a: 1\n---\nb: 2", ["f.yml:2:1: a second document begins here, and one file holds one: remove the `---`"]),
    ("a: 1\nb: \x07", ["f.yml:2:4: the control character U+0007 cannot stand in YAML: remove it"]),
    ("a: @b", ["f.yml:1:4: text that begins with @ must be in quotes"]),
    ("a: %b", ["f.yml:1:4: text that begins with % must be in quotes"]),
    ("a: `b`", ["f.yml:1:4: text that begins with ` must be in quotes"]),
    (
        "<<: {a: 1}\n'<<': 2",
        ["f.yml:1:1: `<<` is not part of YAML 1.2: write the keys out, or repeat a whole value with an alias"],
    ),
    (
        "? [a]\n: b\n? {c: d}\n: e",
        ["f.yml:1:3: a key must be text, not a map or a list", "f.yml:3:3: a key must be text, not a map or a list"],
    ),
    (
        "~: 1\nnull: 2\n? \n: 3\n",
        [
            "f.yml:1:1: `~` is no key: put it in quotes",
            "f.yml:2:1: `null` is no key: put it in quotes",
            "f.yml:3:2: a key is missing before `:`",
        ],
    ),
    (
        "a: 1\nb: 2\n'a': 3\na: 4",
        [
            "f.yml:3:1: the key `a` is here twice: the first is on line 1",
            "f.yml:4:1: the key `a` is here twice: the first is on line 1",
        ],
    ),
    ("a: {b: 1, b: 2}", ["f.yml:1:11: the key `b` is here twice: the first is on line 1"]),
    (
        'a: "\\0"\nb: "\\0"\n',
        [
            "f.yml:1:4: the character U+0000 cannot reach a program: remove it",
            "f.yml:2:4: the character U+0000 cannot reach a program: remove it",
        ],
    ),
    (b"a: 1\nb: \xe9t\xe9\n", ["f.yml:2:4: this file is not UTF-8 text (byte 0xe9): save it as UTF-8"]),
    (
        b"\xff\xfea\x00:\x00 \x00\xfc\x00\n\x00",
        ["f.yml:1:1: this file is not UTF-8 text (byte 0xff): save it as UTF-8"],
    ),
    (b"a: \xc3\xbc \xff", ["f.yml:1:6: this file is not UTF-8 text (byte 0xff): save it as UTF-8"]),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_problem_of_the_text_is_told(text: str | bytes, told: list[str]) -> None:
    """Each at its place, in words that say what to do."""
    _, findings = read(text if isinstance(text, bytes) else text.encode(), "f.yml")
    assert [str(finding) for finding in findings] == told


SYNTAX = [
    ("a: [1,\nb: 2\n", "f.yml:3:1: this is not YAML: "),
    ("a: b: c", "f.yml:1:5: this is not YAML: "),
    ("a: 1\n b: 2", "f.yml:2:3: this is not YAML: "),
    ("a: 'x\nb: c", "f.yml:2:5: this is not YAML: "),
    ("- a\nb: c", "f.yml:2:1: this is not YAML: "),
    ("a: b\n...\nc", "f.yml:3:1: this is not YAML: "),
    ("%YAML 2.0\n---\na: 1", "f.yml:1:1: this is not YAML: "),
]


@pytest.mark.parametrize(("text", "begin"), SYNTAX)
def test_a_syntax_error_has_its_place(text: str, begin: str) -> None:
    """The words after it are PyYAML's own, and differ between its two parsers."""
    node, findings = read(text.encode(), "f.yml")
    assert node is None
    assert [str(finding)[: len(begin)] for finding in findings] == [begin]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "null", "\ufeff"])
def test_a_file_that_says_nothing_is_no_problem_of_the_text(text: str) -> None:
    """An overlay may be empty; for handful.yml it is `load` that minds."""
    assert read(text.encode(), "f.yml") == (None, [])


def test_a_byte_order_mark_is_ignored() -> None:
    """Some editors write one at the start of a UTF-8 file."""
    node, findings = read(b"\xef\xbb\xbfproject: shop\n", "f.yml")
    assert findings == []
    assert node is not None
    assert node.keys["project"] == Place("f.yml", 1, 1)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_and_does_not_crash_python(opening: str) -> None:
    """Composing 100,000 brackets in C ends the process; reading events does not. PyYAML has a limit, too, since 6.0.4."""
    node, findings = read((opening * 100).encode(), "f.yml")
    assert node is None
    assert f"more than {DEEPEST} levels deep" in findings[-1].sentence
    node, findings = read((opening * 100_000).encode(), "f.yml")
    assert node is None
    assert len(findings) == 1


def test_aliases_cannot_make_a_small_file_huge() -> None:
    """Nine lines of aliases of aliases would be a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    node, findings = read("\n".join(lines).encode(), "f.yml")
    assert node is None
    assert "more than 100000 values" in findings[-1].sentence


def test_a_chain_of_aliases_cannot_nest_deeper_than_text() -> None:
    """Each line is one level deeper than the line before."""
    lines = ["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))]
    node, findings = read("\n".join(lines).encode(), "f.yml")
    assert node is None
    assert findings[-1].at.line == DEEPEST


def test_both_parsers_read_the_same(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML without its C library is slower, and nothing else."""
    data = (shop / "handful.yml").read_bytes()
    fast = read(data, "f.yml")
    monkeypatch.delattr(pyyaml, "CSafeLoader")
    assert _values(read(data, "f.yml")[0]) == _values(fast[0])


@pytest.mark.parametrize("text", ['a: "\\ud800"', 'a: "\\U00110000"', 'a: "\\UFFFFFFFF"'])
def test_an_escape_that_is_no_character_is_refused_by_both_parsers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow parser hands such an escape to Python, which raises errors of its own."""
    assert read(text.encode(), "f.yml")[1]
    monkeypatch.delattr(pyyaml, "CSafeLoader")
    assert read(text.encode(), "f.yml")[1]


def _values(node: Node | None) -> object:
    assert node is not None
    if isinstance(node.value, dict):
        return {(key, node.keys[key]): _values(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [_values(child) for child in node.value]
    return node.value, node.at
