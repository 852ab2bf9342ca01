"""A provider elsewhere, whose servers are machines of the lab: made, changed, drained, thrown away."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_cloud import TOKEN
from fake_hetzner import FakeHetzner
from lab_support import Lab, Project, asking, make_tiny_image, tiny, wait_until

from handful.artifact.script import stand_alone
from handful.provider import lab as lab_provider
from handful.provider import lab_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

# In a machine, with the path of a device, and its gigabytes: a disk that is a file, or the same one, grown.
PLUG = """
set -e
[ -e /root/disk ] || { truncate -s "$2G" /root/disk; for n in $(seq 0 63); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done; [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
  mkdir -p "${1%/*}"; ln -sf "$(losetup --find --show /root/disk)" "$1"; }
truncate -s "$2G" /root/disk
losetup --set-capacity "$(readlink "$1")"
"""


class Servers:
    """Machines of a lab, by the names of a provider's servers."""

    def __init__(self, stack: str, state: Path) -> None:
        self.stack, self.state, self.lines = stack, state, list[str]()

    def boot(self, name: str) -> str:
        """Make or start one."""
        lab_provider.up(self.stack, {name: None}, state=self.state, say=self.lines.append)
        return self.address(name)

    def address(self, name: str) -> str:
        """Return where it is."""
        return lab_provider.access(self.stack, self.state)[name].host

    def halt(self, name: str) -> None:
        """Switch one off."""
        subprocess.run(["docker", "stop", "-t", "20", f"handful-lab-{self.stack}.{name}"], check=True, capture_output=True)

    def plug(self, name: str, device: str, gigabytes: int) -> None:
        """Give one a disk."""
        inside = ["docker", "exec", "-i", f"handful-lab-{self.stack}.{name}", "bash", "-s", device, str(gigabytes)]
        subprocess.run(inside, input=PLUG, text=True, check=True, capture_output=True)

    def stop(self, name: str) -> None:
        """Remove one; a disk that is a file of its own would stay in the kernel."""
        inside = ["docker", "exec", f"handful-lab-{self.stack}.{name}", "bash", "-c"]
        script = "umount /var/lib/handful/disks/* ; losetup --associated /root/disk --noheadings --output NAME | xargs -r losetup --detach"
        subprocess.run([*inside, script], check=False, capture_output=True)
        lab_provider.remove(self.stack, name)


@pytest.fixture
def hetzner(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeHetzner, Path]]:
    """A Hetzner Cloud whose servers are machines of a lab, and the folder of the key that lets in there."""
    del lab
    state, stack = tmp_path_factory.mktemp("cloud"), f"cloud-{os.getpid()}"
    servers = Servers(stack, state)
    fake = FakeHetzner(servers.boot, servers.stop)
    fake.halt, fake.plug, fake.private = servers.halt, servers.plug, servers.address
    try:
        make_tiny_image()
        lab_keys.ensure_key(state / stack)
        yield fake, state / stack
    finally:
        fake.close()
        lab_provider.down(stack, state, servers.lines.append)


def test_a_stack_at_a_provider(lab: Lab, hetzner: tuple[FakeHetzner, Path], tmp_path: Path) -> None:
    """From nothing to an app that is served, by the user of the file; thrown away, nothing is left there."""
    fake, keys = hetzner
    tools, home = tmp_path / "tools", tmp_path / "home"
    for folder in (tools, home / ".ssh"):
        folder.mkdir(parents=True)
    (tools / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -o IdentityFile={keys}/id_ed25519 -o IdentitiesOnly=yes "$@"\n')
    (tools / "ssh").chmod(0o755)
    shutil.copy(keys / "id_ed25519.pub", home / ".ssh")
    variables = {
        "HOME": str(home), "XDG_STATE_HOME": str(tmp_path / "state"), "HCLOUD_ENDPOINT": fake.endpoint, "HCLOUD_TOKEN": TOKEN,
        "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")), "SSH_AUTH_SOCK": "",
    }
    project = Project(Lab({}, tmp_path / "none", tools, ""), tmp_path, f"cloud-{os.getpid()}", variables=variables)
    del lab
    project.config = {
        "project": project.name, "machines": {"m1": {}, "m2": {"size": "cx32", "volumes": {"data": "1g"}}}, "ssh": {"user": "deploy"}, "secrets": {"environment": True},
        "provider": {"name": "hetzner", "region": "fsn1", "size": "cx22", "token": {"secret": "HCLOUD_TOKEN"}},
        "apps": {"web": tiny(machines=["m1", "m2"], domains=["a.test"]), "db": tiny(machines=["m2"], volumes={"data": "/data"})},
    }
    project.save()
    try:
        assert "m2       is made: it is not there" in project.handful("machines", "plan").out
        said = project.handful("apply", timeout=400).out
        assert "making m2: cx32 in fsn1, debian-13" in said
        assert "user deploy, with the keys of root" in said
        address = project.address_of("m1")
        asked = ["curl", "-s", "-m", "5", "-H", "Host: a.test", f"http://{address}/up"]
        assert subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "ok"
        changes = len(fake.changes)
        assert "nothing to do" in project.handful("apply").out
        assert len(fake.changes) == changes
        project.variables["HCLOUD_TOKEN"] = "not-the-one"  # noqa: S105  # a test
        assert "The token is wrong" in project.handful("machines", "list", code=1).err
        project.variables["HCLOUD_TOKEN"] = TOKEN
        a_volume_grows(project)
        a_machine_becomes_larger(project)
    finally:
        project.handful("machines", "destroy", "--all", "--yes")
    assert not any(fake.kept.values())


