"""What was read as a secret is not shown again: not in lines, errors or events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Shorter values are not masked: they would be found in words that have nothing to do with them.
SHORTEST = 4
# Of text of several lines, its lines: a program may write them one by one. Shorter ones are brackets and the like.
SHORTEST_LINE = 8


class Mask:
    """The values that are known so far, and the names that are shown in their place."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._names: dict[str, str] = {}
        self._longest_first: tuple[str, ...] = ()

    def learn(self, values: Mapping[str, str]) -> None:
        """Remember secrets by name; also as JSON writes them, and line by line."""
        import json

        for name, value in values.items():
            bare = value.strip()
            as_json = (json.dumps(bare, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
            lines = [line for line in value.splitlines() if not line.startswith("-----") and len(line) >= SHORTEST_LINE]
            lines += [json.dumps(line.strip())[1:-1] for line in lines]
            for form in (value, bare, *as_json, *lines):
                if len(form) >= SHORTEST:
                    self._names.setdefault(form, name)
        self._longest_first = tuple(sorted(self._names, key=len, reverse=True))

    def hide(self, text: str) -> str:
        """Return `text` with the names of secrets, in brackets, in place of their values."""
        for value in self._longest_first:
            if value in text:
                text = text.replace(value, f"[{self._names[value]}]")
        return text


    def hide_json(self, text: str) -> str:
        """Return `text` with the texts in it hidden when it is JSON, and nothing else of it changed; else as `hide`."""
        import json

        if self.hide(text) == text:
            return text
        try:
            told = json.loads(text)
        except ValueError:
            return self.hide(text)
        end = "\n" if text.endswith("\n") else ""
        return json.dumps(self._hidden(told), ensure_ascii=False, indent=2 if "\n" in text.strip() else None) + end

    def _hidden(self, told: Any) -> Any:  # noqa: ANN401  # what JSON holds
        if isinstance(told, dict):
            return {key: self._hidden(each) for key, each in told.items()}
        if isinstance(told, list):
            return [self._hidden(each) for each in told]
        return self.hide(told) if isinstance(told, str) else told


def masked(stream: TextIO, mask: Mask) -> TextIO:
    """Return a stream that hides what the mask knows."""
    return cast("TextIO", Masked(stream, mask))


class MaskedBytes:
    """A stream of bytes in which secrets are hidden."""

    def __init__(self, inner: BinaryIO, mask: Mask) -> None:
        """Write to `inner`."""
        self._inner, self._mask = inner, mask

    def write(self, data: bytes) -> int:
        """Write text without what the mask knows."""
        text = bytes(data).decode(errors="surrogateescape")
        hidden = self._mask.hide_json(text) if text[:1] in {"{", "["} else self._mask.hide(text)
        self._inner.write(hidden.encode(errors="surrogateescape"))
        return len(data)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a stream has
        """Return what the stream has."""
        return getattr(self._inner, name)


class Masked:
    """A stream of text in which secrets are hidden; lines come whole. All else is as the stream's own."""

    def __init__(self, inner: TextIO, mask: Mask) -> None:
        """Write to `inner`."""
        self._inner, self._mask = inner, mask

    def write(self, text: str) -> int:
        """Write text without what the mask knows; JSON stays JSON."""
        return self._inner.write(self._mask.hide_json(text) if text[:1] in {"{", "["} else self._mask.hide(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write text line by line."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> MaskedBytes:
        """Where click writes when it does not trust the stream's encoding."""
        return MaskedBytes(self._inner.buffer, self._mask)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a stream has
        """Return what the stream has."""
        return getattr(self._inner, name)
