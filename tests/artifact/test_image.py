from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handful.artifact.docker import refuse_podman
from handful.artifact.image import Wish, image_sizes, make_image, read_sources, revision
from handful.config.images import Build
from handful.config.model import Config
from handful.errors import BuildFailed, NoDocker
from handful.plan.model import ImageSource

# A docker that writes down how it is called; the images that it has are files in images/, each with what
# `image inspect` says of it, and those that it can pull are in registry/.
DOCKER = """#!/usr/bin/env bash
cd "${0%/*}" || exit 1
printf '%s\\n' "$*" >>calls
last=${*: -1}
case "$1 $2" in
  "version "*) [[ $* != *OsArch* ]] || exit 1; echo 20.10 ;;
  "image inspect") cat "images/${last//\\//_}" 2>/dev/null || exit 1 ;;
  "pull "*) cp "registry/${last//\\//_}" images/ 2>/dev/null || { echo "manifest unknown" >&2; exit 1; } ;;
  "tag "*) cp "images/${2//\\//_}" "images/${3//\\//_}" ;;
  "build "*) echo "Step 1/1"; echo; [[ ! -e broken ]] || { echo "exit code 7" >&2; exit 1; }; echo id >"images/${4//\\//_}" ;;
  *) exit 1 ;;
esac
"""
DIGEST = "registry.example/postgres@sha256:aaaa"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a recording docker, which is first on PATH."""
    folder = tmp_path / "docker"
    for name in ("images", "registry"):
        (folder / name).mkdir(parents=True)
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project's folder with a Dockerfile and a file of the app."""
    folder = tmp_path / "project"
    (folder / "web").mkdir(parents=True)
    for name in ("Dockerfile", "app.toml", "web/Dockerfile"):
        (folder / name).write_text(name)
    return folder


def config(**apps: Any) -> Config:
    """Return a config with these apps."""
    return Config.model_validate({"project": "shop", "machines": {"m1": {"address": "192.0.2.1"}}, "apps": apps})


def read(config: Config, project: Path, known: Mapping[str, Any] | None = None, *, pull: bool = False) -> Mapping[str, Any]:
    """Return the sources of all apps."""
    return read_sources(config, "shop", project, config.apps, known or {}, Wish(pull="now" if pull else ""))


def calls(engine: Path) -> list[str]:
    """Return how docker was called."""
    return (engine / "calls").read_text().splitlines() if (engine / "calls").exists() else []


def test_a_build_is_known_by_its_inputs(engine: Path, project: Path) -> None:
    """Nothing is built, and docker is not even asked."""
    image = read(config(web={"build": {}}), project)["web"].image
    inputs = image.identity.removeprefix("build:")
    assert len(inputs) == 16
    assert image == ImageSource(f"handful/shop/web:{inputs}", f"build:{inputs}", inputs=inputs)
    assert calls(engine) == []


def known_build(image: ImageSource) -> dict[str, Any]:
    """Return what the manifest of a release says of the image that it was made from."""
    origin = {"image": image.name, "inputs": image.inputs, "bases": image.bases}
    return {"web": {"image": image.identity, "built_from": origin}}


def test_what_a_build_begins_from_is_an_input_and_looked_up_once(engine: Path, project: Path) -> None:
    """Another base makes another image; for a release that was made of the same files nothing is asked at all."""
    (project / "Dockerfile").write_text("FROM debian:13\nCOPY app.toml /\n")
    (engine / "registry" / "debian:13").write_text("debian@sha256:1111")
    told = config(web={"build": {}})
    first = read(told, project)["web"].image
    assert first.bases == {"debian:13": "sha256:1111"}
    (engine / "images" / "debian:13").write_text("debian@sha256:2222")
    (engine / "calls").unlink()
    assert read(told, project, known_build(first))["web"].image == first
    assert calls(engine) == []
    other = read(told, project)["web"].image
    assert other.bases == {"debian:13": "sha256:2222"}
    assert other.name != first.name
    (project / "app.toml").write_text("changed")
    assert read(told, project, known_build(first))["web"].image.bases == other.bases


