"""Is known what is to run here, from what deploys have written down?"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from handful.agent.exposition import text
from handful.agent.own_metrics import deploy_metrics
from handful.agent.stacks import TAIL_BYTES, App, Deploy, Stacks

if TYPE_CHECKING:
    from pathlib import Path

SPOKEN = {"machine": "one", "private": "10.0.0.1", "days": 3.5, "bytes": 1000, "levels": {"web": {"error": ["Traceback"], "fatal": ["Killed"]}}}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of a stack."""
    folder = tmp_path / "stacks/shop"
    (folder / "apps").mkdir(parents=True)
    (folder / "agent.json").write_text(json.dumps(SPOKEN))
    return folder


def deployed(folder: Path, app: str, release: str, instances: str | None) -> None:
    """Make a release the current one."""
    here = folder / "apps" / app
    here.mkdir(exist_ok=True)
    (here / "current").unlink(missing_ok=True)
    (here / "current").symlink_to(f"releases/{release}")
    if instances is not None:
        (here / "instances").write_text(instances)


def happened(folder: Path, *events: dict[str, Any], end: str = "") -> None:
    """Add to a history."""
    with (folder / "history.jsonl").open("a") as file:
        file.write("".join(f"{json.dumps(event)}\n" for event in events) + end)


def deploy(number: int, outcome: str = "done", **apps: tuple[str, str]) -> list[dict[str, Any]]:
    """Return a deploy's lines: it begins, and ends."""
    changes = {app: {"from": before, "to": after} for app, (before, after) in apps.items()}
    return [
        {"deploy": number, "event": "begun", "what": "deploy", "when": f"2026-01-01T00:00:{number:02}Z", "who": "me", "apps": changes},
        {"deploy": number, "event": "ended", "outcome": outcome, "when": f"2026-01-01T00:01:{number:02}Z", "seconds": 1.25},
    ]


def test_what_a_stack_says(tmp_path: Path, shop: Path) -> None:
    """How logs are kept, whose levels are what; another stack says nothing."""
    (tmp_path / "stacks/blog").mkdir()
    (tmp_path / "stacks/a-file").touch()
    blog, told = Stacks(tmp_path).look()
    assert (blog.name, blog.machine, blog.private, blog.days, blog.most_bytes, blog.rules, blog.apps, blog.deploys) == ("blog", "", "", None, None, {}, {}, ())
    assert (told.name, told.machine, told.private, told.days, told.most_bytes) == ("shop", "one", "10.0.0.1", 3.5, 1000)
    assert told.rules == {"web": (("fatal", "Killed"), ("error", "Traceback"))}
    assert shop.exists()
    assert Stacks(tmp_path / "nowhere").look() == ()


def test_what_is_to_run(tmp_path: Path, shop: Path) -> None:
    """By release and number; what is stopped is to run nowhere; without a release it is not here."""
    deployed(shop, "web", "0002-abc", "3\n")
    deployed(shop, "db", "0001-abc", "1\n")
    (shop / "apps/db/stopped").touch()
    deployed(shop, "job", "0003-abc", None)
    deployed(shop, "odd", "0004-abc", "many")
    (shop / "apps/gone/releases").mkdir(parents=True)
    stacks = Stacks(tmp_path)
    (told,) = stacks.look()
    assert told.apps == {"web": App("0002-abc", 3), "db": App("0001-abc", 0), "job": App("0003-abc", 0), "odd": App("0004-abc", 0)}
    (shop / "apps/db/stopped").unlink()
    deployed(shop, "web", "0005-abc", "4\n")
    (again,) = stacks.look()
    assert (again.apps["web"], again.apps["db"]) == (App("0005-abc", 4), App("0001-abc", 1))


