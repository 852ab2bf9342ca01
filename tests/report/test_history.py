from __future__ import annotations

from typing import Any

import pytest
from world import sources

from handful.config.model import Config
from handful.plan.back import Past
from handful.plan.release import describe
from handful.report.history import difference_lines, history_lines


def past(number: int, apps: dict[str, tuple[str, str]], what: str = "deploy", **more: Any) -> Past:
    """Return a deploy of noon."""
    return Past(number, what, "2026-11-22T12:00:00Z", "ann", "laptop", apps, **{"outcomes": {"m1": "done"}, **more})


def test_no_deploy_yet() -> None:
    """A sentence instead of an empty table."""
    assert history_lines([]) == ["no deploy yet"]


def test_a_deploy_is_a_line() -> None:
    """Oldest first: who, when, from what to what, how it ended and how long it took."""
    told = [
        past(1, {"web": ("", "0001-a")}, seconds=12.34, requests={"web": {"answered": 1204, "failed": 0, "retried": 2}}),
        past(2, {"web": ("0001-a", "0002-b"), "worker": ("0001-c", "0001-c")}, outcomes={"m1": "done", "m2": "failed"}),
        past(3, {"web": ("0002-b", "0001-a")}, "rollback", undoes=2),
        past(4, {"web": ("0001-a", "")}, "remove", outcomes={"m1": "unfinished"}),
        past(5, {}, "apply", outcomes={"m1": "at work"}),
    ]
    assert history_lines(told) == [
        "DEPLOY  WHEN (UTC)           WHO         WHAT                                        ENDED               TOOK    REQUESTS",
        "1       2026-11-22 12:00:00  ann@laptop  deploy: web nothing → 0001-a                done                12.3 s  1204, 0 failed",
        "2       2026-11-22 12:00:00  ann@laptop  deploy: web 0001-a → 0002-b, worker 0001-c  m1 done, m2 failed",
        "3       2026-11-22 12:00:00  ann@laptop  rollback of 2: web 0002-b → 0001-a          done",
        "4       2026-11-22 12:00:00  ann@laptop  remove: web 0001-a → nothing                unfinished",
        "5       2026-11-22 12:00:00  ann@laptop  apply                                       at work",
    ]


def manifest(image: str = "v1", **app: Any) -> dict[str, Any]:
    """Return the manifest of web."""
    told = {"project": "shop", "machines": {"m1": {"address": "192.0.2.1"}}, "apps": {"web": {"build": {}, **app}}}
    config = Config.model_validate(told)
    return describe("web", config, sources(config, "shop", ["web"], {"web": image})["web"])


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({}, {}, ["no difference"]),
        ({}, {"image": "v2"}, ["image: build:v1 → build:v2"]),
        ({"env": {"A": "info"}}, {"env": {"A": "debug"}}, ["env A: info → debug"]),
        ({"env": {"A": ""}}, {"env": {"B": "1"}}, ['env A: "" → none', "env B: none → 1"]),
        ({}, {"command": ["serve", "--fast"]}, ["command: none → serve --fast"]),
        ({}, {"volumes": {"data": "/data"}}, ["strategy: rolling → recreate", "volumes: none → data: /data"]),
        ({"memory": "64m"}, {"memory": "128m"}, ["memory: 67108864 → 134217728"]),
        ({"port": 80}, {"port": 80, "timeouts": {"response": 5}}, ["timeouts.response: 60.0 → 5.0"]),
        (
            {"port": 80, "health": {"path": "/"}}, {"port": 80, "health": {"path": "/up", "headers": {"X": "1"}}},
            ["health.headers: none → X: 1", "health.path: / → /up"],
        ),
    ],
)
def test_differences(before: dict[str, Any], after: dict[str, Any], lines: list[str]) -> None:
    """What the user wrote, not what follows from it."""
    assert difference_lines(manifest(**before), manifest(**after)) == lines


def test_a_file_differs_by_its_digest() -> None:
    """Its content is not shown: it may be long."""
    old, new = manifest(files={"app.toml": "/etc/app.toml"}), manifest()
    new["files"] = {"/etc/app.toml": "0123456789abcdef0123"}
    (line,) = difference_lines(old, new)
    assert line.startswith("file /etc/app.toml: ")
    assert line.endswith(" → 0123456789ab")


def test_where_it_was_built_from_is_a_difference() -> None:
    """The same image may come from another revision."""
    old, new = manifest(), manifest()
    new["built_from"] = {**new["built_from"], "git": "abc+dirty"}
    assert difference_lines(old, new) == ["built from git: none → abc+dirty"]


def test_a_secret_differs_by_its_fingerprint() -> None:
    """Its value is nowhere."""
    old, new = manifest(), manifest()
    old["secrets"], new["secrets"] = {"env TOKEN": "00aa", "file /pem": "22cc"}, {"env TOKEN": "11bb", "file /pem": "22cc"}
    assert difference_lines(old, new) == ["secret env TOKEN: 00aa → 11bb"]