def test_pull_and_rebuild_make_anew_what_has_not_changed(engine: Path, project: Path) -> None:
    """The base is pulled; a build that is asked for again is an image of its own, and stays what it is."""
    (project / "Dockerfile").write_text("FROM debian:13\n")
    (engine / "images" / "debian:13").write_text("debian@sha256:1111")
    (engine / "registry" / "debian:13").write_text("debian@sha256:2222")
    told = config(web={"build": {}})
    first = read(told, project)["web"].image
    pulled = read(told, project, known_build(first), pull=True)["web"].image
    assert pulled.bases == {"debian:13": "sha256:2222"}
    again = read_sources(told, "shop", project, told.apps, known_build(pulled), Wish(rebuild="now"))["web"].image
    assert again.name not in {first.name, pulled.name}
    assert again.anew
    assert read(told, project, known_build(again))["web"].image == replace(again, anew=False)


def test_a_base_that_cannot_be_pulled_anew_is_told(engine: Path, project: Path) -> None:
    """The older one here is not what was asked for; without `--pull` it is."""
    (project / "Dockerfile").write_text("FROM debian:13\n")
    (engine / "images" / "debian:13").write_text("debian@sha256:1111")
    told = config(web={"build": {}})
    with pytest.raises(BuildFailed, match="debian:13, which Dockerfile begins from, could not be pulled anew"):
        read(told, project, pull=True)
    assert read(told, project)["web"].image.bases == {"debian:13": "sha256:1111"}


def test_a_machine_that_builds_pulls_and_builds_again(engine: Path, project: Path) -> None:
    """What it has is not known here: each `--pull` is an image of its own."""
    (project / "Dockerfile").write_text("FROM debian:13\n")
    told = config(web={"build": {"on": "m1"}})
    first, pulled = read(told, project)["web"].image, read(told, project, pull=True)["web"].image
    assert (first.pull, pulled.pull) == (False, True)
    assert first.name != pulled.name
    assert calls(engine) == []


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("more", [{"args": {"A": "1"}}, {"target": "test"}, {"platform": "linux/arm64"}])
def test_the_words_of_a_build_are_inputs(project: Path, more: dict[str, Any]) -> None:
    """Arguments, target and platform make another image."""
    assert read(config(web={"build": more}), project) != read(config(web={"build": {}}), project)


def test_the_words_of_a_build_reach_docker(engine: Path, project: Path) -> None:
    """By BuildKit, which one of them needs."""
    build = Build.model_validate({"args": {"A": "1 2"}, "target": "test", "platform": "linux/arm64", "ssh": True})
    make_image(ImageSource("handful/shop/web:1", "build:1"), build, project, say=lambda _: None)
    (line,) = [line for line in calls(engine) if line.startswith("build ")]
    assert "--target test --platform linux/arm64 --build-arg A=1 2 --tag handful/shop/web:1" in line
    assert "--ssh default" in line


def test_what_needs_buildkit_is_refused_where_there_is_none(engine: Path, project: Path) -> None:
    """Before anything is built: what needs it, and what to install."""
    (engine / "docker").write_text(DOCKER.replace("echo 20.10", "echo 28.2"))
    (project / "Dockerfile").write_text("FROM scratch\nRUN --mount=type=cache,target=/c true\n")
    with pytest.raises(BuildFailed, match=r"needs BuildKit \(RUN --mount\), and docker has none") as refusal:
        make_image(ImageSource("handful/shop/web:1", "build:1"), Build(), project, say=lambda _: None)
    assert "buildx" in refusal.value.advice
    assert not [line for line in calls(engine) if line.startswith("build ")]


def test_what_handful_reads_is_no_input_of_a_build(engine: Path, project: Path) -> None:
    """Where the project is built as a whole: an env that changes must not build the image again."""
    before = read(config(web={"build": {}}), project)
    (project / "handful.yml").write_text("other")
    (project / "environments").mkdir()
    (project / "environments" / "stage.yml").touch()
    (project / "secrets").mkdir()
    (project / "secrets" / "default.yml").write_text("A: ENC[]\nsops:\n    mac: ENC[]\n")
    (project / "secrets" / "prod.env").write_text("A=ENC[]\nsops_mac=ENC[]\n")
    (project / ".sops.yaml").touch()
    assert read(config(web={"build": {}}), project) == before
    (project / "secrets" / "default.yml").write_text("A: ENC[changed]\nsops:\n    mac: ENC[]\n")
    assert read(config(web={"build": {}}), project) == before
    assert calls(engine) == []


@pytest.mark.usefixtures("engine")
def test_files_of_ones_own_in_the_folder_of_secrets_are_inputs(project: Path) -> None:
    """An app's own secrets/roles.yml is no business of handful's."""
    told = config(web={"build": {}})
    (project / "secrets").mkdir()
    (project / "secrets" / "roles.yml").write_text("admin: []\n")
    before = read(told, project)
    (project / "secrets" / "roles.yml").write_text("admin: [ann]\n")
    assert read(told, project) != before


