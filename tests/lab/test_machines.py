"""Machines: prepared from nothing, closed to the world, made and thrown away."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab_support import Lab, Project, asking, make_tiny_image, own_ssh, tiny, wait_until

from handful.provider import lab as lab_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lab


@pytest.fixture
def bare(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two machines without Docker: m1 is Debian 13, m2 Debian 12."""
    del lab
    state, stack, lines = tmp_path_factory.mktemp("bare"), f"bare-{os.getpid()}", list[str]()
    try:
        lab_provider.up(stack, {"m1": None}, state=state, say=lines.append, image="debian-13", bare=True)
        lab_provider.up(stack, {"m2": None}, state=state, say=lines.append, image="debian-12", bare=True)
        access = lab_provider.access(stack, state)
        make_tiny_image()
        yield Lab(access, *own_ssh(state, access), stack)
    finally:
        lab_provider.down(stack, state, lines.append)


def is_open(address: str, port: int) -> bool:
    """Whether somebody answers there, asked from this computer, which is no machine of the stack's."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


# Which ports below 2500, and of those handful and the test use, take a connection: asked all at once.
SCAN = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
async def tried(port, turn):
    async with turn:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(sys.argv[1], port), 1.5)
        except (OSError, asyncio.TimeoutError):
            return
        writer.close()
        print(port)
async def all_of_them():
    turn = asyncio.Semaphore(900)
    await asyncio.gather(*(tried(port, turn) for port in (*range(1, 2500), 5432, 6379, 8000, 8080, 18099, *range(20000, 20100), 51820)))
asyncio.run(all_of_them())
"""


@contextlib.contextmanager
def stranger(bare: Lab) -> Iterator[Callable[[str], list[int]]]:
    """A network namespace of the test's own beside the machines; gives the ports of an address that are open to it."""
    name = f"stranger{os.getpid()}"
    near = bare.address("m1").rpartition(".")[0]
    network = subprocess.run(["docker", "network", "ls", "-q", "--filter", f"label=handful.lab={bare.stack}"], capture_output=True, text=True, check=True)
    bridge = f"br-{network.stdout.strip()[:12]}"
    setup = (
        f"ip netns add {name} && ip link add {name[-10:]}a type veth peer name eth0 netns {name} && ip link set {name[-10:]}a master {bridge} up && "
        f"ip -n {name} address add {near}.250/24 dev eth0 && ip -n {name} link set eth0 up"
    )
    try:
        subprocess.run(["bash", "-c", setup], check=True)
        yield lambda address: [int(port) for port in subprocess.run(
            ["ip", "netns", "exec", name, sys.executable, "-c", SCAN, address], capture_output=True, text=True, check=True, timeout=120,
        ).stdout.split()]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def test_bare_machines_are_prepared(bare: Lab, tmp_path: Path) -> None:
    """From nothing to an app that is served; then nothing is left to do, and only what is said to be open is."""
    project = Project(bare, tmp_path, "prepared")
    project.write(machines=("m1", "m2"), private=True, web=tiny(machines=["m1", "m2"], domains=["a.test"]))
    project.config |= {"edge": ["m1"], "ssh": {"user": "deploy"}, "packages": ["tree"]}
    project.save()
    # The lab's key lets root in by a file of its own.
    said = project.handful("machines", "prepare", "--plan").out
    assert "m2       user deploy, with the keys of root and sudo without a password" in said
    assert "docker.io" in said
    assert bare.sh("m1", "getent passwd deploy || type docker || echo nothing").strip().endswith("nothing")
    # The first deploy prepares by itself what has no Docker.
    said = project.handful("deploy", timeout=600).out
    assert "firewall: open to the world are 22, 80, 443" in said
    assert "m1       is prepared, in" in said
    assert wait_until(lambda: subprocess.run(
        ["curl", "-s", "-H", "Host: a.test", f"http://{bare.address('m1')}/up"], capture_output=True, text=True, check=False,
    ).stdout == "ok")
    again = project.handful("machines", "prepare").out.split("\n")
    assert sorted(line.split(" s  ")[1] for line in again if line) == ["m1       is prepared", "m2       is prepared"]
    for machine in ("m1", "m2"):
        assert root_is_closed(bare, machine)
        told = deploy_sh(bare, machine, "docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}}'; type tree; cat /etc/apt/apt.conf.d/60handful")
        assert told.startswith("true json-file")
        assert 'Automatic-Reboot "false"' in told
    what_docker_publishes_is_closed(bare)
    what_serves_the_world_is_not_closed_silently(bare, project)
    audit_and_doctor_tell(bare, project)


