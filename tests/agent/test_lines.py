"""Do records become the lines that were written, and are their levels told?"""

from __future__ import annotations

import json

import pytest

from handful.agent.levels import at_least, level_of, rules_of
from handful.agent.lines import LONGEST, Joiner, Line


def record(text: str, stream: str = "stdout", time: str = "2026-01-01T00:00:00.1Z") -> bytes:
    """Return a record as Docker writes it."""
    return json.dumps({"log": text, "stream": stream, "time": time}).encode()


def lines(*records: bytes) -> tuple[Joiner, list[Line]]:
    """Return what comes of records."""
    joiner = Joiner({})
    return joiner, [line for each in records for line in joiner.feed(each)]


def test_parts_of_a_line_are_joined() -> None:
    """Of each stream by itself; the line is of the moment when it began."""
    joiner, found = lines(record("a", time="1"), record("x\n", "stderr", "2"), record("b", time="3"), record("c\n", time="4"))
    assert found == [Line("2", "stderr", "x"), Line("1", "stdout", "abc")]
    assert joiner.waiting == {}


def test_what_has_not_ended_waits() -> None:
    """Until its container has ended."""
    first, found = lines(record("beg"), record("un"))
    assert (found, first.waiting) == ([], {"stdout": ("2026-01-01T00:00:00.1Z", "begun")})
    # Another one goes on from there.
    joiner = Joiner(first.waiting)
    assert list(joiner.end()) == [Line("2026-01-01T00:00:00.1Z", "stdout", "begun")]
    assert joiner.waiting == {}


def test_a_line_that_never_ends_is_cut() -> None:
    """At a megabyte, and goes on in the next one: nothing is lost, and the memory is not filled."""
    part = "x" * 16384
    joiner, found = lines(*[record(part)] * (LONGEST // len(part) + 1), record("end\n"))
    assert [line.cut for line in found] == [True, False]
    assert "".join(line.text for line in found) == part * (LONGEST // len(part) + 1) + "end"
    assert joiner.waiting == {}


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'"x"', b'{"log":"x"}', b"\xff\xfe", b"null", b'{"log":1,"stream":"a","time":"t"}', b'{"log":"x\\n","stream":[],"time":"t"}'])
def test_what_is_no_record_is_counted(broken: bytes) -> None:
    """And what follows is read."""
    joiner, found = lines(broken, record("x\n"))
    assert (joiner.broken, [line.text for line in found]) == (1, ["x"])


@pytest.mark.parametrize(("text", "level"), [
    ('{"level":"error","msg":"x"}', "error"), ('{"msg":"x","severity": "WARNING"}', "warn"), ('{"level":50,"msg":"x"}', "error"),
    ('{"level":"nonsense"}', ""), ("2026-01-01 12:00:00,123 ERROR something", "error"), ("[warn] disk", "warn"), ("INFO: started", "info"),
    ("time=1 level=warning msg=x", "warn"), ("2026/01/01 12:00:00 [error] 5#5: *1 open() failed", "error"), ("CRITICAL out of memory", "fatal"),
    ("an error happened, somewhere", ""), ("no errors", ""), ("", ""), ("panic: runtime error", "fatal"), ("GET /error HTTP/1.1", ""),
    ("E: broken", ""), ('127.0.0.1 - - "GET /" 200', ""),
])
def test_levels(text: str, level: str) -> None:
    """By what programs commonly write; a word in the middle of a sentence says nothing."""
    assert level_of(text) == level


def test_an_apps_own_rules_come_first() -> None:
    """The worst of those that fit."""
    rules = rules_of({"error": ["Traceback"], "debug": ["health"], "fatal": ["Killed"]})
    assert level_of("INFO Traceback (most recent call last):", rules) == "error"
    assert level_of("INFO health", rules) == "debug"
    assert level_of("Traceback Killed", rules) == "fatal"
    assert at_least("error") == {"error", "fatal"}
    with pytest.raises(ValueError, match="not in tuple"):
        at_least("bad")
