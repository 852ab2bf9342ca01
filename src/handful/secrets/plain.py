"""Does a text hold what looks like a secret? Told by known shapes, by names that promise one, and by randomness."""

from __future__ import annotations

import math
import re
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

# Source: what the issuers document of their tokens' beginnings and lengths.
SHAPES = MappingProxyType({
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a private key of age": re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a token of GitLab": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "a key of Stripe": re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    "a token of Slack": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a key of Google": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "a key of SendGrid": re.compile(r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    "a token of npm": re.compile(r"\bnpm_[A-Za-z0-9]{36}"),
    "a token of PyPI": re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}"),
    "a token of Docker": re.compile(r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    "a password in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@\"'${}]*:[^\s@/\"'${}]{2,}@"),
})
PASSWORD = re.compile(r"(?i)passw(?:or)?d|passphrase|[_-]pass$|[_-]pwd$")
NAMED = re.compile(r"(?i)secret|token|credential|api_?key|[_-](?:key|salt|auth)$|^(?:key|salt)$")
# Of these lengths and bits for each letter, text of letters and digits is random, whatever its name: hex, and base64.
RANDOM = ((re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}"), 3.0), (re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}"), 4.0))
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
WORD = re.compile(r"[A-Za-z]{0,19}[0-9]{0,4}")
BITS_OF_A_NAMED_ONE, LETTERS_OF_A_NAMED_ONE, LETTERS_OF_A_PASSWORD = 2.9, 12, 5
REFERENCES = ("$", "/", "./", "{", "<", "http://", "https://", "ENC[")
# Behind a line that is none.
NONE = re.compile(r"#\s*not a secret\b")
ASSIGNED = re.compile(r"([A-Za-z_][\w.-]*)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"',}\]]+)")
LEGACY = re.compile(r"(?i)\s*(?:ENV|ARG)\s+([A-Za-z_]\w*)\s+(\S+)\s*$")


def looks(text: str, *, as_yaml: bool) -> Iterator[tuple[int, str]]:
    """Yield line (from 1) and what it looks like, for each line that seems to hold a secret. Values are not told."""
    lines = text.splitlines()
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        kind = next((name for name, shape in SHAPES.items() if shape.search(line)), None)
        found |= {number: kind} if kind else {}
    for number, name, value in _in_yaml(text) if as_yaml else _in_lines(lines):
        if number not in found and _is_secret(name, value):
            found[number] = "a password or key"
    yield from ((number, kind) for number, kind in sorted(found.items()) if not NONE.search(lines[number - 1]))


def _in_yaml(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each text in YAML, but for what stands below `secrets`: those are names."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        name, node = todo.pop()
        if isinstance(node, yaml.MappingNode):
            pairs = [(str(key.value), value) for key, value in node.value]
            # {secret: NAME, env: …} stands in lists of its own, too.
            todo += [pair for pair in pairs if pair[0] not in {"secrets", "secret"}]
        elif isinstance(node, yaml.SequenceNode):
            todo += [(name, each) for each in node.value]
        elif isinstance(node, yaml.ScalarNode):
            yield node.start_mark.line + 1, name, node.value
            # A command's word, or an option, may be NAME=VALUE.
            for match in ASSIGNED.finditer(node.value):
                yield node.start_mark.line + 1, match[1], match[2].strip("\"'")


def _in_lines(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        pairs = [LEGACY.match(line), *ASSIGNED.finditer(line)]
        yield from ((number, match[1], match[2].strip("\"'")) for match in pairs if match)


def _is_secret(name: str, value: str) -> bool:
    """Whether a value is neither a reference, nor a path, nor words."""
    if value.startswith(REFERENCES) or UUID.fullmatch(value) or "${" in value:
        return False
    if PASSWORD.search(name):
        return len(value) >= LETTERS_OF_A_PASSWORD and not value.isdigit() and " " not in value
    bare = value.removeprefix("base64:")
    words = all(WORD.fullmatch(word) for word in re.split(r"[-_.:/@ ]", bare))
    if words and not RANDOM[0][0].fullmatch(bare):
        return False
    if NAMED.search(name) and len(bare) >= LETTERS_OF_A_NAMED_ONE and " " not in bare:
        return _bits(bare) >= BITS_OF_A_NAMED_ONE
    return any(shape.fullmatch(bare) and _bits(bare) >= bits and _is_mixed(bare) for shape, bits in RANDOM)


def _is_mixed(text: str) -> bool:
    return any(letter.isdigit() for letter in text) and any(letter.isalpha() for letter in text)


def _bits(text: str) -> float:
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())
