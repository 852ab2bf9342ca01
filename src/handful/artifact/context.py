"""What goes into a build, and is it what it was last time?"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# git's own files and handful's change without the image changing (docs/decisions/0006).
NOT_HASHED = (".git", "handful.yml", "environments")


def context_hash(context: Path, dockerfile: Path) -> str:
    """Return sixteen hex digits over a build's inputs: the Dockerfile and every file that Docker would be sent.

    A file counts with its path, its executable bit and its content, a link with its target.
    """
    total = hashlib.sha256(dockerfile.read_bytes())
    for path in context_files(context):
        total.update(f"\0{path.relative_to(context).as_posix()}\0".encode(errors="surrogateescape"))
        if path.is_symlink():
            total.update(f"link\0{path.readlink()}".encode(errors="surrogateescape"))
        else:
            executable = path.stat().st_mode & 0o111 != 0
            total.update(b"x" if executable else b"-")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def context_files(context: Path) -> Iterator[Path]:
    """Yield the files below `context` that .dockerignore leaves in, sorted by path."""
    ignore = context / ".dockerignore"
    rules = tuple(parse_ignore(ignore.read_text(encoding="utf-8"))) if ignore.exists() else ()
    yield from _walk(context, "", rules)


def parse_ignore(text: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    """Read a .dockerignore: yield (kept?, pattern) in the order of the file; the last that fits a path decides.

    As Docker reads it: patterns start at the context's root, `**` crosses folders, a folder takes all below it.
    """
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        kept = line.startswith("!")
        pattern = line.removeprefix("!").strip().strip("/")
        if pattern and pattern != ".":
            yield kept, re.compile(_regex(pattern.removeprefix("./")) + "(?:/.*)?")


def _walk(context: Path, below: str, rules: tuple[tuple[bool, re.Pattern[str]], ...]) -> Iterator[Path]:
    for entry in sorted(os.scandir(context / below), key=lambda each: each.name):
        path = f"{below}/{entry.name}" if below else entry.name
        if not below and entry.name in NOT_HASHED:
            continue
        if entry.is_dir(follow_symlinks=False):
            # An ignored folder may hold files that a later rule keeps.
            if not _ignored(path, rules) or any(kept for kept, _ in rules):
                yield from _walk(context, path, rules)
        elif not _ignored(path, rules):
            yield context / path


def _ignored(path: str, rules: Iterable[tuple[bool, re.Pattern[str]]]) -> bool:
    ignored = False
    for kept, pattern in rules:
        if pattern.fullmatch(path):
            ignored = not kept
    return ignored


def _regex(pattern: str) -> str:
    """Turn a pattern of Go's filepath.Match, with `**`, into a regular expression."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(piece)
        or (piece.replace("[^", "[^/", 1) if piece.startswith("[") and len(piece) > 1 else re.escape(piece.removeprefix("\\")))
        for piece in pieces
    )
