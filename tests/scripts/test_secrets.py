from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from script_containers import Behaviour
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine

VALUES = {
    "DATABASE_URL": "postgres://shop:correct horse@db/shop", "PATH": "staple\nof lines", "EMPTYISH": " ", "QUOTED": "'\"`$(id) \\n",
    "PEM": "-----BEGIN-----\nbattery\n-----END-----\n",
}
USES: dict[str, Any] = {
    "secrets": ["DATABASE_URL", "PATH", "EMPTYISH", {"secret": "QUOTED", "env": "OTHER"}, {"secret": "PEM", "file": "/run/secrets/pem"}],
    "values": VALUES,
}
TELLING = ("correct horse", "staple", "battery")


def test_variables_arrive_byte_for_byte_beside_those_of_the_file(ready: Machine) -> None:
    """In lines, or by the environment of the one call."""
    ready.deployed(ready.make(1, env={"A": "1", "B": "2\n3"}, **USES))
    (container,) = ready.instances()
    told = {name.decode(): value.decode() for name, value in container.env.items()}
    wanted = {"DATABASE_URL": VALUES["DATABASE_URL"], "PATH": VALUES["PATH"], "EMPTYISH": " ", "OTHER": VALUES["QUOTED"], "A": "1", "B": "2\n3"}
    assert {name: told.get(name) for name in wanted} == wanted
    assert not any("battery" in value for value in told.values())


def test_a_file_is_mounted_that_any_user_of_the_container_can_read(ready: Machine) -> None:
    """In a folder that on the machine only root can enter."""
    made = ready.deployed(ready.make(1, **USES))
    (container,) = ready.instances()
    (mount,) = [each for each in container.options["volume"] if each.endswith(":/run/secrets/pem:ro")]
    source = mount.split(":")[0]
    assert Path(source).read_text() == VALUES["PEM"]
    assert Path(source).stat().st_mode & 0o777 == 0o444
    folder = ready.app() / "releases" / made.id / "secrets"
    modes = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {".": 0o700, "files": 0o700, "files/run_secrets_pem": 0o444, "env": 0o600, "env.multiline": 0o600}


def test_values_are_in_the_release_s_own_folder_and_nowhere_else(ready: Machine) -> None:
    """No command line, no other file of the machine, no event, no history; after a rollback's way and a failure, too."""
    old = ready.deployed(ready.make(1, **USES))
    broken = ready.make(2, Behaviour(answers={"/up": (500, "no")}), health={"path": "/up", "every": "0.1s", "within": "0.3s"}, **USES)
    said = ready.deploy(broken)
    wholly_in(ready, old)
    for telling in TELLING:
        assert not any(telling in call.line for call in ready.tap.calls)
        assert telling not in said.out + said.err
        holders = [path for path in ready.root.rglob("*") if path.is_file() and telling in path.read_text(errors="replace")]
        assert [path for path in holders if "/secrets/" not in path.as_posix()] == []
        assert {path.relative_to(ready.app()).parts[:3] for path in holders} == {("releases", old.id, "secrets")}


def test_other_values_are_another_release_and_go_back_with_it(ready: Machine) -> None:
    """Nothing else differs."""
    old = ready.deployed(ready.make(1, **USES))
    new = ready.deployed(ready.make(2, secrets=USES["secrets"], values={**VALUES, "DATABASE_URL": "another"}))
    wholly_in(ready, new)
    assert (ready.instances()[0].env[b"DATABASE_URL"]) == b"another"
    assert ready.bash(f"bash {ready.app()}/releases/{old.id}/run_app.bash").code == 0
    wholly_in(ready, old)
    assert ready.instances()[0].env[b"DATABASE_URL"] == VALUES["DATABASE_URL"].encode()


def test_what_an_app_says_of_its_secrets_is_hidden(ready: Machine) -> None:
    """A new instance prints them and dies: the reason is told, with names in place of values; by hand, too."""
    says = "cannot open postgres://shop:correct horse@db/shop\nbattery of twelve letters\n"
    values = {**VALUES, "PEM": "battery of twelve letters\nx\n"}
    made = ready.make(1, Behaviour(says=says, exits=3), secrets=USES["secrets"], values=values)
    said = ready.deploy(made)
    assert "ended with exit code 3" in said.failed["text"]
    assert "cannot open [DATABASE_URL]" in said.failed["detail"]
    assert "[secret]" in said.failed["detail"]
    ready.docker.images[made.image] = Behaviour(says=says, exits=3)
    by_hand = ready.bash(f"bash {ready.place(made)}")
    assert "cannot open [DATABASE_URL]" in by_hand.err
    assert not any(telling in text for telling in TELLING for text in (said.out, by_hand.out, by_hand.err))


def test_variables_alone_fail_for_the_right_reason(ready: Machine) -> None:
    """Without any file among the secrets; and a deploy that goes well tells of no failure."""
    keys: dict[str, Any] = {"secrets": ["TOKEN"], "values": {"TOKEN": "correct horse"}}
    said = ready.deploy(ready.make(1, **keys))
    assert said.outcome == "done"
    assert '"event":"failed"' not in said.out
    said = ready.deploy(ready.make(2, Behaviour(says="no correct horse\n", exits=3), **keys))
    assert "ended with exit code 3" in said.failed["text"]
    assert "no [TOKEN]" in said.failed["detail"]
    assert said.out.count('"event":"failed"') == 1


def test_the_first_line_of_several_is_hidden_too(ready: Machine) -> None:
    """Of a variable whose value has several."""
    keys: dict[str, Any] = {"secrets": ["KEY"], "values": {"KEY": "first-of-them\nsecond-of-them\n"}}
    said = ready.deploy(ready.make(1, Behaviour(says="first-of-them\nsecond-of-them\n", exits=3), **keys))
    assert "first-of-them" not in said.out + said.err
    assert "second-of-them" not in said.out + said.err


def test_what_programs_read_is_not_hidden(ready: Machine) -> None:
    """A secret may be what an app is called: words and releases stay what they are."""
    said = ready.deploy(ready.make(1, secrets=["USER"], values={"USER": "done"}))
    assert said.outcome == "done", said
