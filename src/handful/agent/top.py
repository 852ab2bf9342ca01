"""What do the machine and its apps use right now: two looks, and what has changed between them?

The shape is JSON for whoever shows it; rates are per second, sizes bytes, `cpu` in cores, 1.0: one of them.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.agent.cgroups import group_of, usage
from handful.agent.proxy import ask_proxy, labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from handful.agent.cgroups import Usage
    from handful.agent.containers import Containers
    from handful.agent.scrape import Places

HERTZ = os.sysconf("SC_CLK_TCK")
KIBI, SECTOR = 1024, 512
IDLE = (3, 4)
# What goes over these goes over another one as well, or never leaves the machine.
NO_INTERFACE = re.compile(r"lo|docker\d*|handful|(br-|veth|virbr|tun|tap|wg).*")


@dataclass(frozen=True)
class Look:
    """Counters at one moment, on a clock that nobody sets."""

    moment: float
    machine: Mapping[str, float]
    containers: Mapping[str, Usage]
    requests: Mapping[tuple[str, str], Mapping[str, int]]


class Top:
    """Looks at a machine again and again."""

    def __init__(self, places: Places, containers: Containers) -> None:
        """The first look: nothing can be said yet."""
        self._places, self._containers = places, containers
        self._before = self._look()

    def told(self) -> dict[str, Any]:
        """Return what has happened since the last time."""
        before, self._before = self._before, self._look()
        after = self._before
        seconds = max(after.moment - before.moment, 1e-3)
        return {
            "machine": self._machine(before, after, seconds), "apps": list(self._apps(before, after, seconds)),
        }

    def _look(self) -> Look:
        here = self._places
        used = {
            key: found for key, each in self._containers.look().items()
            if each.pid and (group := group_of(here.proc, here.cgroup, each.pid)) is not None
            and (found := usage(group)) is not None
        }
        return Look(time.monotonic(), self._counters(), used, self._requests())

    def _counters(self) -> dict[str, float]:
        proc = self._places.proc
        ticks = [int(word) for word in (proc / "stat").read_text().splitlines()[0].split()[1:9]]
        counted = {"busy": (sum(ticks) - sum(ticks[place] for place in IDLE)) / HERTZ}
        net = [line.partition(":") for line in (proc / "1/net/dev").read_text().splitlines()[2:]]
        rows = [rest.split() for name, _, rest in net if not NO_INTERFACE.fullmatch(name.strip())]
        counted["received"] = sum(float(row[0]) for row in rows)
        counted["sent"] = sum(float(row[8]) for row in rows)
        disks = [line.split() for line in (proc / "diskstats").read_text().splitlines()]
        whole = [row for row in disks if (self._places.host / "sys/block" / row[2] / "device").exists()]
        counted["read"] = sum(int(row[5]) * SECTOR for row in whole)
        counted["written"] = sum(int(row[9]) * SECTOR for row in whole)
        return counted

    def _requests(self) -> dict[tuple[str, str], dict[str, int]]:
        """Count what came in through the proxy here, by app: that of each is in two backends."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        try:
            rows = ask_proxy(self._places.proxy)
        except OSError:
            return found
        for row in rows:
            labels, parts = labels_of(row["pxname"]), row["pxname"].split(".")
            # Backends of other machines' requests end in .here, .front or .peers.
            if row["svname"] == "BACKEND" and "app" in labels and parts[2:] in ([], ["once"]):
                here = found.setdefault((labels["stack"], labels["app"]), {"requests": 0, "errors": 0})
                here["requests"] += int(row.get("req_tot") or row.get("stot") or 0)
                here["errors"] += int(row.get("hrsp_5xx") or 0)
        return found

    def _machine(self, before: Look, after: Look, seconds: float) -> dict[str, Any]:
        proc = self._places.proc
        memory = {
            name: int(value.split()[0]) * KIBI
            for name, _, value in (line.partition(":") for line in (proc / "meminfo").read_text().splitlines())
        }
        disk = os.statvfs(self._places.root)
        rates = {name: (after.machine[name] - value) / seconds for name, value in before.machine.items()}
        return {
            "cpus": os.cpu_count() or 1, "cpu": rates["busy"], "load": float((proc / "loadavg").read_text().split()[0]),
            "memory": memory["MemTotal"] - memory["MemAvailable"], "memory_total": memory["MemTotal"],
            "disk": (disk.f_blocks - disk.f_bfree) * disk.f_frsize, "disk_total": disk.f_blocks * disk.f_frsize,
            **{name: rates[name] for name in ("received", "sent", "read", "written")},
        }

    def _apps(self, before: Look, after: Look, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield each container that runs, and each app with its requests."""
        for key, each in self._containers.look().items():
            used = after.containers.get(key)
            if used is None:
                continue
            old = before.containers.get(key, used)
            yield {
                "stack": each.source.stack, "app": each.source.app, "instance": each.source.instance,
                "release": each.source.release, "restarts": each.restarts, "started": each.started,
                "cpu": _rate(old.cpu, used.cpu, seconds), "memory": used.working_set, "memory_limit": used.memory_limit,
                "received": _rate(_received(old), _received(used), seconds),
                "sent": _rate(_sent(old), _sent(used), seconds),
                "read": _rate(old.read_bytes, used.read_bytes, seconds),
                "written": _rate(old.written_bytes, used.written_bytes, seconds),
            }
        for (stack, app), counts in after.requests.items():
            old_counts = before.requests.get((stack, app), counts)
            rates = {name: max(0.0, (count - old_counts[name]) / seconds) for name, count in counts.items()}
            yield {"stack": stack, "app": app, **rates}


def _received(used: Usage) -> float:
    return float(sum(each.received_bytes for each in used.networks))


def _sent(used: Usage) -> float:
    return float(sum(each.sent_bytes for each in used.networks))


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None else max(0.0, (after - before) / seconds)
