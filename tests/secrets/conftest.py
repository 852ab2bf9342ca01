"""What do the tests of secrets share?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handful.secrets.age import Keyring, make_identity
from handful.secrets.recipients import Recipient
from handful.secrets.store import Store

if TYPE_CHECKING:
    from pathlib import Path

WHEN = "2026-01-31T12:00:00Z"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give the home of somebody who has an identity."""
    folder = tmp_path / "home"
    make_identity(Keyring({}, folder).default_file())
    return folder


@pytest.fixture
def store(tmp_path: Path, home: Path) -> Store:
    """Give secrets that somebody has just made."""
    (tmp_path / "project").mkdir()
    keyring = Keyring({}, home)
    made = Store(tmp_path / "project", tmp_path / "project/secrets/default.yml", keyring, lambda: WHEN)
    made.init(Recipient(keyring.identities()[0].public, "ann@desk"))
    return made
