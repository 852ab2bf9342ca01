"""Do other programs read what handful writes?"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handful.secrets.age import Keyring
from handful.secrets.file import sealed_keys
from handful.secrets.recipients import Recipient
from handful.secrets.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent.parent
NODE = ROOT / ".venv/node_modules"
READ = """
const { decryptSops } = require(process.argv[1]);
const { readFileSync } = require("fs");
decryptSops({ path: process.argv[2], secretKey: process.env.KEY }).then((told) => console.log(JSON.stringify(told)));
"""
VALUES = {
    "PLAIN": "postgres://shop:pw@db/shop", "SPACES": " a  b ", "NUMBER": "0042", "WORD": "null", "QUOTES": "it's \"so\" \\x",
    "LETTERS": "grüße 日本", "LINES": "-----BEGIN-----\nabc\n\n-----END-----\n", "HASH": "a # b", "LONG": "x" * 3000,
}


@pytest.mark.skipif(not (NODE / "sops-age").exists() or not shutil.which("node"), reason="npm's sops-age is not in .venv: script/test")
@pytest.mark.parametrize("file", ["secrets/default.yml", "secrets/default.env"])
def test_a_program_in_another_language_reads_every_value(tmp_path: Path, home: Path, file: str) -> None:
    """JavaScript's sops-age, which shares no code with this."""
    store = filled(tmp_path, home, file)
    identity = Keyring({}, home).default_file().read_text().split()[-1]
    told = subprocess.run(
        ["node", "-e", READ, str(NODE / "sops-age"), str(store.path)],
        env={"KEY": identity, "PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True, text=True, check=True,
    )
    values = json.loads(told.stdout)
    assert {name: values[name] for name in VALUES} == VALUES


@pytest.mark.skipif(not shutil.which("age"), reason="Debian's age is not here: script/test")
def test_the_age_program_opens_the_data_key(tmp_path: Path, home: Path) -> None:
    """What every value is encrypted with."""
    store = filled(tmp_path, home, "secrets/default.yml")
    opened = store.opened()
    (_, entry), *_ = sealed_keys(opened.metadata, store.name)
    identity = Keyring({}, home).default_file()
    key = subprocess.run(["age", "-d", "-i", str(identity)], input=entry.encode(), capture_output=True, check=True).stdout
    assert key == opened.key


def filled(folder: Path, home: Path, file: str, values: Mapping[str, str] = VALUES) -> Store:
    """Return a store with values."""
    keyring = Keyring({}, home)
    (folder / "secrets").mkdir()
    if file.endswith(".env"):
        (folder / file).write_text("FIRST=1\n")
    made = Store(folder, folder / file, keyring, lambda: "2026-01-31T12:00:00Z")
    made.init(Recipient(keyring.identities()[0].public, "ann@desk"))
    for name, value in values.items():
        made.set(name, value)
    return made
