from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_edge import HOST
from script_pair import learn
from script_poll import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from script_machine import Machine

ROUNDS = 20


def answers(machine: Machine, address: str, port: int) -> list[int]:
    """Return the statuses of questions in turn over one kept connection: GET, POST, GET, …."""
    with closing(HTTPConnection(address, port)) as kept:
        kept.sock = machine.connect(address, port)
        return list(_ask(kept))


def _ask(kept: HTTPConnection) -> Iterator[int]:
    for _ in range(ROUNDS):
        for method in ("GET", "POST"):
            kept.request(method, "/", headers={"Host": HOST})
            answer = kept.getresponse()
            answer.read()
            yield answer.status


def posts(behaviour: Behaviour) -> int:
    """Return how many POSTs an instance has heard."""
    return sum(head.startswith("POST ") for head in behaviour.heard)


@pytest.mark.parametrize(("address", "port"), [("10.210.0.1", 8000), ("127.0.0.1", 80)])
def test_a_post_never_meets_a_connection_that_the_instance_is_closing(ready: Machine, address: str, port: int) -> None:
    """An instance hangs up whenever it is asked again on a connection: GETs are tried again, POSTs come over new ones, once."""
    behaviour = Behaviour(tires=True)
    ready.deployed(ready.make(1, behaviour, instances=1, domains=[HOST]))
    assert answers(ready, address, port) == [200] * 2 * ROUNDS
    assert posts(behaviour) == ROUNDS


def test_nor_does_one_that_goes_to_another_machine(pair: tuple[Machine, Machine]) -> None:
    """On both hops: to the other machine's front, and from there to the instance."""
    m1, m2 = pair
    behaviour = Behaviour(tires=True)
    web = m1.make(1, behaviour, instances=1)
    learn(m1, web, "m1", ("m1",))
    m1.deployed(web)
    learn(m2, web, "m2", ("m1",))
    until(lambda: m2.get().startswith("200 "))
    before = posts(behaviour)
    assert answers(m2, "10.210.0.1", 8000) == [200] * 2 * ROUNDS
    assert posts(behaviour) - before == ROUNDS


def test_the_same_is_so_after_a_switch(pair: tuple[Machine, Machine]) -> None:
    """The running proxy was told of the new instance in each of its lists."""
    m1, m2 = pair
    learn(m1, m1.make(1), "m1", ("m1",))
    first = m1.deployed(m1.make(1, instances=1))
    learn(m2, first, "m2", ("m1",))
    until(lambda: m2.get().startswith("200 "))
    behaviour = Behaviour(tires=True)
    m1.deployed(m1.make(2, behaviour, instances=1))
    for machine in pair:
        before = posts(behaviour)
        assert answers(machine, "10.210.0.1", 8000) == [200] * 2 * ROUNDS
        assert posts(behaviour) - before == ROUNDS
