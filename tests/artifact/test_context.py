from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from handful.artifact.context import context_files, context_hash

# .dockerignore, a path, and whether Docker leaves it out. The rules are those of
# https://docs.docker.com/build/concepts/context/#dockerignore-files; each was compared with what the docker program sends.
RULES = [
    # A pattern starts at the context's root.
    ("temp", "temp", True),
    ("temp", "sub/temp", False),
    ("/temp", "temp", True),
    ("./temp", "temp", True),
    ("temp/", "temp/file", True),
    ("sub/../temp", "temp", True),
    ("a//b", "a/b", True),
    # A folder takes all below it.
    ("temp", "temp/sub/file", True),
    ("temp", "temperature", False),
    # * and ? stop at a slash.
    ("*.md", "README.md", True),
    ("*.md", "docs/README.md", False),
    ("*/temp*", "sub/temporary.txt", True),
    ("*/temp*", "sub/temporary/file", True),
    ("*/temp*", "sub/sub/temp", False),
    ("*/*/temp*", "sub/sub/temp", True),
    ("temp?", "tempa", True),
    ("temp?", "temp", False),
    ("*", "sub/file", True),
    # Characters in brackets, and escaped ones.
    ("a[b-d]e", "ace", True),
    ("a[b-d]e", "aee", False),
    ("a[^b-d]e", "aee", True),
    ("a[&~|]e", "a|e", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "axb", False),
    # All else is itself.
    ("a.b", "axb", False),
    ("a+(b)$", "a+(b)$", True),
    # ** crosses folders, and none.
    ("**", "sub/file", True),
    ("**/*.go", "main.go", True),
    ("**/*.go", "sub/sub/main.go", True),
    ("**/temp", "temp", True),
    ("**/temp", "sub/temp/file", True),
    ("**/temp", "sub/mytemp", False),
    ("**temp", "sub/mytemp", True),
    ("sub/**", "sub/sub/file", True),
    ("sub/**/file", "sub/file", True),
    ("sub/**/file", "sub/a/b/file", True),
    ("sub**file", "subxfile", False),
    ("sub**/file", "sub/a/file", True),
    # The last line that fits decides.
    ("*.md\n!README.md", "README.md", False),
    ("*.md\n!README.md", "OTHER.md", True),
    ("!README.md\n*.md", "README.md", True),
    ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
    ("sub\n!sub/keep", "sub/keep", False),
    ("sub\n!sub/keep", "sub/other", True),
    ("**\n!sub/deep", "sub/deep/file", False),
    ("*\n!  keep ", "keep", False),
    # Comments, empty lines, spaces, line ends, a byte order mark.
    ("#temp", "#temp", False),
    (" #temp", "#temp", True),
    ("\n\n  temp  \n\n", "temp", True),
    ("temp\r\nother\r\n", "temp", True),
    ("\ufefftemp", "temp", True),
    # What means nothing, or is Docker's to refuse.
    (".", "temp", False),
    ("/", "temp", False),
    ("!", "temp", False),
    ("../temp", "temp", False),
    ("[", "temp", False),
    ("a[z-b]", "temp", False),
]
Change = Callable[[Path], object]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a context with a Dockerfile, a file, a program, a link, and git's own files."""
    for name in ("Dockerfile", "app.py", "sub/data", ".git/HEAD", "handful.yml", "environments/stage.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "start").write_text("#!/bin/sh")
    (tmp_path / "start").chmod(0o755)
    (tmp_path / "link").symlink_to("app.py")
    return tmp_path


def names(context: Path) -> set[str]:
    """Return what Docker would be sent, by its path in the context."""
    return {path.relative_to(context).as_posix() for path in context_files(context, context / "Dockerfile")}


@pytest.mark.parametrize(("ignore", "path", "left_out"), RULES)
def test_dockerignore(tmp_path: Path, ignore: str, path: str, left_out: bool) -> None:  # noqa: FBT001  # a column of the table
    """Read as Docker reads it."""
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path.rstrip("/")).touch()
    (tmp_path / ".dockerignore").write_bytes(ignore.encode())
    assert (path.rstrip("/") not in names(tmp_path)) == left_out


