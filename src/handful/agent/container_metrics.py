"""What does each running container use: by cAdvisor's names, to the letter, so that public dashboards fit?

Labels are cAdvisor's, too: `id` is the cgroup's path, `name` and `image` are Docker's, and what handful has written on
a container is in `container_label_handful_…`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.agent.cgroups import group_of, usage
from handful.agent.exposition import Metric, labels_text
from handful.agent.proc import Files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from handful.agent.cgroups import Group, Usage
    from handful.agent.containers import Container

HEALTH = MappingProxyType({"healthy": 1.0, "unhealthy": 0.0})
# Name, kind, help: in the order of Usage.
USED = (
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds."),
    ("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds."),
    ("container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds."),
    ("container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals."),
    ("container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals."),
    ("container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled."),
    (
        "container_memory_usage_bytes", "gauge",
        "Current memory usage in bytes, including all memory regardless of when it was accessed.",
    ),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes."),
    ("container_memory_rss", "gauge", "Size of RSS in bytes."),
    ("container_memory_cache", "gauge", "Number of bytes of page cache memory."),
    ("container_memory_swap", "gauge", "Container swap usage in bytes."),
    ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container."),
    ("container_oom_events_total", "counter", "Count of out of memory events observed for the container."),
    ("container_fs_reads_bytes_total", "counter", "Cumulative count of bytes read."),
    ("container_fs_writes_bytes_total", "counter", "Cumulative count of bytes written."),
)
# Name, and what of Network it is, in the order of that.
NETWORK = (
    ("container_network_receive_bytes_total", "received bytes"),
    ("container_network_receive_packets_total", "received packets"),
    ("container_network_receive_errors_total", "received errors"),
    ("container_network_receive_packets_dropped_total", "received dropped"),
    ("container_network_transmit_bytes_total", "sent bytes"),
    ("container_network_transmit_packets_total", "sent packets"),
    ("container_network_transmit_errors_total", "sent errors"),
    ("container_network_transmit_packets_dropped_total", "sent dropped"),
)


@dataclass(frozen=True)
class Place:
    """Where a container is told of, and its labels as text: as they are, with `cpu`, and by interface."""

    container: Container
    group: Group
    labels: str
    of_cpu: str
    started: float | None
    of_interface: dict[str, str] = field(default_factory=dict)


class ContainerMetrics:
    """Measures containers. `proc`, `cgroup`: see `group_of`."""

    def __init__(self, proc: Path, cgroup: Path) -> None:
        """Nothing is measured yet."""
        self._proc, self._cgroup = proc, cgroup
        self._files = Files()
        # What stays the same as long as a container does: finding it out costs more than measuring.
        self._places: dict[str, Place] = {}

    def __call__(self, containers: Iterable[Container]) -> Iterator[Metric]:
        """Yield what every running container uses; one that ends meanwhile has no samples."""
        used = [Metric(name, "counter" if kind == "counter" else "gauge", text) for name, kind, text in USED]
        network = [Metric(name, "counter", f"Cumulative count: {what}.") for name, what in NETWORK]
        seen = Metric("container_last_seen", "gauge", "Last time a container was seen by the exporter.")
        started = Metric(
            "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds."
        )
        health = Metric("container_health_state", "gauge", "The result of the container's health check.")
        now = time.time()
        self._places = {each.id: place for each in containers if each.pid and (place := self._place(each))}
        self._files.turn()
        for place in self._places.values():
            found = usage(place.group, self._files.read)
            if found is not None:
                _add(used, network, found, place)
                seen.add_at(place.labels, now)
                started.add_at(place.labels, place.started)
                health.add_at(place.labels, HEALTH.get(place.container.health))
        yield from (*used, *network, seen, started, health)

    def _place(self, container: Container) -> Place | None:
        known = self._places.get(container.id)
        if known is not None and known.container is container:
            return known
        group = group_of(self._proc, self._cgroup, container.pid)
        if group is None:
            return None
        labels = labels_of(container, group.path)
        of_cpu = labels_text({**labels, "cpu": "total"})
        return Place(container, group, labels_text(labels), of_cpu, _seconds(container.started))


def labels_of(container: Container, path: str) -> dict[str, str]:
    """Return a container's labels."""
    labels = {"id": path, "name": container.name, "image": container.image}
    if container.source.release:
        told = {"stack": container.source.stack, "app": container.source.app, "instance": container.source.instance}
        told["release"] = container.source.release
        labels |= {f"container_label_handful_{name}": value for name, value in told.items()}
    return labels


def _add(used: Sequence[Metric], network: Sequence[Metric], found: Usage, place: Place) -> None:
    used[0].add_at(place.of_cpu, found.cpu)
    for metric, value in zip(used[1:], found[1:-1], strict=True):
        metric.add_at(place.labels, value)
    for each in found.networks:
        labels = place.of_interface.get(each.interface)
        if labels is None:
            named = {**labels_of(place.container, place.group.path), "interface": each.interface}
            labels = place.of_interface[each.interface] = labels_text(named)
        for metric, value in zip(network, each[1:], strict=True):
            metric.add_at(labels, value)


def _seconds(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
