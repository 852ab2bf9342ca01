from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import ready

from handful.config.model import App
from handful.errors import PlanRefused
from handful.facts.model import AppState, Facts, StackState
from handful.plan.traffic import LAST_NUMBER, NAMES_ADDRESS, NAMES_NUMBER, numbers, proxy_lines, quoted, service_address


def holding(machine: str, **numbers_of: int) -> Facts:
    """Return a machine on which another stack's apps have these numbers."""
    apps = {name: AppState(number=number) for name, number in numbers_of.items()}
    return replace(ready(machine), stacks={"other": StackState(apps=apps)})


@pytest.mark.parametrize(
    ("number", "address"), [(1, "10.210.0.1"), (255, "10.210.0.255"), (256, "10.210.1.0"), (65534, "10.210.255.254")]
)
def test_a_number_is_an_address(number: int, address: str) -> None:
    """The two bytes of the number are the last two of the address."""
    assert service_address(number) == address


def test_the_name_servers_number_is_that_of_its_address() -> None:
    """10.210.255.53 is where every machine's name server listens: no app's number is that high."""
    assert service_address(NAMES_NUMBER) == NAMES_ADDRESS
    assert NAMES_NUMBER == 65333 > LAST_NUMBER


def test_no_number_is_left() -> None:
    """A front's port is 20000 and the number, and ports from 32768 are for connections that go out."""
    taken = {f"app-{number}": number for number in range(1, LAST_NUMBER + 1)}
    with pytest.raises(PlanRefused, match=r"no number is free for web: all 12767 of 10\.210\.0\.0/16 are taken"):
        numbers("shop", {"web": ["m1"]}, {"m1": holding("m1", **taken)})


def test_the_gap_that_a_removed_app_left_is_filled() -> None:
    """Numbers are few enough to be used again."""
    facts = {"m1": holding("m1", api=1, db=3)}
    assert numbers("shop", {"a": ["m1"], "b": ["m1"], "c": ["m1"]}, facts) == {"a": 2, "b": 4, "c": 5}


def test_what_is_only_reached_here_has_its_number_too() -> None:
    """`db` of another stack runs elsewhere and is served here at its address."""
    reached = replace(ready("m1"), stacks={"other": StackState(reach={"db": "number 1\nport 5432"})})
    assert numbers("shop", {"web": ["m1"]}, {"m1": reached}) == {"web": 2}


def test_another_stacks_number_on_a_machine_without_this_app_is_no_trouble() -> None:
    """`web` has 1 on m1, and m2, where another stack's app has 1, is not for it."""
    mine = replace(ready("m1"), stacks={"shop": StackState(apps={"web": AppState(number=1)})})
    assert numbers("shop", {"web": ["m1"]}, {"m1": mine, "m2": holding("m2", api=1)}) == {"web": 1}


def test_an_app_without_a_port_tells_the_proxy_nothing() -> None:
    """Nor does one on the host's network, with nothing in front of it."""
    assert proxy_lines("web", App(image="a")) == []
    assert proxy_lines("web", App(image="a", port=80, network="host")) == []


def test_a_tcp_app_is_passed_on_as_it_is() -> None:
    """With the long timeout of connections that may be quiet, on both sides."""
    assert proxy_lines("web", App(image="a", port=5432, protocol="tcp")) == [
        "frontend mode tcp",
        "frontend timeout client 3600000ms",
        "backend mode tcp",
        "backend timeout server 3600000ms",
        "backend option allbackups",
        "backend default-server check inter 1000ms fall 3 rise 1",
    ]


def test_the_proxy_asks_for_the_path_that_the_app_names() -> None:
    """With a host name of the app's own, so that a framework which checks it answers."""
    health = {"path": "/up?a='1'", "headers": {"X-Probe": "100%"}}
    app = App.model_validate({"image": "a", "port": 80, "domains": ["shop.example.com"], "health": health})
    assert proxy_lines("web", app)[-3:] == [
        "backend option httpchk",
        (r"backend http-check send meth GET uri '/up?a='\''1'\''' ver HTTP/1.1 "
        "hdr 'Host' 'shop.example.com' hdr 'X-Probe' '100%%'"),
        "backend http-check expect status 200-399",
    ]


@given(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"])))
def test_a_quoted_word_is_one_word(text: str) -> None:
    """As in a shell: nothing inside of strong quotes has a meaning but the quote."""
    import shlex

    assert shlex.split(quoted(text)) == [text]


def test_other_machines_are_asked_only_in_need() -> None:
    """Where the app prefers its own machine."""
    assert proxy_lines("web", App(image="x", port=80, prefer_local=True))[-1] == "peers backup"
    assert proxy_lines("db", App(image="x", port=80, protocol="tcp", prefer_local=True))[-1] == "peers backup"


def test_the_client_is_told_to_instances_and_to_fronts() -> None:
    """By the PROXY protocol, and only to apps that expect it."""
    lines = proxy_lines("db", App(image="x", port=80, protocol="tcp", proxy_protocol=True))
    assert "backend default-server send-proxy-v2 check-send-proxy" in lines
    assert "bind accept-proxy" in lines
    assert not [line for line in proxy_lines("db", App(image="x", port=80, protocol="tcp")) if "proxy" in line]