def test_the_files_of_a_context(context: Path) -> None:
    """All but git's own; a link is itself, not what it leads to."""
    expected = {"Dockerfile", "app.py", "sub/data", "start", "link", "handful.yml", "environments/stage.yml"}
    assert names(context) == expected


def test_an_ignore_file_of_the_dockerfiles_own_goes_first(context: Path) -> None:
    """As BuildKit has it: NAME.dockerignore beside the Dockerfile NAME."""
    (context / ".dockerignore").write_text("app.py")
    (context / "Dockerfile.dockerignore").write_text("sub")
    assert "app.py" in names(context)
    assert "sub/data" not in names(context)


def test_what_is_no_file_is_left_out(context: Path) -> None:
    """A pipe would be read for ever."""
    os.mkfifo(context / "pipe")
    assert "pipe" not in names(context)


def _link(context: Path, target: str) -> Path:
    (context / "new").symlink_to(target)
    return context / "new"


CHANGES: list[Change] = [
    lambda context: (context / "app.py").write_text("other"),
    lambda context: (context / "app.py").chmod(0o755),
    lambda context: (context / "app.py").rename(context / "other.py"),
    lambda context: (context / "sub" / "new").touch(),
    lambda context: (context / "sub" / "data").unlink(),
    lambda context: (context / "sub" / "empty").mkdir(),
    lambda context: (context / "Dockerfile").write_text("FROM scratch"),
    lambda context: (context / "start").rename(context / "link"),
    lambda context: os.replace(_link(context, "start"), context / "link"),
    lambda context: (context / ".dockerignore").write_text("app.py"),
]
NO_CHANGES: list[Change] = [
    lambda context: os.utime(context / "app.py", (1, 1)),
    lambda context: (context / "app.py").chmod(0o600),
    lambda context: (context / ".git" / "HEAD").write_text("other"),
    lambda context: (context / "handful.yml").write_text("other"),
    lambda context: (context / "environments" / "prod.yml").touch(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_changes_with_the_build(context: Path, change: Change) -> None:
    """Path, executable bit and content of a file, where a link leads, and the Dockerfile."""
    before = context_hash(context, context / "Dockerfile")
    change(context)
    assert context_hash(context, context / "Dockerfile") != before


@pytest.mark.parametrize("change", NO_CHANGES)
def test_the_hash_stays_when_the_build_does(context: Path, change: Change) -> None:
    """Times, other bits of the mode, git's own files, and those that the caller leaves out."""
    left_out = ("handful.yml", "environments")
    before = context_hash(context, context / "Dockerfile", left_out=left_out)
    change(context)
    assert context_hash(context, context / "Dockerfile", left_out=left_out) == before


def test_what_docker_is_not_sent_does_not_count(context: Path) -> None:
    """However it changes."""
    (context / ".dockerignore").write_text("sub\n*.log\n.dockerignore\n")
    before = context_hash(context, context / "Dockerfile")
    (context / "sub" / "data").write_text("other")
    (context / "build.log").write_text("other")
    assert context_hash(context, context / "Dockerfile") == before


def test_a_dockerfile_that_is_ignored_counts_all_the_same(context: Path) -> None:
    """Docker is sent it in any case, to build from."""
    (context / ".dockerignore").write_text("Dockerfile")
    before = context_hash(context, context / "Dockerfile")
    (context / "Dockerfile").write_text("FROM scratch")
    assert context_hash(context, context / "Dockerfile") != before


def test_files_do_not_run_into_each_other(tmp_path: Path) -> None:
    """The end of one and the beginning of the next count."""
    for number, pair in enumerate([("a", "bc"), ("ab", "c")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Dockerfile").touch()
        (folder / "x").write_text(pair[0])
        (folder / "y").write_text(pair[1])
    hashes = {context_hash(tmp_path / name, tmp_path / name / "Dockerfile") for name in ("0", "1")}
    assert len(hashes) == 2


def test_a_name_that_is_no_text_counts(context: Path) -> None:
    """Linux takes any bytes."""
    before = context_hash(context, context / "Dockerfile")
    Path(os.fsdecode(bytes(context) + b"/\xff")).touch()
    assert context_hash(context, context / "Dockerfile") != before