def test_secrets_of_a_build_are_mounted_and_no_arguments(engine: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By BuildKit, from the environment of that one call; another value alone builds nothing anew."""
    told = config(web={"build": {"secrets": ["NPM_TOKEN"]}})
    source = read(told, project)["web"].image
    (engine / "docker").write_text(DOCKER.replace('cd "${0%/*}" || exit 1', 'cd "${0%/*}" || exit 1\n[[ $1 != build ]] || env >environment').replace("images/${4//", "images/${last_tag//").replace("last=${*: -1}", "last=${*: -1}; last_tag=$(sed 's/.*--tag \\([^ ]*\\) .*/\\1/' <<<\"$*\")"))
    monkeypatch.setenv("HOME", str(project))
    build = told.apps["web"].build
    make_image(source, build, project, say=lambda _: None, secrets={"NPM_TOKEN": "hunter2"}, variables={"PATH": f"{engine}:/usr/bin:/bin"})
    # Another value: the image is there.
    make_image(source, build, project, say=lambda _: None, secrets={"NPM_TOKEN": "hunter3"}, variables={"PATH": f"{engine}:/usr/bin:/bin"})
    (line,) = [line for line in calls(engine) if line.startswith("build ")]
    assert "--secret id=NPM_TOKEN,env=HANDFUL_SECRET_NPM_TOKEN" in line
    assert "hunter2" not in "".join(calls(engine))
    told_of = (engine / "environment").read_text()
    assert "HANDFUL_SECRET_NPM_TOKEN=hunter2\n" in told_of
    assert "DOCKER_BUILDKIT=1\n" in told_of


@pytest.mark.usefixtures("engine")
def test_a_folder_of_the_same_name_below_is_an_input(project: Path) -> None:
    """`environments/` of the app's own code is handful's in the project's folder only."""
    told = config(web={"build": {"context": "web"}})
    before = read(told, project)
    (project / "web" / "environments").mkdir()
    (project / "web" / "environments" / "prod.js").touch()
    assert read(told, project) != before


@pytest.mark.usefixtures("engine")
def test_apps_that_share_an_image_have_one_source(project: Path) -> None:
    """Each with its own files."""
    found = read(config(web={"build": {}}, worker={"image": {"app": "web"}, "files": {"app.toml": "/a"}}), project)
    assert found["worker"].image == found["web"].image
    assert (set(found["web"].digests), set(found["worker"].digests)) == (set(), {"app.toml"})


def test_a_reference_is_resolved_once(engine: Path, project: Path) -> None:
    """It is pulled when it is not here, and tagged with a name that follows from what it stands for."""
    (engine / "registry" / "postgres:17").write_text(DIGEST)
    image = read(config(db={"image": "postgres:17"}), project)["db"].image
    assert image.identity == "reference:postgres:17@sha256:aaaa"
    assert image.reference == "postgres:17"
    assert "pull --quiet postgres:17" in calls(engine)
    assert f"tag postgres:17 {image.name}" in calls(engine)


def test_a_reference_that_a_release_was_made_from_is_not_looked_up(engine: Path, project: Path) -> None:
    """A tag that moved never restarts a database by surprise."""
    known = {"image": "reference:postgres:17@sha256:0000", "built_from": {"image": "handful/shop/db:0", "reference": "postgres:17"}}
    image = read(config(db={"image": "postgres:17"}), project, {"db": known})["db"].image
    assert image == ImageSource("handful/shop/db:0", "reference:postgres:17@sha256:0000", "postgres:17")
    assert calls(engine) == []


def test_a_reference_is_looked_up_anew_with_pull(engine: Path, project: Path) -> None:
    """Also when the engine has it."""
    (engine / "images" / "postgres:17").write_text("old@sha256:0000")
    (engine / "registry" / "postgres:17").write_text(DIGEST)
    known = {"image": "reference:postgres:17@sha256:0000", "built_from": {"image": "handful/shop/db:0", "reference": "postgres:17"}}
    image = read(config(db={"image": "postgres:17"}), project, {"db": known}, pull=True)["db"].image
    assert image.identity == "reference:postgres:17@sha256:aaaa"


def test_pull_of_an_image_that_was_only_ever_built_here(engine: Path, project: Path) -> None:
    """No registry has a newer one: the one here is taken."""
    (engine / "images" / "mine:1").write_text("0")
    image = read(config(db={"image": "mine:1"}), project, pull=True)["db"].image
    assert image.identity == "reference:mine:1@0"


def test_the_sizes_of_images(engine: Path) -> None:
    """In bytes; one that is nowhere is named."""
    (engine / "images" / "a:1").write_text("1000")
    assert image_sizes(["a:1"]) == {"a:1": 1000}
    with pytest.raises(BuildFailed, match="the image b:1 is neither on the machines that need it nor on this computer"):
        image_sizes(["a:1", "b:1"])


@pytest.mark.usefixtures("engine")
def test_a_reference_that_cannot_be_had(project: Path) -> None:
    """Docker's own words, and how to try."""
    with pytest.raises(BuildFailed) as refusal:
        read(config(db={"image": "postgres:17"}), project)
    assert refusal.value.message == "the image postgres:17 of db cannot be had"
    assert refusal.value.detail == "manifest unknown"


@pytest.mark.usefixtures("engine")
def test_a_context_that_cannot_be_read(project: Path) -> None:
    """The file is named; it may well be one that the image does not need."""
    (project / ".dockerignore").mkdir()
    with pytest.raises(BuildFailed, match="the files that web is built from cannot be read: Is a directory"):
        read(config(web={"build": {}}), project)


def test_an_image_that_is_here_is_not_made(engine: Path, project: Path) -> None:
    """It has the name of its inputs."""
    (engine / "images" / "handful_shop_web:1").write_text("id")
    make_image(ImageSource("handful/shop/web:1", "build:1"), Build(), project, say=print)
    assert [call for call in calls(engine) if call.startswith("build ")] == []


def test_a_build_says_what_docker_says(engine: Path, project: Path) -> None:
    """Line by line, without the empty ones."""
    said: list[str] = []
    make_image(ImageSource("handful/shop/web:1", "build:1"), Build(context="web"), project, say=said.append)
    assert said == ["Step 1/1"]
    context = project / "web"
    assert f"build --force-rm --tag handful/shop/web:1 --file {context}/Dockerfile {context}" in calls(engine)


def test_a_build_that_fails_shows_its_last_lines(engine: Path, project: Path) -> None:
    """From both of docker's streams."""
    (engine / "broken").touch()
    with pytest.raises(BuildFailed) as refusal:
        make_image(ImageSource("handful/shop/web:1", "build:1"), Build(), project, say=lambda _: None)
    assert refusal.value.detail == "Step 1/1\nexit code 7"


@pytest.mark.parametrize(
    ("reference", "exact"),
    [
        ("postgres:17", "postgres@sha256:aaaa"),
        ("postgres", "postgres@sha256:aaaa"),
        ("registry.example:5000/postgres", "registry.example:5000/postgres@sha256:aaaa"),
        ("registry.example:5000/postgres:17", "registry.example:5000/postgres@sha256:aaaa"),
        ("postgres:17@sha256:aaaa", "postgres@sha256:aaaa"),
    ],
)
def test_what_a_reference_stood_for_is_brought_back(engine: Path, project: Path, reference: str, exact: str) -> None:
    """By its digest: the tag may mean something else by now."""
    (engine / "registry" / exact.replace("/", "_")).write_text("id")
    make_image(ImageSource("handful/shop/db:1", f"reference:{reference}@sha256:aaaa", reference), None, project, say=print)
    assert f"pull --quiet {exact}" in calls(engine)
    assert f"tag {exact} handful/shop/db:1" in calls(engine)


@pytest.mark.usefixtures("engine")
def test_what_a_reference_stood_for_is_gone(project: Path) -> None:
    """What to do about it."""
    source = ImageSource("handful/shop/db:1", "reference:postgres:17@sha256:aaaa", "postgres:17")
    with pytest.raises(BuildFailed, match="cannot be had any more") as refusal:
        make_image(source, None, project, say=print)
    assert "handful deploy --pull" in refusal.value.advice


def test_a_revision_is_gits(project: Path) -> None:
    """With a mark when files of the project's folder differ from it; nothing without git."""
    assert revision(project) == ""
    git = ["git", "-C", str(project), "-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = revision(project)
    assert len(clean) == 12
    (project / "app.toml").write_text("other")
    assert revision(project) == f"{clean}+dirty"


def test_podman_is_refused_and_docker_is_not(engine: Path) -> None:
    """By what its templates know, not by its words."""
    refuse_podman()
    (engine / "docker").write_text('#!/bin/sh\ncase "$*" in *OsArch*) echo linux/amd64 ;; esac\n')
    with pytest.raises(NoDocker, match="is Podman"):
        refuse_podman()