def audit_and_doctor_tell(bare: Lab, project: Project) -> None:
    """Nothing of machines that are as they should be; else what is not, where, and what to do."""
    deploy_sh(bare, "m2", "docker rm --force published")
    assert project.handful("audit").out == "nothing found\n"
    # How busy this computer is now is no matter of theirs.
    told = [line for line in json.loads(project.doctor()) if not line["good"] and not line["text"].startswith("load ")]
    assert told == []
    deploy_sh(bare, "m1", "nft delete table inet handful; chmod o+w /etc/docker/daemon.json; chmod 666 /run/docker.sock")
    said = project.handful("audit", code=3).out
    assert "m1       the firewall is not in force\n              → handful machines prepare m1" in said
    assert "others than root may write to /etc/docker/daemon.json" in said
    assert "everybody may use Docker's socket (mode 666)" in said
    assert "port 20000 (haproxy) is open to the world" in said
    assert "m2" not in said
    assert "1 thing is to prepare" in project.doctor()
    project.handful("machines", "prepare")
    assert "port 20000" not in project.handful("audit", code=3).out


def root_is_closed(bare: Lab, machine: str) -> bool:
    """Whether root is let in no more, by the key that let root in before."""
    return bare.sh(machine, "echo in", check=False) == ""


def deploy_sh(bare: Lab, machine: str, script: str) -> str:
    """Run a script as root, by way of the user deploy."""
    options = [word for option in bare.access[machine].options for word in ("-o", option)]
    line = ["ssh", *options, "-l", "deploy", bare.address(machine), "sudo -n bash -s"]
    return subprocess.run(line, input=script, text=True, capture_output=True, check=True, timeout=60).stdout


def what_docker_publishes_is_closed(bare: Lab) -> None:
    """To the world, also after a reboot; not to the machines of the stack, and not to ssh and edges."""
    image = "$(docker images --format '{{.Repository}}:{{.Tag}}' handful/prepared/web)"
    publish = f"docker run --detach --name published --restart always --publish 18099:8000 {image}"
    deploy_sh(bare, "m2", publish)
    ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{bare.address('m2')}/18099' && echo open || echo closed"
    assert wait_until(lambda: deploy_sh(bare, "m1", ask) == "open\n")
    name = f"handful-lab-{bare.stack}.m2"
    for _ in range(2):
        assert not is_open(bare.address("m2"), 18099)
        assert not is_open(bare.address("m2"), 80)
        assert is_open(bare.address("m1"), 80)
        assert not is_open(bare.address("m1"), 20000)
        subprocess.run(["docker", "restart", "-t", "20", name], check=True, capture_output=True)
        wait_until(lambda: is_open(bare.address("m2"), 22), 60)
        wait_until(lambda: deploy_sh(bare, "m1", ask) == "open\n", 60)
    with stranger(bare) as scan:
        assert sorted(scan(bare.address("m1"))) == [22, 80]
        assert scan(bare.address("m2")) == [22]
    # Without the firewall it would be.
    deploy_sh(bare, "m2", "nft delete table inet handful")
    assert is_open(bare.address("m2"), 18099)


def what_serves_the_world_is_not_closed_silently(bare: Lab, project: Project) -> None:
    """It is named, and nothing is changed; written in the file it stays open."""
    refused = project.handful("machines", "prepare", "m2", code=1)
    assert "m2 serves the world on 18099/tcp (docker-proxy), which handful would close" in refused.err
    assert is_open(bare.address("m2"), 18099)
    project.config["machines"]["m2"]["open"] = [18099]
    project.save()
    assert "firewall: open to the world are 22, 18099" in project.handful("machines", "prepare", "m2").out
    assert is_open(bare.address("m2"), 18099)
    del project.config["machines"]["m2"]["open"]
    project.save()
    project.handful("machines", "prepare", "m2")
    assert not is_open(bare.address("m2"), 18099)


