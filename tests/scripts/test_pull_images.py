from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from handful.artifact.script import stand_alone

# A docker that writes down its calls, and what stood in its config; what it knows are files in this folder.
DOCKER = """#!/usr/bin/env bash
cd "${0%/*}" || exit 1
printf '%s\\n' "$*" >>calls
[[ $1 != pull || -z ${DOCKER_CONFIG:-} ]] || cat "$DOCKER_CONFIG/config.json" >>logins
case "$1 $2" in
  "images --quiet") cat ids 2>/dev/null || true ;;
  "images --digests") cat tunnels 2>/dev/null || true ;;
  "image inspect") if [[ $4 == *println* ]]; then cat after; else cat layers 2>/dev/null || true; fi ;;
  "info --format") echo / ;;
  "load --quiet") [[ ! -e broken ]] || { echo "unexpected EOF" >&2; exit 1; }; cat >loaded ;;
  "login --username") cat >password; [[ ! -e refused ]] || { echo "not you" >&2; exit 1; } ;;
  "push --quiet") [[ ! -e slow ]] || sleep 60; [[ ! -e broken ]] || { echo "no route" >&2; exit 1; } ;;
  "pull --quiet") [[ ! -e slow ]] || sleep 60; [[ ! -e broken ]] || { echo "no such manifest" >&2; exit 1; } ;;
esac
"""
IMAGES = """handful/shop/web:1 handful/shop/web@sha256:aa 3000
+ handful/shop/web@sha256:p1 1
+ handful/shop/web@sha256:p2 2
- sha256:l1 1000
- sha256:l2 1000
- sha256:l3 10"""
LAYERS = "sha256:l1\nsha256:l2\nsha256:l3\n"


Told = tuple[int, list[dict[str, str]]]


class Machine:
    """A folder with a docker, and a way to run the script beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("docker", DOCKER)
        (folder / "docker").chmod(0o755)
        self.write("after", LAYERS)

    def write(self, name: str, text: str) -> None:
        """Write a file beside the docker."""
        (self.folder / name).write_text(text)

    def calls(self, beginning: str) -> list[str]:
        """Return the calls that begin so."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(beginning)]

    def pull(self, images: str = IMAGES, server: str = "127.0.0.1:24999", keep: str = "", *, stays: bool = True) -> Told:
        """Run the script that fetches images; `stays`: the operator's end of stdin is open all the time."""
        return self.run("pull_images", stays=stays, server=server, images=images, keep_login=keep)

    def push(self, *, stays: bool = True) -> Told:
        """Run the script that gives an image away."""
        return self.run("push_images", stays=stays, server="127.0.0.1:24999", images="here:1 handful/shop/web:1")

    def load(self, tar: bytes, images: str = IMAGES) -> tuple[int, list[str]]:
        """Run the script that loads whole images, of which nobody knows how large they are packed."""
        lines = "\n".join(f"{line.rpartition(' ')[0]} 0" if line[0] == "-" else line for line in images.splitlines() if line[0] != "+")
        text = stand_alone("load_images", {"images": lines, "packer": "gzip"})
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "HANDFUL_JSON": "1"}
        done = subprocess.run(["bash", "-c", text], input=tar, capture_output=True, env=env, timeout=30, check=False)
        return done.returncode, done.stdout.decode().splitlines()

    def run(self, name: str, *, stays: bool, **told: str) -> Told:
        """Run a script beside the docker; return its exit code and what it said."""
        values = {**told, "login": base64.b64encode(b"handful:secret").decode()}
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "HANDFUL_JSON": "1"}
        read, write = os.pipe()
        script = self.folder / "script.bash"
        script.write_text(stand_alone(name, values))
        with subprocess.Popen(["bash", str(script)], stdin=read, stdout=subprocess.PIPE, text=True, env=env) as process:
            os.close(read)
            if not stays:
                os.close(write)
            out, _ = process.communicate(timeout=30)
        if stays:
            os.close(write)
        return process.returncode, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine without any image."""
    return Machine(tmp_path)


def test_an_image_is_fetched_with_its_parts_and_gets_its_name(machine: Machine) -> None:
    """The login stands in a folder of its own, which is gone; so is the tunnel's name."""
    before = set(Path("/run").glob("handful.*"))
    code, events = machine.pull()
    assert (code, [event["event"] for event in events]) == (0, ["fetching"])
    assert sorted(machine.calls("pull")) == [f"pull --quiet 127.0.0.1:24999/handful/shop/web@sha256:{name}" for name in ("aa", "p1", "p2")]
    assert machine.calls("tag") == ["tag 127.0.0.1:24999/handful/shop/web@sha256:aa handful/shop/web:1"]
    assert "rmi 127.0.0.1:24999/handful/shop/web@sha256:aa" in machine.calls("rmi")
    login = {"auths": {"127.0.0.1:24999": {"auth": base64.b64encode(b"handful:secret").decode()}}}
    assert json.loads((machine.folder / "logins").read_text().splitlines()[0]) == login
    assert not any("secret" in call for call in machine.calls(""))
    assert set(Path("/run").glob("handful.*")) <= before


def test_parts_that_are_there_are_not_asked_for(machine: Machine) -> None:
    """Layers count only on the same layers."""
    machine.write("ids", "sha256:i1\n")
    machine.write("layers", " sha256:l1 sha256:l2\n sha256:other sha256:l2 sha256:l3\n")
    assert machine.pull()[0] == 0
    assert machine.calls("pull") == ["pull --quiet 127.0.0.1:24999/handful/shop/web@sha256:aa"]


