"""Images: only what is missing travels; whatever the day is like, the next try works and nothing is left."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
import yaml
from lab_support import TINY, Lab, Project, own_ssh, tiny, wait_until

from handful.artifact.system_image import make_part, part_name
from handful.config.images import Images
from handful.provider import lab as lab_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
MEGABYTE = 1_000_000
LAYERS, LAYER_MEGABYTES = 4, 9
# On a machine: what a transfer may not leave.
LEFT = "docker images --format '{{.Repository}}' | grep '^127' || true; ls -d /run/handful.* 2>/dev/null || true; ss -Hltn 'sport >= 20002 and sport <= 32000'"


def layered(project: Project, **more: Any) -> dict[str, Any]:
    """Return an app of some layers that do not pack well, and a small last one; it is built in the project's folder."""
    copies = []
    for number in range(LAYERS):
        (project.folder / f"layer{number}").write_bytes(os.urandom(LAYER_MEGABYTES * MEGABYTE))
        copies.append(f"COPY layer{number} /data/")
    (project.folder / "last").write_text("1")
    (project.folder / "Dockerfile").write_text("\n".join([f"FROM {TINY}", *copies, "COPY last /data/", ""]))
    health = {"path": "/up", "within": "20s"}
    return {"build": {"context": "."}, "port": 8000, "health": health, "stop_timeout": "2s", "drain_timeout": "2s", **more}


def sent(events: list[dict[str, str]]) -> int:
    """Return how many bytes of images went to machines."""
    return sum(int(event["bytes"]) for event in events if event["event"] == "sent")


def registries() -> set[str]:
    """Return those that are on this computer; another test's may be among them."""
    line = ["docker", "ps", "--all", "--quiet", "--filter", "label=handful.part=registry"]
    return set(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split())


def test_only_what_is_missing_travels(project: Project) -> None:
    """All of it at first; then the layer that changed; nothing when only the env did, and nothing is left anywhere."""
    project.write(web=layered(project))
    assert sent(project.handful("deploy", "--json").events) >= LAYERS * LAYER_MEGABYTES * MEGABYTE
    (project.folder / "last").write_bytes(os.urandom(MEGABYTE))
    assert MEGABYTE <= sent(project.handful("deploy", "--json").events) <= 1.1 * MEGABYTE
    project.change("web", env={"A": "1"})
    told = project.handful("deploy", "--json").events
    assert not [event for event in told if event["event"] in {"sending", "building"}]
    assert "nothing to do" in project.handful("deploy").out
    assert project.sh(LEFT).strip() == ""
    no_room_is_told(project)
    prune_removes_what_nothing_needs(project)


def no_room_is_told(project: Project) -> None:
    """With the figures, before anything travels; the old release serves."""
    before = project.current()
    (project.folder / "layer0").write_bytes(os.urandom(LAYER_MEGABYTES * MEGABYTE))
    # A df that knows of 301 megabytes where Docker keeps its images, and of plenty everywhere else.
    project.sh("printf '#!/bin/sh\\n[ \"$1\" = --output=avail ] || exec /bin/df \"$@\"\\nprintf \"Avail\\\\n301000000\\\\n\"\\n' >/usr/local/bin/df\nchmod +x /usr/local/bin/df")
    try:
        said = project.handful("deploy", code=1)
    finally:
        project.sh("rm -f /usr/local/bin/df")
    assert "there is no room for the images: they need" in said.err
    assert "301 MB are free" in said.err
    assert project.current() == before


