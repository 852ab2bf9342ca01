"""All that is measured on this machine, as Prometheus reads it."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from handful.agent.container_metrics import ContainerMetrics
from handful.agent.exposition import Metric, text
from handful.agent.node import node_metrics
from handful.agent.own_metrics import app_metrics, deploy_metrics, log_metrics, request_metrics
from handful.agent.proxy import ask_proxy, proxy_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from handful.agent.containers import Container
    from handful.agent.requests import Requests
    from handful.agent.stacks import Stacks


# What can fail, each by itself; the last two are of the thread that reads logs, and counted there.
PARTS = ("node", "containers", "apps", "proxy", "disk", "logs")


@dataclass(frozen=True)
class Places:
    """Where things are seen from here: `host` is the machine's root, `root` handful's folder."""

    host: Path
    root: Path

    @property
    def proc(self) -> Path:
        """The processes of the machine."""
        return self.host / "proc"

    @property
    def cgroup(self) -> Path:
        """Where cgroups are mounted."""
        return self.host / "sys/fs/cgroup"

    @property
    def proxy(self) -> Path:
        """The socket of the proxy that runs."""
        return self.root / "proxy/run/admin.sock"


@dataclass
class Seen:
    """What the agent has seen until now, as the thread that reads logs leaves it."""

    containers: Mapping[str, Container] = field(default_factory=dict)
    lines: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    gaps: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Scrape:
    """Measures the machine, its containers and its apps each time it is asked."""

    def __init__(self, places: Places, stacks: Stacks, seen: Seen, requests: Requests) -> None:
        """Nothing is measured yet."""
        self._places, self._stacks, self._seen, self._requests = places, stacks, seen, requests
        self._containers = ContainerMetrics(places.proc, places.cgroup)
        # Each address has a thread that answers.
        self._one = threading.Lock()
        self._began = time.time()
        self.errors: Counter[str] = Counter(dict.fromkeys(PARTS, 0))

    def __call__(self) -> str:
        """Return all metrics; a part that cannot be measured is left out, and counted."""
        with self._one:
            return self._measured()

    def _measured(self) -> str:
        began, here, seen = time.monotonic(), self._places, self._seen
        containers, stacks = tuple(seen.containers.values()), self._stacks.look()
        metrics = [
            *self._some("node", lambda: node_metrics(here.proc, here.host)),
            *self._some("containers", lambda: self._containers(containers)),
            *self._some("apps", lambda: chain(app_metrics(stacks, containers), deploy_metrics(stacks))),
            *self._some("apps", lambda: request_metrics(self._requests, stacks)),
            *self._some("apps", lambda: log_metrics(dict(seen.lines), dict(seen.gaps), stacks)),
            *self._some("proxy", lambda: proxy_metrics(ask_proxy(here.proxy))),
        ]
        return text((*metrics, *self._own(time.monotonic() - began)))

    def _some(self, part: str, measure: Callable[[], Iterable[Metric]]) -> list[Metric]:
        try:
            return list(measure())
        except (OSError, ValueError, IndexError, KeyError, RuntimeError) as wrong:
            self.errors[part] += 1
            if self.errors[part] == 1:
                sys.stderr.write(f"not measured: {part} ({type(wrong).__name__}: {wrong})\n")
            return []

    def _own(self, seconds: float) -> Iterator[Metric]:
        errors = Metric("handful_agent_errors_total", "counter", "How often a part could not be measured or kept.")
        for part, number in self.errors.items():
            errors.add(number, part=part)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = Metric("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
        cpu.add(used.ru_utime + used.ru_stime)
        memory = Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
        memory.add(_resident())
        began = Metric("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
        began.add(self._began)
        took = Metric("handful_agent_scrape_duration_seconds", "gauge", "How long these measurements took.")
        took.add(seconds)
        yield from (errors, cpu, memory, began, took)


def _resident() -> int:
    # Of this process as the machine counts it: what /proc here says.
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # Path costs more than the reading
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
