from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from script_edge import HOST, body, edge
from script_pair import learn
from script_poll import until
from script_traffic import Traffic

if TYPE_CHECKING:
    from script_machine import Machine

PAGE = "<h1>We are away</h1><p>50 % done, $HOME \"quoted\" 'é' %[src] \\n &amp;"


def maintenance(machine: Machine, page: str) -> None:
    """Put web away, or back."""
    said = machine.alone("maintenance", stack="shop", app="web", page=b64encode(page.encode()).decode())
    assert said.code == 0, said


def test_the_public_gets_a_page_at_once_and_the_app_goes_on(ready: Machine) -> None:
    """Byte for byte, with 503, without a reload; the stack's own containers still reach the app."""
    web = ready.deployed(ready.make(1, domains=[HOST]))
    reloads = len(ready.tap.lines("haproxy -c"))
    maintenance(ready, PAGE)
    said = edge(ready)
    assert said.startswith("HTTP/1.1 503")
    assert "retry-after: 60" in said.lower()
    assert body(said) == PAGE.encode().decode()
    assert ready.get() == f"200 {web.id} web-1"
    maintenance(ready, "Another page")
    assert body(edge(ready)) == "Another page"
    maintenance(ready, "")
    assert body(edge(ready)) == f"{web.id} web-1"
    assert len(ready.tap.lines("haproxy -c")) == reloads


def test_a_machine_that_has_no_routes_yet_knows_it_from_the_first_on(ready: Machine) -> None:
    """It becomes an edge while the app is away."""
    maintenance(ready, PAGE)
    ready.deployed(ready.make(1, domains=[HOST]))
    assert body(edge(ready)) == PAGE
    maintenance(ready, "")
    assert body(edge(ready)).endswith("web-1")


def test_it_outlives_a_deploy_and_a_restart_of_the_proxy(ready: Machine) -> None:
    """Until somebody says otherwise; and it goes with the app."""
    ready.deployed(ready.make(1, domains=[HOST]))
    maintenance(ready, PAGE)
    ready.deployed(ready.make(2, domains=[HOST, "two.test"], timeouts={"response": "5s"}))
    assert edge(ready).startswith("HTTP/1.1 503")
    ready.docker.reboot()
    until(lambda: ready.answer().startswith("200 "))
    assert edge(ready).startswith("HTTP/1.1 503")
    assert ready.alone("remove_app", stack="shop", app="web", stop_timeout="1").code == 0
    assert (ready.root / "proxy/conf/maintenance.map").read_text() == ""


def test_the_longest_page(ready: Machine) -> None:
    """8 KiB, which is what the config takes."""
    ready.deployed(ready.make(1, domains=[HOST]))
    page = "ä" * 4096
    maintenance(ready, page)
    assert len(body(edge(ready))) >= 4096


@pytest.mark.parametrize("fails", [False, True])
def test_before_the_last_instance_here_stops_the_others_take_over(pair: tuple[Machine, Machine], *, fails: bool) -> None:
    """An app with the strategy recreate on two machines: requests at both, POSTs too, and none fails."""
    m1, m2 = pair
    keys = {"deploy": {"strategy": "recreate"}, "stop_timeout": "1s"}
    for machine, name in ((m1, "m1"), (m2, "m2")):
        web = machine.make(1, **keys)
        learn(machine, web, name)
        machine.deployed(web)
    for machine in pair:
        until(lambda machine=machine: "up" in machine.proxy_says("show stat").replace("UP", "up") and len(machine.ready()) == 2)
    with Traffic(m1) as first, Traffic(m2) as second:
        if fails:
            m1.docker.images["web:2"] = type(m1.docker.images["web:1"])(exits=1)
        said = m1.deploy(m1.make(2, **keys))
        first.more()
        second.more()
    assert said.outcome == ("failed" if fails else "done"), said
    assert (first.failures, second.failures) == ([], [])
    assert m1.proxy_says("show map /etc/haproxy/conf/leaving.map").strip() == ""
    until(lambda: len(m1.ready()) == 2)


def test_an_edge_whose_file_is_gone_is_told_all_the_same(ready: Machine) -> None:
    """Somebody removed the edge's part by hand; the running proxy has it still."""
    ready.deployed(ready.make(1, domains=[HOST]))
    (ready.root / "proxy/conf/10-edge.cfg").unlink()
    maintenance(ready, "We are away")
    assert body(edge(ready)) == "We are away"