def prune_removes_what_nothing_needs(project: Project) -> None:
    """Not what a kept release or a container needs, nor what is anybody else's."""
    kept = set(project.sh("docker images --format '{{.Repository}}:{{.Tag}}' handful/$stack/web").split())
    one = next(iter(kept))
    project.sh(f"docker tag {one} handful/gone/web:1; docker tag {one} mine:1")
    own = f"handful/{project.name}/web:gone"
    # An image of its own: Docker knows when an image was tagged last, by whatever name, and others tag TINY meanwhile.
    subprocess.run(["docker", "build", "--quiet", "--tag", own, "-"], check=True, text=True, input=f"FROM {TINY}\nLABEL of={own}\n")
    assert "handful/gone" not in project.handful("prune", "--dry-run").out
    # An image is judged by seconds.
    wait_until(lambda: "would remove handful/gone/web:1" in project.handful("prune", "--dry-run", "--older-than", "1s").out)
    said = project.handful("prune", "--older-than", "1s").out
    assert "removed handful/gone/web:1" in said
    # What a machine has stays here, too: another one may need it.
    assert f"here     removed {own}" in said
    assert not {name for name in kept if name in said}
    names = project.sh("docker images --format '{{.Repository}}:{{.Tag}}'; docker rmi mine:1 >/dev/null").split()
    assert {*kept, "mine:1"} <= set(names)
    assert "handful/gone/web:1" not in names
    assert project.get("/up").endswith(" 200")


@pytest.fixture
def slow(lab: Lab) -> Iterator[None]:
    """Let the way to m1 take 40 Mbit/s, at the computer's end of it."""
    name = f"handful-lab-{lab.stack}.m1"
    pid = subprocess.run(["docker", "inspect", "--format", "{{.State.Pid}}", name], capture_output=True, text=True, check=True).stdout.strip()
    inside = ["nsenter", f"--target={pid}", "--net", "ip", "-json", "link", "show", "eth0"]
    peer = json.loads(subprocess.run(inside, capture_output=True, text=True, check=True).stdout)[0]["link_index"]
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout)
    device = next(link["ifname"] for link in links if link["ifindex"] == peer)
    assert device.startswith("veth")
    subprocess.run(["tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", "40mbit", "burst", "64kb", "latency", "50ms"], check=True)
    yield
    subprocess.run(["tc", "qdisc", "del", "dev", device, "root"], check=True)


@contextmanager
def without_tunnels(lab: Lab, machine: str) -> Iterator[None]:
    """Have sshd of a machine make none, for a while."""
    config = "/etc/ssh/sshd_config.d/no-tunnels.conf"
    reload_ssh(lab, machine, f"echo 'AllowTcpForwarding no' >{config}")
    try:
        yield
    finally:
        reload_ssh(lab, machine, f"rm {config}")


def reload_ssh(lab: Lab, machine: str, change: str) -> None:
    """Have sshd read its files anew after a change; it is away for a moment then."""
    lab.sh(machine, f"{change} && systemctl reload ssh")
    wait_until(lambda: lab.sh(machine, "echo there", check=False) == "there\n")


