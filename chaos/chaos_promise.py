"""Is a machine wholly in one release, the right one, and is nothing left behind?"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

from chaos_faults import RELEASES, SIGNALS, served
from harness.site import INSTANCES

if TYPE_CHECKING:
    from chaos_faults import Deploy
    from harness.site import Site

# A machine that hears nothing of its operator cleans up after 30 s, and drains take as long.
SECONDS = 90
PAUSE = 0.5
# One line for each thing that a deploy may not leave; then the release of each instance, and the current one.
LEFT = """
cd /var/lib/handful/stacks/$stack
ls -d apps/*/deploying apps/*/releases/*.new /run/handful.* 2>/dev/null
for lock in lock ../../lock; do flock -n $lock true || echo "$lock is held"; done
docker ps --all --filter label=handful.stack=$stack --format '{{.Label "handful.release"}} {{.State}}' |
  grep -vx "$(basename "$(readlink apps/web/current)") running" | sed 's/^/an instance of /'
count=$(docker ps --quiet --filter label=handful.stack=$stack | wc -l)
((count == INSTANCES)) || echo "$count instances run"
"""


def broken(site: Site, deploy: Deploy, before: str, code: int) -> list[str]:
    """Return what is not as promised once the machine has come to rest: a sentence each."""
    troubles = _left(site)
    versions = {served(site) for _ in range(2 * INSTANCES)}
    if len(versions) > 1:
        troubles.append(f"two releases serve: {', '.join(sorted(versions))}")
    if not versions <= allowed(deploy.fault, deploy.wanted, before, code):
        troubles.append(f"{', '.join(versions)} serves after {before}, with exit code {code}")
    said = subprocess.run(
        ["handful", "history", "--json", "-n", "1"], cwd=site.folder, env=site.environ, capture_output=True, check=True
    )
    outcome = json.loads(said.stdout)[-1]["outcome"]
    if outcome in {"at work", "unfinished"}:
        troubles.append(f"history says {outcome}")
    return troubles


def allowed(fault: str, wanted: str, before: str, code: int) -> set[str]:
    """Return the versions that may serve now: who cuts a deploy short gets either, a failed one leaves the old."""
    if fault == "rollback":
        return {str(number) for number in range(int(wanted) + 1)} - ({before} if code == 0 else set())
    if fault in SIGNALS and code != 0:
        return {before, wanted}
    return {before} if fault in RELEASES else {wanted}


def _left(site: Site) -> list[str]:
    """Return what is still there when time is up; nothing, as soon as there is nothing."""
    deadline = time.monotonic() + SECONDS
    while left := site.sh("m1", LEFT.replace("INSTANCES", str(INSTANCES))).splitlines():
        if time.monotonic() > deadline:
            return left
        time.sleep(PAUSE)
    return []
