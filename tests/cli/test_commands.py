"""The command line itself: exit codes, guesses, init."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handful import __version__
from handful.cli.init import write
from handful.cli.main import COMMANDS
from handful.config.load import load

if TYPE_CHECKING:
    from pathlib import Path


def handful(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "handful", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_version(tmp_path: Path) -> None:
    """`--version` names the version, first or after options."""
    assert handful(tmp_path, "--version").stdout == f"handful {__version__}\n"


def test_a_misspelt_command_is_guessed(tmp_path: Path) -> None:
    """Exit code 2 and a guess."""
    said = handful(tmp_path, "deplyo")
    assert said.returncode == 2
    assert "Did you mean `handful deploy`?" in said.stderr


def test_no_handful_yml_here(tmp_path: Path) -> None:
    """What to do is `handful init`."""
    said = handful(tmp_path, "plan")
    assert said.returncode == 2
    assert "handful init" in said.stderr


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Each with file, line and column, and nothing is touched."""
    (tmp_path / "handful.yml").write_text(
        "project: shop\nmachines: {m1: {address: 192.0.2.1}}\napps:\n  web:\n    imge: x\n    prot: 80\n"
    )
    said = handful(tmp_path, "deploy")
    assert said.returncode == 2
    assert "handful.yml:5:5: " in said.stderr
    assert "`image`" in said.stderr
    assert "handful.yml:6:5: " in said.stderr
    assert "`port`" in said.stderr


def test_schema_is_json(tmp_path: Path) -> None:
    """For editors."""
    assert "properties" in json.loads(handful(tmp_path, "schema").stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(tmp_path: Path, name: str) -> None:
    """`handful COMMAND --help` works anywhere."""
    said = handful(tmp_path, name, "--help")
    assert said.returncode == 0
    assert said.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("dockerfile", "wanted"),
    [
        ("FROM x\nEXPOSE 3000\n", "port: 3000"),
        ("FROM x\nexpose 8080/tcp\n", "port: 8080"),
        ("FROM x\n", "port: 8000"),
        ("FROM x\nHEALTHCHECK CMD curl -f http://localhost:3000/healthz || exit 1\n", "health: {path: /healthz}"),
        ('FROM x\nHEALTHCHECK --interval=5s \\\n  CMD ["wget", "-q", "http://127.0.0.1/ok"]\n', "health: {path: /ok}"),
        ("FROM x\nHEALTHCHECK CMD pg_isready\n", "health: {tcp: true}"),
        ("", "health: {tcp: true}"),
    ],
)
def test_init_reads_the_dockerfile(tmp_path: Path, dockerfile: str, wanted: str) -> None:
    """EXPOSE gives the port, HEALTHCHECK the path; what is written loads."""
    text = write("shop", dockerfile)
    assert wanted in text
    (tmp_path / "Dockerfile").write_text(dockerfile)
    (tmp_path / "handful.yml").write_text(text)
    assert load(tmp_path, None).stack == "shop"


def test_init_names_the_project_after_the_remote(tmp_path: Path) -> None:
    """And never writes over a file."""
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@example.com:acme/My_Shop.git"], cwd=tmp_path, check=True)
    assert handful(tmp_path, "init").returncode == 0
    assert "project: my-shop\n" in (tmp_path / "handful.yml").read_text()
    assert handful(tmp_path, "init").returncode == 2