# On a machine without Docker: a repository of Docker's own packages, signed by a key of its own. They are the distribution's, under other names.
REPOSITORY = """
set -e
apt-get -q update >/dev/null && apt-get -q install -y --no-install-recommends gnupg apt-utils >/dev/null 2>&1
mkdir -p /srv/own/dists/trixie/stable/binary-$(dpkg --print-architecture) /srv/own/pool && cd /srv/own/pool
apt-get -q download docker.io docker-cli >/dev/null 2>&1
repack() { # OLD NEW VERSION
  dpkg-deb --raw-extract "$1"_*.deb "$2"
  sed -i "s/^Package: .*/Package: $2/; s/^Version: .*/Version: $3/; /^\\(Conflicts\\|Breaks\\|Replaces\\|Recommends\\|Suggests\\|Source\\):/d" "$2/DEBIAN/control"
  dpkg-deb --build -Zgzip -z1 "$2" "$2_$3.deb" >/dev/null
}
nothing() {
  mkdir -p "$1/DEBIAN"
  printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a test\n' "$1" >"$1/DEBIAN/control"
  dpkg-deb --build "$1" "$1.deb" >/dev/null
}
for version in 5:28.5.1 5:28.5.2; do repack docker.io docker-ce "$version" && rm -r docker-ce; repack docker-cli docker-ce-cli "$version" && rm -r docker-ce-cli; done
nothing containerd.io && nothing docker-buildx-plugin
rm -f docker.io_* docker-cli_* && rm -rf containerd.io docker-buildx-plugin
cd /srv/own
apt-ftparchive packages pool >dists/trixie/stable/binary-$(dpkg --print-architecture)/Packages
apt-ftparchive -o APT::FTPArchive::Release::Suite=trixie -o APT::FTPArchive::Release::Components=stable release dists/trixie >Release && mv Release dists/trixie/
export GNUPGHOME=/root/keys && mkdir -m 700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key test default default never 2>/dev/null
gpg --batch --quiet --clearsign --output dists/trixie/InRelease dists/trixie/Release
gpg --armor --export
"""


def test_docker_comes_from_its_own_packages(lab: Lab, tmp_path: Path) -> None:
    """In the version of the file, held there; with another key, nothing is installed."""
    name = f"own-{os.getpid()}"
    del lab
    try:
        access = lab_provider.up(name, {"m1": None}, state=tmp_path / "state", say=lambda _: None, image="debian-13", bare=True)
        own = Lab(access, *own_ssh(tmp_path / "state", access), name)
        project = Project(own, tmp_path, "own")
        project.write(machines=("m1",))
        project.config["docker"] = {"repository": "file:/srv/own", "key": "docker.asc", "version": "5:28.5.1*"}
        project.save()
        (tmp_path / "docker.asc").write_text(own.sh("m1", REPOSITORY))
        key = (tmp_path / "docker.asc").read_text()
        (tmp_path / "docker.asc").write_text("no key\n")
        assert "apt cannot read its lists of packages" in project.handful("machines", "prepare", code=1).err
        assert own.sh("m1", "type dockerd || echo none").endswith("none\n")
        (tmp_path / "docker.asc").write_text(key)
        assert "m1       is prepared" in project.handful("machines", "prepare", timeout=300).out
        assert "Pin: version 5:28.5.1*" in own.sh("m1", "cat /etc/apt/preferences.d/handful-docker")
        installed = "dpkg-query --show --showformat '${Package} ${Version}\n' 'docker*' | sort"
        assert "docker-ce 5:28.5.1\n" in own.sh("m1", installed)
        assert own.sh("m1", "docker version --format '{{.Server.Version}}'")
        assert "there is nothing newer" in project.handful("machines", "upgrade").out
        project.config["docker"]["version"] = "5:28.5.2*"
        project.save()
        assert "Docker is held at 5:28.5.2*" in project.handful("machines", "prepare").out
        assert "what runs went on: docker-ce docker-ce-cli" in project.handful("machines", "upgrade").out
        assert "docker-ce 5:28.5.2\n" in own.sh("m1", installed)
    finally:
        lab_provider.down(name, tmp_path / "state", lambda _: None)


