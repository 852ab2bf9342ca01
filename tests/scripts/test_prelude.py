from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from handful.artifact.script import assignment, source

if TYPE_CHECKING:
    from script_machine import Machine, Said

TEXTS = [
    "", "plain", 'quo"te', "back\\slash", "\\n", 'both \\" of them', "two\nlines\n", "tab\t", "return\r\n", "&", "a & b \\& c",
    "smörgås ☂ 𝄞", "$HOME `id` $(id)", "*", "[x]", "%s %d %%", "/", "//", "\x01\x02\x1b[31m\x7f", "'single'", " ends ", "{}",
]


def speak(machine: Machine, text: str, *, json_lines: bool) -> Said:
    """Run the prelude and then some text."""
    return machine.bash(f"{source('prelude')}\n{text}", HANDFUL_JSON="1" if json_lines else "")


def test_every_text_is_a_json_string(machine: Machine) -> None:
    """Quotes, backslashes, ampersands and lines come through; control characters become blanks."""
    lines = "\n".join(f"{assignment('text', text)}\nevent said \"$text\" key \"$text\"" for text in TEXTS)
    said = speak(machine, lines, json_lines=True)
    assert said.code == 0, said
    expected = ["".join(" " if (ord(c) < 32 and c not in "\n\r\t") or ord(c) == 127 else c for c in text) for text in TEXTS]
    assert [event["text"] for event in said.events] == expected
    assert [event["key"] for event in said.events] == expected


def test_a_value_is_read_back_byte_for_byte(machine: Machine) -> None:
    """What the planner quotes, bash reads: nothing in a value is ever run."""
    lines = "\n".join(f"{assignment('text', text)}\nprintf '%s\\0' \"$text\"" for text in TEXTS)
    assert speak(machine, lines, json_lines=False).out == "".join(f"{text}\0" for text in TEXTS)


def test_a_list_keeps_its_words(machine: Machine) -> None:
    """Empty words, blanks and stars are words."""
    words = ("", "two words", "*", "it's", "-n")
    said = speak(machine, f"{assignment('words', words)}\nprintf '%s\\0' \"${{words[@]}}\"", json_lines=False)
    assert said.out == "".join(f"{word}\0" for word in words)


def test_a_failure_inside_a_command_substitution_is_told_once(machine: Machine) -> None:
    """`fail` in `$( )` ends the whole script, and its event is not swallowed."""
    said = speak(machine, 'deep() { fail "no luck" "line 1" "try again"; }\nfound=$(deep)\necho never', json_lines=True)
    assert said.code != 0
    assert [(event["event"], event["text"]) for event in said.events] == [("failed", "no luck")]
    assert (said.events[0]["detail"], said.events[0]["advice"]) == ("line 1", "try again")


def test_what_nobody_foresaw_says_where(machine: Machine) -> None:
    """A command that fails without a word of ours: the line and the command are told."""
    said = speak(machine, "ls /nonexistent/file\necho never", json_lines=True)
    assert said.code == 1
    assert "never" not in said.out
    assert "ls /nonexistent/file" in said.events[0]["text"]


@pytest.mark.parametrize("text", ["echo $unset_name", "false", "false | true", "x=$(false)"])
def test_strict_mode(machine: Machine, text: str) -> None:
    """An unset name, a failure anywhere in a pipe or a substitution: the script goes no further."""
    said = speak(machine, f"{text}\necho never", json_lines=True)
    assert said.code != 0
    assert "never" not in said.out


def test_for_a_person_a_failure_is_text(machine: Machine) -> None:
    """Message, detail and advice on stderr; stdout stays clean."""
    said = speak(machine, 'fail "no luck" "line 1" "try again"', json_lines=False)
    assert (said.out, said.err) == ("", "no luck\nline 1\ntry again\n")


def test_put_writes_the_whole_or_nothing(machine: Machine) -> None:
    """On a full disk the old content stays."""
    folder = machine.folder / "full"
    folder.mkdir()
    machine.inside("mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder))
    inside = machine.namespace.path(str(folder))
    (inside / "file").write_text("old\n")
    said = speak(machine, f"printf '%s\\n' new | put {folder}/file", json_lines=True)
    assert said.code != 0
    assert (inside / "file").read_text() == "old\n"


def test_files_are_private_by_default(machine: Machine) -> None:
    """What a script writes is root's alone."""
    speak(machine, f"echo x | put {machine.folder}/file", json_lines=False)
    assert (machine.folder / "file").stat().st_mode & 0o777 == 0o600


def test_an_event_is_one_line(machine: Machine) -> None:
    """However many lines its values have."""
    said = speak(machine, 'event said "$(seq 5)" detail "$(seq 100)"', json_lines=True)
    assert len(said.out.splitlines()) == 1
    assert json.loads(said.out)["detail"].splitlines()[-1] == "100"


def test_put_writes_all_or_nothing(machine: Machine) -> None:
    """Also where errors do not end the script, as on the way back: what could not be written leaves the old file."""
    said = machine.bash(f"{source('prelude')}\nset +e\ntrap - ERR\ncd {machine.folder}\necho old >file\nput file <.\ncat file")
    assert said.out == "old\n"
