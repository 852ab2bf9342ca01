from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyrage
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from handful.errors import SecretsError
from handful.secrets import file as sops
from handful.secrets.age import sealed as for_recipients
from handful.secrets.cipher import Cipher
from handful.secrets.rules import rule_of
from handful.secrets.scalars import Value, as_typed
from handful.secrets.yamltext import YamlText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handful.secrets.file import Opened
    from handful.secrets.text import Leaf

WHEN, LATER = "2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z"
IDENTITY = pyrage.x25519.Identity.generate()
KEY = bytes(range(32))
# An entry for somebody, made once: making it anew each time is slow.
ENTRIES = for_recipients(KEY, [str(IDENTITY.to_public())])
EXAMPLE = """\
# for everything
DATABASE_URL: postgres://shop:pw@db/shop   # the main one
PIN: "0042"
empty: ""
nothing:
port: 5432
rate: 2.50
on: true
since: 2026-01-31
PEM: |
  -----BEGIN-----
  abc
  -----END-----
# a map
smtp:
    # inside
    user: shop
    hosts: [a.example, "b: c", 3]
    tried:
        # - old@example.com
        - real@example.com
open_unencrypted: for all
"""


def unlock(entries: Sequence[tuple[str, str]]) -> bytes:
    """Return the data key, as its owner does."""
    return bytes(pyrage.decrypt(entries[0][1].encode(), [IDENTITY]))


def seal(text: str, file: str = "x.yml", **metadata: Any) -> str:
    """Encrypt a text."""
    new = replace(sops.new_key(ENTRIES, KEY), open_allowed=True)
    if metadata:
        kept = {name: value for name, value in new.metadata.items() if name != "unencrypted_suffix"}
        new = replace(new, metadata={**kept, **metadata}, rule=rule_of(metadata, file))
    return sops.sealed(text, new, file, WHEN)


def open_(text: str, file: str = "x.yml") -> Opened:
    """Decrypt it."""
    return sops.opened(text, unlock, file)


def plain(text: str) -> Any:
    """Return what a text of YAML says, without dates: PyYAML has its own."""
    return [each for each in yaml.load_all(text, Loader=yaml.BaseLoader) if each is not None]


def test_every_value_is_encrypted_and_comes_back() -> None:
    """Layout, comments and order stay; sops's own exceptions are open."""
    made = seal(EXAMPLE)
    for secret in ("postgres", "0042", "5432", "2.5", "abc", "example", "main one", "inside", "everything"):
        assert secret not in made.partition("\nsops:")[0]
    assert "open_unencrypted: for all\n" in made
    assert 'empty: ""\nnothing:\nport: ENC[' in made
    opened = open_(made)
    assert plain(opened.text)[0]["smtp"] == {"user": "shop", "hosts": ["a.example", "b: c", "3"], "tried": ["real@example.com"]}
    for comment in ("# for everything\n", "shop   # the main one\n", "# a map\n", "    # inside\n", "        # - old@example.com\n"):
        assert comment in opened.text
    assert opened.tops()["PEM"].text == "-----BEGIN-----\nabc\n-----END-----\n"
    assert opened.tops()["on"].text == "true"


def test_what_was_not_changed_keeps_its_ciphertext() -> None:
    """One line differs, besides the metadata; without a change, nothing."""
    made = seal(EXAMPLE)
    opened = open_(made)
    assert sops.sealed(opened.text, opened, "x.yml", LATER) == made
    other = sops.sealed(opened.text.replace('PIN: "0042"', 'PIN: "0043"'), opened, "x.yml", LATER)
    changed = [old for old, new in zip(made.splitlines(), other.splitlines(), strict=True) if old != new]
    assert [line.split(":")[0].strip() for line in changed] == ["PIN", "lastmodified", "mac"]
    assert open_(other).tops()["PIN"].text == "0043"


def test_comments_are_not_in_the_mac_in_lists_either() -> None:
    """The trap of getsops/sops#2243: 3.13.2 counts them, and refuses its own files."""
    made = seal("items:\n  # - commented@example.com\n  - real@example.com\n")
    mac = Cipher(KEY).decrypt(str(open_(made).metadata["mac"]), WHEN).data.decode()
    assert mac == hashlib.sha512(b"real@example.com").hexdigest().upper()
    assert mac.startswith("DD26D0EC")


def test_a_list_s_comment_as_sops_keeps_it() -> None:
    """As an item of the list, of the type comment: it comes back as a comment."""
    made = seal("items:\n  - real@example.com\n")
    item = Cipher(KEY).encrypt(Value("comment", b" - old"), "items:")
    made = made.replace("  - ENC", f"  - {item}\n  - ENC", 1)
    assert open_(made).text == "items:\n  # - old\n  - real@example.com\n"