def test_a_stack_is_made_and_thrown_away(lab: Lab, tmp_path: Path) -> None:
    """`apply` on an empty computer ends with the app served; a machine that is lost comes back; nothing stays in the end."""
    project = Project(lab, tmp_path, f"made-{os.getpid()}", variables={"XDG_STATE_HOME": str(tmp_path / "state")})
    project.config = {
        "project": project.name, "provider": {"name": "lab"}, "machines": {"m1": {}, "m2": {"volumes": {"data": "1g"}}},
        "apps": {
            "web": tiny(machines=["m1", "m2"], domains=["a.test"]),
            "db": tiny(machines=["m2"], volumes={"store": "/store"}),
        },
    }
    project.save()
    mine = ["docker", "ps", "-aq", "--filter", f"label=handful.lab={project.name}"]
    try:
        assert "m1       is made: it is not there" in project.handful("machines", "plan").out
        assert "What is deployed follows once m1, m2 can be looked at" in project.handful("plan").out
        assert project.handful("plan", "--check", code=3).err.startswith("error: the machines differ")
        assert "is prepared, in" in project.handful("apply", timeout=400).out
        assert served(project) == {"m1": "ok", "m2": "ok"}
        assert "nothing to do" in project.handful("apply").out
        subprocess.run(["docker", "rm", "-fv", f"handful-lab-{project.name}.m1"], check=True, capture_output=True)
        listed = project.handful("machines", "list").out
        assert "not made yet" in listed
        project.handful("apply", timeout=400)
        assert served(project) == {"m1": "ok", "m2": "ok"}
        the_firewall_follows(project)
        a_machine_is_replaced(project)
        machines_are_taken_out(project)
        refused = project.handful("machines", "destroy", "m2", code=2, stdin="m1\n")
        assert "m2 has the volumes data. They go with it." in refused.err
        assert "nothing was destroyed" in refused.err
        assert "has no machine m3" in project.handful("machines", "destroy", "m3", "--yes", code=2).err
        project.handful("machines", "destroy", "m2", stdin="m2\n")
        assert subprocess.run(mine, capture_output=True, text=True, check=True).stdout == ""
        assert "the lab of" in project.handful("status", code=1).err
    finally:
        project.handful("machines", "destroy", "--all", "--yes")
    assert subprocess.run(mine, capture_output=True, text=True, check=True).stdout == ""
    for kind in ("network", "volume"):
        left = ["docker", kind, "ls", "-q", "--filter", f"label=handful.lab={project.name}"]
        assert subprocess.run(left, capture_output=True, text=True, check=True).stdout == ""
    assert not list((tmp_path / "state").rglob("id_ed25519"))


def the_firewall_follows(project: Project) -> None:
    """A deploy opens what the file opens since, on machines that handful has prepared."""
    opened = "cat /var/lib/handful/stacks/*/open"
    project.config["machines"]["m1"]["open"] = [2525]
    project.save()
    assert "m1       firewall: open to the world are 22, 80, 443, 2525" in project.handful("deploy").out
    assert "tcp 2525\n" in project.handful("ssh", "m1", opened).out
    assert "2525" not in project.handful("ssh", "m2", opened).out


def a_machine_is_replaced(project: Project) -> None:
    """By one command: what lies on its volume is there again, what was on its own disk is not."""
    project.handful("exec", "db", "/bin/busybox", "sh", "-c", "echo precious >/store/it")
    project.handful("ssh", "m2", "touch /root/lost")
    assert project.handful("ssh", "m2", "ls /var/lib/handful/disks/data").out == f"{project.name}.store\n"
    refused = project.handful("machines", "replace", "m9", "--yes", code=2)
    assert "Those are: m1, m2" in refused.err
    said = project.handful("machines", "replace", "m2", stdin="yes\nm2\n", timeout=400)
    assert "m2 has the volumes data. They are kept." in said.err
    assert "on its own disk" not in said.err
    project.handful("ssh", "m2", "docker volume create mine")
    refused = project.handful("machines", "destroy", "m2", "--keep-volumes", code=2, stdin="no\n")
    assert "m2 has on its own disk the volumes mine. They go with it." in refused.err
    project.handful("ssh", "m2", "docker volume rm mine")
    assert served(project) == {"m1": "ok", "m2": "ok"}
    assert project.handful("exec", "db", "/bin/busybox", "cat", "/store/it").out == "precious\n"
    assert project.handful("ssh", "m2", "ls /root").out == ""


