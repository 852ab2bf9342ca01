"""Are the proxy's numbers those that a real HAProxy tells, with whose they are?"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from handful.agent.exposition import text
from handful.agent.proxy import ask_proxy, labels_of, proxy_metrics
from handful.agent.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE = 20.0
CONFIG = """
global
  stats socket {folder}/admin.sock mode 600 level admin
  log stdout format raw local0
defaults
  mode http
  log global
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  log-format "%[date(0,ms)] %b %tsc %rc %ST %Tw %Tc %Tr"
frontend shop.web
  bind 127.0.0.1:{port}
  use_backend handful.none if {{ path /nobody }}
  use_backend shop.web.once if !{{ method GET HEAD OPTIONS }}
  default_backend shop.web
backend shop.web
  server web-1 {folder}/app.sock
  server web-2 {folder}/app.sock backup
backend shop.web.once
  server web-1 {folder}/app.sock
backend shop.db
  mode tcp
  log-format "%[date(0,ms)] %b %ts %rc - - - -"
  server db-1 {folder}/app.sock
backend handful.none
  http-request return status 404
frontend app
  no log
  bind {folder}/app.sock
  http-request return status 500 if {{ path /error }}
  http-request return status 200 content-type text/plain string ok
"""


class Proxy:
    """A real HAProxy, with an app behind it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.socket, self.said, self.port = folder / "admin.sock", folder / "said", port
        (folder / "haproxy.cfg").write_text(CONFIG.format(folder=folder, port=port))
        with self.said.open("wb") as said:
            self.work = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=said, stderr=said)
        deadline = time.monotonic() + DEADLINE
        while not ask(self.socket):
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.02)

    def ask(self, method: str, path: str) -> int:
        """Return the status of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def lines(self, count: int) -> list[bytes]:
        """Return its lines on requests, once there are so many."""
        deadline = time.monotonic() + DEADLINE
        while len(found := [line for line in self.said.read_bytes().splitlines() if line[:1].isdigit()]) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found


def ask(path: Path) -> list[dict[str, str]]:
    """Return what it tells, nothing while it does not listen yet."""
    try:
        return ask_proxy(path)
    except OSError:
        return []


@pytest.fixture
def proxy(tmp_path: Path, free_port: int) -> Iterator[Proxy]:
    """One that runs."""
    made = Proxy(tmp_path, free_port)
    yield made
    made.work.kill()
    made.work.wait()


def test_what_a_real_one_tells(proxy: Proxy) -> None:
    """By HAProxy's own exporter's names; each section is of its app, also where it stands twice; servers are left out."""
    assert [proxy.ask("GET", "/"), proxy.ask("GET", "/error"), proxy.ask("POST", "/"), proxy.ask("GET", "/nobody")] == [200, 500, 200, 404]
    proxy.lines(4)
    rows = ask_proxy(proxy.socket)
    assert {(row["pxname"], row["svname"]) for row in rows} == {
        ("shop.web", "FRONTEND"), ("shop.web", "BACKEND"), ("shop.web.once", "BACKEND"), ("shop.db", "BACKEND"), ("handful.none", "BACKEND"), ("app", "FRONTEND"),
    }
    told = text(proxy_metrics(rows)).splitlines()
    for line in (
        'haproxy_frontend_http_requests_total{proxy="shop.web",stack="shop",app="web"} 4',
        'haproxy_frontend_http_responses_total{proxy="shop.web",stack="shop",app="web",code="2xx"} 2',
        'haproxy_backend_http_requests_total{proxy="shop.web",stack="shop",app="web"} 2',
        'haproxy_backend_http_requests_total{proxy="shop.web.once",stack="shop",app="web"} 1',
        'haproxy_backend_http_responses_total{proxy="shop.web",stack="shop",app="web",code="5xx"} 1',
        'haproxy_backend_http_responses_total{proxy="handful.none",code="4xx"} 1',
        'haproxy_backend_active_servers{proxy="shop.web",stack="shop",app="web"} 1',
        'haproxy_backend_backup_servers{proxy="shop.web",stack="shop",app="web"} 1',
        'haproxy_backend_active_servers{proxy="shop.web.once",stack="shop",app="web"} 1',
        'haproxy_backend_active_servers{proxy="shop.db",stack="shop",app="db"} 1',
        'haproxy_frontend_http_requests_total{proxy="app"} 3',
        "# TYPE haproxy_backend_http_requests_total counter",
        "# TYPE haproxy_backend_active_servers gauge",
    ):
        assert line in told
    assert not any("web-1" in line or (line.startswith("haproxy_backend_http_responses") and "shop.db" in line) for line in told)
    named = [line.partition("{")[0] for line in told if not line.startswith("#")]
    assert {name.split("_")[0] for name in named} == {"haproxy"}


def test_its_lines_are_those_that_are_counted(proxy: Proxy) -> None:
    """What a real one writes, taken as Docker would hand it on; a request that is none is nobody's."""
    for method, path in (("GET", "/"), ("GET", "/error"), ("POST", "/"), ("GET", "/nobody")):
        proxy.ask(method, path)
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as garbage:
        garbage.sendall(b"what?\r\n\r\n")
        assert garbage.recv(100).startswith(b"HTTP/1.1 400")
    requests = Requests()
    for line in proxy.lines(5):
        requests.take(b'{"log":"%s\\n","stream":"stdout","time":"2026-01-01T00:00:00.1Z"}' % line)
    assert {key: number for key, number in requests.answered.items() if key[1] != "4xx"} == {("shop.web", "2xx"): 2, ("shop.web", "5xx"): 1}
    assert not requests.failed
    assert sum(requests.times["shop.web"]) == 3


def test_where_there_is_no_proxy(tmp_path: Path) -> None:
    """Nothing is told; one that listens and says nothing is an error, after a while."""
    assert ask_proxy(tmp_path / "none.sock") == []
    assert text(proxy_metrics([])) == ""
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(tmp_path / "hangs.sock"))
        hangs.listen()
        with pytest.raises(TimeoutError):
            ask_proxy(tmp_path / "hangs.sock")
    with pytest.raises(ConnectionRefusedError):
        ask_proxy(tmp_path / "hangs.sock")


@pytest.mark.parametrize(("section", "labels"), [
    ("shop.web", {"stack": "shop", "app": "web"}), ("shop.web.once", {"stack": "shop", "app": "web"}), ("shop-stage.web.here", {"stack": "shop-stage", "app": "web"}),
    ("handful.none", {}), ("handful.edge", {}), ("GLOBAL", {}), ("MASTER", {}),
])
def test_whose_a_section_is(section: str, labels: dict[str, str]) -> None:
    """By its name."""
    assert labels_of(section) == {"proxy": section, **labels}


def test_haproxy_is_here() -> None:
    """These tests need one."""
    assert shutil.which("haproxy")