def tunnel_of(process: subprocess.Popen[str]) -> int:
    """Return the process id of the tunnel's ssh that a running handful has, 0 while there is none."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, parent = each.read_bytes().split(b"\0"), int((each.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"-R" in words and parent == process.pid:
            return int(each.parent.name)
    return 0


@pytest.mark.usefixtures("slow")
def test_a_line_that_is_cut_costs_what_was_under_way(project: Project) -> None:
    """The old release serves; the next try goes on from the layers that have arrived, and clears up after the first."""
    # The machine's own parts are there then.
    project.write(web=tiny())
    project.handful("deploy")
    project.write(web=layered(project))
    running = project.start("deploy")
    tunnel = wait_until(lambda: tunnel_of(running), 120)
    parts = "docker images --format '{{.Repository}}' | grep -c '^127' || true"
    wait_until(lambda: int(project.sh(parts)) > 0, 60)
    os.kill(tunnel, signal.SIGKILL)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "the connection to m1 was lost while its images were sent" in said
    whole = LAYERS * LAYER_MEGABYTES * MEGABYTE
    assert 0 < sent(project.handful("deploy", "--json").events) < whole - LAYER_MEGABYTES * MEGABYTE / 2
    assert project.sh(LEFT).strip() == ""


def test_images_travel_whole_where_sshd_makes_no_tunnels(project: Project, lab: Lab) -> None:
    """It is said, and works. A deploy that was killed before has left no registry: that ends with its standard input."""
    project.write(web=layered(project))
    before = registries()
    running = project.start("deploy")
    begun = wait_until(lambda: registries() - before, 120)
    running.kill()
    running.communicate(timeout=30)
    wait_until(lambda: not begun & registries(), 60)
    with without_tunnels(lab, "m1"):
        said = project.handful("deploy").out
    assert "makes no tunnels: its images travel whole" in said
    assert project.get("/up").endswith(" 200")


def test_a_machine_builds(project: Project) -> None:
    """Within half of it, whatever its arguments and folders are, and the other machine fetches what it has built from there; this computer never has it."""
    project.write(machines=("m1", "m2"), web=layered(project, machines=["m1", "m2"]))
    build = project.config["apps"]["web"]["build"]
    build |= {"on": "m2", "args": {"LINES": "one\n--two three"}}
    (project.folder / "empty").mkdir()
    text = (project.folder / "Dockerfile").read_text()
    (project.folder / "Dockerfile").write_text(f'{text}COPY empty /srv/empty\nARG LINES\nRUN test "$(echo "$LINES" | wc -l)" = 2\n')
    project.save()
    address, options = project.lab.access["m2"].host, project.lab.access["m2"].options
    line = ["ssh", *(word for option in options for word in ("-o", option)), "-l", "root", address, "docker load"]
    with subprocess.Popen(["docker", "save", TINY], stdout=subprocess.PIPE) as save:
        subprocess.run(line, stdin=save.stdout, check=True, capture_output=True)
    said = project.handful("deploy", "-v").out
    assert "1 image comes from m2" in said
    assert project.get("/up", machine="m1").endswith(" 200")
    assert project.get("/up", machine="m2").endswith(" 200")
    images = subprocess.run(["docker", "images", "--format", "{{.Repository}}"], capture_output=True, text=True, check=True).stdout
    assert f"handful/{project.name}/web" not in images.split()
    it_comes_whole_where_sshd_makes_no_tunnels(project)
    (project.folder / "Dockerfile").write_text(f"FROM {TINY}\nRUN false\n")
    failed = project.handful("deploy", code=1)
    assert "the build of" in failed.err
    assert "Nothing was changed on any machine." in failed.err


def it_comes_whole_where_sshd_makes_no_tunnels(project: Project) -> None:
    """What only a machine has still gets to the others."""
    (project.folder / "last").write_text("2")
    with without_tunnels(project.lab, "m2"):
        said = project.handful("deploy").out
    assert "sshd of m2 makes no tunnels: what only it has comes whole" in said
    assert project.get("/up", machine="m1").endswith(" 200")


def environments(project: Project, lab: Lab) -> None:
    """Make a project of two environments, one on each machine."""
    project.write(web=layered(project))
    del project.config["machines"]
    project.save()
    folder = project.folder / "environments"
    folder.mkdir()
    for name, machine, version in (("stage", "m1", "s"), ("prod", "m2", "p")):
        told = {"machines": {machine: {"address": lab.address(machine)}}, "apps": {"web": {"env": {"VERSION": version}}}}
        (folder / f"{name}.yml").write_text(yaml.safe_dump(told))


def test_what_was_tried_is_promoted(project: Project, lab: Lab) -> None:
    """The very image, from the machine that runs it, with the other environment's own variables; built never again."""
    environments(project, lab)
    name = project.name
    try:
        project.handful("-e", "stage", "deploy")
        (tag,) = project.sh(f"docker images --format '{{{{.Tag}}}}' handful/{name}-stage/web").split()
        subprocess.run(["docker", "rmi", f"handful/{name}-stage/web:{tag}"], check=True, capture_output=True)
        (project.folder / "last").write_text("changed since, and not tried")
        said = project.handful("promote", "web", "--from", "stage", "--to", "prod").out
        assert "building" not in said
        there = (("m1", f"{name}-stage/web:{tag}"), ("m2", f"{name}-prod/web:{tag}-{name}-stage"))
        ids = {lab.sh(machine, f"docker image inspect -f '{{{{.Id}}}}' handful/{image}") for machine, image in there}
        assert len(ids) == 1
        assert lab.sh("m2", f"grep VERSION /var/lib/handful/stacks/{name}-prod/apps/web/current/env").strip() == "VERSION=p"
        assert f"promote from {name}-stage 0001" in project.handful("-e", "prod", "history").out
        assert "runs in prod already" in project.handful("promote", "web", "--from", "prod", "--to", "prod", code=2).err
    finally:
        for machine, stack in (("m1", f"{name}-stage"), ("m2", f"{name}-prod")):
            lab.sh(machine, f"docker rm -f $(docker ps -aq --filter label=handful.stack={stack}); docker network rm handful-{stack}\n"
                   f"rm -rf /var/lib/handful/stacks/{stack} /var/lib/handful/names/{stack} /var/lib/handful/proxy/conf/50-{stack}.*", check=False)


