from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import sources

from handful.config.model import Config
from handful.plan.order import levels, together
from handful.plan.release import describe, file_name, reasons, release

TARGET = st.from_regex(r"\A/[a_%/.5F]{1,8}\Z")


def config(**app: Any) -> Config:
    """Return a config with the one app web."""
    told = {"project": "shop", "machines": {"m1": {"address": "192.0.2.1"}}, "apps": {"web": {"build": {}, **app}}}
    return Config.model_validate(told)


def manifest(**app: Any) -> dict[str, Any]:
    """Return the manifest of web."""
    found = config(**app)
    return describe("web", found, sources(found, "shop", ["web"])["web"])


def test_a_manifest_is_the_same_after_it_was_written_and_read() -> None:
    """Else what a machine keeps would differ from the file for ever."""
    told = manifest(port=8000, env={"A": "ü\n"}, cpus=0.5, volumes={"data": "/data"}, health={"path": "/up"})
    read = json.loads(json.dumps(told))
    assert read == told
    assert reasons(read, told) == ()


@pytest.mark.parametrize(
    "app", [{"instances": 3}, {"needs": ["db"]}, {"deploy": {"keep": 9}}, {"hooks": {"before_deploy": "true"}}]
)
def test_where_and_how_many_are_no_part_of_a_release(app: dict[str, Any]) -> None:
    """Nor what only the operator's computer does."""
    assert manifest(**app)["hash"] == manifest()["hash"]


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ({"env": {"A": ""}}, "env A added"),
        ({"command": "serve"}, "command changed"),
        ({"port": 8000}, "health.kind changed"),
        ({"memory": "64m"}, "memory changed"),
        ({"stop_timeout": 9}, "stop_timeout changed"),
        ({"timeouts": {"idle": 1}, "port": 8000}, "timeouts.idle changed"),
        ({"deploy": {"strategy": "recreate"}}, "strategy changed"),
        ({"files": {"app.toml": "/a"}}, "file /a added"),
        ({"after_start": "warm.bash"}, "after_start added"),
    ],
)
def test_what_runs_makes_another_release(app: dict[str, Any], why: str) -> None:
    """And the reason names the key."""
    old, new = manifest(), manifest(**app)
    assert old["hash"] != new["hash"]
    assert why in reasons(old, new)


def test_the_order_of_domains_is_no_difference_but_the_first_is_asked_for() -> None:
    """The health check names the first domain; the others may come in any order."""
    domains = ["a.example.com", "b.example.com", "c.example.com"]
    check = {"port": 80, "health": {"path": "/"}}
    assert reasons(manifest(domains=domains, **check), manifest(domains=[domains[0], *domains[:0:-1]], **check)) == ()
    assert reasons(manifest(domains=domains, **check), manifest(domains=domains[::-1], **check)) == ("health.host changed",)


def test_a_release_of_another_format_is_another_release() -> None:
    """Nothing of the user's has changed: the reason says so."""
    told = manifest(port=80)
    assert reasons({**told, "hash": "0"}, told) == ("the format of releases changed",)
    older = {**told, "hash": "0", "settings": {**told["settings"], "proxy": []}}
    assert reasons(older, told) == ("what handful tells the proxy changed",)


def test_a_release_holds_what_runs_and_no_place() -> None:
    """No address, no number, no count: an older folder must run on any later day."""
    made = release("shop", "0001-abcdef", manifest(port=8000, stop_timeout="1500ms", cpus=1))
    assert made.manifest["release"] == "0001-abcdef"
    assert made.settings["port"] == "8000"
    assert made.settings["stop_timeout"] == "2"
    assert made.settings["health_kind"] == "tcp"
    assert not {"number", "instances", "address", "keep"} & set(made.settings)


@given(TARGET, TARGET)
def test_two_targets_never_share_a_file(one: str, other: str) -> None:
    """A slash at the end is the same target, which the config refuses to have twice."""
    assert (file_name(one) == file_name(other)) == (one.rstrip("/") == other.rstrip("/"))


@given(TARGET)
def test_the_name_of_a_file_is_one_name(target: str) -> None:
    """No path leads out of the release's folder."""
    assert "/" not in file_name(target)


def test_the_name_of_a_file_can_be_read() -> None:
    """A person who looks into the folder knows what it is for."""
    assert file_name("/etc/nginx/nginx.conf") == "etc_nginx_nginx.conf"


def test_levels_count_the_longest_way() -> None:
    """Also through apps that are not deployed this time."""
    told = config().model_dump()
    needs = {"a": ["b", "c"], "b": ["c"], "c": ["d"], "d": [], "e": []}
    told["apps"] = {name: {"image": "x", "needs": needed} for name, needed in needs.items()}
    apps = Config.model_validate(told).apps
    assert levels(apps, apps) == (("d", "e"), ("c",), ("b",), ("a",))
    assert levels(["a", "d", "e"], apps) == (("d", "e"), ("a",))
    assert levels(["a", "e"], apps) == (("a", "e"),)


def test_apps_with_the_same_image_go_together() -> None:
    """Whichever of them is named; the same reference twice is not the same image."""
    told = config().model_dump()
    told["apps"] = {
        "web": {"build": {}}, "worker": {"image": {"app": "web"}}, "cron": {"image": {"app": "web"}},
        "one": {"image": "redis:8"}, "two": {"image": "redis:8"},
    }
    apps = Config.model_validate(told).apps
    assert together(["cron"], apps) == ("web", "worker", "cron")
    assert together(["one", "worker"], apps) == ("web", "worker", "cron", "one")
