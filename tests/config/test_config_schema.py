"""Does the JSON Schema say the same as the model?"""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from handful.config.model import Config
from handful.config.schema import schema
from handful.config.shape import parts

VALIDATOR = Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    """By the rules of the draft that it names."""
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_map_of_the_model_is_in_the_schema_with_its_keys() -> None:
    """No key more, no key less, no other key allowed, and a sentence that says what the map is."""
    found = {"Config": schema(), **schema()["$defs"]}
    for _, part in parts():
        made = found[part.__name__]
        assert set(made["properties"]) == set(part.model_fields)
        assert made["additionalProperties"] is False
        assert made["description"]
    assert {part.__name__ for _, part in parts()} == set(found)


VALUES: dict[str, list[Any]] = {
    "project": ["shop", "a", "a-b1", "", "-a", "a-", "A", "1a", "a" * 40, "a" * 41, "a b", 5, None, True, [], {}],
    "env": [{}, {"A": "x", "B": 1, "C": 1.5, "D": True}, {"A": None}, {"A": []}, [], None, "A=b"],
    "secrets": [
        {}, {"source": "secrets"}, {"source": ""}, {"command": ["op", "read", "x"]}, {"environment": True}, {"environment": "x"}, None, [],
        {"names": {"A": {"command": "cat x"}, "B": {"environment": "C"}}}, {"names": {"a-b": {"environment": "C"}}},
    ],
    "apps.web.secrets": [
        [], ["A"], ["A-B"], [5], "A", None, [{"secret": "A", "env": "B"}], [{"secret": "A", "file": "/run/a"}], [{"secret": "A", "file": "a"}],
        [{"secret": "A", "env": "1B"}], [{"env": "B"}], [{"secret": "A", "x": 1}],
    ],
    "machines": [{}, {"m1": {}}, {"M1": {}}, {"m1": None}, {"m1": {"address": "a"}}, [], None, {"m1": {"x": 1}}],
    "machines.m1.address": ["192.0.2.1", "host-1.example.com", "2001:db8::1", "my_alias", "", "-o", "a b", 5, None],
    "machines.m1.private": ["10.0.0.1", "10.0.0.256", "1.2.3", "01.2.3.4", "::1", 10, None],
    "provider": [None, {}, {"name": "lab"}, {"name": "hetzner"}, {"name": "lab", "image": "debian-12"}, "lab"],
    "provider.image": ["debian-13", "debian-12", "debian-11", None],
    "network": [{}, {"range": "10.9.0.0/16", "join": "wireguard"}, {"range": "10.9.0.0"}, {"range": "10.9.0.0/33"}, {"join": "no"}, None],
    "docker": [
        None, {}, {"repository": "https://x.test/debian", "key": "a.asc"}, {"repository": "file:/srv/x", "key": "a.asc", "version": "5:28.5.2*"},
        {"repository": "x.test", "key": "a.asc"}, {"repository": "https://x.test", "key": "a.asc", "version": "a b"}, {"key": "a.asc"}, "x",
    ],
    "machines.m2": [
        {"volumes": {"data": "40g"}, "fixed_address": True}, {"volumes": {"Data": "40g"}}, {"volumes": {"data": "0g"}}, {"fixed_address": "yes"},
        {"volumes": ["data"]},
    ],
    "packages": [[], ["htop"], ["Htop"], ["-y"], "htop", None],
    "machines.m1": [{"open": [25, "53/udp", "0", 70000, "1/icmp"]}, {"open": [25, "53/udp", 65535]}, {"open": 25}, {"open": [0]}, {"open": ["65536"]}],
    "ssh": [{}, None, {"user": "deploy", "port": 22}, {"user": "-x"}, {"user": None, "port": None}, {"key": "x"}],
    "logs": [{}, {"keep": "14d"}, {"keep": 14}, {"keep": "0d"}, {"max_size": "5g"}, {"max_size": 0}, None, {"days": 14}],
    "logs.levels": [{}, {"web": {}}, {"web": {"error": ["Traceback"]}}, {"web": {"error": "x"}}, {"web": {"bad": ["x"]}}, {"web": {"warn": [""]}}, None],
    "images.agent": ["python:3.13-slim", "", None],
    "images.proxy": ["haproxy:3.2", "", "-x", "a b", None, 5],
    "apps": [{}, None, {"web": {}}, {"Web": {}}, {"web": None}, {"web": "x"}, []],
    "apps.web.build": [None, {}, {"context": "."}, {"dockerfile": 5}, {"target": "x"}, "."],
    "apps.web.image": ["nginx", "-x", "", "a b", {"app": "db"}, {"app": "DB"}, {}, {"ap": "db"}, 5, None, ["x"]],
    "apps.web.machines": [None, [], ["m1"], ["M1"], [5], "m1", {}],
    "apps.web.instances": [
        0, 1, 50, 51, 1.5, "2", True, None, {}, {"default": 2, "Mon-Fri,Sun 8:00-18:30": 4, "0:00-24:00": 1}, {"Mon": 1},
        {"default": 0}, {"8:00-25:00": 1}, {"mon 8:00-9:00": 1},
    ],
    "apps.web.port": [None, 0, 1, 65535, 65536, "80", 80.5, True],
    "apps.web.protocol": ["http", "tcp", "udp", None],
    "apps.web.network": ["stack", "host", "bridge", None],
    "apps.web.domains": [[], ["a.b"], ["A.b"], ["a.b-"], [""], "a.b", None],
    "edge": [None, [], ["m1"], ["M1"], "m1"],
    "apps.web.redirects": [{}, {"a.b": "c.d"}, {"A.b": "c.d"}, {"a.b": ""}, ["a.b"], None],
    "apps.web.maintenance": ["away.html", 5, None],
    "apps.web.sticky": [True, False, None, "yes", 1],
    "apps.web.prefer_local": [True, "yes", 1],
    "apps.web.proxy_protocol": [True, "yes", 1],
    "apps.web.path": ["/", "/a/b_c~d.e-f", "a", "/a b", "/ä", "", None],
    "apps.web.health": [{}, {"path": "/"}, {"path": "up"}, {"tcp": True}, {"tcp": False}, {"command": []}, None, "x"],
    "apps.web.health.every": ["1s", "0s", "0.0s", "0.5s", "500ms", "1 s", "1", 1, 0, 0.1, -1, None, True, "s", "1sx"],
    "apps.web.memory": ["512m", "1.5g", "0m", 1, 0, -1, "1gb", "m", None, True, []],
    "apps.web.cpus": [1, 0.5, 0, -1, "1", None, True],
    "apps.web.env": [{"A": 1}, {"A": {}}],
    "apps.web.files": [{}, {"a.txt": "/a"}, {"a.txt": "a"}, {"a.txt": "/a:ro"}, {"a.txt": "/"}, {"a": 5}, ["a:/a"]],
    "apps.web.volumes": [{}, {"data": "/data"}, {"Data": "/data"}, {"data": "data"}, ["data:/data"]],
    "apps.web.command": ["run it", ["a", 1, True], [], "", " ", "x ", 5, None, [None], [["a"]], {}],
    "apps.web.needs": [[], ["db"], ["DB"], "db", None],
    "apps.web.before_start": ["a.bash", None, 5, []],
    "apps.web.hooks": [{}, {"before_deploy": "x"}, {"before_deploy": []}, {"before": "x"}, None],
    "apps.web.stop_timeout": ["10s", 0, "0s", -1, "1d", "1w", None],
    "apps.web.timeouts": [{}, {"response": "60s", "idle": 0}, {"idle": "1h"}, {"read": 1}, None],
    "apps.web.deploy": [{}, {"strategy": "rolling"}, {"strategy": "all"}, {"strategy": None}, {"keep": 100}],
    "apps.web.deploy.keep": [0, 1, 100, 101, "5", None],
    "registry": [
        {"server": "registry.example.com"}, {"server": "ghcr.io/acme", "user": "a", "password": {"secret": "TOKEN"}}, None, "x",
        {}, {"server": "h:5000", "keep_login": True},
    ],
    "registry.server": ["https://registry.example.com", "h", "h/a", "h:5000/a/b", "h:p", "", "localhost", "docker.io/acme", "a.b/c:5"],
    "apps.web.build.args": [{}, {"A": "1"}, {"A": [1]}, None, "A=1"],
    "apps.web.build.platform": ["linux/amd64", "linux/arm/v7", "windows/amd64", "arm64", None],
    "apps.web.build.on": ["m1", "M 1", 1, None],
    "apps.web.build.ssh": [True, False, "yes"],
    "apps.web.options": [[], ["--init", 5, True], [None], "--init", None],
}
CASES = [(spot, value) for spot, values in VALUES.items() for value in values]


@pytest.mark.parametrize(("spot", "value"), CASES)
def test_schema_and_model_agree_on_a_value(spot: str, value: Any) -> None:
    """Taken by both or refused by both; the table has some of each for every key."""
    written = value
    for step in reversed(spot.split(".")):
        written = {"name": "lab", step: written} if step == "image" and spot == "provider.image" else {step: written}
    document = {"project": "shop", **written}
    assert VALIDATOR.is_valid(document) == _fits(document)


def test_the_table_names_every_key_of_config_and_app() -> None:
    """A new key must come with its values."""
    named = {spot.split(".")[-1] for spot in VALUES}
    known = {key for label, part in parts() if label in {"an app", "the top of the file"} for key in part.model_fields}
    assert known - named - {"images", "drain_timeout", "release_command", "after_start"} == set()


def _fits(document: object) -> bool:
    try:
        Config.model_validate(document)
    except ValidationError:
        return False
    return True