def machines_are_taken_out(project: Project) -> None:
    """One without volumes goes, with all that ran there; one with volumes is kept, and said."""
    apps, machines = project.config["apps"], project.config["machines"]
    store, apps["web"]["machines"] = apps.pop("db"), ["m1"]
    second = machines.pop("m2")
    project.save()
    assert "m2       goes, with the next handful apply: it is not in the file" in project.handful("machines", "plan").out
    planned = project.handful("plan").out
    assert "m2       goes, with the next handful apply" in planned
    assert "m2       web          remove" in planned
    said = project.handful("apply", timeout=400).out
    assert "m2 is kept: it has the volumes store" in said
    machines["m2"], apps["db"], apps["web"]["machines"] = second, store, ["m2"]
    del machines["m1"]
    project.save()
    with asking(f"http://{project.address_of('m2')}/up", "a.test") as answers:
        project.handful("deploy")
        wait_until(lambda: 200 in answers)
        answers.clear()
        said = project.handful("apply", timeout=400).out
    assert f"removed m1 (handful-lab-{project.name}.m1)" in said
    assert set(answers) == {200}
    assert served(project) == {"m2": "ok"}
    assert project.handful("ssh", "m2", "cat /var/lib/handful/stacks/*/open").out.count("from ") == 1
    assert project.handful("exec", "db", "/bin/busybox", "cat", "/store/it").out == "precious\n"


def served(project: Project) -> dict[str, str]:
    """Return what the edge of each machine says."""
    text = (Path(project.environ["XDG_STATE_HOME"]) / "handful" / "lab" / project.name / "addresses").read_text()
    found = {}
    for name, address in (line.split() for line in text.splitlines()):
        line = ["curl", "-s", "-m", "5", "-H", "Host: a.test", f"http://{address}/up"]
        found[name] = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    return found


