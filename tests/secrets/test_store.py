from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

import pyrage
import pytest

from handful.errors import SecretsError, UsageError
from handful.secrets import store as stores
from handful.secrets.age import Keyring, make_identity
from handful.secrets.edit import edit
from handful.secrets.mask import Mask
from handful.secrets.names import FINGERPRINTS
from handful.secrets.recipients import Recipient, readers_of
from handful.secrets.store import Conflict, Store, write

if TYPE_CHECKING:
    from pathlib import Path


def other_key() -> str:
    """Return somebody else's public key."""
    return str(pyrage.x25519.Identity.generate().to_public())


def test_init_makes_all_that_is_missing_once(store: Store) -> None:
    """A rule that every version of sops reads, an encrypted file, and a key for fingerprints."""
    assert store.names() == {FINGERPRINTS: True}
    readers = readers_of(store.path)
    assert readers is not None
    assert [each.name for each in readers.recipients] == ["ann@desk"]
    before = store.text()
    assert store.init(readers.recipients[0]) == []
    assert store.text() == before


def test_values_come_back_byte_for_byte(store: Store) -> None:
    """Whatever text they are."""
    values = {"A": "x", "B": "two\nlines\n", "C": " blanks ", "D": "é%$\"'\\n", "E": "\ttab", "F": "8080", "G": "a\r\nb", "H": "#x: y"}
    for name, value in values.items():
        assert store.set(name, value)
    assert store.values() | values == store.values()
    assert not store.set("A", "x")
    store.remove(["A", "B"])
    assert set(store.names()) == {FINGERPRINTS, *"CDEFGH"}


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", "", "sops", "sops_x", FINGERPRINTS, "x_unencrypted", "É"])
def test_names_that_can_be_none(store: Store, name: str) -> None:
    """No environment variable has them, or sops would leave them open."""
    before = store.text()
    with pytest.raises(UsageError):
        store.set(name, "value")
    assert store.text() == before


@pytest.mark.parametrize("value", ["", "\n", "  ", "a\0b"])
def test_values_that_can_be_none(store: Store, value: str) -> None:
    """Empty, or with a zero byte."""
    with pytest.raises(UsageError):
        store.set("A", value)


def test_who_has_no_key_is_told_who_has_and_where_keys_were_looked_for(store: Store, tmp_path: Path) -> None:
    """Nothing else opens it."""
    stranger = Store(store.folder, store.path, Keyring({}, tmp_path / "nobody"), store.now)
    with pytest.raises(SecretsError) as refused:
        stranger.values()
    assert store.present()[0] in refused.value.detail
    assert str(tmp_path / "nobody/.config/sops/age/keys.txt") in refused.value.detail


def test_recipients_come_and_go(store: Store, tmp_path: Path) -> None:
    """Whoever comes can read, with the values' ciphertexts as they were; whoever goes cannot read what comes after."""
    store.set("A", "one")
    bob = Keyring({}, tmp_path / "bob")
    key = make_identity(bob.default_file())
    before = store.text()
    readers = store.readers()
    write(readers.path, readers.with_(Recipient(key, "bob")))
    store.share([*(each.key for each in readers.recipients), key])
    lines = [line for line in store.text().splitlines() if line.startswith("A: ")]
    assert lines[0] in before
    his = Store(store.folder, store.path, bob, store.now)
    assert his.values()["A"] == "one"
    readers = store.readers()
    write(readers.path, readers.without(key))
    fingerprints = store.values()[FINGERPRINTS]
    assert store.rotate([each.key for each in store.readers().recipients]) == (key,)
    assert store.values()[FINGERPRINTS] != fingerprints
    assert len(store.present()) == 1
    with pytest.raises(SecretsError):
        his.values()
    assert store.values()["A"] == "one"


