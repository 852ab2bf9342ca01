from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from proxy_lines import PROXY_LINES
from script_containers import Behaviour
from script_poll import until
from script_traffic import Traffic

from handful.artifact.script import source

if TYPE_CHECKING:
    from pathlib import Path

    from script_machine import Machine, Said


def measured(said: Said) -> dict[str, str]:
    """Return the event that tells of web's requests."""
    return next(event for event in said.events if event["event"] == "measured" and event["app"] == "web")


def test_a_deploy_tells_what_its_users_noticed(ready: Machine) -> None:
    """As many requests as were sent, none failed, times before and after the switch; history has the same."""
    ready.deployed(ready.make(1))
    with Traffic(ready) as traffic:
        traffic.more()
        said = ready.deploy(ready.make(2))
        traffic.more()
    told = measured(said)
    assert traffic.failures == []
    assert 0 < int(told["answered"]) <= traffic.answers.total()
    assert (told["failed"], told["retried"]) == ("0", "0")
    assert "requests answered, 0 failed, 0 retried; half within" in told["text"]
    entry = ready.history()[-1]["requests"]["web"]
    assert entry["answered"] == int(told["answered"])
    assert [int(told["p50_before"]), int(told["p99_before"])] == [entry["p50"][0], entry["p99"][0]]


def test_nobody_asked(ready: Machine) -> None:
    """Without requests there are no times."""
    said = ready.deploy(ready.make(1))
    assert measured(said)["text"] == "web: 0 requests answered, 0 failed, 0 retried"
    assert ready.history()[-1]["requests"]["web"] == {
        "answered": 0, "failed": 0, "retried": 0, "p50": [None, None], "p99": [None, None],
    }


def test_what_the_proxy_could_not_bring_about_has_failed(ready: Machine) -> None:
    """An instance that breaks off counts; an error that the app itself answers does not."""
    ready.deployed(ready.make(1, Behaviour(answers={"/up": (200, "ok"), "/error": (500, "mine")})))
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2, Behaviour(answers={"/up": (200, "ok"), "/error": (500, "mine")})))
    gate.wait()
    assert ready.get("/error") == "500 mine"
    with ready.connect("10.210.0.1", 8000) as cut:
        cut.sendall(b"POST /slow HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n")
        new = until(lambda: [each for each in ready.instances() if each.labels["handful.release"].startswith("0002") and each.running])
        until(lambda: any("/slow" in head for head in new[0].behaviour.heard))
        new[0].work.end()
        assert cut.recv(100).startswith((b"HTTP/1.1 502", b""))
    gate.open()
    told = measured(running.end())
    assert int(told["failed"]) >= 1
    assert int(told["answered"]) >= 1


def test_who_hangs_up_has_not_failed(ready: Machine) -> None:
    """A client that does not wait is no failure of ours."""
    ready.deployed(ready.make(1))
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2))
    gate.wait()
    with ready.connect("10.210.0.1", 8000) as gone:
        gone.sendall(b"GET /slow HTTP/1.1\r\nHost: web\r\n\r\n")
        gone.shutdown(socket.SHUT_RDWR)
    gate.open()
    assert measured(running.end())["failed"] == "0"



@pytest.mark.parametrize(
    ("backend", "expected"),
    [("shop.web", "6 3 2 10 20 3 3"), ("shop.db", "2 1 1 null null null null"), ("shop.none", "0 0 0 null null null null")],
)
def test_the_lines_of_the_proxy(ready: Machine, tmp_path: Path, backend: str, expected: str) -> None:
    """Which ways to end are failures; a name is compared whole; what came before the work does not count."""
    (tmp_path / "requests").write_text(PROXY_LINES)
    text = f"{source('prelude')}\n{source('lib_measure')}\nHANDFUL_SESSION={tmp_path} count_requests 1000 {backend} 2000"
    said = ready.bash(text)
    assert said.out.strip() == expected, said

