from __future__ import annotations

import pytest

from handful.artifact.dockerfile import read_dockerfile


@pytest.mark.parametrize(("text", "bases"), [
    ("FROM debian:13\n", ("debian:13",)),
    ("from debian:13 as a\nFROM a\nFROM A AS b\nFROM b\n", ("debian:13",)),
    ("FROM scratch\nCOPY --from=nginx:1 /a /b\nCOPY --from=0 /a /b\n", ("nginx:1",)),
    ("FROM debian:13 AS a\nCOPY --chown=1 --from=a /x /y\n", ("debian:13",)),
    ("ARG V=12\nFROM debian:$V\n", ("debian:13",)),
    ("ARG X=12\nFROM debian:${X}-slim\n", ("debian:12-slim",)),
    ("ARG N\nFROM debian:${N:-9}\nFROM debian:${V:+other}\n", ("debian:9", "debian:")),
    ("ARG V\nFROM debian:${V:+other}\n", ("debian:other",)),
    ("FROM --platform=$BUILDPLATFORM golang:1 AS build\nFROM $UNKNOWN\n", ("golang:1",)),
    ("# FROM a\nFROM \\\n  # in between\n  debian:13\n", ("debian:13",)),
    ("FROM debian:13\nRUN <<EOF\nFROM not\nEOF\nFROM busybox\n", ("debian:13", "busybox")),
    ("FROM debian:13\nFROM debian:13\n", ("debian:13",)),
    ("ARG A=1 B='2'\nFROM a:$B\nRUN x=$((1<<2))\nFROM b:$A\n", ("a:2", "b:1")),
    ("", ()),
])  # fmt: skip
def test_what_a_build_begins_from(text: str, bases: tuple[str, ...]) -> None:
    """Its own stages are none, nor is what an argument leaves open."""
    assert read_dockerfile(text, {"V": "13"}).bases == bases


@pytest.mark.parametrize(("text", "needs"), [
    ("FROM a\nRUN true\nCOPY --from=a --chown=1:1 x y\nRUN echo --mount\n", ""),
    ("FROM a\nRUN --mount=type=cache,target=/c \\\n  true\n", "RUN --mount"),
    ("FROM a\nRUN --network=none true\n", "RUN --network"),
    ("FROM a\nCOPY --chmod=755 a b\n", "COPY --chmod"),
    ("FROM a\nCOPY --link a b\n", "COPY --link"),
    ("FROM a\nADD --checksum=sha256:1 a b\n", "ADD --checksum"),
    ("FROM a\nRUN cat <<EOF\nx\nEOF\n", "RUN <<EOF"),
    ("FROM a\nRUN cat <<<x\nRUN x=$((1<<2))\n", ""),
])  # fmt: skip
def test_what_only_buildkit_knows(text: str, needs: str) -> None:
    """The first such word is named."""
    assert read_dockerfile(text, {}).buildkit == needs
