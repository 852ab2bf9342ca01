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
    """Return a function that writes handful.yml, and overlays by name, and gives back the problems of loading it."""

    def told(text: str | bytes, environment: str | None = None, **overlays: str) -> tuple[str, ...]:
        (tmp_path / "handful.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, overlay in overlays.items():
            (tmp_path / "environments").mkdir(exist_ok=True)
            (tmp_path / "environments" / f"{name}.yml").write_text(overlay)
        try:
            load(tmp_path, environment)
        except ConfigError as wrong:
            return wrong.problems
        return ()

    return told