@pytest.mark.parametrize("text", [
    "creation_rules:\n  - age: {key}\n", "creation_rules:\n  - age: >-\n      {key},\n      {other}\n",
    "creation_rules:\n  - path_regex: ^other\n    age: {other}\n  - path_regex: secrets/.*\n    age: [{key}]  # me\n",
    "# mine\ncreation_rules:\n  - key_groups:\n      - age:\n          - {key}  # ann\n          - {other}\n    # end\n",
])  # fmt: skip
def test_rules_of_all_kinds_are_read_and_changed(tmp_path: Path, text: str) -> None:
    """The first that fits; what stands around it stays."""
    key, other, third = other_key(), other_key(), other_key()
    path = tmp_path / ".sops.yaml"
    path.write_text(text.format(key=key, other=other))
    file = tmp_path / "secrets/default.yml"
    readers = readers_of(file)
    assert readers is not None
    assert readers.recipients[0].key == key
    path.write_text(readers.with_(Recipient(third, "eve")))
    more = readers_of(file)
    assert more is not None
    assert [each.key for each in more.recipients] == [*(each.key for each in readers.recipients), third]
    path.write_text(more.without(key))
    fewer = readers_of(file)
    assert fewer is not None
    assert [each.key for each in fewer.recipients] == [each.key for each in more.recipients][1:]
    assert ("# mine" in text) is ("# mine" in path.read_text())


@pytest.mark.parametrize("text", ["creation_rules:\n  - pgp: ABC\n", "creation_rules:\n  - key_groups: [{age: [x]}, {age: [y]}]\n"])
def test_rules_that_only_sops_can_follow(tmp_path: Path, text: str) -> None:
    """Other services, and Shamir."""
    (tmp_path / ".sops.yaml").write_text(text)
    with pytest.raises(SecretsError, match="other keys than those of age, or for several groups"):
        readers_of(tmp_path / "secrets/default.yml")


