from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_release import run_steps
from script_traffic import Traffic
from script_whole import two_apps, wholly_in

if TYPE_CHECKING:
    from script_machine import Machine
    from script_release import Made


def edge(machine: Machine, host: str, path: str = "/") -> str:
    """Ask the machine's port 80, as the internet does."""
    return machine.get(path, address="127.0.0.1", port=80, host=host)


def routes(machine: Machine) -> list[str]:
    """Return the routes on disk, sorted."""
    return sorted((machine.root / "proxy" / "conf" / "routes.map").read_text().splitlines())


def in_proxy(machine: Machine) -> list[str]:
    """Return the routes of the running proxy, sorted."""
    lines = machine.proxy_says("show map /etc/haproxy/conf/routes.map").splitlines()
    return sorted(" ".join(line.split()[1:]) for line in lines if line)


def test_a_domain_leads_to_its_app(ready: Machine) -> None:
    """Port 80 answers for the app's host name, in any case and with a port, and for no other."""
    made = ready.deployed(ready.make(1, domains=["shop.test"]))
    for host in ("shop.test", "SHOP.test", "shop.test:80"):
        assert edge(ready, host) == f"200 {made.id} web-1"
    assert edge(ready, "other.test") == "404 No app has this host name and path.\n"


def test_the_longest_path_that_fits_wins(ready: Machine) -> None:
    """/api and what is below it is one app's, the rest the other's; /apiary is not below /api."""
    web = ready.make(1, domains=["shop.test"])
    answers = {"/up": (200, "ok"), "/api": (200, "api"), "/api/x": (200, "api")}
    api = ready.make(1, Behaviour(port=9000, answers=answers), app="api", number=2, port=9000, domains=["shop.test"], path="/api")
    ready.deployed(web, api)
    assert edge(ready, "shop.test", "/api/x") == "200 api"
    assert edge(ready, "shop.test", "/api") == "200 api"
    assert edge(ready, "shop.test", "/apiary") == f"200 {web.id} web-1"


def test_without_a_domain_port_80_is_closed(ready: Machine) -> None:
    """The edge listens only while there is a route: another program may have the port."""
    ready.deployed(ready.make(1))
    with ready.namespace.socket() as taken:
        taken.bind(("127.0.0.1", 80))
    assert not (ready.root / "proxy" / "conf" / "10-edge.cfg").exists()


def test_domains_come_and_go_at_runtime(ready: Machine) -> None:
    """A release that brings another domain and drops one changes the map, on disk and in the running proxy."""
    ready.deployed(ready.make(1, domains=["a.test", "b.test"]))
    before = ready.proxy_says("show proc", "master").split()[12]
    new = ready.deployed(ready.make(2, domains=["b.test", "c.test"]))
    assert routes(ready) == in_proxy(ready) == ["b.test/ shop.web", "c.test/ shop.web"]
    assert edge(ready, "c.test").startswith(f"200 {new.id} ")
    assert edge(ready, "a.test").startswith("404 ")
    assert ready.proxy_says("show proc", "master").split()[12] == before


def test_the_last_domain_closes_the_edge(ready: Machine) -> None:
    """The app drops its only domain: port 80 is let go, and the service address answers on."""
    ready.deployed(ready.make(1, domains=["a.test"]))
    with Traffic(ready) as traffic:
        new = ready.deployed(ready.make(2))
        wholly_in(ready, new)
    assert traffic.failures == []
    assert routes(ready) == []
    with ready.namespace.socket() as taken:
        taken.bind(("127.0.0.1", 80))


def taken_by_another(machine: Machine) -> Made:
    """Deploy an app of another stack on shop.test, and the shop's own web without a domain."""
    machine.deployed(machine.make(1, stack="blog", number=2, domains=["shop.test"]))
    return machine.deployed(machine.make(1))


def test_a_route_of_another_stack_is_refused(ready: Machine) -> None:
    """It says which app has it and what to do; both apps are as they were."""
    old = taken_by_another(ready)
    said = ready.deploy(ready.make(2, domains=["shop.test"]))
    assert said.outcome == "failed"
    assert said.failed["text"] == "shop.test/ already leads to blog.web on this machine"
    assert said.failed["advice"] == "Take the domain from one of the two."
    wholly_in(ready, old)
    assert routes(ready) == in_proxy(ready) == ["shop.test/ blog.web"]


