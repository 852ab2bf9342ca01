"""The addresses that a lab's machines get."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from handful.errors import MachineError
from handful.provider.lab_network import give_addresses

SUBNET = IPv4Network("10.114.3.0/24")


def test_machines_without_wishes_are_numbered_in_order() -> None:
    """The first machine is .11, the next .12."""
    given = give_addresses({"web-1": None, "web-2": None}, SUBNET, {})
    assert given == {"web-1": "10.114.3.11", "web-2": "10.114.3.12"}


def test_a_wanted_address_is_given_and_passed_over_by_the_others() -> None:
    """Who wants nothing gets what nobody wants."""
    given = give_addresses({"web-1": None, "db": "10.114.3.11"}, SUBNET, {})
    assert given == {"web-1": "10.114.3.12", "db": "10.114.3.11"}


def test_a_machine_that_exists_keeps_its_address() -> None:
    """Machines that come later do not move those that are there."""
    given = give_addresses({"new": None, "old": None}, SUBNET, {"old": "10.114.3.11", "other": "10.114.3.12"})
    assert given == {"new": "10.114.3.13", "old": "10.114.3.11"}


def test_two_machines_cannot_have_one_address() -> None:
    """The error names the holder and the address."""
    with pytest.raises(MachineError, match=r"db and web-1 .* 10\.114\.3\.20"):
        give_addresses({"web-1": "10.114.3.20"}, SUBNET, {"db": "10.114.3.20"})


def test_a_machine_that_exists_cannot_be_given_another_address() -> None:
    """The error names both addresses."""
    with pytest.raises(MachineError, match=r"db has the address 10\.114\.3\.20, and 10\.114\.3\.21"):
        give_addresses({"db": "10.114.3.21"}, SUBNET, {"db": "10.114.3.20"})
