from __future__ import annotations

import json
from pathlib import Path

import pytest

from handful.artifact.docker_config import auth, logged_in
from handful.artifact.registry import MOST_PARTS, PART_BYTES, _ends_of_parts


@pytest.mark.parametrize(("sizes", "ends"), [
    ([], []), ([PART_BYTES], []), ([1, 2, 3], []), ([PART_BYTES, 1], [1]), ([1, PART_BYTES, 1, 1], [2]),
    ([PART_BYTES, PART_BYTES, PART_BYTES], [1, 2]), ([PART_BYTES // 2] * 5, [2, 4]),
])  # fmt: skip
def test_where_parts_end(sizes: list[int], ends: list[int]) -> None:
    """So often that little is lost; the last one is the image itself."""
    assert _ends_of_parts(sizes) == ends


def test_an_image_of_many_layers_has_no_more_parts_than_that() -> None:
    """A part costs requests."""
    assert len(_ends_of_parts([PART_BYTES] * 120)) <= MOST_PARTS


def test_a_login_for_one_command(tmp_path: Path) -> None:
    """All else is as the user has it, and their own folder stays as it is."""
    own = tmp_path / ".docker"
    (own / "contexts").mkdir(parents=True)
    told = {"auths": {"other": {"auth": "x"}}, "credsStore": "desktop", "currentContext": "colima"}
    (own / "config.json").write_text(json.dumps(told))
    with logged_in({"127.0.0.1:5": "ann:secret"}, {"HOME": str(tmp_path), "A": "1"}) as variables:
        folder = Path(variables["DOCKER_CONFIG"])
        assert variables["A"] == "1"
        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / "contexts").resolve() == own / "contexts"
        found = json.loads((folder / "config.json").read_text())
    assert found == {
        **told, "auths": {"other": {"auth": "x"}, "127.0.0.1:5": {"auth": auth("ann:secret")}}, "credHelpers": {"127.0.0.1:5": ""},
    }
    assert not folder.exists()
    assert json.loads((own / "config.json").read_text()) == told


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_config_that_docker_cannot_read_is_none(tmp_path: Path, text: str) -> None:
    """Docker itself tells of it."""
    (tmp_path / "config.json").write_text(text)
    with logged_in({"s": "a:b"}, {"DOCKER_CONFIG": str(tmp_path)}) as variables:
        assert json.loads((Path(variables["DOCKER_CONFIG"]) / "config.json").read_text())["auths"] == {"s": {"auth": auth("a:b")}}