def test_a_refused_route_loses_no_request(ready: Machine) -> None:
    """The refusal comes at the switch; the way back is as smooth as the way there."""
    old = taken_by_another(ready)
    with Traffic(ready) as traffic:
        assert ready.deploy(ready.make(2, domains=["shop.test"])).outcome == "failed"
        wholly_in(ready, old)
    assert traffic.failures == []


def test_going_back_restores_the_routes(ready: Machine) -> None:
    """A deploy that changed domains and is ended in its last step leaves the old ones, on disk and running."""
    old = ready.deployed(ready.make(1, domains=["a.test"]))
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2, domains=["b.test"]))
    gate.wait()
    running.kill()
    gate.open()
    assert running.end().outcome == "interrupted"
    wholly_in(ready, old)
    assert routes(ready) == in_proxy(ready) == ["a.test/ shop.web"]


def test_a_clients_forwarding_headers_are_not_believed(ready: Machine) -> None:
    """X-Forwarded-For is the proxy's: what a client sends is replaced."""
    made = ready.deployed(ready.make(1, domains=["shop.test"]))
    heard = ready.docker.images[made.image].heard
    with ready.connect("127.0.0.1", 80) as asked:
        asked.sendall(b"GET /who HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: close\r\n\r\n")
        while asked.recv(65536):
            pass
    (head,) = [head for head in heard if "/who" in head]
    assert "8.8.8.8" not in head
    assert "x-forwarded-for: 127.0.0.1" in head.lower()
    assert "x-forwarded-proto: http\n" in head.lower().replace("\r", "")


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
def test_a_domain_moves_from_one_app_to_another(ready: Machine, *, back: bool) -> None:
    """In one deploy, in either direction; the domain answers at every moment, and each app ends with its own."""
    first, second = (["a.test", "moves.test"], ["b.test"]), (["a.test"], ["b.test", "moves.test"])
    if back:
        first, second = second, first
    ready.deployed(*two_apps(ready, 1, *first))
    with Traffic(ready, address="127.0.0.1", port=80, host="moves.test") as traffic:
        ready.deployed(*two_apps(ready, 2, *second))
    assert traffic.failures == []
    assert routes(ready) == in_proxy(ready) == [
        "a.test/ shop.web", "b.test/ shop.api", f"moves.test/ shop.{'web' if back else 'api'}",
    ]


def test_a_domain_that_moved_goes_back_with_a_failure(ready: Machine) -> None:
    """The apps have switched and the deploy is ended before it finishes: the domain is its old app's again."""
    ready.deployed(*two_apps(ready, 1, ["a.test", "moves.test"], ["b.test"]))
    gate = ready.tap.gate("update --restart no")
    running = ready.begin_deploy(*two_apps(ready, 2, ["a.test"], ["b.test", "moves.test"]))
    gate.wait()
    running.kill()
    ready.tap.open()
    assert running.end().outcome == "interrupted"
    assert routes(ready) == in_proxy(ready) == ["a.test/ shop.web", "b.test/ shop.api", "moves.test/ shop.web"]


def test_a_domain_that_moved_goes_back_when_its_old_app_fails(ready: Machine) -> None:
    """The new owner has switched before the old one starts, as where one needs the other: the domain goes back all the same."""
    web, api = two_apps(ready, 1, ["a.test", "moves.test"], ["b.test"])
    ready.deployed(web, api)
    web, api = two_apps(ready, 2, ["a.test"], ["b.test", "moves.test"])
    first = [step for each in (api, web) for step in each.first_steps]
    phases = [step for each in (api, web) for step in run_steps(each) if step.values["phase"] not in {"promote", "finish"}]
    ready.docker.images[web.image] = Behaviour(exits=1)
    said = ready.begin([*first, *phases], [api, web]).end()
    assert said.outcome == "failed"
    assert routes(ready) == in_proxy(ready) == ["a.test/ shop.web", "b.test/ shop.api", "moves.test/ shop.web"]


def test_a_domain_of_another_stack_is_not_taken(ready: Machine) -> None:
    """The deploy fails and says whose it is."""
    ready.deployed(ready.make(1, stack="blog", number=3, domains=["shop.test"]))
    said = ready.deploy(ready.make(1, domains=["shop.test"]))
    assert said.failed["text"] == "shop.test/ already leads to blog.web on this machine"
    assert routes(ready) == ["shop.test/ blog.web"]
