"""What does the proxy say of each app: its own numbers, by the names of HAProxy's own exporter, with stack and app?"""

from __future__ import annotations

import csv
import socket
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.agent.exposition import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 2.0
CHUNK = 1 << 16
# Frontends are 1, backends 2: what each server says is left out, for a proxy has hundreds of slots.
QUESTION = b"show stat -1 3 -1\n"
ONCE = ".once"
OWN = "handful"
# Column → name, kind, factor.
BOTH = MappingProxyType({
    "scur": ("current_sessions", "gauge", 1.0), "stot": ("sessions_total", "counter", 1.0),
    "bin": ("bytes_in_total", "counter", 1.0), "bout": ("bytes_out_total", "counter", 1.0),
    "req_tot": ("http_requests_total", "counter", 1.0),
})
FRONTEND = MappingProxyType({
    **BOTH, "ereq": ("request_errors_total", "counter", 1.0), "conn_tot": ("connections_total", "counter", 1.0),
})
BACKEND = MappingProxyType({
    **BOTH, "qcur": ("current_queue", "gauge", 1.0), "econ": ("connection_errors_total", "counter", 1.0),
    "eresp": ("response_errors_total", "counter", 1.0), "wretr": ("retry_warnings_total", "counter", 1.0),
    "wredis": ("redispatch_warnings_total", "counter", 1.0), "cli_abrt": ("client_aborts_total", "counter", 1.0),
    "srv_abrt": ("server_aborts_total", "counter", 1.0), "act": ("active_servers", "gauge", 1.0),
    "bck": ("backup_servers", "gauge", 1.0), "qtime": ("queue_time_average_seconds", "gauge", 1e-3),
    "ctime": ("connect_time_average_seconds", "gauge", 1e-3), "rtime": ("response_time_average_seconds", "gauge", 1e-3),
    "ttime": ("total_time_average_seconds", "gauge", 1e-3),
})
CODES = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
SIDES = MappingProxyType({"FRONTEND": ("frontend", FRONTEND), "BACKEND": ("backend", BACKEND)})


def ask_proxy(path: Path) -> list[dict[str, str]]:
    """Return the rows of the running proxy's statistics; none where there is no proxy. Raises OSError when it hangs."""
    if not path.exists():
        return []
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(SECONDS)
        asking.connect(str(path))
        asking.sendall(QUESTION)
        parts = []
        while part := asking.recv(CHUNK):
            parts.append(part)
    lines = b"".join(parts).decode(errors="replace").lstrip("# ").splitlines()
    return list(csv.DictReader(line for line in lines if line))


def proxy_metrics(rows: list[dict[str, str]]) -> Iterator[Metric]:
    """Yield the proxy's numbers.

    Each section is named as in its files, and belongs to a stack and an app if it does.
    """
    metrics: dict[str, Metric] = {}
    for row in rows:
        side, columns = SIDES.get(row["svname"], ("", BOTH))
        if not side:
            continue
        labels = labels_of(row["pxname"])
        for column, (name, kind, factor) in columns.items():
            if row.get(column):
                told = f"haproxy_{side}_{name}"
                text = f"As HAProxy's `show stat` has it: {column}."
                metric = metrics.setdefault(told, Metric(told, "counter" if kind == "counter" else "gauge", text))
                metric.add(int(row[column]) * factor, **labels)
        _codes(metrics, row, side, labels)
    yield from metrics.values()


def _codes(metrics: dict[str, Metric], row: Mapping[str, str], side: str, labels: dict[str, str]) -> None:
    told = f"haproxy_{side}_http_responses_total"
    metric = metrics.setdefault(told, Metric(told, "counter", "HTTP responses by code."))
    for code in CODES:
        if row.get(f"hrsp_{code}"):
            metric.add(int(row[f"hrsp_{code}"]), **labels, code=code)


def labels_of(section: str) -> dict[str, str]:
    """Return a section's labels: its name, and whose it is."""
    stack, _, app = section.partition(".")
    app = app.partition(".")[0]
    return {"proxy": section} if stack == OWN or not app else {"proxy": section, "stack": stack, "app": app}