def test_a_full_disk_leaves_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing beside it."""
    before = store.text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.os, "fsync", full)
    with pytest.raises(SecretsError, match="No space left"):
        store.set("A", "one")
    assert store.text() == before
    assert os.listdir(store.path.parent) == ["default.yml"]


def test_two_people_set_at_once(store: Store) -> None:
    """Nobody's is lost."""
    threads = [threading.Thread(target=store.set, args=(f"N{number}", f"value {number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.values()) == 9


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    """Return the environment of somebody whose editor is a script; $1 is the file."""
    path = tmp_path / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path), "PATH": os.environ["PATH"]}


def never(_: str) -> bool:
    """Give up."""
    return False


def test_an_editor_sees_plain_values_in_a_folder_of_its_own(store: Store, tmp_path: Path) -> None:
    """Nobody else can enter it, and it goes."""
    store.set("A", "one")
    environ = editor(tmp_path, f'stat -c %a "${{1%/*}}" >{tmp_path}/mode; echo "$1" >{tmp_path}/name; sed -i s/one/two/ "$1"')
    assert edit(store, environ, never)
    assert store.values()["A"] == "two"
    assert (tmp_path / "mode").read_text() == "700\n"
    assert not os.path.exists((tmp_path / "name").read_text().strip())
    assert not edit(store, editor(tmp_path, "true"), never)


def test_broken_yaml_is_offered_again(store: Store, tmp_path: Path) -> None:
    """With what was written, and a note on top; in the end it is saved."""
    store.set("A", "one")
    environ = editor(tmp_path, f'cp "$1" {tmp_path}/seen; if grep -q "^B" "$1"; then sed -i "s/^B.*/B: two/" "$1"; else echo "B: [" >>"$1"; fi')
    told: list[str] = []
    assert edit(store, environ, lambda sentence: told.append(sentence) is None)
    assert store.values()["B"] == "two"
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("# handful: secrets/default.yml: line ")
    assert seen.endswith("B: [\n")
    assert len(told) == 1


def test_what_somebody_else_has_set_meanwhile_stays(store: Store, tmp_path: Path) -> None:
    """Another name is merged; the same name is refused, and told."""
    store.set("A", "one")
    store.set("B", "one")
    before = store.opened()
    store.set("C", "new")
    store.save(before.text.replace("A: one", "A: two") + "D: four\n", before)
    assert store.values() | {"A": "two", "B": "one", "C": "new", "D": "four"} == store.values()
    before = store.opened()
    store.set("A", "theirs")
    with pytest.raises(Conflict, match=r"A in secrets/default\.yml was changed by somebody else"):
        store.save(before.text.replace("A: two", "A: mine"), before)
    assert store.values()["A"] == "theirs"
    assert tmp_path


def test_two_values_for_one_name_can_be_settled_in_the_editor(store: Store, tmp_path: Path) -> None:
    """Theirs is shown, one's own stands below, and what else both have changed stays."""
    store.set("A", "one")
    store.set("B", "one")
    once = f"[ ! -e {tmp_path}/once ] || exit 0; touch {tmp_path}/once"
    theirs = f"touch {tmp_path}/theirs; while [ -e {tmp_path}/theirs ]; do sleep 0.02; done"
    environ = editor(tmp_path, f'cp "$1" {tmp_path}/seen; {once}; sed -i "s/^A.*/A: mine/; s/^B.*/B: mine/" "$1"; {theirs}')

    def set_theirs() -> None:
        while not (tmp_path / "theirs").exists():
            time.sleep(0.01)
        store.set("A", "theirs")
        store.set("C", "theirs")
        (tmp_path / "theirs").unlink()

    somebody = threading.Thread(target=set_theirs)
    somebody.start()
    told: list[str] = []
    # The second time nothing is typed: what stands there is what is wanted.
    assert edit(store, environ, lambda sentence: told.append(sentence) is None)
    somebody.join()
    assert len(told) == 1
    seen = (tmp_path / "seen").read_text()
    assert "# handful: A is now: theirs\n" in seen
    assert store.values() | {"A": "mine", "B": "mine", "C": "theirs"} == store.values()


def test_a_terminal_that_closes_leaves_nothing_readable(store: Store, tmp_path: Path) -> None:
    """And Ctrl-C is the editor's own matter."""
    store.set("A", "one")
    environ = editor(tmp_path, f'echo "$1" >{tmp_path}/name; stat -c %a "$1" >{tmp_path}/mode; kill -INT $PPID; sed -i s/one/two/ "$1"')
    assert edit(store, environ, never)
    assert store.values()["A"] == "two"
    assert (tmp_path / "mode").read_text() == "600\n"
    with pytest.raises(SystemExit):
        edit(store, editor(tmp_path, f'echo "$1" >{tmp_path}/name; kill -HUP $PPID; sleep 5'), never)
    assert not os.path.exists(os.path.dirname((tmp_path / "name").read_text().strip()))


def test_an_editor_that_takes_the_file_away_is_told_of(store: Store, tmp_path: Path) -> None:
    """Nothing was changed."""
    with pytest.raises(SecretsError, match="the editor left no file"):
        edit(store, editor(tmp_path, 'rm "$1"'), never)


@pytest.mark.parametrize("typed", ["0042", "1.10", "1e3", "2026-01-31", "0x1F", "True", "yes", "+5"])
def test_what_was_typed_is_what_an_app_gets(store: Store, tmp_path: Path, typed: str) -> None:
    """YAML would take it for a number or a date, and another text would arrive."""
    assert edit(store, editor(tmp_path, f'echo "A: {typed}" >>"$1"'), never)
    assert store.values()["A"] == typed
    assert not edit(store, editor(tmp_path, "true"), never)


def test_nobody_locks_themselves_out(tmp_path: Path, home: Path) -> None:
    """A rule that names others alone: what is readable stays so."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / ".sops.yaml").write_text(f"creation_rules:\n  - age: {other_key()}\n")
    plain = tmp_path / "secrets/default.yml"
    plain.write_text("A: one\n")
    keyring = Keyring({}, home)
    made = Store(tmp_path, plain, keyring, lambda: "2026-01-31T12:00:00Z")
    with pytest.raises(SecretsError, match="you could not read it any more"):
        made.init(Recipient(keyring.identities()[0].public, "ann"))
    assert plain.read_text() == "A: one\n"


def test_rotation_for_others_alone_is_refused(store: Store) -> None:
    """The file stays as it was."""
    before = store.text()
    with pytest.raises(SecretsError, match="you could not read it any more"):
        store.rotate([other_key()])
    assert store.text() == before


def test_an_identity_is_its_owners_alone(home: Path) -> None:
    """0600, and never written over."""
    path = Keyring({}, home).default_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SecretsError):
        make_identity(path)


@pytest.mark.parametrize("way", ["SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "home ssh"])
def test_identities_are_found_where_sops_finds_them(store: Store, tmp_path: Path, way: str) -> None:
    """And told where they are not."""
    home, key = tmp_path / "elsewhere", tmp_path / "key"
    (home / ".ssh").mkdir(parents=True)
    environ: dict[str, str] = {"PATH": os.environ["PATH"]}
    if "ssh" in way.lower():
        from cryptography.hazmat.primitives.asymmetric import ed25519
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        made = ed25519.Ed25519PrivateKey.generate()
        key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = made.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        if way == "home ssh":
            (home / ".ssh/id_ed25519").write_bytes(key.read_bytes())
        else:
            environ[way] = str(key)
    else:
        identity = pyrage.x25519.Identity.generate()
        key.write_text(f"# a comment\n{identity}\n")
        public = str(identity.to_public())
        environ[way] = {"SOPS_AGE_KEY": str(identity), "SOPS_AGE_KEY_FILE": str(key), "SOPS_AGE_KEY_CMD": f"cat {key}"}[way]
    readers = store.readers()
    write(readers.path, readers.with_(Recipient(public, "other")))
    store.share([*(each.key for each in readers.recipients), public])
    assert FINGERPRINTS in Store(store.folder, store.path, Keyring(environ, home), store.now).values()


def test_what_is_known_is_not_shown() -> None:
    """In any form in which programs write it; short values are, or words would be torn."""
    mask = Mask()
    pem = "-----BEGIN KEY-----\nabcdefghijklmnop\n-----END KEY-----\n"
    mask.learn({"URL": 'p@ss"word\t', "PEM": pem, "PIN": "12"})
    for text in ('x p@ss"word\t y', 'x p@ss"word y', '{"a": "p@ss\\"word"}', "line abcdefghijklmnop here", pem, pem.replace("\n", "\\n")):
        hidden = mask.hide(text)
        assert "p@ss" not in hidden
        assert "abcdefghijklmnop" not in hidden
    assert mask.hide("port 12") == "port 12"


def test_the_vault_asks_each_source_once(store: Store, tmp_path: Path) -> None:
    """A name's own source, then the file, then the program for all, then the environment."""
    from handful.config.secrets import Secrets
    from handful.secrets.vault import Vault

    store.set("A", "from the file")
    count = tmp_path / "count"
    settings = Secrets.model_validate({
        "command": ["sh", "-c", f"echo {{name}} >>{count}; echo told {{name}}"], "environment": True,
        "names": {"B": {"environment": "OTHER"}, "C": {"command": ["echo", "own"]}},
    })
    vault = Vault(settings, store, {"OTHER": "from outside"}, Mask())
    names = dict.fromkeys("ABCD", "web")
    expected = {"A": "from the file", "B": "from outside", "C": "own", "D": "told D"}
    assert vault.values(names) == expected
    assert vault.values(names) == expected
    assert count.read_text() == "D\n"
    assert vault.fingerprint("A", "x") == vault.fingerprint("A", "x") != vault.fingerprint("B", "x")
    nothing = Vault(Secrets(), store, {}, Mask())
    with pytest.raises(SecretsError) as missing:
        nothing.values({"A": "web", "X": "web", "Y": "api"})
    assert "X (web), Y (api)" in missing.value.message


@pytest.mark.parametrize("text", [
    "keys:\n  - &bob {key}\ncreation_rules:\n  - key_groups:\n      - age:\n          - *bob\n",
    "creation_rules:\n  - age: &all {key}\n",
])  # fmt: skip
def test_rules_with_anchors_are_read_and_not_changed(tmp_path: Path, text: str) -> None:
    """The user changes them; nothing is written."""
    key = other_key()
    (tmp_path / ".sops.yaml").write_text(text.format(key=key))
    readers = readers_of(tmp_path / "secrets/default.yml")
    assert readers is not None
    assert [each.key for each in readers.recipients] == [key]
    with pytest.raises(SecretsError, match="in a way that handful does not change"):
        readers.with_(Recipient(other_key()))


@pytest.mark.parametrize("text", [
    "", "# mine\n", "creation_rules:\n- path_regex: ^other$\n  age: {key}\n", "creation_rules: []\n", "stores: {{}}\n",
    "creation_rules:\n    - path_regex: ^other$\n      age: {key}\n",
])  # fmt: skip
def test_a_rule_is_added_to_any_file(tmp_path: Path, text: str) -> None:
    """Before the others, as far in as they are."""
    from handful.secrets.recipients import with_rule

    path, key = tmp_path / ".sops.yaml", other_key()
    path.write_text(text.format(key=key))
    file = tmp_path / "secrets/a-b.yml"
    place, made = with_rule(tmp_path, file, Recipient(key, "ann"))
    place.write_text(made)
    readers = readers_of(file)
    assert readers is not None
    assert readers.recipients == (Recipient(key, "ann"),)
    assert readers_of(tmp_path / "secrets/axb.yml") is None


def test_a_plain_file_is_encrypted_by_init(store: Store) -> None:
    """By the rule of .sops.yaml; also one of lines."""
    rules = store.readers().path
    for name, text in (("plain.yml", "A: one # why\n"), ("plain.env", "A=one\n")):
        rules.write_text(rules.read_text().replace("default\\.yml", "[a-z.]*"))
        other = Store(store.folder, store.path.with_name(name), store.keyring, store.now)
        other.path.write_text(text)
        assert other.init(store.readers().recipients[0]) == [other.path]
        assert other.values()["A"] == "one"
        assert "one" not in other.text().partition("sops")[0]


def test_values_that_can_be_none_are_refused_wherever_they_come_from(store: Store) -> None:
    """Empty in CI's environment, with a zero byte from a program, in no encoding; what a failed program wrote is not shown."""
    from handful.config.secrets import Secrets
    from handful.secrets.vault import Vault

    def vault(**names: object) -> Vault:
        return Vault(Secrets.model_validate({"environment": True, "names": names}), store, {"EMPTY": ""}, Mask())

    with pytest.raises(SecretsError, match="set nowhere: EMPTY"):
        vault().values({"EMPTY": "web"})
    for script in (r"printf 'a\0b'", r"printf 'a\377b'", "echo hunter2; exit 3"):
        with pytest.raises(SecretsError) as refused:
            vault(A={"command": ["sh", "-c", script]}).values({"A": "web"})
        assert "hunter2" not in str(refused.value)


def test_a_file_whose_key_others_hold_too_is_left_to_sops(store: Store) -> None:
    """A new key would lock them out."""
    text = store.text().replace("    age:\n", "    pgp:\n        - fp: ABC\n          enc: x\n    age:\n")
    store.path.write_text(text)
    assert FINGERPRINTS in store.values()
    with pytest.raises(SecretsError, match="pgp, too"):
        store.rotate(store.present())


def test_nested_edits_are_not_lost_silently(store: Store) -> None:
    """When somebody else saved meanwhile, they are offered again."""
    before = store.opened()
    store.set("OTHER", "x")
    with pytest.raises(SecretsError, match="nested value that you changed"):
        store.save(before.text + "map:\n    inner: value\n", before)


def test_bytes_pass_through_the_mask_as_well() -> None:
    """There click writes when the stream's encoding is a poor one."""
    import io

    from handful.secrets.mask import masked

    mask, inner = Mask(), io.BytesIO()
    mask.learn({"A": "hunter2é"})
    stream = masked(io.TextIOWrapper(inner, encoding="utf-8"), mask)
    stream.buffer.write("x hunter2é\n".encode())
    stream.writelines(["y hunter2é\n"])
    stream.flush()
    assert inner.getvalue().decode() == "x [A]\ny [A]\n"


def test_json_stays_json_behind_the_mask() -> None:
    """Texts in it are hidden; numbers and words of JSON's own are no secrets."""
    import json

    mask = Mask()
    mask.learn({"DEBUG": "true", "PORT": "8000", "URL": "postgres://a"})
    text = json.dumps({"ok": True, "port": 8000, "said": ["cannot open postgres://a", "true"]}) + "\n"
    assert json.loads(mask.hide_json(text)) == {"ok": True, "port": 8000, "said": ["cannot open [URL]", "[DEBUG]"]}
    assert mask.hide_json(text).endswith("}\n")
    assert mask.hide_json("[not json] true\n") == "[not json] [DEBUG]\n"


def test_without_a_file_the_environment_has_all(tmp_path: Path, home: Path) -> None:
    """As in CI: values, and what fingerprints are made with; a program is asked before."""
    from handful.config.secrets import Secrets
    from handful.secrets.vault import Vault

    nowhere = Store(tmp_path, tmp_path / "secrets/default.yml", Keyring({}, home), lambda: "2026-01-31T12:00:00Z")
    settings = Secrets.model_validate({"environment": True, "command": ["sh", "-c", "[ {name} != A ] || echo told"]})
    vault = Vault(settings, nowhere, {"A": "x", "B": "y", "HANDFUL_FINGERPRINT_KEY": "long"}, Mask())
    assert vault.values({"A": "web", "B": "web"}) == {"A": "told", "B": "y"}
    assert vault.fingerprint("A", "x") != vault.fingerprint("A", "y")
    with pytest.raises(SecretsError, match="no key for fingerprints"):
        Vault(settings, nowhere, {}, Mask()).fingerprint("A", "x")