@pytest.mark.parametrize(("held", "fits"), [(" sha256:l1 sha256:l2\n", True), (" sha256:l1\n", False), ("", False)])
def test_what_is_missing_must_fit(machine: Machine, held: str, *, fits: bool) -> None:
    """Packed and unpacked; what is there already needs nothing. The figures are told before anything travels."""
    huge = IMAGES.replace(" 1000", " 1000000000000000").replace(" 3000", " 3000000000000000")
    machine.write("ids", "sha256:i1\n")
    machine.write("layers", held)
    code, events = machine.pull(huge)
    assert (code == 0) is fits
    if not fits:
        assert "there is no room for the images: they need" in events[0]["text"]
        assert machine.calls("pull") == []


def test_an_image_that_is_not_whole_is_not_used(machine: Machine) -> None:
    """Docker said that all went well."""
    machine.write("after", "sha256:l1\nsha256:l2\n")
    code, events = machine.pull()
    assert code != 0
    assert events[-1]["text"] == "the image handful/shop/web:1 is not whole on this machine"
    assert "rmi handful/shop/web:1" in machine.calls("rmi")


def test_what_docker_says_is_told(machine: Machine) -> None:
    """And that the old release serves."""
    machine.write("broken", "")
    code, events = machine.pull()
    assert code != 0
    assert events[-1]["text"] == "the image handful/shop/web:1 could not be fetched"
    assert "no such manifest" in events[-1]["detail"]
    assert "The old release still serves." in events[-1]["advice"]


def test_when_the_operator_is_gone_it_ends(machine: Machine) -> None:
    """At once, whatever Docker would still try; the login is gone with it."""
    before = set(Path("/run").glob("handful.*"))
    machine.write("slow", "")
    assert machine.pull(stays=False)[0] != 0
    assert set(Path("/run").glob("handful.*")) <= before


def test_what_a_cut_line_has_left_is_removed(machine: Machine) -> None:
    """Names of tunnels on whose port nobody listens, and this one's own; nobody else's registry."""
    gone, other = "127.0.0.1:1/handful/shop/web@sha256:bb", "127.0.0.1:5000/mine@sha256:cc"
    machine.write("tunnels", f"{gone}\n{other}\n127.0.0.1:24999/handful/shop/web@sha256:p1\n")
    assert machine.pull()[0] == 0
    removed = machine.calls("rmi")
    assert f"rmi {gone}" in removed
    assert "rmi 127.0.0.1:24999/handful/shop/web@sha256:p1" in removed
    assert f"rmi {other}" not in removed


def test_a_login_that_is_to_stay_is_dockers_own(machine: Machine) -> None:
    """By its standard input; what it says of a refusal is told."""
    assert machine.pull(server="registry.example.com/acme", keep="yes")[0] == 0
    assert machine.calls("login") == ["login --username handful --password-stdin registry.example.com"]
    assert (machine.folder / "password").read_text() == "secret"
    machine.write("refused", "")
    code, events = machine.pull(server="registry.example.com/acme", keep="yes")
    assert code != 0
    assert events[-1]["text"] == "this machine could not log in to registry.example.com/acme"
    assert "not you" in events[-1]["detail"]


def test_a_whole_image_is_loaded_as_it_is_packed(machine: Machine) -> None:
    """The operator is told how to pack it; it must have the layers that were sent."""
    code, said = machine.load(b"a tar")
    assert (code, said) == (0, ["gzip"])
    assert (machine.folder / "loaded").read_bytes() == b"a tar"
    assert machine.calls("tag") == ["tag handful/shop/web:1 handful/shop/web:1"]
    machine.write("after", "sha256:l1\nsha256:l2\n")
    code, said = machine.load(b"a tar")
    assert code != 0
    assert json.loads(said[1])["text"] == "the image handful/shop/web:1 is not whole on this machine"
    assert "rmi handful/shop/web:1" in machine.calls("rmi")


def test_a_whole_image_that_docker_refuses(machine: Machine) -> None:
    """Its words are told."""
    machine.write("broken", "")
    code, said = machine.load(b"")
    assert code != 0
    assert json.loads(said[1])["text"] == "the images could not be loaded"
    assert "unexpected EOF" in json.loads(said[1])["detail"]


def test_a_whole_image_must_fit_twice(machine: Machine) -> None:
    """Docker writes it down before it unpacks it. Nothing is asked for when it does not."""
    size = shutil.disk_usage("/").free * 2 // 3
    code, said = machine.load(b"", IMAGES.replace(" 3000", f" {size}"))
    assert code != 0
    assert "there is no room for the images" in json.loads(said[0])["text"]
    machine.write("ids", "sha256:i1\n")
    machine.write("layers", " sha256:l1 sha256:l2\n")
    assert machine.load(b"a tar", IMAGES.replace(" 3000", f" {size}"))[0] == 0


def test_an_image_is_given_away_under_a_name_that_goes_again(machine: Machine) -> None:
    """Whether that went well or not."""
    assert machine.push()[0] == 0
    machine.write("broken", "")
    code, events = machine.push()
    assert code != 0
    assert "no route" in events[-1]["detail"]
    assert machine.calls("tag") == ["tag here:1 127.0.0.1:24999/handful/shop/web:1"] * 2
    assert machine.calls("rmi") == ["rmi 127.0.0.1:24999/handful/shop/web:1"] * 2


def test_who_gives_an_image_away_ends_with_the_operator(machine: Machine) -> None:
    """And nothing of the login is left."""
    before = set(Path("/run").glob("handful.*"))
    machine.write("slow", "")
    assert machine.push(stays=False)[0] != 0
    assert set(Path("/run").glob("handful.*")) <= before
