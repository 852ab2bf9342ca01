"""Is each machine wholly in one release, the right one, is the fleet told of as it is, and is nothing left behind?"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

from chaos_faults import FAULTS, answers, served
from harness.site import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos_faults import Deploy, Fault
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
# Who is cut off in any of these ways may leave the machines on different versions.
CUT_SHORT = ("kill", "ssh is killed")


def broken(site: Site, deploy: Deploy, before: Mapping[str, str], code: int) -> list[str]:
    """Return what is not as promised once the machines have come to rest: a sentence each.

    What a machine that was away has begun, the next command ends: only then nothing of it may be left.
    """
    away = deploy.fault.machine in MACHINES
    troubles = [f"{machine} does not answer" for machine in MACHINES if not _in_time(site, machine)]
    troubles += [f"{machine}: {line}" for machine in MACHINES if not away for line in _left(site, machine)]
    now = site.versions()
    troubles += verdict(deploy.name, deploy.wanted, before, now, code)
    seen = {served(site, machine) for machine in MACHINES for _ in range(2 * INSTANCES)}
    if not seen <= set(now.values()):
        troubles.append(f"{', '.join(sorted(seen))} answers, and {', '.join(sorted(now.values()))} runs")
    unfinished = bool(json.loads(_said(site, "status"))["unfinished"])
    if (len(set(now.values())) > 1) != unfinished and not (away and unfinished):
        troubles.append(f"status is wrong about whether {now} is unfinished")
    outcome = json.loads(_said(site, "history", "-n", "1"))[-1]["outcome"]
    if outcome in {"at work", "unfinished"} and not away:
        troubles.append(f"history says {outcome}")
    return troubles


def verdict(name: str, wanted: str, before: Mapping[str, str], now: Mapping[str, str], code: int) -> list[str]:
    """Return which machines run what they may not: only who is cut off may leave them on different versions."""
    fault = FAULTS[name]
    wrong = [
        f"{machine} runs {version} after {before[machine]}, with exit code {code}"
        for machine, version in now.items()
        if version not in allowed(name, wanted, before[machine], code, set(before.values()))
    ]
    may_differ = name in CUT_SHORT or fault.machine in MACHINES
    if len(set(now.values())) > len(set(before.values())) and not may_differ:
        wrong.append(f"the machines run different versions: {now}")
    if fault.words == ("rollback",) and (now == before) == (code == 0):
        wrong.append(f"a rollback ended with exit code {code}, and {before} became {now}")
    return wrong


def allowed(name: str, wanted: str, before: str, code: int, anywhere: set[str]) -> set[str]:
    """Return the versions that a machine may run: who cuts a deploy short gets either, who fails leaves the old.

    `anywhere`: what ran before on any machine. A release that dies in use is taken back, and all go to the same one.
    """
    fault = FAULTS[name]
    if fault.words == ("rollback",):
        return {str(number) for number in range(int(wanted) + 1)}
    if _dies(fault):
        return anywhere if fault.machine == "all" else {before}
    if code == 0:
        return {wanted}
    # Of two at once, the other one may have brought it.
    if _cuts(name, fault) or name == "two deploys at once":
        return {before, wanted}
    return {before} if name != "none" else {wanted}


def _dies(fault: Fault) -> bool:
    """Whether the release cannot stay: it does not become healthy, or is taken back in the end."""
    return bool(fault.env) and "FLAPS" not in fault.env


def _cuts(name: str, fault: Fault) -> bool:
    return name in {*CUT_SHORT, "ctrl-c", "no room for history"} or fault.machine in MACHINES


def _in_time(site: Site, machine: str) -> bool:
    deadline = time.monotonic() + SECONDS
    while not answers(site, machine):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


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
