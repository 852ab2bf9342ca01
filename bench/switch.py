"""How far apart do machines switch with the strategy `all`, and what does the way through the service address cost?"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from http.client import HTTPConnection
from statistics import median
from typing import TYPE_CHECKING

from harness.fleet import of_lab
from harness.pairs import Limit, Pairs, Result

if TYPE_CHECKING:
    from harness.site import Site

RUNS = 5
# Three machines share two cores here: one run tells little.
SWITCHES = 9
SECONDS_TO_SEE = 30
WRK_SECONDS = 5
HOST = "switch.localhost"
UNIT = {"us": 0.001, "ms": 1.0, "s": 1000.0}
MACHINES = ("m1", "m2", "m3")


def measure(site: Site) -> list[Result]:
    """Deploy on three machines whose edges prefer their own instances; then load one from inside."""
    site.have(len(MACHINES))
    return [_spread(site), *_hops(site)]


def _spread(site: Site) -> Result:
    keys = {"domains": [HOST], "prefer_local": True, "instances": 2, "deploy": {"strategy": "all"}}
    fleet = of_lab(site, "switch", MACHINES, build={"context": "."}, port=8000, health={"path": "/up"}, **keys)
    spreads, deploys = [], []
    for run in range(1, SWITCHES + 1):
        fleet.change()
        watches = [_Watch(site.address(machine), fleet.version) for machine in MACHINES]
        deploys.append(fleet.handful("deploy"))
        seen = [watch.seen() for watch in watches]
        spreads.append(1000 * (max(seen) - min(seen)))
        site.say(f"run {run} of {SWITCHES}: {spreads[-1]:.0f} ms between the first machine's new answer and the last's")
    spread_ms = median(spreads)
    limits = (Limit("from the first machine to the last", spread_ms, 50, " ms"),)
    return Result("switch", Pairs(deploys, deploys), limits, {"spread_ms": spread_ms})


class _Watch:
    """Asks an edge again and again until the version that is wanted answers."""

    def __init__(self, address: str, version: str) -> None:
        """Begin."""
        self._address, self._version, self._at = address, version, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def seen(self) -> float:
        """Return when the version was first seen. Raises TimeoutError."""
        self._thread.join(SECONDS_TO_SEE)
        if not self._at:
            self._stop.set()
            message = f"{self._address} did not answer with version {self._version} in {SECONDS_TO_SEE} s"
            raise TimeoutError(message)
        return self._at

    def _watch(self) -> None:
        asked = HTTPConnection(self._address, timeout=10)
        while not self._at and not self._stop.is_set():
            asked.request("GET", "/", headers={"Host": HOST})
            if f"version={self._version} " in asked.getresponse().read().decode():
                self._at = time.monotonic()
            time.sleep(0.005)
        asked.close()


def _hops(site: Site) -> list[Result]:
    """Ask an instance at its own address and at its app's service address, as http and as tcp, in turn."""
    results = []
    for protocol in ("http", "tcp"):
        fleet = of_lab(
            site, f"hop-{protocol}", ("m1",), build={"context": "."}, port=8000, protocol=protocol, health={"tcp": True}
        )
        container = f"handful-lab-{site.stack}.m1"
        pid = _said(["docker", "inspect", "--format", "{{.State.Pid}}", container]).strip()
        addresses = f'{{{{(index .NetworkSettings.Networks "handful-{fleet.stack}").IPAddress}}}}'
        found = f"$(docker ps -q --filter label=handful.stack={fleet.stack})"
        at = site.sh("m1", f"docker inspect -f '{addresses}' {found}").strip()
        service = site.sh("m1", f"cut -d ' ' -f 1 /var/lib/handful/names/{fleet.stack}").split()[0]
        told: dict[str, list[tuple[float, float]]] = {"service": [], "own": []}
        for _ in range(RUNS):
            for name, address in (("service", service), ("own", at)):
                told[name].append(_wrk(pid, address))
        rates, slowest = (
            {name: median(each[index] for each in runs) for name, runs in told.items()} for index in (0, 1)
        )
        pairs = Pairs([1 / rates["service"]], [1 / rates["own"]])
        extra = {f"{name}_per_s": rates[name] for name in rates} | {f"{name}_p99_ms": slowest[name] for name in slowest}
        site.say(f"{protocol}: {extra}")
        results.append(Result(f"hop-{protocol}", pairs, (), extra))
    return results


def _wrk(pid: str, address: str) -> tuple[float, float]:
    """Return requests per second, and within which time 99 of 100 were answered (ms), from the machine itself."""
    line = ["wrk", "-t", "1", "-c", "8", "-d", str(WRK_SECONDS), "--latency", f"http://{address}:8000/up"]
    said = _said(["nsenter", "-t", pid, "-n", *line])
    rate, slow = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or slow is None:
        raise RuntimeError(said)
    return float(rate[1]), float(slow[1]) * UNIT[slow[2]]


def _said(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
