"""What goes into a build, and is it what it was last time?"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    Rules = tuple[tuple[bool, re.Pattern[str]], ...]

# Pieces of a pattern of Go's filepath.Match, with Docker's `**`: it crosses folders, and none, too.
WILD = MappingProxyType({"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"})
PIECES = re.compile(r"(\*\*/|\*\*|\*|\?|\[(?:\\.|[^\]\\])+\]|\\.)", re.DOTALL)
# git's own files change without the image changing (docs/decisions/0006).
NEVER_HASHED = frozenset({".git"})


def context_hash(context: Path, dockerfile: Path, *, left_out: Collection[str] = ()) -> str:
    """Return sixteen hex digits over a build's inputs: the Dockerfile and every file that Docker would be sent.

    A file counts with its path, its executable bit and its content, a link with its target, and an empty folder with
    its path. `left_out` are paths in the context that do not count. Raises OSError when something cannot be read.
    """
    total = hashlib.sha256(dockerfile.read_bytes())
    for path, entry in _files(context, dockerfile, left_out):
        total.update(f"\0{path}\0".encode(errors="surrogateescape"))
        if entry.is_symlink():
            link = os.readlink(entry.path)  # noqa: PTH115  # 5,000 of them
            total.update(f"link\0{link}".encode(errors="surrogateescape"))
        elif entry.is_dir():
            total.update(b"folder")
        else:
            executable = entry.stat().st_mode & 0o111 != 0
            total.update(b"x" if executable else b"-")
            with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123  # likewise
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def context_files(context: Path, dockerfile: Path, *, left_out: Collection[str] = ()) -> Iterator[Path]:
    """Yield files and empty folders below `context` that its ignore file leaves in, in an order that does not change.

    An ignore file beside the Dockerfile, and named after it, takes the place of .dockerignore.
    """
    yield from (context / path for path, _ in _files(context, dockerfile, left_out))


def large_files(context: Path, dockerfile: Path, least: int) -> dict[str, int]:
    """Return the sizes of files of at least so many bytes that a build is sent, by their path."""
    found = ((path, entry.stat().st_size) for path, entry in _files(context, dockerfile, ()) if not entry.is_symlink())
    return {path: size for path, size in found if size >= least}


def _files(
    context: Path, dockerfile: Path, left_out: Collection[str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    candidates = (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore")
    ignore = next((path for path in candidates if path.exists()), None)
    text = ignore.read_text(encoding="utf-8-sig", errors="surrogateescape") if ignore else ""
    yield from _walk(str(context), "", tuple(parse_ignore(text)), NEVER_HASHED.union(left_out))


def sent_files(context: Path, dockerfile: Path) -> Iterator[Path]:
    """Yield the files that a build is sent: Docker sends the Dockerfile also when it is ignored."""
    found = tuple(context_files(context, dockerfile))
    yield from found
    if dockerfile not in found:
        yield dockerfile


def parse_ignore(text: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    """Read a .dockerignore: yield (kept?, pattern) in the order of the file; the last that fits a path decides.

    As Docker reads it: patterns start at the context's root, `**` crosses folders, a folder takes all below it.
    """
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        kept = line.strip().startswith("!")
        pattern = line.strip().removeprefix("!").strip()
        clean = _clean(_clean(pattern))
        # A pattern that makes no sense is Docker's to refuse, when it builds.
        with suppress(re.error):
            if clean not in {"", "."}:
                yield kept, re.compile(f"{_regex(clean)}(?:/.*)?", re.DOTALL)


def _clean(pattern: str) -> str:
    """Return the shortest way to write a pattern; Docker does it twice, as a space may come to the end."""
    return posixpath.normpath(pattern.strip()).lstrip("/")


def _walk(
    context: str, below: str, rules: Rules, left_out: Collection[str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(f"{context}/{below}"), key=lambda each: each.name):
        path = f"{below}/{entry.name}" if below else entry.name
        if path in left_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            # An ignored folder may hold files that a later rule keeps.
            ignored = _ignored(path, rules)
            if not ignored or any(kept for kept, _ in rules):
                yield from _walk(context, path, rules, left_out)
            if not ignored and not os.listdir(entry.path):  # noqa: PTH208  # likewise
                yield path, entry
        elif (entry.is_symlink() or entry.is_file()) and not _ignored(path, rules):
            yield path, entry


def _ignored(path: str, rules: Iterable[tuple[bool, re.Pattern[str]]]) -> bool:
    ignored = False
    for kept, pattern in rules:
        if pattern.fullmatch(path):
            ignored = not kept
    return ignored


def _regex(pattern: str) -> str:
    """Turn a cleaned pattern into a regular expression, in the way of Docker's own patternmatcher."""
    if pattern.startswith("**") and not PIECES.search(pattern, 2):
        # Without a further wildcard, `**` takes part of a name, too.
        rest = pattern.removeprefix("**")
        return f"(?:.*/)?{re.escape(rest[1:])}" if rest.startswith("/") else f".*{re.escape(rest)}"
    *pieces, last = [piece for piece in PIECES.split(pattern) if piece]
    return "".join(_piece(piece) for piece in pieces) + (".*" if last == "**" else _piece(last))


def _piece(piece: str) -> str:
    if piece in WILD:
        return WILD[piece]
    if len(piece) > 1 and piece[0] == "[":
        # Python gives some characters a meaning inside of brackets that Docker does not.
        return re.sub(r"(\\.)|(?<=.)[\[&~|]", lambda found: found[1] or f"\\{found[0]}", piece, flags=re.DOTALL)
    return re.escape(piece[1:] if len(piece) > 1 and piece[0] == "\\" else piece)
