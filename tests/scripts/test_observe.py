from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from script_poll import until

from handful.artifact.script import observe
from handful.facts.parse import parse

if TYPE_CHECKING:
    from script_machine import Machine

    from handful.facts.model import Facts


def told(machine: Machine, stack: str = "shop") -> dict[str, Any]:
    """Return what the machine tells, which must be one JSON document that breaks no rule of JSON's."""
    said = machine.bash(observe(stack))
    assert said.code == 0, said
    assert said.out.count("\n") == 1
    document: dict[str, Any] = json.loads(said.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    return document


def facts(machine: Machine, stack: str = "shop") -> Facts:
    """Return what handful understands of it."""
    return parse("m1", json.dumps(told(machine, stack)))


def test_an_empty_machine(machine: Machine) -> None:
    """Nothing is there, and that is told; nothing is made by looking."""
    found = told(machine)
    assert (found["format"], found["stacks"], found["proxy"], found["slots"], found["machine"]) == (1, {}, {}, [], None)
    assert (found["containers"], found["service_range_local"]) == ([], False)
    assert found["memory"]["total"] > found["memory"]["free"] > 0
    assert not machine.root.exists()


def test_a_machine_without_docker(machine: Machine) -> None:
    """What stood in the way is told, and the rest is told as well."""
    (machine.folder / "bin" / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    found = facts(machine)
    assert found.docker == ""
    assert found.docker_trouble == "Cannot connect to the Docker daemon"
    assert found.cpus > 0


def test_a_machine_on_which_there_is_no_docker_program(machine: Machine) -> None:
    """That is what is told, and not the shell's complaint."""
    programs = machine.folder / "programs"
    programs.mkdir()
    for folder in ("/usr/sbin", "/usr/bin"):
        for program in Path(folder).iterdir():
            if program.name != "docker" and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    machine.env["PATH"] = str(programs)
    found = facts(machine)
    assert found.docker == ""
    assert found.docker_trouble == "there is no program docker"


def test_what_runs(ready: Machine) -> None:
    """After a deploy: containers, slots, the app's files, and the parts of the machine."""
    made = ready.deployed(ready.make(1, instances=2))
    found = facts(ready)
    app = found.app("shop", "web")
    assert (app.current, app.number, app.instances, app.released) == (made.id, 1, 2, (made.id,))
    assert app.releases[made.id] == json.loads(made.files["release.json"])
    assert sorted(c.name for c in found.containers if c.running and c.app == "web") == ["shop.web-1", "shop.web-2"]
    up = sorted(s.address for s in found.slots if s.backend == "shop.web" and s.up and s.ready)
    assert up == ["10.211.0.2", "10.211.0.3"]
    assert found.service_range_local
    assert {c.part for c in found.containers} == {"proxy", "names", ""}
    assert "50-shop.web.cfg" in found.proxy_files


def test_who_listens(ready: Machine) -> None:
    """The proxy's own addresses are among what listens, with the program's name."""
    ready.deployed(ready.make(1))
    listening = {(each.address, each.port): each.process for each in facts(ready).listening}
    assert listening["10.210.0.1", 8000] == "haproxy"


def test_history_is_told_for_the_stack_that_asks(ready: Machine) -> None:
    """The others' is theirs."""
    ready.deployed(ready.make(1))
    assert [entry["event"] for entry in facts(ready).stack("shop").history] == ["begun", "ended"]
    assert facts(ready, "blog").stack("shop").history == ()


def test_the_holder_while_a_deploy_is_at_work(ready: Machine) -> None:
    """The lock is held: its file's words are told. It is not, a moment later: nobody holds it."""
    gate = ready.tap.gate("run --detach")
    running = ready.begin_deploy(ready.make(1))
    gate.wait()
    assert facts(ready).stack("shop").holder == "anna on laptop"
    gate.open()
    running.end()
    assert facts(ready).stack("shop").holder == ""


def test_a_switch_under_way(ready: Machine) -> None:
    """The release that is being brought in is told, before and after its switch."""
    made = ready.make(1)
    start, finish = ready.tap.gate("run --detach"), ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(made)
    start.wait()
    before = told(ready)["stacks"]["shop"]["apps"]["web"]
    start.open()
    finish.wait()
    after = told(ready)["stacks"]["shop"]["apps"]["web"]
    finish.open()
    running.end()
    assert [each["deploying"] for each in (before, after)] == [f"releases/{made.id}"] * 2
    assert [each["switched"] for each in (before, after)] == [False, True]
    assert facts(ready).app("shop", "web").deploying == ""


def test_a_stopped_app(ready: Machine) -> None:
    """It was stopped by hand, and is not to be started."""
    ready.deployed(ready.make(1))
    ready.alone("stop_app", stack="shop", app="web", stop_timeout="1")
    assert facts(ready).app("shop", "web").stopped


@pytest.mark.parametrize("name", ['we"b', "back\\slash", "two words", "tab\there", "line\nbreak", "smörgås", "*", "$(id)", "-rf"])
def test_odd_names_of_folders(machine: Machine, name: str) -> None:
    """Whatever someone made there: the document is one, and the name is in it."""
    (machine.app("web", name) / "releases" / name).mkdir(parents=True)
    (machine.app("web", name) / "releases" / name / "release.json").write_text("{}")
    (machine.app(name, "shop")).mkdir(parents=True)
    (machine.app(name, "shop") / "current").symlink_to(f"releases/{name}")
    found = told(machine)["stacks"]
    assert found[name]["apps"]["web"]["releases"] == {name: "{}"}
    assert found["shop"]["apps"][name]["current"] == name


@pytest.mark.parametrize("content", [b"", b"\n", b"not json", b'{"half":', b"\x00\xff\xfe", b'"quoted\\"\n\ttabs\x1b[31m', b"x" * 100_000])
def test_odd_contents_of_files(machine: Machine, content: bytes) -> None:
    """A damaged file makes no damaged document: what it was meant to say is missing, and no more."""
    app = machine.app()
    (app / "releases" / "0001-a").mkdir(parents=True)
    (app / "deploying").mkdir()
    files = [app / "releases" / "0001-a" / "release.json", app / "number", app / "instances", app / "released",
             app / "deploying" / "release", machine.root / "machine.json", app.parents[1] / "history.jsonl"]
    for file in files:
        file.write_bytes(content)
    found = facts(machine)
    assert found.app("shop", "web").number is None


@pytest.mark.parametrize(("text", "number"), [("7\n", 7), ("0", 0), ("08", None), ("-1", None), ("1e3", None), ("", None)])
def test_numbers(machine: Machine, text: str, number: int | None) -> None:
    """A number is told as JSON knows numbers; anything else is none."""
    machine.app().mkdir(parents=True)
    (machine.app() / "number").write_text(text)
    assert facts(machine).app("shop", "web").number == number


def test_of_a_long_history_the_end(machine: Machine) -> None:
    """A document stays small on a machine that has seen much."""
    machine.app().mkdir(parents=True)
    lines = [json.dumps({"deploy": number, "event": "begun"}) for number in range(1000)]
    (machine.root / "stacks/shop/history.jsonl").write_text("\n".join(lines) + "\n")
    found = facts(machine).stack("shop").history
    assert [entry["deploy"] for entry in found] == list(range(600, 1000))


def test_looking_changes_nothing(ready: Machine) -> None:
    """No file is written, no container touched."""
    ready.deployed(ready.make(1))
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in ready.root.rglob("*") if not path.is_dir())
    ready.tap.calls.clear()
    told(ready)
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in ready.root.rglob("*") if not path.is_dir()) == before
    assert {line.split()[1] for line in ready.tap.lines("docker ")} <= {"version", "ps", "inspect", "images", "network", "volume", "info"}


def test_what_only_a_plan_asks_for_can_be_left_out(ready: Machine) -> None:
    """`handful status` shows neither images nor who holds which port: Docker is not asked for them."""
    ready.deployed(ready.make(1))
    before = len(ready.tap.lines("docker images"))
    facts = parse("m1", ready.bash(observe("shop", whole=False)).out)
    assert not facts.whole
    assert (facts.images, facts.listening, facts.addresses) == ((), (), ())
    assert [each.instance for each in facts.instances("shop", "web")] == ["web-1"]
    assert len(ready.tap.lines("docker images")) == before


def test_two_who_look_do_not_take_each_other_for_a_deploy(ready: Machine) -> None:
    """Looking shares the lock: somebody else's look at the same moment is no deploy at work."""
    ready.deployed(ready.make(1))
    lock = ready.root / "stacks/shop/lock"
    looking = ready.start(f"exec 9<{lock}; flock -s 9; echo here; read -r", stdin=True)
    until(lambda: "here" in looking.words())
    assert facts(ready).stack("shop").holder in {None, ""}
    looking.hang_up()
    looking.end()
