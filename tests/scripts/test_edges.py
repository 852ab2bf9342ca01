from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_edge import HOST, body, edge
from script_pair import PRIVATE, learn
from script_poll import until

if TYPE_CHECKING:
    from script_machine import Machine
    from script_release import Made

TOLD = {"domains": [HOST]}


def cookie(answer: str) -> str:
    """Return the cookie that an answer sets, "" when it sets none."""
    found = [line.split(": ", 1)[1].split(";")[0] for line in answer.splitlines() if line.lower().startswith("set-cookie")]
    assert len(found) < 2, answer
    return found[0] if found else ""


def routes(machine: Machine) -> list[str]:
    """Return the routes on disk, sorted."""
    return sorted((machine.root / "proxy" / "conf" / "routes.map").read_text().splitlines())


def test_an_edge_leads_to_an_app_that_runs_elsewhere(pair: tuple[Machine, Machine]) -> None:
    """It has the routes, and the machine that runs the app has none, from its first deploy on."""
    m1, m2 = pair
    web = m1.make(1, **TOLD)
    learn(m1, web, "m1", ("m1",), more=("edge no",))
    learn(m2, web, "m2", ("m1",), more=(f"route {HOST}/",))
    assert edge(m2).startswith("HTTP/1.1 503")
    m1.deployed(web)
    until(lambda: body(edge(m2)) == f"{web.id} web-1")
    assert routes(m1) == []
    assert not (m1.root / "proxy" / "conf" / "10-edge.cfg").exists()
    assert "x-forwarded-for: 127.0.0.1" in m1.instances()[0].behaviour.heard[-1].lower()


def test_a_machine_becomes_an_edge_and_another_is_none_any_more(pair: tuple[Machine, Machine]) -> None:
    """What runs stays as it is."""
    m1, m2 = pair
    web = m1.make(1, **TOLD)
    learn(m1, web, "m1", ("m1",), more=("edge no",))
    m1.deployed(web)
    learn(m2, web, "m2", ("m1",), more=(f"route {HOST}/",))
    learn(m1, web, "m1", ("m1",))
    learn(m2, web, "m2", ("m1",))
    assert routes(m1) == [f"{HOST}/ shop.web"]
    assert routes(m2) == []
    assert body(edge(m1)) == f"{web.id} web-1"
    assert len(m1.instances()) == 1


def test_a_domain_that_changes_apps_at_an_edge_leads_somewhere_all_the_time(pair: tuple[Machine, Machine]) -> None:
    """Who has it keeps it until he gives it up; who waits for it gets it then."""
    _, m2 = pair
    web, api = m2.make(1, **TOLD), m2.make(1, app="api", number=2, **TOLD)
    learn(m2, web, "m2", ("m1",), more=(f"route {HOST}/",))
    learn(m2, api, "m2", ("m1",), more=(f"route {HOST}/",))
    assert routes(m2) == [f"{HOST}/ shop.web"]
    learn(m2, web, "m2", ("m1",))
    assert routes(m2) == [f"{HOST}/ shop.api"]
    learn(m2, api, "m2", ())
    assert routes(m2) == []


def test_what_the_proxy_refuses_leaves_the_edge_as_it_was(pair: tuple[Machine, Machine]) -> None:
    """A text that makes no configuration: routes and fragment are as before."""
    _, m2 = pair
    web = m2.make(1, **TOLD)
    learn(m2, web, "m2", ("m1",), more=(f"route {HOST}/",))
    before = m2.fragment().read_text(), routes(m2)
    text = f"number 1\nport 8000\nfront {PRIVATE['m2']}\nfrom {PRIVATE['m1']}\npeer m1 {PRIVATE['m1']} 1\nroute other.test/\nbackend nonsense"
    said = m2.alone("reach_app", stack="shop", app="web", text=text)
    assert said.code != 0
    assert (m2.fragment().read_text(), routes(m2)) == before


def test_a_host_that_leads_on(ready: Machine) -> None:
    """Path and query stay, and so does https; a POST stays one."""
    web = ready.deployed(ready.make(1, domains=[HOST], redirects={"www.shop.test": HOST}))
    said = edge(ready, "WWW.shop.test:80", "/a?b=c")
    assert said.startswith("HTTP/1.1 308")
    assert f"location: http://{HOST}/a?b=c" in said.lower()
    assert body(edge(ready)) == f"{web.id} web-1"
    assert routes(ready) == [f"{HOST}/ shop.web", "www.shop.test/ shop.web"]