@pytest.fixture
def apart(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three machines that have no network of their own, as far as the file goes."""
    del lab
    state, stack, lines = tmp_path_factory.mktemp("apart"), f"apart-{os.getpid()}", list[str]()
    try:
        access = lab_provider.up(stack, {"m1": None, "m2": None, "m3": None}, state=state, say=lines.append)
        make_tiny_image()
        yield Lab(access, *own_ssh(state, access), stack)
    finally:
        lab_provider.down(stack, state, lines.append)


def join(project: Project, *machines: str) -> str:
    """Have these machines in one network, and prepare them."""
    project.config["machines"] = {name: {"address": project.lab.address(name), "private": f"10.99.0.{name[1:]}"} for name in machines}
    project.save()
    return project.handful("machines", "prepare").out


def test_machines_are_joined(apart: Lab, tmp_path: Path) -> None:
    """By WireGuard: an edge reaches an app on another machine; one more comes in, and one goes, and no connection notices."""
    project = Project(apart, tmp_path, "joined")
    project.write(web=tiny(machines=["m1"], domains=["a.test"]))
    project.config |= {"edge": ["m2"], "network": {"range": "10.99.0.0/24"}}
    said = join(project, "m1", "m2")
    assert "private network: 10.99.0.1/24, with 10.99.0.2" in said
    project.handful("deploy")
    url = f"http://{apart.address('m2')}/up"
    asked = ["curl", "-s", "-m", "5", "-H", "Host: a.test", url]
    assert wait_until(lambda: subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "ok")
    # The keys stay where they were made, and nobody reads them.
    assert apart.sh("m1", "stat -c %a /var/lib/handful/wireguard.key").strip() == "600"
    # An address that is made up on the way gets nowhere: only the tunnel's packets come from machines.
    front = "exec 3<>/dev/tcp/10.99.0.1/20000"
    assert apart.sh("m2", f"timeout 3 bash -c '{front}' && echo open || echo closed") == "open\n"
    assert 'iifname "handful" ip saddr { 10.99.0.1, 10.99.0.2 } accept' in apart.sh("m1", "nft list table inet handful")
    apart.sh("m1", "systemd-run --quiet --unit listener python3 -c 'import socket\nhere = socket.create_server((\"10.99.0.1\", 7000))\nthere, _ = here.accept()\nthere.send(there.recv(1))'")
    talk = 'import socket, sys\nthere = socket.create_connection(("10.99.0.1", 7000), 10)\nopen("/run/connected", "w").close()\nimport os, time\nwhile not os.path.exists("/run/go"): time.sleep(0.1)\nthere.send(b"x")\nopen("/run/answer", "wb").write(there.recv(1))'
    wait_until(lambda: "7000" in apart.sh("m1", "ss -Hltn sport = :7000"))
    apart.sh("m2", f"systemd-run --quiet --unit talker python3 -c '{talk}'")
    wait_until(lambda: apart.sh("m2", "ls /run/connected", check=False))
    assert "with 10.99.0.1, 10.99.0.2" in join(project, "m1", "m2", "m3")
    assert apart.sh("m3", f"timeout 3 bash -c '{front}' && echo open || echo closed") == "open\n"
    join(project, "m1", "m2")
    assert apart.sh("m3", f"timeout 3 bash -c '{front}' 2>/dev/null && echo open || echo closed") == "closed\n"
    another_machine_tries_ports(project)
    a_stack_is_forgotten(project)
    apart.sh("m2", "touch /run/go")
    assert wait_until(lambda: apart.sh("m2", "cat /run/answer 2>/dev/null", check=False)) == "x"
    apart.reboot("m1")
    assert wait_until(lambda: subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "ok", 60)
    docker_is_upgraded(project, url)


def another_machine_tries_ports(project: Project) -> None:
    """What is open to it alone is found, too: from here, that port is closed."""
    assert "7777" not in project.audit()
    serve = "systemd-run --quiet --unit stray python3 -c 'import socket, time\nhere = socket.create_server((\"0.0.0.0\", 7777))\ntime.sleep(600)'"
    allow = f"nft insert rule inet handful outside ip saddr {project.lab.address('m2')} tcp dport 7777 accept"
    project.sh(f"{serve}; {allow}", "m1")
    wait_until(lambda: "7777" in project.sh("ss -Hltn sport = :7777", "m1"))
    assert not is_open(project.lab.address("m1"), 7777)
    assert "m1       port 7777 (python3) is open to the world" in project.audit()
    project.sh("systemctl stop stray; bash /var/lib/handful/firewall.bash", "m1")


def a_stack_is_forgotten(project: Project) -> None:
    """By a machine that is to leave the file: no tunnel, no ports; not by one that has apps of it."""
    third = {"address": project.lab.address("m3"), "private": "10.99.0.3"}
    two = project.config["machines"]
    project.config["machines"] = {**two, "m3": third}
    project.save()
    assert "joined has web here" in project.handful("machines", "forget", "m1", code=1).err
    said = project.handful("machines", "forget", "m3").out
    assert "joined has nothing here any more" in said
    assert "there is no firewall of handful's any more" in said
    assert project.sh("ip link show handful 2>/dev/null || nft list table inet handful | grep 10.99 || echo gone", "m3") == "gone\n"
    project.config["machines"] = two
    project.save()


# On a machine: a package source with a docker.io that is the one of now, but for its version.
NEWER = """
set -e
mkdir -p /srv/newer && cd /srv/newer
apt-get -q update >/dev/null && apt-get -q download docker.io >/dev/null 2>&1
dpkg-deb --raw-extract docker.io_*.deb x && rm docker.io_*.deb
sed -i 's/^Version: .*/&+newer/' x/DEBIAN/control
dpkg-deb --build -Zgzip -z1 x docker.io.deb >/dev/null
{ dpkg-deb --field docker.io.deb; echo "Filename: ./docker.io.deb"; echo "Size: $(stat -c %s docker.io.deb)"; echo "SHA256: $(sha256sum docker.io.deb | cut -d ' ' -f 1)"; } >Packages
echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list
"""


def docker_is_upgraded(project: Project, url: str) -> None:
    """While an edge and an app behind it serve: no request fails, no container starts anew."""
    assert "there is nothing newer" in project.handful("machines", "upgrade").out
    for machine in ("m1", "m2"):
        project.sh(NEWER, machine)
    started = "docker inspect --format '{{.State.StartedAt}}' $(docker ps -q) | sort"
    before = [project.sh(started, machine) for machine in ("m1", "m2")]
    with asking(url, "a.test") as answers:
        said = project.handful("machines", "upgrade").out
    assert said.count("and what runs went on: docker.io") == 2
    assert set(answers) == {200}
    assert len(answers) > 100
    assert [project.sh(started, machine) for machine in ("m1", "m2")] == before
    # Another proxy takes over beside the old one, in the same turn.
    image = "docker inspect --format '{{.Config.Image}}' handful-proxy"
    old = project.sh(image, "m2")
    project.config["images"] = {"proxy": "haproxy:3.2.999"}
    project.save()
    with asking(url, "a.test") as answers:
        said = project.handful("machines", "upgrade", timeout=300).out
    assert said.count("the proxy runs") == 2
    assert said.index("m2       the proxy runs") > said.index("m1       the proxy runs")
    assert set(answers) == {200}
    assert project.sh(image, "m2") != old
    assert "set up" not in project.handful("plan").out