def test_the_deploys_of_a_history(tmp_path: Path, shop: Path) -> None:
    """Those that have ended; what else is written there is passed over, also the half of a line."""
    requests = {"web": {"answered": 10, "failed": 1, "retried": 2, "p50": [1, None], "p99": [2, None]}}
    first, second = deploy(1, web=("", "0001-abc")), deploy(2, "failed", web=("0001-abc", "0002-abc"))
    second[1]["requests"] = requests
    happened(shop, *first, {"event": "hours", "app": "web", "from": 1, "to": 2, "when": "2026-01-01T00:00:00Z"}, *second)
    happened(shop, {"deploy": 2, "event": "counted", "requests": requests}, deploy(3)[0], end='{"deploy":3,"event":"ended","outc')
    (told,) = Stacks(tmp_path).look()
    assert told.deploys == (Deploy(1, "deploy", "done", 1767225661.0, 1.25, {}), Deploy(2, "deploy", "failed", 1767225662.0, 1.25, requests))
    assert told.removed == {}
    said = text(deploy_metrics((told,)))
    for line in (
        'handful_deploy_last_timestamp_seconds{stack="shop",machine="one"} 1767225662',
        'handful_deploy_last_success_timestamp_seconds{stack="shop",machine="one"} 1767225661',
        'handful_deploy_last_failure_timestamp_seconds{stack="shop",machine="one"} 1767225662',
        'handful_deploy_last_info{stack="shop",machine="one",deploy="2",what="deploy",outcome="failed"} 1',
        'handful_deploy_last_duration_seconds{stack="shop",machine="one"} 1.25',
        'handful_deploy_last_requests{stack="shop",machine="one",app="web",outcome="answered"} 10',
        'handful_deploy_last_requests{stack="shop",machine="one",app="web",outcome="failed"} 1',
    ):
        assert f"{line}\n" in said


def test_an_app_that_was_removed(tmp_path: Path, shop: Path) -> None:
    """Since when; one that has come back is not; one whose removal failed was not removed."""
    happened(shop, *deploy(1, web=("", "1"), db=("", "1"), job=("", "1")), *deploy(2, web=("1", ""), db=("1", ""), job=("2", "1")))
    happened(shop, *deploy(3, "failed", job=("1", "")))
    stacks = Stacks(tmp_path)
    (told,) = stacks.look()
    assert told.removed == {"web": "2026-01-01T00:01:02Z", "db": "2026-01-01T00:01:02Z"}
    happened(shop, *deploy(4, web=("", "2")))
    (told,) = stacks.look()
    assert told.removed == {"db": "2026-01-01T00:01:02Z"}


def test_of_a_long_history_the_end_is_read(tmp_path: Path, shop: Path) -> None:
    """Its first line may be half of one; words with what is a line's end elsewhere are no end here."""
    for number in range(1, 2000):
        happened(shop, *deploy(number % 60, web=("", "1")))
    last = deploy(77, web=("", "1"))
    last[0]["what"] = "a\u2028b"
    with (shop / "history.jsonl").open("a") as file:
        file.write("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in last))
    assert (shop / "history.jsonl").stat().st_size > 2 * TAIL_BYTES
    (told,) = Stacks(tmp_path).look()
    assert (told.deploys[-1].number, told.deploys[-1].what) == (77, "a\u2028b")
    assert 10 < len(told.deploys) < 1000


@pytest.mark.parametrize("damaged", [
    b"", b"{", b"[]", b"\xff\xfe", b"null", b'"x"', b'{"levels":5,"days":"x","bytes":[],"machine":5}', b'{"levels":{"web":5}}',
    b'{"deploy":1,"event":"ended","when":5,"seconds":"x","requests":7}\n{"deploy":1,"event":"begun","apps":[]}\n{"deploy":2,"event":"ended","requests":{"web":7}}\n',
])
def test_what_is_damaged(tmp_path: Path, shop: Path, damaged: bytes) -> None:
    """It is as good as nothing, and can be told as metrics."""
    deployed(shop, "web", "0001-abc", "1")
    for name in ("agent.json", "history.jsonl", "apps/web/instances"):
        (shop / name).write_bytes(damaged)
    (told,) = Stacks(tmp_path).look()
    assert (told.apps, told.days, told.most_bytes, told.rules, told.removed) == ({"web": App("0001-abc", 0)}, None, None, {}, {})
    assert text(deploy_metrics((told,))) == "" or damaged.startswith(b'{"deploy"')


def test_a_file_that_changes_is_read_again(tmp_path: Path, shop: Path) -> None:
    """By its size, its time, or because it is another one; one that goes says nothing any more; others are not read."""
    stacks, path = Stacks(tmp_path), shop / "agent.json"
    assert stacks.look()[0].days == 3.5
    told = path.stat()
    path.write_text(json.dumps({**SPOKEN, "days": 4.5}))
    assert stacks.look()[0].days == 4.5
    fresh = path.with_name("fresh")
    fresh.write_text(json.dumps({**SPOKEN, "days": 5.5}))
    os.utime(fresh, ns=(told.st_atime_ns, told.st_mtime_ns))
    fresh.replace(path)
    assert stacks.look()[0].days == 5.5
    now = path.stat()
    path.write_text(json.dumps({**SPOKEN, "days": 6.5}))
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))
    assert stacks.look()[0].days == 5.5
    path.unlink()
    assert stacks.look()[0].days is None