@pytest.mark.parametrize("rule", [
    {"unencrypted_suffix": "_open"}, {"encrypted_suffix": "_s"}, {"encrypted_regex": "^(a|s)$"}, {"unencrypted_regex": "^b"},
    {"encrypted_regex": "^a$", "mac_only_encrypted": True},
])  # fmt: skip
def test_sops_s_rules(rule: dict[str, Any]) -> None:
    """A name on the way to a value decides, and the MAC covers what is open, unless it says otherwise."""
    text = "a: one\nb: two\nc_s: three\nd_open:\n    a: four\n"
    made = seal(text, **rule)
    assert open_(made).text == text
    names = {line.split(":")[0].strip() for line in made.splitlines() if "ENC[" in line} - {"mac"}
    encrypted = {"unencrypted_suffix": {"a", "b", "c_s"}, "encrypted_suffix": {"c_s"}, "encrypted_regex": {"a"}, "unencrypted_regex": {"a", "c_s"}}
    assert names == encrypted[next(iter(rule))]
    touched = made.replace("b: two", "b: too")
    if touched != made and not rule.get("mac_only_encrypted"):
        with pytest.raises(SecretsError, match="was changed by something other"):
            open_(touched)


def ciphertexts(text: str) -> list[int]:
    """Return where ciphertexts begin."""
    return [at for at in range(len(text)) if text.startswith("ENC[", at)]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_ciphertext_is_refused(data: st.DataObject) -> None:
    """Values, the MAC, and when it was written; the kind of text is the one thing that sops does not seal."""
    at = data.draw(st.sampled_from(ciphertexts(SEALED)))
    end = SEALED.index(",type:", at)
    place = data.draw(st.integers(at, end - 1))
    char = data.draw(st.sampled_from("ABCabc012+/=]:, "))
    assume(SEALED[place] != char)
    touched = SEALED[:place] + char + SEALED[place + 1 :]
    # What is no ciphertext any more is a comment that was never encrypted, which sops keeps as it is.
    assume("#" not in SEALED[SEALED.rfind("\n", 0, at) + 1 : at])
    with pytest.raises(SecretsError):
        open_(touched)


SEALED = seal(EXAMPLE.replace("open_unencrypted: for all\n", ""))


@pytest.mark.parametrize("change", [
    lambda lines: [*lines[:1], *lines[2:]],
    lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    lambda lines: [line.replace("PIN", "PAN") for line in lines],
    lambda lines: [line.replace("12:00:00", "12:00:01") if "lastmodified" in line else line for line in lines],
    lambda lines: [line for line in lines if "lastmodified" not in line],
    lambda lines: [line for line in lines if " mac:" not in line],
    lambda lines: [*lines[:3], "new: value", *lines[3:]],
], ids=["removed", "reordered", "renamed", "when", "no lastmodified", "no mac", "added"])  # fmt: skip
def test_lines_that_were_changed_are_refused(change: Any) -> None:
    """And the error says that the file was changed, and what to do."""
    made = seal("A: one\nPIN: two\nC: three\n")
    with pytest.raises(SecretsError) as refused:
        open_("\n".join(change(made.splitlines())) + "\n")
    assert "was changed by something other than sops or handful" in refused.value.message
    assert "git" in refused.value.advice


def trees() -> st.SearchStrategy[Any]:
    """Any tree that YAML can hold, with text names."""
    names = st.text(min_size=1, max_size=8).filter(lambda name: name != "sops")
    leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=30))
    inner = st.recursive(leaves, lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(names, each, max_size=3)), max_leaves=12)
    return st.dictionaries(names, inner, max_size=5)


def meaning(leaf: Leaf) -> Value | None:
    """Return what a leaf means: as it was typed, where an app can be given it."""
    return as_typed(leaf.raw, leaf.value) if leaf.value and leaf.is_top else leaf.value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(trees(), st.booleans(), st.integers(2, 6))
def test_any_yaml_goes_out_and_back(tree: dict[str, Any], flow: bool, indent: int) -> None:  # noqa: FBT001
    """In block or flow style; what it says is the same, and nothing is readable in between."""
    text = yaml.safe_dump(tree, default_flow_style=flow, indent=indent, allow_unicode=True, sort_keys=False)
    try:
        made = seal(text)
    except SecretsError:
        # A name that is a number or a date to sops, which refuses it as well.
        return
    back = open_(made)
    # PyYAML takes 08 for text, and sops for a number.
    said, meant = ([(leaf.path, meaning(leaf)) for leaf in YamlText(each).leaves] for each in (back.text, text))
    assert said == meant
    assert plain(back.text) == plain(text) or any(value and value.kind != "str" for _, value in meant)
    assert sops.sealed(back.text, back, "x.yml", LATER) == made


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(st.characters(codec="utf-8", exclude_characters="\r\n\\"), max_size=30), max_size=5))
def test_dotenv_goes_out_and_back(values: dict[str, str]) -> None:
    """Line by line, with the metadata in lines of its own."""
    text = "# a comment\n" + "".join(f"{name}={value}\n" for name, value in values.items())
    made = seal(text, "x.env")
    assert all(line.startswith(("#ENC[", "sops_")) or "=ENC[" in line or line.endswith("=") for line in made.splitlines())
    back = open_(made, "x.env")
    assert back.text == text
    assert sops.sealed(back.text, back, "x.env", LATER) == made
    assert {name: each.text for name, each in back.tops().items()} == values


