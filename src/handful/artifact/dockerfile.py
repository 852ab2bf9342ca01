"""What does a Dockerfile begin from, and does it need BuildKit?

As much of the language as these two questions need. Libraries for it misread `${NAME:-default}` and here-documents.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARGUMENT = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
# As BuildKit has it: at the beginning of a word, after a descriptor's number at most.
HERE_DOCUMENT = re.compile(r"(?:^|\s)\d*(<<-?\s*(['\"]?)([A-Za-z_]\w*)\2)")
# Words of RUN, COPY and ADD that the classic builder does not know.
ONLY_BUILDKIT = re.compile(r"--(mount|network|security|link|chmod|parents|exclude|checksum|keep-git-dir)\b")


@dataclass(frozen=True)
class Dockerfile:
    """Images that it begins from or copies out of (not its own stages), and a word that only BuildKit knows, or ""."""

    bases: tuple[str, ...]
    buildkit: str


def read_dockerfile(text: str, arguments: Mapping[str, str]) -> Dockerfile:
    """Read a Dockerfile, with the build arguments that are given; what they leave open is no base."""
    known: dict[str, str] = {}
    stages: set[str] = set()
    bases: dict[str, None] = {}
    buildkit, begun = "", False
    for word, rest in _instructions(text):
        if word == "ARG" and not begun:
            for name, _, default in (each.partition("=") for each in _words(rest)):
                known[name] = arguments.get(name, default)
        elif word == "FROM":
            begun = True
            image, *more = [each for each in rest.split() if not each.startswith("--")] or [""]
            bases |= _outside(_filled(image, known), stages)
            stages |= {more[1].lower()} if [each.lower() for each in more[:1]] == ["as"] else set()
        elif word in {"RUN", "COPY", "ADD"}:
            flags = re.match(r"(?:--\S+\s+)*", rest)
            found = ONLY_BUILDKIT.search(flags[0] if flags else "")
            here = HERE_DOCUMENT.search(rest)
            buildkit = buildkit or (f"{word} {found[0]}" if found else f"{word} {here[1]}" if here else "")
            source = re.search(r"--from=(\S+)", flags[0] if flags else "")
            bases |= _outside(source[1], stages) if source else {}
    return Dockerfile(tuple(bases), buildkit)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # Docker will tell.
        return []


def _outside(image: str, stages: set[str]) -> dict[str, None]:
    """Return the image, unless it is a stage of this file, nothing at all, or not known."""
    own = image.lower() in stages or image.isdecimal() or image in {"", "scratch"}
    return {} if own or "$" in image else {image: None}


def _filled(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, sign, other = found[1] or found[2], found[3], found[4] or ""
        told = known.get(name, "")
        if sign == "+":
            return other if told else ""
        return told or (other if sign else "" if name in known else found[0])

    return ARGUMENT.sub(value, text)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction, in capitals, and what follows on one line; comments and here-documents are left out."""
    lines = iter(text.splitlines())
    for line in lines:
        whole = line.strip()
        if not whole or whole.startswith("#"):
            continue
        while whole.endswith("\\"):
            following = next(lines, "").strip()
            whole = whole[:-1] + (" " if following.startswith("#") else f" {following}")
            if following.startswith("#"):
                whole += "\\"
        word, _, rest = whole.partition(" ")
        yield word.upper(), rest.strip()
        if word.upper() in {"RUN", "COPY", "ADD"}:
            for found in HERE_DOCUMENT.finditer(rest):
                for each in lines:
                    if each.strip() == found[3]:
                        break
