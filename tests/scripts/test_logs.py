from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour

from handful.artifact.script import stand_alone

if TYPE_CHECKING:
    from script_machine import Machine

STAMP = "2026-01-01T00:00:00.000000000Z"


def test_each_line_names_its_instance(ready: Machine) -> None:
    """Time, instance, and what it wrote, byte for byte."""
    says = "one two\n  three & four \\ five\n"
    ready.deployed(ready.make(1, Behaviour(says=says, answers={"/up": (200, "ok")}), instances=2))
    text = stand_alone("logs", {"stack": "shop", "app": "web", "follow": "", "since": "", "lines": "100"})
    said = ready.bash(text)
    assert said.code == 0, said
    assert sorted(said.out.splitlines()) == sorted(
        f"{STAMP} web-{number} {line}" for number in (1, 2) for line in says.splitlines()
    )


def test_so_many_lines_of_each(ready: Machine) -> None:
    """`--lines 2` are the last two."""
    says = "".join(f"{number}\n" for number in range(10))
    ready.deployed(ready.make(1, Behaviour(says=says, answers={"/up": (200, "ok")})))
    said = ready.bash(stand_alone("logs", {"stack": "shop", "app": "web", "follow": "", "since": "", "lines": "2"}))
    assert [line.split()[2] for line in said.out.splitlines()] == ["8", "9"]


def test_an_app_without_containers_says_nothing(ready: Machine) -> None:
    """There is nothing to show, and that is no failure."""
    said = ready.bash(stand_alone("logs", {"stack": "shop", "app": "web", "follow": "", "since": "", "lines": "2"}))
    assert (said.code, said.out) == (0, "")


def test_since_reaches_docker(ready: Machine) -> None:
    """Docker knows times better."""
    ready.deployed(ready.make(1))
    ready.bash(stand_alone("logs", {"stack": "shop", "app": "web", "follow": "", "since": "10m", "lines": "all"}))
    assert ready.tap.lines("docker logs --timestamps") == ["docker logs --timestamps --tail all --since 10m shop.web-1"]
