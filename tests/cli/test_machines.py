"""`handful machines` against stand-ins of providers; the lab makes real machines."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fake_cloud import TOKEN, FakeCloud
from fake_digitalocean import FakeDigitalOcean
from fake_hetzner import FakeHetzner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

VENDORS: dict[str, tuple[type[FakeCloud], str, dict[str, Any]]] = {
    "hetzner": (FakeHetzner, "HCLOUD_ENDPOINT", {"region": "fsn1", "size": "cx22"}),
    "digitalocean": (FakeDigitalOcean, "DIGITALOCEAN_API_URL", {"region": "fra1", "size": "s-1vcpu-1gb"}),
}


@pytest.fixture(params=VENDORS)
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FakeCloud, Run]]:
    """A stand-in, and `handful` in a project whose machines are there; servers are ports nobody listens on."""
    kind, variable, told = VENDORS[request.param]
    fake = kind(lambda _: "127.0.0.1", lambda _: None)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519.pub").write_text("ssh-ed25519 AAAA ann\n")
    provider = {"name": request.param, "token": {"secret": "CLOUD_TOKEN"}, **told}
    config = {"project": "shop", "machines": {"m1": {}}, "provider": provider, "secrets": {"environment": True}, "apps": {}}
    (tmp_path / "handful.yml").write_text(yaml.safe_dump(config))
    environ = {
        **os.environ, "HOME": str(home), "XDG_STATE_HOME": str(tmp_path / "state"), variable: fake.endpoint, "CLOUD_TOKEN": TOKEN, "SSH_AUTH_SOCK": "",
    }

    def run(*words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "handful", "machines", *words]
        return subprocess.run(line, cwd=tmp_path, env={**environ, **variables}, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    yield fake, run
    fake.close()


def test_what_is_not_made_is_shown(cloud: tuple[FakeCloud, Run]) -> None:
    """Nothing is changed by looking."""
    fake, run = cloud
    assert "m1       is made: it is not there" in run("plan").stdout
    assert "not made yet" in run("list").stdout
    assert fake.changes == []


def test_what_is_wrong_is_told(cloud: tuple[FakeCloud, Run], tmp_path: Path) -> None:
    """A token that is missing or wrong, and nobody who could log in."""
    _, run = cloud
    assert "The token is wrong" in run("list", CLOUD_TOKEN="nonsense").stderr  # noqa: S106  # a test
    missing = run("list", CLOUD_TOKEN="")
    assert missing.returncode == 1
    assert "CLOUD_TOKEN" in missing.stderr
    (tmp_path / "home" / ".ssh" / "id_ed25519.pub").unlink()
    assert "Make one: ssh-keygen -t ed25519" in run("apply").stderr


def test_nothing_goes_that_is_not_named(cloud: tuple[FakeCloud, Run]) -> None:
    """What is typed must be the name; without anybody to type, --yes; what is not there is told with what is."""
    fake, run = cloud
    assert "name machines, or say --all" in run("destroy").stderr
    assert "shop has no machine m1" in run("destroy", "m1").stderr
    assert "nothing was destroyed" in run("destroy", "--all", stdin="shopp\n").stderr
    assert "Where nobody types: --yes" in run("destroy", "--all").stderr
    assert fake.changes == []
    assert run("destroy", "--all", stdin="shop\n").returncode == 0