def a_volume_grows(project: Project) -> None:
    """A disk of its own has a file system, is mounted, and has the app's data; larger in the file, it is larger there.

    One that is not in its place is mounted again.
    """
    size = "findmnt -no FSTYPE /var/lib/handful/disks/data; df --output=size -BM /var/lib/handful/disks/data | tail -n 1; ls /var/lib/handful/disks/data"
    kind, before, *names = project.handful("ssh", "m2", size).out.split()
    assert (kind, sorted(names)) == ("ext4", sorted(["lost+found", f"{project.name}.data"]))
    assert int(before.removesuffix("M")) < 1024
    project.config["machines"]["m2"]["volumes"] = {"data": "2g"}
    project.save()
    assert "m2       gets a volume: it has 1 of 2 GB in its volume data" in project.handful("machines", "plan").out
    said = project.handful("machines", "apply", code=1)
    assert "the volume data of m2 grows from 1 to 2 GB" in said.out
    # Only who has CAP_SYS_RESOURCE may have ext4 grow while it is mounted: a machine of the lab has not.
    assert "m2: the volume data did not grow" in said.err
    project.handful("stop", "db")
    off = "umount /var/lib/handful/disks/data && e2fsck -fp $(readlink -f /dev/disk/by-id/*) && resize2fs $(readlink -f /dev/disk/by-id/*)"
    project.handful("ssh", "m2", off)
    assert "volume data: mounted at /var/lib/handful/disks/data" in project.handful("machines", "apply").out
    assert int(project.handful("ssh", "m2", size).out.split()[1].removesuffix("M")) > 1500
    assert "nothing to do" in project.handful("machines", "plan").out
    project.handful("start", "db")
    what_nobody_knows_gets_no_file_system(project)


def what_nobody_knows_gets_no_file_system(project: Project) -> None:
    """Only a disk of nothing but zeros is an empty one."""
    disk = "truncate -s 64M /root/other; echo precious | dd of=/root/other bs=1 seek=5000 conv=notrunc status=none; losetup --find --show /root/other"
    device = project.handful("ssh", "m2", disk).out.strip()
    script = stand_alone("prepare_volume", {"says": "x", "name": "other", "device": device})
    refused = project.handful("ssh", "m2", f"bash -c {shlex.quote(script)} 2>&1; echo ended; dd if={device} bs=1 skip=5000 count=8 status=none").out
    assert "the volume other is not empty, and what is on it nobody knows" in refused
    assert refused.endswith("ended\nprecious")
    project.handful("ssh", "m2", f"losetup --detach {device}; rm -r /root/other /var/lib/handful/disks/other")


def a_machine_becomes_larger(project: Project) -> None:
    """It is drained before it is stopped: who asks another edge notices nothing."""
    project.config["machines"]["m1"]["size"] = "cx32"
    project.save()
    assert "m1       is drained and restarted: it is cx22, and cx32 in the file" in project.handful("machines", "plan").out
    assert "It is drained and restarted for that by: handful machines apply" in project.handful("apply").out
    with asking(f"http://{project.address_of('m2')}/up", "a.test") as answers:
        wait_until(lambda: len(answers) > 20)
        said = project.handful("machines", "apply").out
    for line in ("the other machines send nothing here any more", "stopping m1", "m1 becomes cx32", "it serves as it did"):
        assert line in said
    assert set(answers) == {200}
    assert "nothing to do" in project.handful("machines", "plan").out
