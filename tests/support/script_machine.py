"""What does a machine look like on which handful's scripts run for real, with a recording docker?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any

from script_containers import Behaviour
from script_docker import Docker
from script_namespace import Namespace
from script_poll import DEADLINE, until
from script_release import NAMES, PROXY, SETUP, Made, make, run_steps, script
from script_tap import Answer, Become, Call, Tap

from handful.artifact.script import stand_alone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from script_containers import Container

    from handful.plan.model import Step

# Programs whose calls are seen before they run: at each of them the machine can be looked at.
WATCHED = ("perl", "mv", "ln", "rm", "cp")


class Said:
    """A finished script: its exit code and what it wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"

    @property
    def events(self) -> list[dict[str, str]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def failed(self) -> dict[str, str]:
        """The first event that says what failed: the others are what came of it."""
        return next(event for event in self.events if event["event"] == "failed")

    @property
    def outcome(self) -> str:
        """How the work says that it ended."""
        return self.events[-1]["outcome"] if self.out else ""


class Running:
    """A script at work, in a process group of its own."""

    def __init__(self, machine: Machine, words: Sequence[str], env: dict[str, str], *, stdin: bool = False) -> None:
        self._machine = machine
        number = next(machine.numbers)
        self._files = [machine.folder / f"{number}.{kind}" for kind in ("out", "err", "pid")]
        leader = ["setsid", "bash", "-c", 'echo $$ >"$0" && exec "$@"', str(self._files[2]), *words]
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self._process = subprocess.Popen(
                machine.namespace.words(leader), env=machine.env | env, stdout=out, stderr=err,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, start_new_session=True,
            )
        machine.running.append(self)

    def send(self, text: bytes) -> None:
        """Write to its standard input."""
        assert self._process.stdin
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def hang_up(self) -> None:
        """End its standard input."""
        assert self._process.stdin
        self._process.stdin.close()

    def kill(self, name: str = "TERM") -> None:
        """Send a signal to the whole group."""
        pid = until(lambda: self._files[2].exists() and self._files[2].read_text().strip())
        self._machine.inside("kill", f"-{name}", "--", f"-{pid}")

    def end(self, seconds: float = DEADLINE) -> Said:
        """Wait until it has ended."""
        code = self._process.wait(seconds)
        self.forget()
        return Said(code, *(file.read_bytes().decode(errors="replace") for file in self._files[:2]))

    def words(self) -> str:
        """What it has written so far."""
        return self._files[0].read_text(errors="replace")

    def forget(self) -> None:
        """Let go of it, whether it has ended or not."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(DEADLINE)


class Machine:
    """An empty machine: `root`, `etc` and `hosts` stand for /var/lib/handful, /etc and /etc/hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.etc, self.hosts = folder, folder / "root", folder / "etc", folder / "hosts"
        self.numbers, self.running = count(1), list[Running]()
        self.namespace = Namespace()
        self._bin = folder / "bin"
        for made in (self._bin, self.etc, folder / "project"):
            made.mkdir()
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.tap = Tap(self.namespace, self._bin)
        self.docker = Docker(self.namespace, folder, {PROXY: Behaviour(), NAMES: Behaviour(port=None)})
        self.tap.serve("docker", self.docker.answer)
        self.tap.serve("systemctl", self._systemctl)
        for program in WATCHED:
            self.tap.watch(program)
        self.env = {
            "PATH": f"{self._bin}:{os.environ['PATH']}:/usr/sbin:/sbin", "HANDFUL_ROOT": str(self.root), "HOME": "/root",
            "HANDFUL_ETC": str(self.etc), "HANDFUL_HOSTS": str(self.hosts),
        }

    def close(self) -> None:
        """End everything that runs here."""
        self.tap.open()
        self.docker.close()
        self.namespace.close()
        for running in self.running:
            running.forget()
        self.tap.close()

    # Running scripts.

    def start(self, text: str, *words: str, stdin: bool = False, **env: str) -> Running:
        """Start a bash script from a file; `words` are its arguments, `env` more variables."""
        file = self.folder / f"script-{next(self.numbers)}.bash"
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        return Running(self, ["bash", str(file), *words], env, stdin=stdin)

    def bash(self, text: str, *words: str, **env: str) -> Said:
        """Run a bash script from a file to its end."""
        return self.start(text, *words, **env).end()

    def alone(self, name: str, **values: str) -> Said:
        """Run one of handful's scripts by itself, as handful hears it."""
        return self.bash(stand_alone(name, values), HANDFUL_JSON="1")

    def inside(self, *words: str) -> str:
        """Run a program here and return what it wrote."""
        done = subprocess.run(
            self.namespace.words(words), env=self.env, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return done.stdout

    def begin(self, taken: Sequence[Step], uploads: Sequence[Made] = (), stack: str = "shop", **env: str) -> Running:
        """Start a deploy's work: what session.bash would do, without a session around it."""
        number = next(self.numbers)
        session = self.folder / f"session-{number}"
        for made in uploads:
            for path, content in made.uploads.items():
                (session / path).parent.mkdir(parents=True, exist_ok=True)
                (session / path).write_bytes(content)
        session.mkdir(exist_ok=True)
        text = script(stack, number, taken)
        return self.start(text, HANDFUL_JSON="1", HANDFUL_SESSION=str(session), **env)

    def begin_deploy(self, *made: Made, commands: Sequence[str] = ()) -> Running:
        """Start a deploy of releases."""
        first = [step for each in made for step in each.first_steps]
        return self.begin([*first, *run_steps(*made, commands=commands)], made, made[0].stack)

    def deploy(self, *made: Made, commands: Sequence[str] = ()) -> Said:
        """Deploy releases, to the end."""
        return self.begin_deploy(*made, commands=commands).end()

    def deployed(self, *made: Made) -> Made:
        """Deploy releases, which must go well; return the first."""
        said = self.deploy(*made)
        assert said.outcome == "done", said
        return made[0]

    def place(self, made: Made) -> Path:
        """Put a release into its folder without running it; return its run_app.bash."""
        said = self.begin(made.first_steps, [made], made.stack).end()
        assert said.outcome == "done", said
        return self.app(made.app, made.stack) / "releases" / made.id / "run_app.bash"

    def set_up(self) -> None:
        """Make the machine ready for apps."""
        whole = "\n".join(f"(\n{stand_alone(step.script, step.values)}\n)" for step in SETUP)
        said = self.bash(f"set -e\n{whole}")
        assert said.code == 0, said

    def make(self, counter: int = 1, behaviour: Behaviour | None = None, **keys: Any) -> Made:
        """Make a release whose image is here."""
        made = make(self.folder / "project", counter, **keys)
        self.docker.images.setdefault(made.image, behaviour or Behaviour(answers={"/up": (200, "ok")}))
        return made

    # Looking at the machine.

    def app(self, app: str = "web", stack: str = "shop") -> Path:
        """Return an app's folder."""
        return self.root / "stacks" / stack / "apps" / app

    def current(self, app: str = "web", stack: str = "shop") -> str:
        """Return the release that `current` names; "" when there is none."""
        link = self.app(app, stack) / "current"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else ""

    def history(self, stack: str = "shop") -> list[dict[str, Any]]:
        """Return a stack's history."""
        file = self.root / "stacks" / stack / "history.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def fragment(self, app: str = "web", stack: str = "shop") -> Path:
        """Return where an app's part of the proxy's configuration is."""
        return self.root / "proxy" / "conf" / f"50-{stack}.{app}.cfg"

    def slots(self, app: str = "web", stack: str = "shop") -> dict[str, str]:
        """Return the addresses that the fragment names: `active` or `backup`."""
        file = self.fragment(app, stack)
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        # Further words: a slot that only follows one of these. Another name: a machine that is asked.
        slots = [line for line in lines if line[:1] == ["server"] and line[1][1:].isdigit() and not line[4:]]
        servers = [line for line in slots if line[3:] != ["disabled"]]
        return {line[2].split(":")[0]: "".join(line[3:]) or "active" for line in servers}

    def instances(self, app: str = "web", stack: str = "shop", **wanted: object) -> list[Container]:
        """Return an app's containers, those whose attributes are as wanted."""
        with self.docker.lock:
            found = [each for each in self.docker.containers.values() if "handful.instance" in each.labels]
        mine = [each for each in found if (each.labels["handful.app"], each.labels["handful.stack"]) == (app, stack)]
        return [each for each in mine if all(getattr(each, name) == value for name, value in wanted.items())]

    def names(self, app: str = "web", stack: str = "shop", **wanted: object) -> list[str]:
        """Return the names of an app's containers, sorted."""
        return sorted(each.name for each in self.instances(app, stack, **wanted))

    def proxy_says(self, command: str, which: str = "admin") -> str:
        """Ask the running proxy."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(DEADLINE)
            asked.connect(str(self.root / "proxy" / "run" / f"{which}.sock"))
            asked.sendall(command.encode() + b"\n")
            asked.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode()

    def ready(self, app: str = "web", stack: str = "shop") -> list[str]:
        """Return the addresses to which the running proxy sends requests: up, and neither drained nor in maintenance."""
        lines = [line.split() for line in self.proxy_says(f"show servers state {stack}.{app}").splitlines()]
        return sorted(line[4] for line in lines if line[1:2] == [f"{stack}.{app}"] and line[5] == "2" and line[6] in "04")

    def connect(self, address: str, port: int, origin: str = "") -> socket.socket:
        """Return a connection inside the machine, from the address `origin`."""
        made = self.namespace.socket()
        made.settimeout(DEADLINE)
        try:
            if origin:
                made.bind((origin, 0))
            made.connect((address, port))
        except OSError:
            made.close()
            raise
        return made

    def get(self, path: str = "/", address: str = "10.210.0.1", port: int = 8000, host: str = "web", origin: str = "") -> str:
        """GET over a new connection; return `STATUS BODY`."""
        with self.connect(address, port, origin) as made:
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: made.recv(65536), b"")).decode().partition("\r\n\r\n")
        return f"{head[9:12]} {body}"

    def answer(self) -> str:
        """GET / of the first service address; "" while nothing answers."""
        try:
            return self.get()
        except OSError:
            return ""

    def _systemctl(self, call: Call) -> Answer | Become:
        """Start a unit for real; the rest is only recorded."""
        if call.words[0] != "restart":
            return Answer()
        unit = (self.etc / "systemd" / "system" / call.words[1]).read_text()
        started = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
        return Become(tuple(started.removeprefix("ExecStart=").split()))


