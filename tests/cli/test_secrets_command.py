"""`handful secrets` as somebody new would use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
project: shop
machines: {m1: {address: 192.0.2.1}}
apps:
  web:
    build: {context: .}
    port: 8000
    secrets: [DATABASE_URL, {secret: PEM, file: /run/secrets/pem}]
"""


class User:
    """Somebody with a home and a project of their own."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOPS_", "XDG_"))}
        self.environ = {**kept, "HOME": str(home)}
        home.mkdir()

    def handful(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Run the program; return what it wrote."""
        line = [sys.executable, "-m", "handful", *words]
        done = subprocess.run(line, cwd=self.folder, env=self.environ, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def ann(tmp_path: Path) -> User:
    """Give somebody with a project."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "handful.yml").write_text(CONFIG)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return User(tmp_path / "ann", folder)


def test_from_no_key_to_a_value(ann: User) -> None:
    """Without a terminal; what is missing is told with the command that makes it."""
    assert "handful secrets init" in ann.handful("secrets", "list", code=1)
    assert ".config/sops/age/keys.txt" in ann.handful("secrets", "init")
    assert (ann.home / ".config/sops/age/keys.txt").stat().st_mode & 0o777 == 0o600
    assert "DATABASE_URL is not set, and app web is to be given it" in ann.handful("secrets", "check", code=1)
    ann.handful("secrets", "set", "DATABASE_URL", stdin="postgres://shop:pw@db/shop\n")
    ann.handful("secrets", "set", "PEM", "--generate", "ed25519")
    assert ann.handful("secrets", "get", "DATABASE_URL") == "postgres://shop:pw@db/shop"
    assert ann.handful("secrets", "get", "PEM").startswith("-----BEGIN PRIVATE KEY-----\n")
    assert ann.handful("secrets", "check") == "the secrets are in order\n"
    told = json.loads(ann.handful("secrets", "list", "--json"))
    assert told["PEM"] == {"from": "secrets/default.yml", "given": ["web (/run/secrets/pem)"]}
    ann.handful("secrets", "init")


def test_a_generated_value_is_not_made_again_by_mistake(ann: User) -> None:
    """A database would not open any more."""
    ann.handful("secrets", "init")
    ann.handful("secrets", "set", "PEM", "--generate", "password")
    first = ann.handful("secrets", "get", "PEM")
    assert "--replace" in ann.handful("secrets", "set", "PEM", "--generate", "password", code=2)
    ann.handful("secrets", "set", "PEM", "--generate", "password", "--replace")
    assert ann.handful("secrets", "get", "PEM") != first


@pytest.mark.parametrize("kind", ["password", "key", "rsa", "ed25519"])
def test_what_can_be_generated(ann: User, kind: str) -> None:
    """Each is long enough, and no two are the same."""
    ann.handful("secrets", "init")
    ann.handful("secrets", "set", "A", "--generate", kind)
    ann.handful("secrets", "set", "B", "--generate", kind)
    values = [ann.handful("secrets", "get", name) for name in "AB"]
    assert values[0] != values[1]
    assert min(map(len, values)) >= 32


def test_a_file_of_several_lines_is_kept_as_it_is(ann: User) -> None:
    """And a single line loses its end, which nobody means."""
    ann.handful("secrets", "init")
    for text, kept in (("one\n", "one"), ("one\r\n", "one"), ("one\ntwo\n", "one\ntwo\n"), ("one", "one")):
        (ann.folder / "value").write_bytes(text.encode())
        ann.handful("secrets", "set", "A", "--from-file", "value")
        assert ann.handful("secrets", "get", "A") == kept


def test_somebody_comes_and_goes(ann: User, tmp_path: Path) -> None:
    """With a name; what they have seen is told when they go."""
    bob = User(tmp_path / "bob", ann.folder)
    ann.handful("secrets", "init")
    ann.handful("secrets", "set", "DATABASE_URL", stdin="x1y2z3")
    his = bob.handful("secrets", "init").partition("You are ")[2].partition(".")[0]
    assert "no key of yours opens it" in bob.handful("secrets", "get", "DATABASE_URL", code=1)
    ann.handful("secrets", "recipients", "add", his, "--name", "bob")
    assert bob.handful("secrets", "get", "DATABASE_URL") == "x1y2z3"
    assert f"{his}  bob  (you)" in bob.handful("secrets", "recipients")
    assert "can read secrets/default.yml already" in ann.handful("secrets", "recipients", "add", his, code=2)
    said = ann.handful("secrets", "recipients", "remove", "bob")
    assert "could read these until now" in said
    assert "  DATABASE_URL\n" in said
    bob.handful("secrets", "get", "DATABASE_URL", code=1)
    only = ann.handful("secrets", "recipients").split()[0]
    assert "the only one" in ann.handful("secrets", "recipients", "remove", only, code=2)
    assert "no public key of age" in ann.handful("secrets", "recipients", "add", "AGE-SECRET-KEY-1X", code=1)


def test_check_finds_plain_secrets_and_other_recipients(ann: User) -> None:
    """Without any private key, as CI does."""
    ann.handful("secrets", "init")
    ann.handful("secrets", "set", "DATABASE_URL", stdin="x1y2z3")
    ann.handful("secrets", "set", "PEM", stdin="x")
    ann.handful("secrets", "set", "OLD", stdin="x")
    rules = ann.folder / ".sops.yaml"
    other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    rules.write_text(rules.read_text() + f"          - {other}  # eve\n")
    (ann.folder / "Dockerfile").write_text("FROM scratch\nENV API_TOKEN=ab12cd34ef56gh78\n")
    (ann.home / ".config/sops/age/keys.txt").unlink()
    said = ann.handful("secrets", "check", code=1)
    assert "eve is in .sops.yaml and cannot read it" in said
    assert "Dockerfile:2: this looks like a password or key" in said
    assert "ab12cd34ef56gh78" not in said
    assert "OLD is set, and nobody is given it (only a hint)" in said
    text = ann.folder / "secrets/default.yml"
    text.write_text(text.read_text().replace("sops:", "PLAIN: here\nsops:", 1))
    assert "PLAIN is not encrypted" in ann.handful("secrets", "check", code=1)


def test_a_changed_file_is_told_as_such(ann: User) -> None:
    """Not as an error of ciphers."""
    ann.handful("secrets", "init")
    ann.handful("secrets", "set", "A", stdin="one")
    text = ann.folder / "secrets/default.yml"
    lines = text.read_text().splitlines(keepends=True)
    text.write_text("".join(line for line in lines if not line.startswith("A:")))
    assert "was changed by something other than sops or handful" in ann.handful("secrets", "get", "A", code=1)


def test_a_value_is_never_an_argument(ann: User) -> None:
    """There is no place for it, and it is not said again."""
    ann.handful("secrets", "init")
    said = ann.handful("secrets", "set", "A", "correct-horse", code=2)
    assert "a value is no argument" in said
    assert "correct-horse" not in said


def test_each_environment_has_its_own_file_and_recipients(ann: User) -> None:
    """As in environments/."""
    (ann.folder / "environments").mkdir()
    for name in ("stage", "prod"):
        (ann.folder / f"environments/{name}.yml").write_text("{}\n")
        ann.handful("-e", name, "secrets", "init")
        ann.handful("-e", name, "secrets", "set", "A", stdin=f"of {name}")
    assert ann.handful("-e", "prod", "secrets", "get", "A") == "of prod"
    assert sorted(path.name for path in (ann.folder / "secrets").iterdir()) == ["prod.yml", "stage.yml"]
    assert (ann.folder / ".sops.yaml").read_text().count("path_regex") == 2
    assert "handful -e prod secrets set DATABASE_URL" in ann.handful("-e", "prod", "secrets", "check", code=1)
    other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    for name in ("stage", "prod"):
        ann.handful("-e", name, "secrets", "recipients", "add", other, "--name", "bob")
    said = ann.handful("-e", "prod", "secrets", "recipients", "remove", "bob")
    assert f"secrets/stage.yml is still for {other}: handful -e stage secrets recipients remove {other}" in said


def test_a_list_that_is_for_several_files(ann: User) -> None:
    """Each of them is to be encrypted anew, and that is said."""
    (ann.folder / "environments").mkdir()
    for name in ("stage", "prod"):
        (ann.folder / f"environments/{name}.yml").write_text("{}\n")
    ann.handful("-e", "stage", "secrets", "init")
    rules = ann.folder / ".sops.yaml"
    rules.write_text(rules.read_text().replace("^secrets/stage\\.yml$", "^secrets/"))
    ann.handful("-e", "prod", "secrets", "init")
    other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    said = ann.handful("-e", "prod", "secrets", "recipients", "add", other, "--name", "bob")
    assert "The list is that of secrets/stage.yml, too: handful -e stage secrets rotate" in said
    ann.handful("-e", "stage", "secrets", "rotate")
    said = ann.handful("-e", "prod", "secrets", "recipients", "remove", "bob")
    assert f"{other} can still read secrets/stage.yml: handful -e stage secrets rotate" in said


def test_two_files_for_one_environment_are_told(ann: User) -> None:
    """Nobody could say which one counts; `.yaml` is as good as `.yml`."""
    ann.handful("secrets", "init")
    (ann.folder / "secrets/default.yml").rename(ann.folder / "secrets/default.yaml")
    rules = ann.folder / ".sops.yaml"
    rules.write_text(rules.read_text().replace("default\\.yml", "default\\.yaml"))
    ann.handful("secrets", "set", "A", stdin="x")
    (ann.folder / "secrets/default.env").write_text("A=x\n")
    assert "secrets/default.yaml and secrets/default.env" in ann.handful("secrets", "list", code=2)


def test_a_merge_conflict_in_the_list_of_readers_is_told(ann: User) -> None:
    """Not as wrong YAML."""
    ann.handful("secrets", "init")
    rules = ann.folder / ".sops.yaml"
    rules.write_text("<<<<<<< HEAD\n" + rules.read_text() + "=======\n>>>>>>> other\n")
    assert "marks of a merge conflict" in ann.handful("secrets", "recipients", code=1)
