"""What lab tests share: machines, projects, a tiny image, and polling."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handful.machine.access import Access

TINY = "handful-test/tiny:2"
EXAMPLE = Path(__file__).parents[2] / "examples" / "hello"


@dataclass
class Said:
    """What a finished `handful` said."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Both streams."""
        return self.out + self.err

    @property
    def json(self) -> Any:
        """Its output as one JSON document."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, str]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@contextlib.contextmanager
def asking(url: str, host: str) -> Iterator[list[int]]:
    """Ask again and again, until the block ends; each answer's status, or 0 where there was none."""
    over, answers = threading.Event(), list[int]()

    def ask() -> None:
        while not over.is_set():
            request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310  # of the lab
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  # likewise
                    answers.append(answer.status)
            except urllib.error.HTTPError as refused:
                answers.append(refused.code)
            except OSError:
                answers.append(0)
            over.wait(0.01)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield answers
    finally:
        over.set()
        asker.join()


@dataclass
class Lab:
    """Two machines, reached as machines that exist: by address, with an ssh config of the user's own."""

    access: dict[str, Access]
    ssh_config: Path
    tools: Path
    stack: str

    def sh(self, machine: str, script: str, *, check: bool = True) -> str:
        """Run a bash script on a machine and return what it says."""
        access = self.access[machine]
        options = [word for option in access.options for word in ("-o", option)]
        done = subprocess.run(
            ["ssh", *options, "-l", "root", access.host, "bash -s"],
            input=script,
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def address(self, machine: str) -> str:
        """Return a machine's address."""
        return self.access[machine].host

    def reboot(self, machine: str) -> None:
        """Reboot a machine, and wait until it takes logins again."""
        name = f"handful-lab-{self.stack}.{machine}"
        subprocess.run(["docker", "restart", "-t", "20", name], check=True, capture_output=True)
        wait_until(lambda: "yes" in self.sh(machine, "echo yes", check=False), 60)


@dataclass
class Project:
    """A folder with a handful.yml, and its stack on the lab."""

    lab: Lab
    folder: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    # Connections that wait for the next session are this project's own. A socket's name must be short.
    runtime: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="hf-")))
    # Of the user's own environment.
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which `handful` finds the test's ssh first."""
        path = f"{self.lab.tools}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "XDG_RUNTIME_DIR": str(self.runtime), **self.variables}

    def write(
        self, *, machines: tuple[str, ...] = ("m1",), private: bool = False, edge: list[str] | None = None, **apps: dict[str, Any]
    ) -> None:
        """Write handful.yml with these apps on these machines, which share their apps when they are told their `private` addresses."""
        addresses = {name: {"address": self.lab.address(name)} for name in machines}
        if private:
            for name, machine in addresses.items():
                machine["private"] = str(self.lab.access[name].private)
        self.config = {"project": self.name, "ssh": {"user": "root"}, "machines": addresses, "apps": apps}
        self.config |= {"edge": edge} if edge else {}
        self.save()

    def address_of(self, machine: str) -> str:
        """Return the address of a machine that a provider has made."""
        listed = self.handful("machines", "list").out
        return next(line.split()[1] for line in listed.splitlines() if line.startswith(f"{machine} "))

    def save(self) -> None:
        """Write handful.yml as `config` stands."""
        (self.folder / "handful.yml").write_text(
            yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )

    def change(self, app: str, **values: Any) -> None:
        """Change keys of an app."""
        self.config["apps"][app].update(values)
        self.save()

    def handful(self, *words: str, code: int = 0, stdin: str = "", timeout: float = 180) -> Said:
        """Run `handful` to its end; it must end with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "handful", *words],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        assert said.code == code, f"handful {' '.join(words)} ended with {said.code}, not {code}:\n{said.all}"
        return said

    def doctor(self) -> str:
        """Return what `handful doctor --json` says, whether all is well or not."""
        line = [sys.executable, "-m", "handful", "doctor", "--json"]
        return subprocess.run(line, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=120).stdout

    def audit(self) -> str:
        """Return what `handful audit` says, whether it finds something or not."""
        line = [sys.executable, "-m", "handful", "audit"]
        return subprocess.run(line, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=120).stdout

    def at_a_terminal(self, *words: str, answers: dict[str, str], timeout: float = 120) -> str:
        """Run `handful` to its end at a terminal of its own, where each question gets its answer; return what it showed."""
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", sys.executable, "-m", "handful", *words],
            cwd=self.folder, env=self.environ, stdin=theirs, stdout=theirs, stderr=theirs,
        )
        os.close(theirs)
        shown, deadline = "", time.monotonic() + timeout
        # The terminal is closed when the last program on it has ended; Linux tells that by an error.
        with os.fdopen(ours, "r+b", buffering=0) as terminal, contextlib.suppress(OSError):
            while select.select([terminal], [], [], deadline - time.monotonic())[0] and (piece := terminal.read(4096)):
                shown += piece.decode(errors="replace")
                for question, answer in answers.items():
                    if question in piece.decode(errors="replace"):
                        terminal.write(f"{answer}\n".encode())
        assert process.wait(timeout) == 0, shown
        return shown

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `handful` and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "handful", *words],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def sh(self, script: str, machine: str = "m1") -> str:
        """Run a bash script on a machine, with $stack set."""
        return self.lab.sh(machine, f"stack={self.name}\n{script}")

    def current(self, app: str = "web", machine: str = "m1") -> str:
        """Return the id of the release that runs; "" when none does."""
        return self.sh(
            f"basename $(readlink /var/lib/handful/stacks/$stack/apps/{app}/current) 2>/dev/null || true", machine
        ).strip()

    def containers(self, machine: str = "m1") -> list[str]:
        """Return the names of the stack's containers, stopped ones too."""
        return sorted(
            self.sh("docker ps -a --filter label=handful.stack=$stack --format '{{.Names}}'", machine).split()
        )

    def leftovers(self, machine: str = "m1") -> str:
        """Return what a deploy must not leave behind: journals, session folders, held locks."""
        return self.sh(
            "ls -d /var/lib/handful/stacks/$stack/apps/*/deploying /run/handful.* 2>/dev/null\n"
            "for lock in /var/lib/handful/stacks/$stack/lock /var/lib/handful/lock; do flock -n $lock true || echo $lock; done\ntrue",
            machine,
        ).strip()

    def get(self, path: str = "/", app: str = "web", machine: str = "m1") -> str:
        """Ask the app at its service address, from the machine itself; return status and body."""
        number = self.sh(f"cat /var/lib/handful/stacks/$stack/apps/{app}/number", machine).strip()
        port = self.config["apps"][app]["port"]
        address = f"10.210.{int(number) // 256}.{int(number) % 256}:{port}"
        return self.sh(f"curl -s -m 5 -w ' %{{http_code}}' http://{address}{path} || true", machine)


