from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour, Process
from script_pair import PRIVATE, learn
from script_poll import until
from script_traffic import Traffic
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine
    from script_release import Made

FRONT = 20_001


@pytest.fixture
def served(pair: tuple[Machine, Machine]) -> Made:
    """Give the app that runs on the first machine, and that both know to run on both."""
    web = pair[0].make(1)
    learn(pair[0], web, "m1")
    pair[0].deployed(web)
    learn(pair[1], web, "m2")
    until(lambda: pair[1].get().startswith("200 "))
    return web


def spread(machine: Machine, **keys: str) -> set[str]:
    """Return who answers."""
    return {machine.get(**keys) for _ in range(12)}


def test_an_app_is_reached_where_it_has_no_instance(pair: tuple[Machine, Machine]) -> None:
    """At the same address and by the same name as where it runs."""
    m1, m2 = pair
    web = m1.make(1)
    learn(m1, web, "m1", ("m1",))
    m1.deployed(web)
    learn(m2, web, "m2", ("m1",))
    until(lambda: m2.get() == f"200 {web.id} web-1", "m2 does not reach web")
    assert "10.210.0.1 web.shop.internal" in m2.hosts.read_text()
    learn(m2, web, "m2", ())
    assert "web" not in m2.hosts.read_text()
    assert not m2.fragment().exists()
    with pytest.raises(ConnectionRefusedError):
        m2.get()


def test_requests_go_to_the_instances_of_all_machines(pair: tuple[Machine, Machine]) -> None:
    """Half of each machine's go to the other one; and no further: what came over a front stays."""
    m1, m2 = pair
    web = m1.make(1, instances=1)
    other = m2.make(2, instances=1)
    for machine, made, name in ((m1, web, "m1"), (m2, other, "m2")):
        learn(machine, made, name)
        machine.deployed(made)
    both = {f"200 {web.id} web-1", f"200 {other.id} web-1"}
    for machine in pair:
        until(lambda machine=machine: spread(machine) == both, "not both are reached")
    m2.docker.end(m2.instances()[0], 3)
    until(lambda: spread(m1) == {f"200 {web.id} web-1"}, "m1 still asks m2")
    until(lambda: spread(m2) == {f"200 {web.id} web-1"}, "m2 does not ask m1")


def test_a_machine_gets_as_many_requests_as_it_has_instances(pair: tuple[Machine, Machine], served: Made) -> None:
    """One here, and three on the other machine: three of four go there."""
    m1, m2 = pair
    other = m2.make(2, instances=1)
    m2.deployed(other)
    learn(m1, served, "m1", weight=3)
    until(lambda: len(spread(m1)) > 1, "m2 is not asked")
    assert [m1.get() for _ in range(40)].count(f"200 {other.id} web-1") == 30


def test_a_switch_is_not_noticed_on_the_other_machine(pair: tuple[Machine, Machine]) -> None:
    """The switch happens in the running proxy, for those that come over the front, too."""
    m1, m2 = pair
    learn(m1, m1.make(1), "m1", ("m1",))
    first = m1.deployed(m1.make(1))
    learn(m2, first, "m2", ("m1",))
    until(lambda: m2.get().startswith("200 "))
    reloads = len(m1.tap.lines("haproxy -c"))
    with Traffic(m2) as traffic, Traffic(m1) as own:
        for counter in (2, 3, 4):
            made = m1.deployed(m1.make(counter))
            traffic.more()
        wholly_in(m1, made)
    assert traffic.failures == own.failures == []
    assert len(traffic.answers) >= 4
    assert len(m1.tap.lines("haproxy -c")) == reloads
    assert m1.ready() == m1.ready("web.here")


@pytest.mark.usefixtures("served")
def test_an_app_comes_to_a_machine_and_leaves_it_unnoticed(pair: tuple[Machine, Machine]) -> None:
    """While it runs on m1 all the time, m2 gets an instance, and loses it."""
    _, m2 = pair
    with Traffic(m2) as traffic:
        m2.deployed(m2.make(1))
        traffic.more()
        said = m2.alone("remove_app", stack="shop", app="web", stop_timeout="1")
        assert said.code == 0, said
        traffic.more()
    assert traffic.failures == []
    assert m2.slots() == {}
    assert "web.shop.internal" in m2.hosts.read_text()


