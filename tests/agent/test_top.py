"""Is told what has changed between two looks, per second?"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from handful.agent.containers import Containers
from handful.agent.scrape import Places
from handful.agent.top import Top

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Docker, Host

KEY, OTHER = "a" * 64, "b" * 64
WEB = {"handful.stack": "shop", "handful.app": "web", "handful.release": "0001-abc", "handful.instance": "web-1"}
HEADER = "# pxname,svname,scur,stot,req_tot,hrsp_5xx\n"


class Looks:
    """Two looks, and how much time there was between them, at least and at most."""

    def __init__(self, host: Host, docker: Docker, root: Path) -> None:
        began = time.monotonic()
        self._top = Top(Places(host.folder, root), Containers(docker.folder))
        self._times = began, time.monotonic()

    def told(self) -> dict[str, Any]:
        """Look again."""
        before = time.monotonic()
        found = self._top.told()
        first, then = self._times
        self.least, self.most = before - then, time.monotonic() - first
        self._times = before, time.monotonic()
        return found

    def is_rate(self, value: float, change: float) -> bool:
        """Return whether it is what has changed, per second."""
        return change / max(self.most, 1e-3) <= value <= change / max(self.least, 1e-3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of handful."""
    (tmp_path / "root/proxy/run").mkdir(parents=True)
    return tmp_path / "root"


@pytest.mark.parametrize("version", [1, 2])
def test_rates_of_two_looks(host: Host, docker: Docker, root: Path, version: int) -> None:
    """Of the machine and of each container, in cores and bytes; sizes are those of now."""
    docker.run(KEY, "shop.web-1", WEB, restarts=3, Pid=42)
    docker.run(OTHER, "postgres", {}, Pid=43)
    host.container(42, KEY, version)
    host.container(43, OTHER, version)
    looks = Looks(host, docker, root)
    hertz = os.sysconf("SC_CLK_TCK")
    host.write({
        "proc/stat": f"cpu  {100 + hertz} 0 50 {800 + 5 * hertz} {10 + hertz} 0 5 0 0 0\n",
        "proc/1/net/dev": (host.folder / "proc/1/net/dev").read_text().replace("2000", "12000").replace("5000", "5500").replace("100 ", "999 "),
        "proc/diskstats": "   8       0 sda 10 1 300 20 30 2 400 40 5 60 70\n   8       1 sda1 9 9 9999 9 9 9 9999 9 9 9 9\n",
    })
    host.container(42, KEY, version, cpu=4.0, memory=2000, received=3000)
    told = looks.told()
    machine = told["machine"]
    for name, change in (("cpu", 1.0), ("received", 10000), ("sent", 500), ("read", 200 * 512), ("written", 100 * 512)):
        assert looks.is_rate(machine[name], change), name
    assert (machine["memory"], machine["memory_total"], machine["load"], machine["cpus"]) == (600 * 1024, 1000 * 1024, 0.5, os.cpu_count())
    assert 0 < machine["disk"] <= machine["disk_total"]
    web, other = told["apps"]
    assert {name: web[name] for name in ("stack", "app", "instance", "release", "restarts", "started", "memory", "memory_limit")} == {
        "stack": "shop", "app": "web", "instance": "web-1", "release": "0001-abc", "restarts": 3, "started": "2026-01-01T00:00:00Z", "memory": 1600, "memory_limit": 4000,
    }
    assert looks.is_rate(web["cpu"], 2.5)
    assert looks.is_rate(web["received"], 1000)
    assert (web["sent"], web["read"], web["written"]) == (0, 0, 0)
    assert (other["stack"], other["app"], other["instance"], other["cpu"]) == ("_", "others", "postgres", 0)
    assert looks.told()["apps"][0]["cpu"] == 0


def test_containers_that_come_and_go(host: Host, docker: Docker, root: Path) -> None:
    """One that has come has no rates yet; one that began anew has none below zero; one that is gone is not told."""
    docker.run(KEY, "shop.web-1", WEB, Pid=42)
    host.container(42, KEY, 2)
    looks = Looks(host, docker, root)
    docker.run(OTHER, "postgres", {}, Pid=43)
    host.container(43, OTHER, 2, cpu=100.0)
    host.container(42, KEY, 2, cpu=0.5)
    assert [(each["app"], each["cpu"]) for each in looks.told()["apps"]] == [("web", 0), ("others", 0)]
    docker.remove(KEY)
    docker.change(OTHER, Running=False, Pid=0)
    assert looks.told()["apps"] == []


@pytest.fixture
def proxy(root: Path) -> Iterator[Callable[[str], None]]:
    """A socket that says what it is told to."""
    rows = [""]
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(root / "proxy/run/admin.sock"))
    listening.listen()

    def answer() -> None:
        while True:
            try:
                asking, _ = listening.accept()
            except OSError:
                return
            with asking:
                asking.recv(100)
                asking.sendall((HEADER + rows[0] + "\n").encode())

    thread = threading.Thread(target=answer)
    thread.start()
    yield lambda text: rows.__setitem__(0, text)
    listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    listening.close()


def test_requests_of_apps(host: Host, docker: Docker, root: Path, proxy: Callable[[str], None]) -> None:
    """Of both backends of an app together, but not those of other machines' requests; a tcp app's connections."""
    proxy("shop.web,BACKEND,0,5,100,3\nshop.web.once,BACKEND,0,5,10,0\nshop.web.here,BACKEND,0,5,900,0\nshop.web,FRONTEND,0,9,110,3\nshop.db,BACKEND,0,7,,\nhandful.none,BACKEND,0,1,1,0\n")
    looks = Looks(host, docker, root)
    proxy("shop.web,BACKEND,0,5,150,5\nshop.web.once,BACKEND,0,5,20,0\nshop.web.here,BACKEND,0,5,990,0\nshop.db,BACKEND,0,9,,\nblog.web,BACKEND,0,9,50,1\n")
    told = {(each["stack"], each["app"]): each for each in looks.told()["apps"]}
    assert set(told) == {("shop", "web"), ("shop", "db"), ("blog", "web")}
    assert looks.is_rate(told["shop", "web"]["requests"], 60)
    assert looks.is_rate(told["shop", "web"]["errors"], 2)
    assert looks.is_rate(told["shop", "db"]["requests"], 2)
    assert told["blog", "web"]["requests"] == 0
    # It was started again, and counts anew.
    proxy("shop.web,BACKEND,0,5,1,0\n")
    assert looks.told()["apps"] == [{"stack": "shop", "app": "web", "requests": 0.0, "errors": 0.0}]


@pytest.mark.parametrize(("name", "counts"), [
    ("eth0", True), ("enp3s0", True), ("bond0", True), ("ens18", True), ("wlan0", True), ("lan0", True), ("lo", False), ("docker0", False), ("br-1a2b", False),
    ("veth9f", False), ("handful", False), ("wg0", False), ("tun0", False),
])
def test_what_leaves_the_machine(host: Host, docker: Docker, root: Path, name: str, *, counts: bool) -> None:
    """Whatever the card is called; what goes over bridges and tunnels goes over a card as well."""
    def net(received: int) -> dict[str, str]:
        head = "Inter-|   Receive                                                |  Transmit\n face |bytes\n"
        return {"proc/1/net/dev": f"{head}{name}: {received} 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0\n"}

    host.write(net(1000))
    looks = Looks(host, docker, root)
    host.write(net(9000))
    assert (looks.told()["machine"]["received"] > 0) == counts