@pytest.fixture
def untouched(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A machine that handful has never touched."""
    del lab
    state, stack, lines = tmp_path_factory.mktemp("untouched"), f"bare-{os.getpid()}", list[str]()
    try:
        access = lab_provider.up(stack, {"m1": None}, state=state, say=lines.append)
        yield Lab(access, *own_ssh(state, access), stack)
    finally:
        lab_provider.down(stack, state, lines.append)


def test_a_package_starts_where_handful_has_never_been(project: Project, untouched: Lab) -> None:
    """Unpacked, and started with bash; started again elsewhere on the machine; one that was changed is refused."""
    project.write(web=layered(project, env={"VERSION": "7"}, files={"last": "/etc/last"}))
    package = project.folder / "out" / "web.tar"
    project.handful("package", "web", "-o", str(package))
    with tarfile.open(package) as tar:
        names = [name.partition("/")[2] for name in tar.getnames()]
    assert {"run_app.bash", "image.tar.gz", "package.json", "checksums", "release/run_app.bash"} <= set(names)
    ssh = [str(untouched.tools / "ssh"), "-l", "root", untouched.address("m1")]
    with package.open("rb") as file:
        subprocess.run([*ssh, "mkdir /opt/web && tar -xf - -C /opt/web --strip-components 1"], stdin=file, check=True)
    untouched.sh("m1", "bash /opt/web/run_app.bash")
    assert untouched.sh("m1", "curl -s 127.0.0.1:8000/").split()[1] == "7"
    assert untouched.sh("m1", "ls /var/lib/handful 2>/dev/null || echo none").strip() == "none"
    untouched.sh("m1", "LISTEN=127.0.0.1:81 bash /opt/web/run_app.bash")
    assert untouched.sh("m1", "curl -s 127.0.0.1:81/up").strip() == "ok"
    assert len(untouched.sh("m1", "docker ps -aq").split()) == 1
    changed = untouched.sh("m1", "echo x >>/opt/web/release/files/$(ls /opt/web/release/files)\nbash /opt/web/run_app.bash 2>&1 || true")
    assert "a file of this package is not as it was made" in changed
    assert len(untouched.sh("m1", "docker ps -q").split()) == 1
    package_is_deployed(project, package)


def package_is_deployed(project: Project, package: Path) -> None:
    """As it was made, whatever the project says by now; what was changed in it is told before anything is done."""
    project.change("web", env={"VERSION": "8"})
    project.handful("deploy", "--package", str(package))
    assert project.get("/").split()[1] == "7"
    assert "promoted" in project.sh("cat /var/lib/handful/stacks/$stack/apps/web/current/release.json")
    broken = bytearray(package.read_bytes())
    broken[len(broken) // 2] ^= 1
    package.write_bytes(broken)
    refused = project.handful("deploy", "--package", str(package), code=2)
    assert "image.tar.gz" in refused.err
    assert "its checksum is wrong" in refused.err
    assert project.get("/").split()[1] == "7"


REGISTRY = """version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000", tls: {certificate: /own/cert.pem, key: /own/key.pem}}
auth: {htpasswd: {realm: own, path: /own/htpasswd}}
"""
WAITS = "until [ -e /own/go ]; do sleep 0.1; done; exec $(command -v registry || command -v docker-registry) serve /own/config.yml"


@pytest.fixture
def own(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the server of a registry with TLS and a login, in the lab's network; this computer and m1 trust it."""
    folder = tmp_path_factory.mktemp("own")
    images, name = Images(), f"handful-test-registry-{os.getpid()}"
    make_part("registry", images, part_name("registry", images), say=lambda _: None)
    network = f"handful-lab-{lab.stack}"
    run = ["docker", "run", "--detach", "--name", name, "--network", network, "--volume", f"{folder}:/own:ro", "--entrypoint", "sh"]
    subprocess.run([*run, part_name("registry", images), "-c", WAITS], check=True, capture_output=True)
    form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    address = subprocess.run(["docker", "inspect", "--format", form, name], capture_output=True, text=True, check=True).stdout.strip()
    server = f"{address}:5000"
    trusted = Path("/etc/docker/certs.d") / server
    try:
        subject = ["-subj", "/CN=own", "-addext", f"subjectAltName=IP:{address}", "-days", "2"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", *subject]
        subprocess.run(make, cwd=folder, check=True, capture_output=True)
        (folder / "htpasswd").write_text(f"shop:{bcrypt.hashpw(b'let me in', bcrypt.gensalt(4)).decode()}\n")
        (folder / "config.yml").write_text(REGISTRY)
        trusted.mkdir(parents=True)
        certificate = (folder / "cert.pem").read_text()
        (trusted / "ca.crt").write_text(certificate)
        lab.sh("m1", f"mkdir -p {trusted} && cat >{trusted}/ca.crt <<'PEM'\n{certificate}PEM")
        (folder / "go").touch()
        yield server
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=True, capture_output=True)
        shutil.rmtree(trusted, ignore_errors=True)
        lab.sh("m1", f"rm -rf {trusted}", check=False)


def test_a_registry_of_ones_own(project: Project, own: str) -> None:
    """Pushed there, and fetched from there by digest; the password stays nowhere; a wrong one is told, and nothing is done."""
    project.write(web=layered(project))
    project.config["registry"] = {"server": own, "user": "shop", "password": {"secret": "REGISTRY_PASSWORD"}}
    project.config["secrets"] = {"environment": True}
    project.save()
    project.variables["REGISTRY_PASSWORD"] = "let me out"  # noqa: S105  # a test
    refused = project.handful("deploy", code=1)
    assert f"could not be pushed to {own}" in refused.err
    assert project.current() == ""
    project.variables["REGISTRY_PASSWORD"] = "let me in"  # noqa: S105  # a test
    said = project.handful("deploy").out
    assert f"to m1, from {own}" in said
    assert project.get("/up").endswith(" 200")
    (tag,) = project.sh("docker images --format '{{.Tag}}' handful/$stack/web").split()
    subprocess.run(["docker", "rmi", f"handful/{project.name}/web:{tag}"], check=True, capture_output=True)
    # A build that begins from what only the registry has.
    (project.folder / "Dockerfile").write_text(f"FROM {own}/{project.name}/web:{tag}\nENV FROM=own\n")
    project.handful("deploy")
    assert project.get("/up").endswith(" 200")
    assert project.sh(LEFT).strip() == ""
    password = base64.b64encode(b"shop:let me in").decode()
    found = project.sh(f"grep -rlF -e {password} -e 'let me in' /root/.docker /run /tmp /var/lib/handful 2>/dev/null || true")
    assert found.strip() == ""


def test_the_agents_image_begins_from_the_one_that_is_named() -> None:
    """One that has a Python gets handful's code and no package more; one that cannot be had is told, and Debian's is taken."""
    usual = part_name("agent", Images())
    make_part("agent", Images(), usual, say=lambda _: None)
    base, said = f"handful-test/python:{os.getpid()}", list[str]()
    subprocess.run(["docker", "tag", usual, base], check=True, capture_output=True)
    named, missing = Images(agent=base), Images(agent="handful-test.invalid/python:1")
    names = {part_name("agent", images): images for images in (named, missing)}
    try:
        for name, images in names.items():
            assert name != usual
            make_part("agent", images, name, say=said.append)
            shown = subprocess.run(["docker", "run", "--rm", "--network", "none", name, "top", "--help"], capture_output=True, text=True, check=True).stdout
            assert "--every" in shown
        assert any("handful-test.invalid/python:1 cannot be pulled: agent is built from Debian's package" in line for line in said)
    finally:
        subprocess.run(["docker", "rmi", "--force", base, *names], check=False, capture_output=True)