def own_ssh(state: Path, access: dict[str, Access]) -> tuple[Path, Path]:
    """Write an ssh config as a user would have it, and an `ssh` that reads it and writes down each session."""
    config = state / "ssh_config"
    config.write_text(
        "".join(
            f"Host {each.host}\n" + "".join(f"  {option.replace('=', ' ', 1)}\n" for option in each.options)
            for each in access.values()
        )
    )
    tools = state / "tools"
    tools.mkdir()
    wrapper = tools / "ssh"
    real = shutil.which("ssh")
    wrapper.write_text(f'#!/bin/sh\ncase $1 in -G | -V | -O) ;; *) echo "$$" >>"{state}/sessions" ;; esac\nexec {real} -F "{config}" "$@"\n')
    wrapper.chmod(0o755)
    return config, tools


def make_tiny_image() -> None:
    """A web server of two megabytes, from the distribution's busybox: /up says ok, / tells its release."""
    if subprocess.run(["docker", "image", "inspect", TINY], capture_output=True, check=False).returncode == 0:
        return
    files = {
        "start": "#!/bin/sh\ntrap 'exit 0' TERM\necho started $HANDFUL_RELEASE\necho $HANDFUL_RELEASE $VERSION >/www/index.html\n"
        "httpd -f -p ${PORT:-8000} -h /www &\nwait\n",
        "www/up": "ok",
        "www/cgi-bin/to": "#!/bin/sh\necho Content-Type: text/plain\necho\nhost=${QUERY_STRING%:*}\nport=${QUERY_STRING##*:}\n"
        'timeout 3 wget -q -O - "http://$host:$port/up" 2>&1 || echo refused\n',
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "tmp", "www", "www/cgi-bin", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox")
        for name in ["sh", "httpd", "wget", "sleep", "cat", "echo", "env", "ls", "timeout", "touch", "true", "false", "nc", "id", "sync", "kill"]:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    subprocess.run(
        ["docker", "import", "--change", 'CMD ["/start"]', "--change", "ENV PATH=/bin", "-", TINY],
        input=buffer.getvalue(),
        capture_output=True,
        check=True,
    )


def wait_until(check: Callable[[], object], seconds: float = 20) -> Any:
    """Poll until `check` returns something true, and return it; a deadline passed is a failure."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"not so within {seconds} s: {value!r}"
        time.sleep(0.1)


def tiny(**more: Any) -> dict[str, Any]:
    """Return an app of the tiny image."""
    return {
        "image": TINY,
        "port": 8000,
        "health": {"path": "/up", "within": "20s"},
        "stop_timeout": "2s",
        "drain_timeout": "5s",
        **more,
    }


def hello(project: Project, domain: str, **more: Any) -> dict[str, Any]:
    """Return the example app, built in the project's folder: it has every endpoint that the load asks for."""
    for name in ("app.py", "Dockerfile"):
        shutil.copy(EXAMPLE / name, project.folder)
    return {
        "build": {"context": "."},
        "port": 8000,
        "domains": [domain],
        "health": {"path": "/up"},
        "stop_timeout": "5s",
        "drain_timeout": "30s",
        **more,
    }
