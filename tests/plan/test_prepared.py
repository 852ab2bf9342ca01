"""Which machines are brought up to date by themselves, as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from world import bare

from handful.config.model import Config
from handful.facts.model import StackState
from handful.plan.firewall import opening
from handful.plan.prepared import behind, newer, outdated

MACHINES = {"m1": {"address": "192.0.2.1", "private": "10.1.0.1"}, "m2": {"address": "192.0.2.2", "private": "10.1.0.2"}}
BY = {"handful": "1.2.0", "packages": ["htop"]}


def config(machines: dict[str, Any] | None = None, **more: Any) -> Config:
    """Return a config."""
    return Config.model_validate({"project": "shop", "machines": machines or MACHINES, **more})


def here(name: str, told: Config, **more: Any) -> Any:
    """Return a machine that is as the file says."""
    return replace(bare(name), **{"prepared": BY, "stacks": {"shop": StackState(opened=opening(told, name, ["22/tcp"]))}, **more})


def test_a_machine_that_follows_is_left_alone() -> None:
    """In whatever order the file names the machines; one that nobody has prepared is none of it."""
    told = config()
    facts = {"m1": here("m1", told), "m2": bare("m2")}
    assert behind(told, "shop", facts) == ()
    assert behind(config(dict(reversed(MACHINES.items()))), "shop", facts) == ()


def test_one_that_does_not_is_brought_up_to_date() -> None:
    """Another port, another machine, another stack."""
    facts = {"m1": here("m1", config())}
    assert behind(config({**MACHINES, "m1": {**MACHINES["m1"], "open": [25]}}), "shop", facts) == ("m1",)
    assert behind(config({**MACHINES, "m3": {"address": "192.0.2.3", "private": "10.1.0.3"}}), "shop", facts) == ("m1",)
    assert behind(config(), "blog", facts) == ("m1",)


@pytest.mark.parametrize("prepared", [{}, BY])
def test_a_volume_that_is_not_in_its_place(prepared: dict[str, Any]) -> None:
    """Nothing may be started beside it, whoever has prepared the machine, or nobody."""
    told = config({"m1": {"volumes": {"data": "1g"}}}, provider={"name": "lab"})
    assert behind(told, "shop", {"m1": here("m1", told, prepared=prepared)}) == ("m1",)
    assert behind(told, "shop", {"m1": here("m1", told, prepared=prepared, volumes=frozenset({"data", "more"}))}) == ()


@pytest.mark.parametrize(("version", "packages", "due"), [
    ("1.2.0", ["htop"], False), ("1.3.0", [], True), ("1.1.9", ["htop"], False), ("1.2.0", ["tree"], True), ("1.10.0", [], True),
])
def test_an_older_preparation(version: str, packages: list[str], *, due: bool) -> None:
    """By an older handful than this one, or without packages of the file; two versions do not take turns."""
    told = config(packages=packages)
    assert outdated(told, {"m1": here("m1", told), "m2": bare("m2")}, version) == (("m1",) if due else ())


def test_versions() -> None:
    """By number."""
    assert newer("0.10.0", "0.9.1")
    assert not newer("0.9.1", "0.9.1")
    assert newer("0.1.0", "")
