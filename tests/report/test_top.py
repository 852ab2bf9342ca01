"""Is what machines told summed up, put in order, and shown so that it fits?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from handful.report.top import SORTS, fitted, ordered, rows, top_json, top_text

MACHINE = {
    "cpus": 2, "cpu": 0.5, "load": 0.25, "memory": 1e9, "memory_total": 4e9, "disk": 1e10, "disk_total": 4e10, "received": 1500.0, "sent": 0.0,
    "read": 0.0, "written": 2e6,
}


def part(app: str, number: int, stack: str = "shop", **more: Any) -> dict[str, Any]:
    """Return what an instance uses, as the agent tells it."""
    told = {"stack": stack, "app": app, "instance": f"{app}-{number}", "release": "1", "restarts": number, "cpu": 0.1 * number, "memory": 1e6 * number, "memory_limit": 0}
    return {**told, "received": 10.0, "sent": 0.0, "read": 0.0, "written": None, **more}


TOLD = {
    "m1": {"machine": MACHINE, "apps": [part("web", 1), part("web", 2, memory_limit=64e6), part("db", 1), {"stack": "shop", "app": "web", "requests": 12.5, "errors": 0.5}, {"stack": "shop", "app": "far", "requests": 0.0, "errors": 0.0}]},
    "m2": {"machine": MACHINE, "apps": [part("web", 3), part("x", 1, stack="_"), part("web", 1, stack="blog")]},
}


def test_a_row_for_each_app_and_machine() -> None:
    """Its instances are summed up; an app that runs elsewhere, and that nobody asks for here, has none."""
    found = {(row["machine"], row["app"]): row for row in rows(TOLD, "shop")}
    assert set(found) == {("m1", "web"), ("m1", "db"), ("m2", "web")}
    web = found["m1", "web"]
    assert (web["runs"], round(web["cpu"], 3), web["memory"], web["restarts"], web["requests"], web["errors"]) == (2, 0.3, 3e6, 3, 12.5, 0.5)
    assert "written" not in web


def test_a_row_for_each_instance_and_other_stacks() -> None:
    """As they are asked for."""
    assert [row["app"] for row in rows(TOLD, "shop", ["web"], split=True)] == ["web-1", "web-2", "web-3"]
    assert {row["app"] for row in rows(TOLD, "shop", every=True)} == {"web", "db", "x", "blog.web"}


@pytest.mark.parametrize("by", SORTS)
def test_every_order(by: str) -> None:
    """The largest first, names by the alphabet; what is not known is the least."""
    found = ordered(rows(TOLD, "shop"), by)
    first = {"name": ("db", "m1"), "cpu": ("web", "m1"), "requests": ("web", "m1"), "errors": ("web", "m1"), "network": ("web", "m1")}
    assert len(found) == 3
    assert (found[0]["app"], found[0]["machine"]) == first.get(by, (found[0]["app"], found[0]["machine"]))
    if by in {"memory", "restarts", "cpu"}:
        assert [row[by] for row in found] == sorted((row[by] for row in found), reverse=True)


def test_tables_and_json() -> None:
    """People read shares and units, programs numbers."""
    found = ordered(rows(TOLD, "shop"), "name")
    machines, apps = top_text(TOLD, found).split("\n\n")
    assert machines.splitlines()[1].split() == ["m1", "25%", "of", "2", "0.25", "1.0", "GB", "of", "4.0", "GB", "10.0", "GB", "of", "40.0", "GB", "2", "kB", "0", "B", "0", "B", "2", "MB"]
    assert apps.splitlines()[2].split() == ["m1", "web", "2", "30%", "3", "MB", "of", "64", "MB", "20", "B", "0", "B", "0", "B", "-", "12.5", "0.5", "3"]
    told = json.loads(top_json(TOLD, found))
    assert [each["machine"] for each in told["machines"]] == ["m1", "m2"]
    assert len(told["apps"]) == 3
    assert fitted("abcdef\nb\nc\nd", 3, 3) == "abc\nb"