@pytest.mark.parametrize(("text", "sentence"), [
    ("a: &x 1\nb: *x\n", "anchor"), ("- a\n", "names and values"), ("just text\n", "names and values"), ("1: a\n", "a name is text"),
    ("a: 1\na: 2\n", "twice"), ("a: [1\n", "line"), ("a: 99999999999999999999\n", "too large"),
    ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n", "merge conflict"), ("[" * 10_000, "nest"), ("[" * 100, "nested too deeply"),
    ("a: " + "{x: " * 100 + "1" + "}" * 100, "nested too deeply"),
])  # fmt: skip
def test_what_cannot_be_encrypted_is_told(text: str, sentence: str) -> None:
    """With the line, where there is one."""
    with pytest.raises(SecretsError, match=sentence):
        seal(text)


@pytest.mark.parametrize(("metadata", "sentence"), [
    ({"kms": [{"arn": "x", "enc": "y"}], "age": []}, "with kms, not with age"),
    ({"shamir_threshold": 2}, "Shamir"), ({"encrypted_comment_regex": "x"}, "by comments"),
    ({"encrypted_regex": "x", "encrypted_suffix": "y"}, "two rules"), ({"encrypted_regex": "("}, "no regular expression"),
])  # fmt: skip
def test_what_only_sops_itself_can_do(metadata: dict[str, Any], sentence: str) -> None:
    """It says so, and that sops does it where it is installed."""
    base = {"age": [{"recipient": key, "enc": text} for key, text in ENTRIES], "lastmodified": WHEN, "mac": "x"}
    text = sops.parse("a: 1\n", "x.yml").sealed({}, {**base, **metadata})
    with pytest.raises(SecretsError, match=sentence):
        open_(text)


def test_a_file_that_is_not_encrypted() -> None:
    """It says so."""
    with pytest.raises(SecretsError, match="is not encrypted"):
        open_("a: 1\n")


def test_rotate_leaves_no_old_ciphertext() -> None:
    """Another data key: every value, comments too, is encrypted anew."""
    made = seal(EXAMPLE)
    opened, key = open_(made), bytes(32)
    new = sops.new_key(for_recipients(key, [str(IDENTITY.to_public())]), key, opened)
    other = sops.sealed(opened.text, new, "x.yml", LATER)
    old = {made[at : made.index("]", at)] for at in ciphertexts(made)}
    assert not any(each in other for each in old)
    assert sops.opened(other, lambda _: key, "x.yml").text == opened.text


@pytest.mark.parametrize("rule", [{"encrypted_regex": "^data$"}, {"unencrypted_suffix": "_URL"}])
def test_what_a_rule_would_leave_readable_is_refused(rule: dict[str, Any]) -> None:
    """Whoever changed the rule gets no plain values; what was open before stays."""
    opened = open_(seal("data: one\nOLD_URL: two\n" if "unencrypted_suffix" in rule else "data: one\nother: two\n", **rule))
    assert sops.sealed(opened.text.replace("data: one", "data: 1x"), opened, "x.yml", LATER)
    with pytest.raises(SecretsError, match="DATABASE_URL would not be encrypted"):
        sops.sealed(opened.text + "DATABASE_URL: secret\n", opened, "x.yml", LATER)


def test_text_of_several_lines_before_a_comment() -> None:
    """It has no place below its key."""
    opened = open_(seal('A: "one\\ntwo"  # a note\nB: x\n'))
    assert opened.text == 'A: "one\\ntwo"  # a note\nB: x\n'
    again = open_(sops.sealed(opened.text.replace("B: x", "B: y"), opened, "x.yml", LATER))
    assert again.tops()["A"].text == "one\ntwo"


@pytest.mark.parametrize(("kind", "other"), [("str", "bool"), ("str", "int"), ("str", "time"), ("str", "float"), ("str", "comment"), ("int", "bool")])
def test_another_type_is_refused(kind: str, other: str) -> None:
    """It is not sealed with the value, which must have its form all the same."""
    made = seal("A: Secret\n" if kind == "str" else "A: 5\n")
    line = next(each for each in made.splitlines() if each.startswith("A: "))
    with pytest.raises(SecretsError):
        open_(made.replace(line, line.replace(f"type:{kind}", f"type:{other}")))


def test_an_old_value_does_not_come_back_as_a_comment() -> None:
    """Comments are not in the MAC: only in lists, and in comments, may they stand."""
    made = seal("A: one\nB: two\n")
    line = next(each for each in made.splitlines() if each.startswith("A: "))
    shorter = open_(made)
    removed = sops.sealed("B: two\n", shorter, "x.yml", LATER)
    with pytest.raises(SecretsError):
        open_(removed.replace("B: ENC", line.replace("type:str", "type:comment") + "\nB: ENC", 1))


@pytest.mark.parametrize("comment", ["", "# of all\n"])
def test_comments_belong_to_what_stands_in_their_column(comment: str) -> None:
    """As sops sees it: one that stands further out after a map is none of that map."""
    text = f"smtp:\n    user: x\n{comment}\nz: 1\n# last\n"
    opened = open_(seal(text))
    places = [leaf.path for leaf in YamlText(text).leaves if leaf.comment]
    assert places == [()] * (2 if comment else 1)
    assert opened.text == text


@pytest.mark.parametrize("text", ["\ufeffA: b\n", "---\n---\nA: b\n"])
def test_texts_that_would_be_broken_are_refused(text: str) -> None:
    """A byte order mark would shift every place."""
    with pytest.raises(SecretsError):
        seal(text)


def test_dotenv_cannot_hold_a_backslash_with_an_n() -> None:
    """It would come back as a line's end."""
    store = sops.parse("", "x.env")
    with pytest.raises(ValueError, match="backslash"):
        store.added("A", Value("str", b"C:\\new"))


def test_a_flow_style_file_keeps_what_is_not_taken_out() -> None:
    """Nothing is cut by lines in braces."""
    document = sops.parse("{A: x, B: y}\n", "x.yml")
    with pytest.raises(ValueError, match="braces"):
        document.without(0)
    assert document.added("C", Value("str", b"z")) == "{A: x, B: y, C: z}\n"


@pytest.mark.parametrize("metadata", [{"age": ["x"]}, {"shamir_threshold": "x"}, {"age": [{"recipient": "x"}]}])
def test_broken_metadata_is_told_as_a_change(metadata: dict[str, Any]) -> None:
    """And is no error of Python's."""
    base = {"age": [{"recipient": key, "enc": text} for key, text in ENTRIES], "lastmodified": WHEN, "mac": "x"}
    with pytest.raises(SecretsError, match="changed by something other"):
        open_(sops.parse("a: 1\n", "x.yml").sealed({}, {**base, **metadata}))


def test_a_checkout_with_other_line_ends_keeps_its_comments() -> None:
    """They are not encrypted a second time; a comment's ciphertext that nobody can read stays as it is."""
    made = seal(EXAMPLE).replace("\n", "\r\n")
    back = open_(made)
    assert "# for everything" in back.text
    again = sops.sealed(back.text + "NEW: x\r\n", back, "x.yml", LATER)
    assert again.count("#ENC[") == made.count("#ENC[")
    assert open_(again).text.count("# for everything") == 1


def test_a_comment_s_ciphertext_that_cannot_be_read_stays() -> None:
    """It was moved here from somewhere else."""
    strange = "#ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:comment]"
    back = open_(seal("A: x\n"))
    again = sops.sealed(f"{strange}\n{back.text}", back, "x.yml", LATER)
    assert strange in again
    assert strange in open_(again).text


def test_numbers_of_the_metadata_are_written_as_they_were() -> None:
    """A threshold in quotes is none to sops."""
    made = seal("A: x\n").replace("\nsops:\n", "\nsops:\n    shamir_threshold: 1\n")
    back = open_(made)
    again = sops.sealed(back.text + "B: y\n", back, "x.yml", LATER)
    assert "    shamir_threshold: 1\n" in again


@pytest.mark.parametrize("text", ["99999999999999999999: x\n", "A: 99999999999999999999\n", "a: {99999999999999999999: x}\n"])
def test_numbers_that_are_too_large_are_told(text: str) -> None:
    """With their line."""
    with pytest.raises(SecretsError, match="line 1"):
        seal(text)


def test_a_tag_behind_an_anchor_counts() -> None:
    """`!!str 0755` is text."""
    assert open_(seal("A: &x !!str 0755\n")).tops()["A"] == Value("str", b"0755")


def test_a_data_key_of_another_length_is_told() -> None:
    """As a change, not as an error of ciphers."""
    with pytest.raises(SecretsError, match="was changed"):
        sops.opened(seal("A: x\n"), lambda _: b"short", "x.yml")
