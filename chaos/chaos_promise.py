"""Is each machine wholly in one release, the right one, is the fleet told of as it is, and is nothing left behind?"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

from chaos_faults import RELEASES, served
from harness.site import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos_faults import Deploy
    from harness.site import Site

MACHINES = ("m1", "m2")
# A machine that hears nothing of its operator decides after 30 s, and drains take as long.
SECONDS = 90
PAUSE = 0.5
# One line for each thing that a deploy may not leave; then the release of each instance, and the current one.
LEFT = """
cd /var/lib/handful/stacks/$stack
ls -d apps/*/deploying apps/*/releases/*.new reach/.[a-z]* /run/handful.* 2>/dev/null
for lock in lock ../../lock; do flock -n $lock true || echo "$lock is held"; done
docker ps --all --filter label=handful.stack=$stack --format '{{.Label "handful.release"}} {{.State}}' |
  grep -vx "$(basename "$(readlink apps/web/current)") running" | sed 's/^/an instance of /'
count=$(docker ps --quiet --filter label=handful.stack=$stack | wc -l)
((count == INSTANCES)) || echo "$count instances run"
"""
VERSION = "sed -n 's/^VERSION=//p' /var/lib/handful/stacks/$stack/apps/web/current/env"


def broken(site: Site, deploy: Deploy, before: Mapping[str, str], code: int) -> list[str]:
    """Return what is not as promised once the machines have come to rest: a sentence each."""
    troubles = [f"{machine}: {line}" for machine in MACHINES for line in _left(site, machine)]
    now = versions(site)
    troubles += verdict(deploy.fault, deploy.wanted, before, now, code)
    seen = {served(site, machine) for machine in MACHINES for _ in range(2 * INSTANCES)}
    if not seen <= set(now.values()):
        troubles.append(f"{', '.join(sorted(seen))} answers, and {', '.join(sorted(now.values()))} runs")
    if (len(set(now.values())) > 1) != bool(json.loads(_said(site, "status"))["unfinished"]):
        troubles.append(f"status is wrong about whether {now} is unfinished")
    outcome = json.loads(_said(site, "history", "-n", "1"))[-1]["outcome"]
    if outcome in {"at work", "unfinished"}:
        troubles.append(f"history says {outcome}")
    return troubles


def versions(site: Site) -> dict[str, str]:
    """Return which version each machine runs."""
    return {machine: site.sh(machine, VERSION).strip() for machine in MACHINES}


def verdict(fault: str, wanted: str, before: Mapping[str, str], now: Mapping[str, str], code: int) -> list[str]:
    """Return which machines run what they may not: only who is killed may leave them on different versions."""
    wrong = [
        f"{machine} runs {version} after {before[machine]}, with exit code {code}"
        for machine, version in now.items()
        if version not in allowed(fault, wanted, before[machine], code)
    ]
    if len(set(now.values())) > len(set(before.values())) and fault != "kill":
        wrong.append(f"the machines run different versions: {now}")
    if fault == "rollback" and (now == before) == (code == 0):
        wrong.append(f"a rollback ended with exit code {code}, and {before} became {now}")
    return wrong


def allowed(fault: str, wanted: str, before: str, code: int) -> set[str]:
    """Return the versions that a machine may run: who cuts a deploy short gets either, who fails leaves the old."""
    if fault == "rollback":
        return {str(number) for number in range(int(wanted) + 1)}
    if fault in {"ctrl-c", "kill"} and code != 0:
        return {before, wanted}
    return {before} if fault in RELEASES else {wanted}


def _said(site: Site, *words: str) -> bytes:
    line = ["handful", *words, "--json"]
    return subprocess.run(line, cwd=site.folder, env=site.environ, capture_output=True, check=True).stdout


def _left(site: Site, machine: str) -> list[str]:
    """Return what is still there when time is up; nothing, as soon as there is nothing."""
    deadline = time.monotonic() + SECONDS
    while left := site.sh(machine, LEFT.replace("INSTANCES", str(INSTANCES))).splitlines():
        if time.monotonic() > deadline:
            return left
        time.sleep(PAUSE)
    return []