def sticky(pair: tuple[Machine, Machine]) -> tuple[Made, Made]:
    """Deploy two instances on each machine, which answer with the machine's release."""
    made = []
    for machine, name, counter in zip(pair, PRIVATE, (1, 2), strict=True):
        web = machine.make(counter, instances=2, sticky=True, **TOLD)
        learn(machine, web, name, more=(f"here {name}",))
        made.append(machine.deployed(web))
    for machine in pair:
        until(lambda machine=machine: len({body(edge(machine)) for _ in range(12)}) == 4, "not all four are reached")
    return made[0], made[1]


def test_a_user_stays_on_an_instance_at_each_edge(pair: tuple[Machine, Machine]) -> None:
    """The cookie is set once, names one of four instances on two machines, and holds at both edges."""
    sticky(pair)
    seen = {}
    for machine in pair:
        for _ in range(12):
            first = edge(machine)
            seen[cookie(first)] = body(first)
            for asked in pair:
                again = edge(asked, cookie=f"other=1; {cookie(first)}")
                assert (body(again), cookie(again)) == (body(first), "")
    assert len(seen) == 4
    assert {name.split("=")[1].split(".")[0] for name in seen} == {"m1", "m2"}


def test_a_user_whose_instance_is_gone_gets_another(pair: tuple[Machine, Machine]) -> None:
    """At once after a deploy, whatever still drains; and when all instances of a machine have ended."""
    sticky(pair)
    m1, m2 = pair
    first = next(each for each in (edge(m1) for _ in range(12)) if "m1." in cookie(each))
    web = m1.deployed(m1.make(3, instances=2, sticky=True, **TOLD))
    again = edge(m1, cookie=cookie(first))
    assert again.startswith("HTTP/1.1 200")
    assert not body(again).startswith(body(first).split()[0])
    assert cookie(again)
    stays = next(each for each in (edge(m1) for _ in range(12)) if "m1." in cookie(each))
    assert body(stays).startswith(web.id)
    for instance in m1.instances(running=True):
        m1.docker.end(instance, 3)
    until(lambda: edge(m2, cookie=cookie(stays)).startswith("HTTP/1.1 200") and "m2." in cookie(edge(m2, cookie=cookie(stays))))


def test_one_machine_keeps_its_users_as_well(ready: Machine) -> None:
    """Without other machines."""
    ready.deployed(ready.make(1, instances=3, sticky=True, **TOLD))
    first = edge(ready)
    assert {body(edge(ready, cookie=cookie(first))) for _ in range(9)} == {body(first)}


def test_the_instances_here_come_first(pair: tuple[Machine, Machine]) -> None:
    """Those on the other machine are asked when there is none here."""
    _, m2 = pair
    made = {}
    for machine, name, counter in zip(pair, PRIVATE, (1, 2), strict=True):
        web = machine.make(counter, prefer_local=True)
        learn(machine, web, name)
        made[name] = machine.deployed(web)
    until(lambda: {m2.get() for _ in range(8)} == {f"200 {made['m2'].id} web-1"})
    m2.docker.end(m2.instances(running=True)[0], 3)
    until(lambda: {m2.get() for _ in range(8)} == {f"200 {made['m1'].id} web-1"})


def test_a_tcp_app_is_told_who_connects(pair: tuple[Machine, Machine]) -> None:
    """By the PROXY protocol, on the same machine and from another: the address is the client's in both."""
    m1, m2 = pair
    db = m1.make(1, Behaviour(proxied=True), app="db", protocol="tcp", proxy_protocol=True, health={"tcp": True, "every": "0.1s", "within": "8s"})
    learn(m1, db, "m1", ("m1",))
    m1.deployed(db)
    learn(m2, db, "m2", ("m1",))
    for machine, origin in ((m1, "127.0.0.7"), (m2, "127.0.0.9")):
        until(lambda machine=machine, origin=origin: told(machine, origin) == origin)


def told(machine: Machine, origin: str) -> str:
    """Connect to the first service address and return what comes."""
    try:
        with machine.connect("10.210.0.1", 8000, origin) as made:
            return made.recv(100).decode()
    except OSError:
        return ""
