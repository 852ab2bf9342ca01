from __future__ import annotations

import json
from pathlib import Path

import pytest

from handful.artifact.docker_config import HUB_LOGIN, auth, logged_in
from handful.artifact.own_registry import OwnRegistry
from handful.artifact.registry import MOST_PARTS, PART_BYTES, Answer, Registry, Stored, _ends_of_parts


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


def test_dockers_own_hub_has_a_name_of_its_own_for_logins(tmp_path: Path) -> None:
    """Docker finds a login there, and nowhere else."""
    with logged_in({"docker.io": "ann:secret"}, {"HOME": str(tmp_path)}) as variables:
        found = json.loads((Path(variables["DOCKER_CONFIG"]) / "config.json").read_text())
    assert found == {"auths": {HUB_LOGIN: {"auth": auth("ann:secret")}}, "credHelpers": {HUB_LOGIN: ""}}


@pytest.mark.parametrize(("server", "told", "pushed", "reference"), [
    ("ghcr.io/acme", "ghcr.io/acme/shop/web@sha256:aa", "ghcr.io/acme/shop/web:1", "shop/web@sha256:aa"),
    ("docker.io/acme", "acme/shop_web@sha256:aa", "docker.io/acme/shop_web:1", "shop_web@sha256:aa"),
])
def test_what_is_pushed_to_a_registry_of_ones_own_is_known_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, told: str, pushed: str, reference: str
) -> None:
    """Also at the hub, which Docker leaves out of names, and which has no folders within a user's."""
    program = tmp_path / "docker"
    program.write_text(f"""#!/bin/bash
echo "$*" >>{tmp_path}/calls
case "$*" in *RepoDigests*) echo other/x@sha256:bb; echo {told} ;; *RootFS*) echo 30 sha256:l1 sha256:l2 ;; esac
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with OwnRegistry(server, "ann:secret", {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/bin"}, keep_login=False) as own:
        stored = own.store("handful/shop/web:1")
    assert stored == Stored("handful/shop/web:1", reference, (("sha256:l1", 0), ("sha256:l2", 0)), (), 30)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"push --quiet {pushed}" in calls
    assert f"rmi {pushed}" in calls


def test_an_oci_image_has_parts_of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest may leave out what it is, an index names attestations besides, and layers have sizes of their own."""
    oci, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
    sizes = [PART_BYTES, 5, 7]
    manifest = {
        "schemaVersion": 2, "config": {"mediaType": "c", "digest": "sha256:cc", "size": 2},
        "layers": [{"mediaType": "l", "digest": f"sha256:{n}", "size": size} for n, size in enumerate(sizes)],
    }
    platforms = [("unknown", "sha256:att"), ("linux", "sha256:img")]
    held: dict[str, tuple[str, object]] = {
        "/v2/handful/shop/web/manifests/1": (index, {"manifests": [{"platform": {"os": os}, "digest": digest} for os, digest in platforms]}),
        "/v2/handful/shop/web/manifests/sha256:img": (oci, manifest),
        "/v2/handful/shop/web/blobs/sha256:cc": ("", {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["a", "b", "c"]}}),
    }
    puts: list[tuple[str, str, object]] = []

    def ask(_: Registry, method: str, path: str, body: bytes = b"", kind: str = "", expected: int | None = 200) -> Answer:
        if method == "GET":
            told, text = held[path]
            return Answer(200, f"digest of {path.rpartition('/')[2]}", "", told, json.dumps(text).encode())
        if method == "PUT":
            puts.append((path, kind, json.loads(body)))
        return Answer(expected or 404, "", "/upload", "", b"")

    monkeypatch.setattr(Registry, "_ask", ask)
    stored = Registry("registry", {}).stored("handful/shop/web:1", 9)
    assert (stored.reference, stored.layers, stored.size) == ("handful/shop/web@digest of 1", (("a", PART_BYTES), ("b", 5), ("c", 7)), 9)
    assert [count for _, count in stored.parts] == [1]
    config, part = puts
    assert config[2] == {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["a"]}}
    assert (part[0], part[1]) == (f"/v2/handful/shop/web/manifests/{stored.parts[0][0].partition('@')[2]}", oci)
    assert part[2] == {**manifest, "mediaType": oci, "config": part[2]["config"], "layers": manifest["layers"][:1]}  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_config_that_docker_cannot_read_is_none(tmp_path: Path, text: str) -> None:
    """Docker itself tells of it."""
    (tmp_path / "config.json").write_text(text)
    with logged_in({"s": "a:b"}, {"DOCKER_CONFIG": str(tmp_path)}) as variables:
        assert json.loads((Path(variables["DOCKER_CONFIG"]) / "config.json").read_text())["auths"] == {"s": {"auth": auth("a:b")}}
