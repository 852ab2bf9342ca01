"""A project's folder to write handful.yml into, and to read its problems from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from handful.config.load import load
from handful.errors import ConfigError

SHOP = Path(__file__).parent / "files" / "shop.yml"
Problems = Callable[..., tuple[str, ...]]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder with the agreed example and the files that it names."""
    for name in ("Dockerfile", "config/app.toml", "scripts/warm.bash"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "handful.yml").write_bytes(SHOP.read_bytes())
    return tmp_path


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """Return a function that writes handful.yml, and overlays by name, and gives back the problems of loading it.

    Beside it are a Dockerfile, there.txt, folder/inner.txt, and links out of the project and to themselves.
    """
    project = tmp_path / "project"
    (project / "folder").mkdir(parents=True)
    for name in ("Dockerfile", "there.txt", "folder/inner.txt", "../outside.txt"):
        (project / name).touch()
    (project / "link.txt").symlink_to(tmp_path / "outside.txt")
    (project / "loop").symlink_to(project / "loop")

    def told(text: str | bytes, environment: str | None = None, **overlays: str) -> tuple[str, ...]:
        (project / "handful.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, overlay in overlays.items():
            (project / "environments").mkdir(exist_ok=True)
            (project / "environments" / f"{name}.yml").write_text(overlay)
        try:
            load(project, environment)
        except ConfigError as wrong:
            return wrong.problems
        return ()

    return told