@pytest.mark.usefixtures("served")
def test_a_first_deploy_that_fails_leaves_the_other_machine_s_instances(pair: tuple[Machine, Machine]) -> None:
    """What m2 knew of m1 is there again, and traffic never ended."""
    _, m2 = pair
    before = m2.fragment().read_text()
    with Traffic(m2) as traffic:
        assert m2.deploy(m2.make(2, Behaviour(exits=1))).outcome == "failed"
        gate = m2.tap.gate("update --restart unless-stopped")
        running = m2.begin_deploy(m2.make(3))
        gate.wait()
        running.kill()
        gate.open()
        assert running.end().outcome == "interrupted"
        traffic.more()
    assert traffic.failures == []
    until(lambda: m2.fragment().read_text() == before, "the fragment is another")
    assert "web.shop.internal" in m2.hosts.read_text()


def test_a_front_is_for_the_other_machines_alone(pair: tuple[Machine, Machine]) -> None:
    """Neither the machine itself nor a container of it gets an answer."""
    m1, m2 = pair
    web = m1.make(1)
    learn(m1, web, "m1", ("m1",))
    m1.deployed(web)
    assert m2.get(address=PRIVATE["m1"], port=FRONT) == f"200 {web.id} web-1"
    assert m2.get("/ready/shop/web", PRIVATE["m1"], 20_000) == "200 "
    assert m2.get("/ready/shop/nobody", PRIVATE["m1"], 20_000).startswith("503 ")
    for origin in (PRIVATE["m1"], "10.211.0.9"):
        with pytest.raises(ConnectionError):
            assert m1.get(address=PRIVATE["m1"], port=FRONT, origin=origin)
        assert m1.get("/ready/shop/web", PRIVATE["m1"], 20_000, origin=origin).startswith("403 ")


def test_a_machine_without_a_healthy_instance_says_so(pair: tuple[Machine, Machine]) -> None:
    """Stopped, it answers 503 to who asks, and nothing on its front."""
    m1, m2 = pair
    web = m1.make(1)
    learn(m1, web, "m1", ("m1",))
    m1.deployed(web)
    said = m1.alone("stop_app", stack="shop", app="web", stop_timeout="1")
    assert said.code == 0, said
    until(lambda: m2.get("/ready/shop/web", PRIVATE["m1"], 20_000).startswith("503 "))
    with pytest.raises(ConnectionError):
        assert m2.get(address=PRIVATE["m1"], port=FRONT)


def test_containers_packets_to_fronts_are_dropped(pair: tuple[Machine, Machine]) -> None:
    """They are seen before Docker gives them the machine's own address."""
    m1, m2 = pair
    web = m1.make(1)
    learn(m2, web, "m2", ("m1",))
    rules = m2.inside("iptables", "--table", "raw", "--list-rules")
    assert "-A PREROUTING -p tcp -j HANDFUL-FRONTS" in rules
    for machine in PRIVATE.values():
        assert f"-A HANDFUL-FRONTS -s {machine}/32 -j RETURN" in rules
    for port in (20_000, FRONT):
        assert f"-A HANDFUL-FRONTS -d 10.114.0.1/32 -p tcp -m tcp --dport {port} -j DROP" in rules
    assert rules.count("DROP") == 2
    learn(m2, web, "m2", ())
    assert "-d 10.114.0.1" not in m2.inside("iptables", "--table", "raw", "--list-rules")


def test_a_number_that_another_app_has_is_not_learned(pair: tuple[Machine, Machine]) -> None:
    """Two stacks began at the same moment: two fronts on one port would share the requests of two apps."""
    m1, _ = pair
    m1.deployed(m1.make(1, stack="blog", number=1))
    text = "number 1\nport 8000\nfront 10.114.0.1\nfrom 10.114.0.2\npeer m2 10.114.0.2 1\nfrontend mode http\nbackend mode http"
    said = m1.alone("reach_app", stack="shop", app="web", text=text)
    assert said.failed["text"] == "number 1 of web was taken by blog/apps/web/number in the meantime"
    assert list((m1.root / "stacks/shop/reach").iterdir()) == []
    assert "shop" not in m1.inside("iptables", "--table", "raw", "--list-rules")


