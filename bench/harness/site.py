"""Where do handful and the hand-written scripts work: a project, a lab, and an ssh that counts?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from handful.provider import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOME = Path(__file__).parents[2]
BY_HAND = HOME / "bench" / "by_hand"
COMMAND_SECONDS = 300
SETTLE_SECONDS = 60
# After the last container has gone, Docker tidies up for a moment.
PAUSE_SECONDS = 0.5
INSTANCES = 2
NOTHING: Mapping[str, str] = MappingProxyType({})
VERSION = "sed -n 's/^VERSION=//p' /var/lib/handful/stacks/$stack/apps/web/current/env"
CONFIG = """\
project: {stack}
provider: {{name: lab}}
machines: {{{machines}}}
apps:
  web:
    build: {{context: .}}
    machines: [{names}]
    instances: {instances}
    port: 8000
    domains: [bench.localhost]
    health: {{path: /up, within: {within}}}
    env: {{VERSION: "{version}"{env}}}
"""


class Site:
    """A project of its own (a copy of examples/hello) with a lab, as long as the `with` lasts; then nothing is left.

    `handful` and `by_hand` run a program to its end and return the seconds it took.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Make nothing yet: the lab comes with the first `have`."""
        self.stack = f"bench-{os.getpid()}"
        self.say = say
        self._machines: tuple[str, ...] = ()
        self._version = 0

    def __enter__(self) -> Self:
        """Make the folders, and the `ssh` that counts."""
        self._temporary = TemporaryDirectory(prefix="handful-bench-")
        base = Path(self._temporary.name)
        self.folder, self.own_folder, self._state = base / "project", base / "by-hand", base / "state"
        for folder in (self.folder, self.own_folder):
            shutil.copytree(HOME / "examples" / "hello", folder)
        self._sessions, tools = base / "sessions", base / "tools"
        self._sessions.touch()
        tools.mkdir()
        # `ssh -V` tells its version and connects to nothing.
        counted = f'[ "$1" = -V ] || echo >>"{self._sessions}"'
        # Projects that reach machines by names of their own say in which config these stand.
        config = '${BENCH_SSH_CONFIG:+-F "$BENCH_SSH_CONFIG"}'
        (tools / "ssh").write_text(f'#!/bin/sh\n{counted}\nexec "{shutil.which("ssh")}" {config} "$@"\n')
        (tools / "ssh").chmod(0o755)
        path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environ = {**os.environ, "PATH": path, "XDG_STATE_HOME": str(self._state)}
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the lab, the images and the folders."""
        if self._machines:
            self._remove_lab()
        self._temporary.cleanup()

    def _remove_lab(self) -> None:
        self.say("taking the lab down")
        with suppress(subprocess.CalledProcessError):
            lab.down(self.stack, self._lab_state, lambda _: None)
            for pattern in (f"handful/{self.stack}/*", f"handful/{self.stack}-*/*", f"{self.stack}"):
                found = _run(["docker", "images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={pattern}"])
                if found.split():
                    _run(["docker", "rmi", *found.split()])

    def have(self, count: int) -> None:
        """Have so many machines in handful.yml and in the lab, with the app deployed on each."""
        names = tuple(f"m{number}" for number in range(1, count + 1))
        if names == self._machines:
            return
        self._machines = names
        self.write_config()
        self.say(f"a lab of {count} machine{'s' if count > 1 else ''}, with the app deployed")
        self.handful("lab", "up")
        self.handful("deploy")
        self._write_ssh_config()

    def write_config(self, env: str = "", within: str = "60s") -> None:
        """Write handful.yml anew, with the next version in the app's environment and `env` (`NAME: value`) beside."""
        self._version += 1
        machines = ", ".join(f"{name}: {{}}" for name in self._machines)
        values = {"machines": machines, "names": ", ".join(self._machines), "version": self.version, "within": within}
        text = CONFIG.format(stack=self.stack, instances=INSTANCES, env=f", {env}" if env else "", **values)
        (self.folder / "handful.yml").write_text(text, encoding="utf-8")

    @property
    def version(self) -> str:
        """The version that handful.yml asks for."""
        return str(self._version)

    def address(self, machine: str) -> str:
        """Return a machine's address."""
        return lab.access(self.stack, self._lab_state)[machine].host

    def sh(self, machine: str, script: str) -> str:
        """Run a bash script on a machine, with $stack set, and return what it says."""
        line = ["ssh", "-F", str(self.own_folder / "ssh_config"), machine, "bash", "-s"]
        return _run(line, stdin=f"stack={self.stack}\n{script}")

    def versions(self) -> dict[str, str]:
        """Return which version each machine runs."""
        return {machine: self.sh(machine, VERSION).strip() for machine in self._machines}

    def handful(self, *words: str) -> float:
        """Run `handful` in the project's folder."""
        return self._timed(["handful", *words], self.folder)

    def elsewhere(self, folder: Path, *words: str, config: Path | None = None, fresh: bool = False) -> float:
        """Run `handful` in another folder, with an ssh config; `fresh`: no connection is there already."""
        more = {"BENCH_SSH_CONFIG": str(config or self.own_folder / "ssh_config")}
        if not fresh:
            return self._timed(["handful", *words], folder, more)
        with TemporaryDirectory(prefix="hf-") as runtime:
            taken = self._timed(["handful", *words], folder, {**more, "XDG_RUNTIME_DIR": runtime})
            for socket in Path(runtime).glob("handful/*"):
                line = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "-"]
                subprocess.run(line, capture_output=True, check=False)
        return taken

    def by_hand(self, script: str, *words: str, folder: Path | None = None) -> float:
        """Run a script of bench/by_hand, which reaches the machines by their names through the folder's ssh config."""
        return self._timed(["bash", str(BY_HAND / f"{script}.bash"), *words], folder or self.own_folder)

    def on_machine(self, script: str, *words: str, machine: str = "m1") -> str:
        """Run a script of bench/by_hand on a machine and return what it says."""
        line = ["ssh", "-F", str(self.own_folder / "ssh_config"), machine, "bash", "-s", "--", *words]
        return _run(line, stdin=(BY_HAND / f"{script}.bash").read_text(encoding="utf-8"))

    def settle(self) -> None:
        """Wait until nothing that a run has left to itself still drains on the first machine."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while int(self.on_machine("count_leaving", str(INSTANCES))) > 0:
            if time.monotonic() > deadline:
                message = f"containers still drain after {SETTLE_SECONDS} s"
                raise TimeoutError(message)
            time.sleep(PAUSE_SECONDS)
        time.sleep(PAUSE_SECONDS)

    def sessions(self) -> int:
        """Return how many ssh sessions `handful` and the scripts by hand have opened so far."""
        return len(self._sessions.read_text().splitlines())

    @property
    def _lab_state(self) -> Path:
        return self._state / "handful" / "lab"

    def _write_ssh_config(self) -> None:
        """As a person has it for machines of theirs."""
        text = ""
        for each in lab.access(self.stack, self._lab_state).values():
            options = "".join(f"  {option.replace('=', ' ', 1)}\n" for option in each.options)
            text += f"Host {each.name}\n  HostName {each.host}\n  User {each.user}\n{options}"
        (self.own_folder / "ssh_config").write_text(text, encoding="utf-8")

    def _timed(self, words: Sequence[str], folder: Path, more: Mapping[str, str] = NOTHING) -> float:
        began = time.monotonic()
        _run(words, folder, {**self.environ, **more})
        return time.monotonic() - began


def change_last_layer(folder: Path, number: int) -> None:
    """Change the file that the last line of the Dockerfile copies, as a change of code does."""
    path = folder / "app.py"
    text = re.sub(r"\n# change .*\n$", "\n", path.read_text(encoding="utf-8"))
    path.write_text(f"{text}# change {number} of {folder.name} at {time.time_ns()}\n", encoding="utf-8")


def _run(
    words: Sequence[str], folder: Path | None = None, environ: Mapping[str, str] | None = None, stdin: str = ""
) -> str:
    done = subprocess.run(
        words, cwd=folder, env=environ, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=COMMAND_SECONDS, check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, words[:3])
    return done.stdout
