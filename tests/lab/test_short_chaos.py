"""A short run of script/chaos, with a seed that is always the same: what it finds, it finds again. Long runs have other seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab
HOME = Path(__file__).parents[2]
DEPLOYS = 6
SEED = 11


def test_some_deploys_with_faults() -> None:
    """No request fails that the promise excludes, and after each deploy the machines are as promised."""
    folders = os.pathsep.join(str(HOME / name) for name in ("bench", "tests/load"))
    line = [sys.executable, str(HOME / "chaos/chaos_run.py"), "--seed", str(SEED), "--deploys", str(DEPLOYS), "--json"]
    done = subprocess.run(
        line, env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["failed"], told["violations"], told["deploys"]) == (0, 0, DEPLOYS)
    assert told["sent"] > 1000
