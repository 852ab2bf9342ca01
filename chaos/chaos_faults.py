"""What goes wrong with a deploy, and when?"""

from __future__ import annotations

import signal
import subprocess
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.site import Site

# Those that end the operator's side at a moment; and those of the new release, which its environment brings about.
SIGNALS = {"ctrl-c": signal.SIGINT, "kill": signal.SIGKILL}
RELEASES = {"crashes at once": 'CRASH: "1"', "answers 404": 'UP_STATUS: "404"'}
# Three of ten deploys have no fault: the way on from one is tried as well.
FAULTS = ("none", "none", "none", "rollback", *SIGNALS, *SIGNALS, *RELEASES)
SECONDS = 120
OK = 200


class Deploy:
    """One deploy of a new version, or a rollback, with its fault; `moment` is in seconds after its start."""

    def __init__(self, site: Site, fault: str, moment: float) -> None:
        """Write down what handful.yml asks for from now on."""
        self._site, self.fault, self.moment = site, fault, moment
        if fault != "rollback":
            env = RELEASES.get(fault, "")
            site.write_config(env, "4s" if env else "60s")
        self.wanted = site.version

    def run(self) -> int:
        """Deploy, and return the exit code of `handful`."""
        with subprocess.Popen(
            ["handful", "rollback" if self.fault == "rollback" else "deploy"],
            cwd=self._site.folder, env=self._site.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:
            if self.fault in SIGNALS:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.moment)
                process.send_signal(SIGNALS[self.fault])
            return process.wait(SECONDS)


def served(site: Site, machine: str) -> str:
    """Return the version that answers at a machine's edge: it may be another machine's."""
    asked = HTTPConnection(site.address(machine), timeout=10)
    with closing(asked):
        asked.request("GET", "/", headers={"Host": "bench.localhost"})
        answer = asked.getresponse()
        said = answer.read().decode()
    # `version=17 release=… instance=…`
    return said.split()[0].removeprefix("version=") if answer.status == OK else f"status {answer.status}"