def test_what_the_proxy_refuses_is_not_learned(pair: tuple[Machine, Machine]) -> None:
    """Neither the file nor the fragment stays: the machine would not serve after a reboot."""
    m1, _ = pair
    text = "number 1\nport 8000\nfront 10.114.0.1\nfrom 10.114.0.2\npeer m2 10.114.0.2 1\nfrontend mode http\nbackend nonsense"
    said = m1.alone("reach_app", stack="shop", app="web", text=text)
    assert said.failed["text"] == "the proxy refuses its new configuration"
    assert not m1.fragment().exists()
    assert not (m1.root / "proxy/conf/20-ready.cfg").exists()
    assert list((m1.root / "stacks/shop/reach").iterdir()) == []


def test_a_reload_does_not_bring_back_a_machine_that_is_away(pair: tuple[Machine, Machine]) -> None:
    """Nor is one trusted that is new: each has to show itself first."""
    m1, m2 = pair
    web = m1.make(1)
    learn(m1, web, "m1")
    m1.deployed(web)
    until(lambda: "shop.web.peers" in m1.proxy_says("show servers state"))
    m2.inside("ip", "link", "set", "private", "down")
    with Traffic(m1) as traffic:
        m1.deployed(m1.make(2, timeouts={"response": "9s"}))
        traffic.more()
    assert traffic.failures == []
    states = [line.split() for line in m1.proxy_says("show servers state shop.web.peers").splitlines()]
    assert [line[5] for line in states if line[3:4] == ["peer.m2"]] == ["0"]


def test_the_network_stays_while_an_app_is_reached(pair: tuple[Machine, Machine]) -> None:
    """Its range says who is let in: another stack that got it would be."""
    m1, m2 = pair
    web = m2.make(1, app="db", number=2, port=9000, behaviour=Behaviour(port=9000, answers={"/up": (200, "ok")}))
    learn(m2, web, "m2", ("m2",))
    m2.deployed(web)
    learn(m1, web, "m1", ("m2",))
    m1.deployed(m1.make(1))
    assert m1.alone("remove_app", stack="shop", app="web", stop_timeout="1").code == 0
    assert "10.211.0.0/24" in m1.fragment("db").read_text()
    assert (m1.root / "stacks/shop/subnet").read_text() == "10.211.0.0/24\n"
    learn(m1, web, "m1", ())
    assert not (m1.root / "stacks/shop/subnet").exists()


def test_a_proxy_that_docker_starts_is_not_ready_at_once(pair: tuple[Machine, Machine], served: Made) -> None:
    """HAProxy takes every instance to be up until a check has failed: nobody may go by that. Who sets it up knows better."""
    m1, m2 = pair
    assert ready_on_first(m2) == 200
    proxy = m1.docker.containers["handful-proxy"]
    assert isinstance(proxy.work, Process)
    proxy.work.signal("KILL")
    until(lambda: proxy.restarts == 1 and m1.answer() == f"200 {served.id} web-1")
    assert ready_on_first(m2) == 503
    until(lambda: ready_on_first(m2) == 200)


def ready_on_first(second: Machine) -> int:
    """Ask the first machine's proxy, from the second, whether web is ready there."""
    return int(second.get("/ready/shop/web", address=PRIVATE["m1"], port=20_000)[:3])


def test_a_slot_that_was_left_in_a_reload_is_used_again_beside_other_machines(pair: tuple[Machine, Machine], served: Made) -> None:
    """The running proxy would use it only when all others are down, and cannot be told otherwise: it is reloaded once more."""
    m1, m2 = pair
    other = m2.deployed(m2.make(2, timeouts={"response": "30s"}))
    until(lambda: len(m1.ready()) == 2)
    m1.deployed(m1.make(3, timeouts={"response": "30s"}))
    until(lambda: len(m1.instances()) == 1 and len(m1.slots()) == 1)
    new = m1.deployed(m1.make(4, timeouts={"response": "30s"}))
    until(lambda: len(m1.ready()) == 2)
    here = next(each.labels["handful.instance"] for each in m1.instances() if each.labels["handful.release"] == new.id)
    assert spread(m1) == {f"200 {new.id} {here}", f"200 {other.id} web-1"}
    assert served.id != new.id
