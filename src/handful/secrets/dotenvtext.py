r"""Secrets as NAME=value lines, as sops reads them: no quotes, `\n` for a line's end, metadata as lines `sops_…`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from handful.secrets.scalars import Value
from handful.secrets.text import Leaf, Unreadable, spliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "sops_"
STEP = re.compile(r"__(map|list)_")


class DotenvText:
    """A text of lines."""

    def __init__(self, text: str, *, comments: bool = True) -> None:
        """Find the leaves. Raises Unreadable."""
        self.text = text
        flat: dict[str, str] = {}
        self._metadata_lines: list[tuple[int, int]] = []
        leaves, at, seen = [], 0, set()
        for number, line in enumerate(text.split("\n"), 1):
            start, end = at, at + len(line)
            at = end + 1
            name, sign, value = line.partition("=")
            if line.startswith("#"):
                if comments:
                    leaves.append(Leaf((), start, end, line[1:], None, comment=True, paths=((),)))
            elif not line:
                continue
            elif not sign:
                message = "a line is NAME=value"
                raise Unreadable(message, number)
            elif name in seen:
                message = "a name is there twice"
                raise Unreadable(message, number)
            elif name.startswith(PREFIX):
                flat[name.removeprefix(PREFIX)] = value.replace("\\n", "\n")
                self._metadata_lines.append((start, at))
            else:
                meant = value.replace("\\n", "\n")
                leaves.append(Leaf((name,), start + len(name) + 1, end, meant, Value("str", meant.encode()), indent=0))
            seen.add(name if sign and not line.startswith("#") else line)
        self.leaves = tuple(leaves)
        self.metadata: Mapping[str, object] | None = _nested(flat) if flat else None

    def bare(self, values: Mapping[int, Value]) -> str:
        """Return the text with these values for leaves, and without the lines of sops."""
        pieces = [self._piece(self.leaves[number], _escaped(value)) for number, value in values.items()]
        return spliced(self.text, [*pieces, *self._gone()])

    def sealed(self, ciphertexts: Mapping[int, str], metadata: Mapping[str, object]) -> str:
        """Return the text with these ciphertexts for leaves, and metadata as its last lines."""
        pieces = [self._piece(self.leaves[number], text) for number, text in ciphertexts.items()]
        made = spliced(self.text, [*pieces, *self._gone()])
        lines = "".join(f"{PREFIX}{name}={text}\n" for name, text in sorted(_flat(metadata, "")))
        return _ended(made) + lines

    def added(self, name: str, value: Value) -> str:
        """Return the text with one more value at its end."""
        return f"{_ended(self.text)}{name}={_escaped(value)}\n"

    def without(self, number: int) -> str:
        """Return the text without a value and its name."""
        leaf = self.leaves[number]
        start = self.text.rfind("\n", 0, leaf.start) + 1
        return self.text[:start] + self.text[leaf.end + 1 :]

    def with_value(self, number: int, value: Value) -> str:
        """Return the text with another value for one leaf."""
        return spliced(self.text, [self._piece(self.leaves[number], _escaped(value))])

    def _gone(self) -> list[tuple[int, int, str]]:
        return [(start, min(end, len(self.text)), "") for start, end in self._metadata_lines]

    @staticmethod
    def _piece(leaf: Leaf, text: str) -> tuple[int, int, str]:
        return leaf.start, leaf.end, f"#{text}" if leaf.comment else text


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _escaped(value: Value) -> str:
    text = value.data.decode()
    if "\\n" in text:
        message = "a backslash with an n is a line's end in this kind of file: keep that value in a file of YAML"
        raise Unreadable(message)
    return text.replace("\n", "\\n")


def _flat(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{name}__map_{key}" if name else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _flat(each, f"{name}__list_{number}")
    elif value is not None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield name, text.replace("\n", "\\n")


def _nested(flat: Mapping[str, str]) -> dict[str, object]:
    """Read `age__list_0__map_enc` as the first of the list `age`, and its `enc`."""
    root: dict[Any, Any] = {}
    for name, text in flat.items():
        first, *rest = STEP.split(name)
        pairs = zip(rest[::2], rest[1::2], strict=True)
        steps = [first, *(int(each) if kind == "list" else each for kind, each in pairs)]
        inner = root
        for step in steps[:-1]:
            inner = inner.setdefault(step, {})
        inner[steps[-1]] = text == "true" if text in {"true", "false"} else text
    return {key: _lists(value) for key, value in root.items()}


def _lists(value: Any) -> Any:  # noqa: ANN401  # what metadata holds
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(each) for key, each in value.items()}
    return [inner[key] for key in sorted(inner)] if inner and all(isinstance(key, int) for key in inner) else inner
