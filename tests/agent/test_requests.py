"""Are requests counted as a deploy counts them, by the same lines?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from proxy_lines import PROXY_LINES

from handful.agent.exposition import text
from handful.agent.own_metrics import request_metrics
from handful.agent.requests import BUCKETS, Requests
from handful.agent.stacks import Stack

MEASURE = Path(__file__).parents[2] / "src/handful/scripts/lib_measure.bash"
# All ways in which HAProxy says that a session ended, and was it at that time.
ENDED, WHEN = "-CSPLRIDUKscu", "-RQCHDLT"
STATUSES = ("-1", "0", "101", "200", "404", "499", "500", "503", "-")


def record(line: str) -> bytes:
    """Return a line as Docker writes it."""
    for letter in "<>&":
        line = line.replace(letter, f"\\u{ord(letter):04x}")
    return b'{"log":"%s\\n","stream":"stdout","time":"2026-01-01T00:00:00.1Z"}' % line.encode()


def counted(*lines: str) -> Requests:
    """Return what comes of lines."""
    requests = Requests()
    for line in lines:
        requests.take(record(line))
    return requests


def verdict(requests: Requests, app: str) -> tuple[int, int]:
    """Return how many were answered, and how many were not, or not to their end."""
    answered = sum(number for (backend, _), number in requests.answered.items() if backend == app)
    return answered, requests.failed[app] + requests.cut[app]


def awk(folder: Path, lines: list[str], app: str) -> tuple[int, int]:
    """Return what a deploy counts: the script's own words."""
    (folder / "requests").write_text("".join(f"{line}\n" for line in lines))
    program = f'. "{MEASURE}"; HANDFUL_SESSION="{folder}" count_requests 0 {app}'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    answered, failed, *_ = done.stdout.split()
    return int(answered), int(failed)


def test_a_deploys_own_lines(tmp_path: Path) -> None:
    """Those that the script is tested with; what is no such line is passed over."""
    requests = counted(*PROXY_LINES.splitlines())
    for app, expected in (("shop.web", (7, 3)), ("shop.webs", (1, 0)), ("shop.db", (2, 1)), ("shop.none", (0, 0))):
        assert verdict(requests, app) == awk(tmp_path, PROXY_LINES.splitlines(), app) == expected
    assert dict(requests.answered) == {
        ("shop.web", "2xx"): 3, ("shop.web", "4xx"): 1, ("shop.web", "3xx"): 1, ("shop.web", "5xx"): 1, ("shop.web", "1xx"): 1,
        ("shop.webs", "2xx"): 1, ("shop.db", "tcp"): 2,
    }
    assert (requests.failed, requests.cut) == ({"shop.web": 2, "shop.db": 1}, {"shop.web": 1})


@pytest.mark.parametrize("ended", ENDED)
def test_every_way_to_end(tmp_path: Path, ended: str) -> None:
    """Each has the same verdict as in a deploy, with each status, of http and tcp apps."""
    for number, when in enumerate(WHEN):
        app, lines = f"shop.app{number}", []
        for power, status in enumerate(STATUSES):
            http = status != "-"
            line = f"1 {app} {ended}{when}{'--' if http else ''} 0 {status} {'0 1 2' if http else '- - -'}"
            # Of each another power of two, so that no two can stand for each other.
            lines += [line] * 2**power
        assert verdict(counted(*lines), app) == awk(tmp_path, lines, app), ended + when


@pytest.mark.parametrize("line", [
    "", "[NOTICE] (1) : something else", "[WARNING] (7) : a b c d e", "1 shop.web ---- 0 200 0 1", "1 shop.web ---- 0 200 0 1 1 1", "1 shop.web ---- 0 x 0 1 1",
    "1 shop.web ---- 0 200 a b c", "1 handful.none ---- 0 404 0 0 0", "1 handful.maintenance PR-- 0 503 0 0 0", "1 handful.edge PR-- 0 400 -1 -1 -1",
    "1 <NOSRV> ---- 0 200 0 1 1", "1 - ---- 0 200 0 1 1",
])
def test_what_is_no_request_of_an_app(line: str) -> None:
    """It is passed over, whatever it is."""
    requests = counted(line)
    assert not requests.answered
    assert not requests.failed
    assert not requests.cut
    assert not requests.times


def test_a_record_that_is_none() -> None:
    """Damaged, or of another form."""
    requests = Requests()
    for record_ in (b"", b"{", b'{"log":"half', json.dumps({"stream": "stdout"}).encode()):
        requests.take(record_)
    assert not requests.answered


def test_how_long_they_took() -> None:
    """Waiting, connecting and answering together; as metrics, by the buckets, in seconds."""
    waits = ((0, 1, 4), (0, 0, 6), (-1, -1, 100), (100, 200, 9701), (0, 1, -1))
    requests = counted(*(f"1 shop.web ---- 0 200 {' '.join(map(str, wait))}" for wait in waits))
    assert sum(requests.times["shop.web"]) == 4
    told = text(request_metrics(requests, (Stack("shop", machine="one"),)))
    labels = 'stack="shop",app="web",machine="one"'
    assert f'handful_request_duration_seconds_bucket{{{labels},le="0.005"}} 1\n' in told
    assert f'handful_request_duration_seconds_bucket{{{labels},le="0.01"}} 2\n' in told
    assert f'handful_request_duration_seconds_bucket{{{labels},le="0.1"}} 3\n' in told
    assert f'handful_request_duration_seconds_bucket{{{labels},le="{BUCKETS[-1] // 1000}"}} 3\n' in told
    assert f'handful_request_duration_seconds_bucket{{{labels},le="+Inf"}} 4\n' in told
    assert f"handful_request_duration_seconds_sum{{{labels}}} 10.112\n" in told
    assert f"handful_request_duration_seconds_count{{{labels}}} 4\n" in told
    assert f'handful_requests_total{{{labels},code="2xx"}} 5\n' in told
    assert f"handful_requests_failed_total{{{labels}}} 0\n" in told
