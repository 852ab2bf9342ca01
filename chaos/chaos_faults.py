"""What goes wrong with a deploy, when, and how is it over?"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.site import Site

    Act = Callable[[Site], None]
    Blow = Callable[[Site, subprocess.Popen[bytes]], None]

SECONDS = 180
OK = 200
# Longer than a machine waits for a word of its operator, and than ssh waits for an answer.
LONG_CUT = 40.0
SHORT_CUT = 4.0
ON_MACHINE = Path(__file__).with_name("on_machine")


def nothing(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    `env`: what the new release is like. `first` is done before the deploy, `act` at its moment, `last` after it.
    `machine`: the one on which requests may fail while it lasts; `all`: anywhere. `words`: what is run.
    """

    env: str = ""
    first: Act = nothing
    act: Blow = nothing
    last: Act = nothing
    machine: str = ""
    words: tuple[str, ...] = ("deploy",)


def _signal(number: signal.Signals) -> Blow:
    return lambda _, process: process.send_signal(number)


def _kill_ssh(_: Site, process: subprocess.Popen[bytes]) -> None:
    subprocess.run(["pkill", "-KILL", "-P", str(process.pid), "ssh"], check=False)


def _on(machine: str, name: str, before: str = "") -> Callable[..., None]:
    """Run a script of chaos/on_machine there, with these lines before it."""
    text = (ON_MACHINE / f"{name}.bash").read_text(encoding="utf-8")
    return lambda site, *_: _sh(site, machine, f"set -e\n{before}\n{text}")


def _sh(site: Site, machine: str, script: str) -> None:
    site.sh(machine, script)


def _container(site: Site, machine: str = "m2") -> tuple[str, str]:
    network = f"handful-lab-{site.stack}"
    return network, f"{network}.{machine}"


def _cut(seconds: float) -> Blow:
    def act(site: Site, _: subprocess.Popen[bytes]) -> None:
        network, container = _container(site)
        plug = ["docker", "network", "connect", "--ip", site.address("m2"), network, container]
        subprocess.run(["docker", "network", "disconnect", network, container], check=True, capture_output=True)
        time.sleep(seconds)
        subprocess.run(plug, check=True, capture_output=True)

    return act


def _reboot(site: Site, _: subprocess.Popen[bytes]) -> None:
    subprocess.run(["docker", "restart", "-t", "10", _container(site)[1]], check=True, capture_output=True)


def _second_deploy(site: Site, _: subprocess.Popen[bytes]) -> None:
    """Deploy the same from another place; it must refuse, or find nothing to do."""
    other = site.folder.with_name("elsewhere")
    shutil.copytree(site.folder, other, dirs_exist_ok=True)
    done = subprocess.run(["handful", "deploy"], cwd=other, env=site.environ, capture_output=True, check=False)
    if done.returncode not in {0, 1}:
        raise RuntimeError(done.stderr.decode())


def _rollback(site: Site) -> None:
    """Go away from a release that dies, when it is in use: the deploy may have gone back by itself."""
    if site.version in site.versions().values():
        subprocess.run(["handful", "rollback"], cwd=site.folder, env=site.environ, capture_output=True, check=False)


FAULTS: Mapping[str, Fault] = MappingProxyType({
    "none": Fault(),
    "rollback": Fault(words=("rollback",)),
    "ctrl-c": Fault(act=_signal(signal.SIGINT)),
    "kill": Fault(act=_signal(signal.SIGKILL)),
    "ssh is killed": Fault(act=_kill_ssh),
    "crashes at once": Fault(env='CRASH: "1"'),
    "answers 404": Fault(env='UP_STATUS: "404"'),
    "crashes after 1 s": Fault(env='CRASH_AFTER: "1"', last=_rollback, machine="all"),
    "crashes after the switch": Fault(env='CRASH_AFTER: "6"', last=_rollback, machine="all"),
    "its health flaps": Fault(env='UP_FLAPS: "1"'),
    "a machine is cut off for a moment": Fault(act=_cut(SHORT_CUT), machine="m2"),
    "a machine is cut off": Fault(act=_cut(LONG_CUT), machine="m2"),
    "a machine reboots": Fault(act=_reboot, machine="m2"),
    "dockerd restarts": Fault(act=_on("m2", "restart_docker"), machine="m2"),
    "the proxy is killed": Fault(act=_on("m2", "kill_proxy"), machine="m2"),
    "the proxy restarts": Fault(act=_on("m2", "restart_proxy"), machine="m2"),
    "no room for the release": Fault(first=_on("m1", "fill_disk", "room=4096"), last=_on("m1", "empty_disk")),
    "no room for history": Fault(first=_on("m1", "fill_disk", "room=131072"), last=_on("m1", "empty_disk")),
    "two deploys at once": Fault(act=_second_deploy),
    "the clock is an hour ahead": Fault(first=_on("m1", "clock_ahead"), last=_on("m1", "clock_right")),
    "the earlier image is pruned": Fault(first=_on("m1", "prune_images"), words=("rollback",)),
    "no address is free": Fault(first=_on("m1", "take_addresses"), last=_on("m1", "give_addresses")),
})
# Some of all deploys have no fault: the way on from one is tried as well.
ROW = (*FAULTS, "none", "none", "rollback", "ctrl-c", "kill", "kill")


class Deploy:
    """One deploy of a new version, or a rollback, with its fault; `moment` is in seconds after its start."""

    def __init__(self, site: Site, name: str, moment: float) -> None:
        """Write down what handful.yml asks for from now on."""
        self._site, self.name, self.fault, self.moment = site, name, FAULTS[name], moment
        if self.fault.words == ("deploy",):
            site.write_config(self.fault.env, "4s" if self.fault.env else "60s")
        self.wanted = site.version
        self.began_at = self.ended_at = 0.0

    def run(self) -> int:
        """Deploy, and return the exit code of `handful`; the fault is over then, and both machines answer."""
        self.fault.first(self._site)
        with subprocess.Popen(
            ["handful", *self.fault.words], cwd=self._site.folder, env=self._site.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.moment)
            self.began_at = time.time()
            self.fault.act(self._site, process)
            code = process.wait(SECONDS)
        self.fault.last(self._site)
        self.ended_at = time.time()
        return code


def served(site: Site, machine: str) -> str:
    """Return the version that answers at a machine's edge: it may be another machine's."""
    asked = HTTPConnection(site.address(machine), timeout=10)
    with closing(asked):
        asked.request("GET", "/", headers={"Host": "bench.localhost"})
        answer = asked.getresponse()
        said = answer.read().decode()
    # `version=17 release=… instance=…`
    return said.split()[0].removeprefix("version=") if answer.status == OK else f"status {answer.status}"


def answers(site: Site, machine: str) -> bool:
    """Whether a machine's edge answers."""
    try:
        return served(site, machine).isdecimal()
    except (OSError, HTTPException, IndexError):
        return False
