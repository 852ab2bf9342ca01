"""Is what a machine told read as it was meant? m1.json was told by a machine of the lab, and shortened."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.errors import ObserveFailed
from handful.facts.model import Container, Facts, Listener, Slot
from handful.facts.parse import parse

TEXT = (Path(__file__).parent / "m1.json").read_text(encoding="utf-8")
TOLD = json.loads(TEXT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def told(**changes: Any) -> Facts:
    """Return the facts of m1, with some of them changed."""
    return parse("m1", json.dumps({**TOLD, **changes}))


def app_told(**changes: Any) -> Facts:
    """Return the facts of m1, with some of those of the app web changed."""
    document = copy.deepcopy(TOLD)
    document["stacks"]["sample"]["apps"]["web"] |= changes
    return parse("m1", json.dumps(document))


def test_a_machine() -> None:
    """Its kind, its size, and what is free."""
    facts = parse("m1", TEXT)
    assert (facts.machine, facts.hostname, facts.os, facts.architecture) == ("m1", "m1", "debian 13", "x86_64")
    assert (facts.docker, facts.docker_trouble, facts.cpus) == ("26.1.5+dfsg1", "", 2)
    assert facts.memory_free < facts.memory_total == 25_276_510_208
    assert facts.disk_free < facts.disk_total == 270_553_174_016
    assert facts.parts["parts"] == {"network": 1, "names": 1, "proxy": 1}
    assert facts.service_range_local
    assert facts.addresses == ("127.0.0.1", "10.213.0.1", "10.211.0.1", "10.114.4.11")


def test_the_fullest_disk_counts() -> None:
    """Releases and images may be on different ones."""
    disks = [{"path": "/", "total": 10, "free": 5}, {"path": "/srv", "total": 8, "free": 3}]
    assert (told(disks=disks).disk_free, told(disks=disks).disk_total) == (3, 8)


def test_containers() -> None:
    """Instances with their labels, the system's own parts, and the address in the stack's network."""
    found = {each.name: each for each in parse("m1", TEXT).containers}
    assert found["sample.web-1"] == Container(
        "sample.web-1", "handful/sample/web:9a7e212f39bf6670", running=True, stack="sample", app="web",
        release="0003-d5db8c", instance="web-1", exit_code=0, started="2026-11-22T12:54:30.333648686Z", restarts=0,
        restart="unless-stopped", address="10.211.0.11",
    )
    assert (found["sample.db-1"].running, found["sample.db-1"].restart, found["sample.db-1"].address) == (False, "no", "")
    assert (found["handful-proxy"].part, found["handful-proxy"].stack) == ("proxy", "")


def test_a_container_without_labels_is_nobodys() -> None:
    """Docker writes null where there is none."""
    stranger = {**TOLD["containers"][0], "labels": None, "networks": None}
    assert told(containers=[stranger]).containers[0].stack == ""


def test_images_are_tags() -> None:
    """Without their ids."""
    assert "handful/sample/web:9a7e212f39bf6670" in parse("m1", TEXT).images


@pytest.mark.parametrize(
    ("line", "listener"),
    [
        ('LISTEN 0 4096 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=1,fd=5),("nginx",pid=2,fd=5))', ("0.0.0.0", 80, "nginx")),
        ('LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=89,fd=7))', ("[::]", 22, "sshd")),
        ('LISTEN 0 4096 *:3000 *:* users:(("node (v20)",pid=1,fd=3))', ("*", 3000, "node (v20)")),
        ("LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*", ("127.0.0.53", 53, "a process")),
    ],
)
def test_listeners(line: str, listener: tuple[str, int, str]) -> None:
    """As `ss` writes them, with the first of the programs that hold the socket."""
    assert told(listening=[line]).listening == (Listener(*listener),)


@pytest.mark.parametrize("line", ["", "LISTEN 0", "LISTEN 0 128 * *", "LISTEN 0 128 a:b c:d"])
def test_a_line_that_names_no_port_is_passed_over(line: str) -> None:
    """`ss` of another version may say more than is asked for."""
    assert told(listening=[line]).listening == ()


def test_slots() -> None:
    """Those of the running proxy; of the head line, and of what the proxy says around them, there is nothing."""
    slots = parse("m1", TEXT).slots
    assert Slot("sample.web", "s1", "10.211.0.11", up=True, ready=True) in slots
    assert Slot("sample.web", "s3", "10.211.0.9", up=False, ready=False) in slots
    assert len(slots) == 6


def test_a_slot_that_was_free_at_the_proxys_start_is_ready() -> None:
    """HAProxy remembers that in its admin state, which is 4 then."""
    assert told(slots=["7 sample.web 1 s1 10.211.0.9 2 4 1 1 15"]).slots[0].ready


def test_a_stack() -> None:
    """What ran, what runs, what stopped, and who holds it: nobody."""
    facts = parse("m1", TEXT)
    web, db = facts.app("sample", "web"), facts.app("sample", "db")
    assert (web.number, web.instances, web.current, web.stopped, web.deploying) == (1, 2, "0003-d5db8c", False, "")
    assert web.released == ("0001-127929", "0002-d667bc", "0003-d5db8c")
    assert web.releases["0003-d5db8c"]["env"] == {"NOTE": "two\nlines", "VERSION": "3"}
    assert (db.number, db.stopped) == (2, True)
    assert facts.stack("sample").holder == ""
    assert facts.stack("sample").history[-1] == {
        "deploy": 6, "event": "ended", "outcome": "done", "when": "2026-11-22T12:54:31Z", "seconds": 2.74,
    }


def test_what_is_not_there_is_empty() -> None:
    """A stack or an app that the machine has never heard of."""
    facts = parse("m1", TEXT)
    assert facts.stack("blog").apps == {}
    assert facts.app("sample", "api").current == ""
    assert facts.instances("sample", "api") == ()


@pytest.mark.parametrize(("lock", "holder"), [(None, ""), ("ann\n", "ann"), ("", "somebody who did not write down a name")])
def test_a_lock_that_is_held_has_a_holder(lock: str | None, holder: str) -> None:
    """Also in the moment before its name is written."""
    stack = {**TOLD["stacks"]["sample"], "holder": lock}
    assert told(stacks={"sample": stack}).stack("sample").holder == holder


def test_a_release_that_a_copy_left_behind_is_none() -> None:
    """The power failed while it was put into its place: it must not be taken for the release itself."""
    manifest = TOLD["stacks"]["sample"]["apps"]["web"]["releases"]["0003-d5db8c"]
    left = {"0004-aaaaaa.new": manifest, "notes": manifest, "0005-bbbbbb": '{"half": ', "0006-cccccc": manifest}
    assert list(app_told(releases=left).app("sample", "web").releases) == ["0006-cccccc"]


def test_a_line_of_history_that_was_cut_is_left_out() -> None:
    """And so is one that is no line of ours."""
    stack = {**TOLD["stacks"]["sample"], "history": ['{"deploy": 1, "ev', "", "[]", '{"deploy": "x"}', '{"deploy": 2}']}
    assert told(stacks={"sample": stack}).stack("sample").history == ({"deploy": 2},)


@pytest.mark.parametrize("damaged", [None, "", "{", "[]"])
def test_a_damaged_machine_json_is_as_good_as_none(damaged: str | None) -> None:
    """Setting up writes it again."""
    assert told(machine=damaged).parts == {}


def test_an_interrupted_switch_names_its_release() -> None:
    """The journal holds a path."""
    assert app_told(deploying="releases/0004-aaaaaa\n").app("sample", "web").deploying == "0004-aaaaaa"


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '"text"', "bash: jq: command not found", TEXT[:-100], "[" * 50])
def test_what_is_no_document_is_refused(text: str) -> None:
    """With what the machine said instead, and how to look."""
    with pytest.raises(ObserveFailed) as refusal:
        parse("m1", text)
    assert refusal.value.message == "m1 did not tell its facts"
    assert refusal.value.detail.endswith(text[:300])
    assert refusal.value.advice == "See: handful ssh m1"


def test_another_format_is_refused() -> None:
    """It says so, rather than which key is missing."""
    with pytest.raises(ObserveFailed, match="m1 told facts of format 2, this handful reads 1"):
        told(format=2)


@pytest.mark.parametrize("key", [key for key in TOLD if key not in {"kernel", "up", "routes"}])
def test_a_key_that_is_missing_is_refused(key: str) -> None:
    """Half of the truth is none."""
    with pytest.raises(ObserveFailed):
        parse("m1", json.dumps({other: value for other, value in TOLD.items() if other != key}))


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all values inside of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, each in inner for place in places(each, (*way, key)))]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(places(TOLD)[1:]), JSON)
def test_damage_is_told_or_does_no_harm(place: tuple[Any, ...], value: Any) -> None:
    """Whatever stands in place of one of the values."""
    document = copy.deepcopy(TOLD)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        assert isinstance(parse("m1", json.dumps(document)), Facts)
    except ObserveFailed as refusal:
        assert refusal.message
