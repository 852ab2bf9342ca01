"""Who is there to be watched: a stack with containers that write, and handful's agent beside them, as it ships."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from handful.artifact.system_image import make_part, part_name
from handful.config.images import Images
from harness.line import said
from harness.process import have

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from harness.site import Site

APPS = 10
AT_ONCE = 4
COMMANDS = ("sh", "awk", "usleep", "sleep")
ASK_SECONDS, START_SECONDS = 10, 20
RELEASE = "20260131-120000-bench"
LOG = ("--log-driver", "json-file", "--log-opt", "max-size=20m", "--log-opt", "max-file=5")
# As an app of some use writes: about 130 letters, twice a second.
LINE = (
    '{\\"level\\":\\"info\\",\\"msg\\":\\"request done\\",\\"path\\":\\"/orders/$i\\",\\"status\\":200,\\"ms\\":12,'
    '\\"request\\":\\"7f3a9c$i\\",\\"host\\":\\"$HOSTNAME\\"}'
)
TALK = f'i=0; while :; do i=$((i+1)); echo "{LINE}"; usleep 490000; done'


class Crowd:
    """The containers of a stack, as many as are wanted; they go with the `ExitStack`."""

    def __init__(self, site: Site, over: ExitStack) -> None:
        """Make an image of busybox alone."""
        self.stack, self.image = site.stack, f"{site.stack}/crowd:1"
        have("busybox", "busybox-static")
        subprocess.run(
            ["docker", "import", "--change", "ENV PATH=/bin", "-", self.image], input=_busybox(),
            stdout=subprocess.DEVNULL, check=True,
        )
        over.callback(subprocess.run, ["docker", "rmi", "-f", self.image], stdout=subprocess.DEVNULL, check=False)
        over.callback(self.remove)

    def start(self, app: str, script: str, instance: str = "1") -> str:
        """Start a container that handful would call an instance of the app; return its id."""
        labels = {"stack": self.stack, "app": app, "instance": instance, "release": RELEASE}
        told = [word for name, value in labels.items() for word in ("--label", f"handful.{name}={value}")]
        name = f"{self.stack}.{app}-{instance}"
        return said(["docker", "run", "--detach", "--name", name, *LOG, *told, self.image, "sh", "-c", script])

    def talk(self, count: int) -> list[str]:
        """Start so many that write two lines a second; return their ids."""
        places = [(f"web{number % APPS}", str(number // APPS + 1)) for number in range(count)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda each: self.start(each[0], TALK, each[1]), places))

    def remove(self) -> None:
        """Remove all of them."""
        found = said(["docker", "ps", "-aq", "--filter", f"label=handful.stack={self.stack}"]).split()
        if found:
            subprocess.run(["docker", "rm", "-f", *found], stdout=subprocess.DEVNULL, check=False)


class Agent:
    """The agent in its own image, started by the very line that handful starts it with, on a port of its own."""

    def __init__(self, site: Site, over: ExitStack) -> None:
        """Start it, and wait until it answers. Raises OSError when it does not."""
        self.name, self.port = f"handful-agent-{site.stack}", free_port()
        image = part_name("agent", Images())
        make_part("agent", Images(), image, say=site.say)
        root = site.folder.with_name("machine")
        have_stack(root, site.stack, [f"web{number}" for number in range(APPS)])
        over.callback(subprocess.run, ["docker", "rm", "-f", self.name], stdout=subprocess.DEVNULL, check=False)
        environ = {**site.environ, "image": image, "root": str(root)}
        subprocess.run(["bash", "-euc", agent_line(self.name, self.port)], env=environ, check=True)
        self.pid = int(said(["docker", "inspect", "--format", "{{.State.Pid}}", self.name]))
        wait_for(self.port)

    def kept(self, stack: str, app: str) -> list[str]:
        """Return the lines of an app that it has, as `handful logs` asks for them."""
        words = ["docker", "exec", self.name, "python3", "-m", "handful.agent", "search", "--stack", stack]
        done = subprocess.run([*words, "--app", app], stdout=subprocess.PIPE, check=True)
        told = map(json.loads, done.stdout.splitlines()[1:])
        return [line["x"] for line in told if line.get("s") in {"stdout", "stderr"}]


def agent_line(name: str, port: int) -> str:
    """Return what handful's script starts the agent with, with a name and a port that are free here."""
    text = files("handful.scripts").joinpath("setup_agent.bash").read_text(encoding="utf-8")
    before = re.search(r"^passed=.*?^docker_root=[^\n]*$", text, re.DOTALL | re.MULTILINE)
    line = re.search(r'docker run --detach .*?"\$image" collect(?: --[\w-]+ "[^"]*")*', text, re.DOTALL)
    if before is None or line is None:
        message = "setup_agent.bash starts the agent in another way than this bench knows"
        raise RuntimeError(message)
    return f"{before[0]}\n{line[0]} --port {port} >/dev/null".replace("handful-agent", name)


def have_stack(root: Path, stack: str, apps: Sequence[str]) -> None:
    """Write down on a machine what handful does of a stack: that these apps have a release here."""
    folder = root / "stacks" / stack
    for app in apps:
        (folder / "apps" / app).mkdir(parents=True)
        (folder / "apps" / app / "current").symlink_to(Path("releases") / RELEASE)
        (folder / "apps" / app / "instances").write_text("5\n", encoding="ascii")
    (folder / "agent.json").write_text(json.dumps({"machine": "m1", "days": 36500}), encoding="ascii")
    (root / "logs").mkdir()


def scraped(port: int) -> tuple[float, str]:
    """Ask for measurements; return how long that took, and what was answered."""
    began = time.monotonic()
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ASK_SECONDS) as answer:
        text = answer.read()
    return time.monotonic() - began, text.decode()


def wait_for(port: int) -> None:
    """Wait until somebody answers there. Raises OSError."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            scraped(port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _busybox() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("bin")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        tar.add("/bin/busybox", "bin/busybox")
        for name in COMMANDS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()
