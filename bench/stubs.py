"""What does handful itself cost with 20 and with 50 machines? They are sshd with a stub docker, all on this computer.

By hand, a bash script opens the same sessions side by side, with the same scripts in them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from handful.artifact.bundle import bundle
from handful.artifact.image import Wish, read_sources
from handful.artifact.release import release_files
from handful.artifact.script import observe, source, work_script
from handful.artifact.system_image import image_names
from handful.config.load import load
from handful.machine.access import Access
from handful.machine.ssh import UNPACK
from handful.plan.conflicts import PARTS
from handful.plan.model import Intent
from handful.plan.plan import make_plan
from handful.run.engine import look
from handful.run.fleet import words
from harness.fleet import Fleet
from harness.pairs import Limit, Result, in_pairs
from harness.site import HOME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.site import Site

COUNTS = (20, 50)
RUNS = 3
FIRST_PORT = 21_000
READY_SECONDS = 60


def measure(site: Site) -> list[Result]:
    """Deploy a worker with the strategy `all`, and look at all machines."""
    results = []
    folder = site.folder.with_name("stubs")
    folder.mkdir()
    with ExitStack() as machines:
        image = f"{site.stack}/stub:1"
        subprocess.run(["docker", "import", "-", image], input=bytes(10240), stdout=subprocess.DEVNULL, check=True)
        machines.callback(subprocess.run, ["docker", "rmi", "-f", image], stdout=subprocess.DEVNULL, check=False)
        for count in COUNTS:
            names = [f"s{number}" for number in range(1, count + 1)]
            config = _start(machines, folder, names)
            fleet = Fleet(site, f"stubs-{count}", dict.fromkeys(names), {"image": image, "deploy": {"strategy": "all"}})
            _set_up(folder, names, fleet)
            fleet.change()
            fleet.handful("deploy", config=config)
            results += _pairs(site, fleet, config, names)
    return results


def _pairs(site: Site, fleet: Fleet, config: Path, names: Sequence[str]) -> list[Result]:
    count, own = len(names), site.folder.with_name(f"own-{len(names)}")
    own.mkdir()
    shutil.copy(config, own / "ssh_config")
    (own / "unpack").write_text(UNPACK, encoding="utf-8")

    def deploy(_: int) -> float:
        fleet.change()
        return fleet.handful("deploy", config=config)

    def deploy_by_hand(_: int) -> float:
        fleet.change()
        _write_sessions(fleet, own, config)
        return site.by_hand("same_sessions", *names, folder=own)

    def status_by_hand(_: int) -> float:
        for name in names:
            (own / f"{name}.tar").unlink(missing_ok=True)
            (own / f"{name}.look").write_text(observe(fleet.stack, whole=False), encoding="utf-8")
        return site.by_hand("same_sessions", *names, folder=own)

    found = []
    for what, handful, by_hand in (
        ("deploy", deploy, deploy_by_hand), ("status", lambda _: fleet.handful("status", config=config), status_by_hand)
    ):
        pairs = in_pairs(handful, by_hand, site.say, RUNS)
        result = Result(f"stubs-{count}-{what}", pairs)
        found.append(Result(result.name, pairs, (Limit("ratio", result.ratio, 1.3),)))
    return found


def _start(machines: ExitStack, folder: Path, names: Sequence[str]) -> Path:
    """Start what is not there yet of the machines; return an ssh config that knows them all."""
    if not (folder / "key").exists():
        for key in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    text = ""
    for number, name in enumerate(names):
        port = FIRST_PORT + number
        if not (folder / name).exists():
            line = ["unshare", "--mount", "bash", str(HOME / "bench/stub/machine.bash"), name, str(port), str(folder)]
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            machines.callback(process.wait)
            machines.callback(process.terminate)
        text += f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n"
    text += f"Host *\n  User root\n  IdentityFile {folder}/key\n  LogLevel ERROR\n"
    text += "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
    config = folder / f"config-{len(names)}"
    config.write_text(text, encoding="utf-8")
    deadline = time.monotonic() + READY_SECONDS
    for number in range(len(names)):
        while not _answers(FIRST_PORT + number):
            if time.monotonic() > deadline:
                raise TimeoutError("the stub machines did not answer")
            time.sleep(0.05)
    return config


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _set_up(folder: Path, names: Sequence[str], fleet: Fleet) -> None:
    """Write down what a machine that is set up has: proxy and names run, in the right versions."""
    import json

    fleet.change()
    images = image_names(load(fleet.folder, None).config.images)
    told = json.dumps({"format": 1, "handful": "0.1.0", "parts": dict(PARTS), "images": images})
    for name in names:
        (folder / name / "root/machine.json").write_text(told)
        (folder / name / "images").write_text("".join(f"{image}\n" for image in images.values()))
        for part, image in images.items():
            (folder / name / f"containers/handful-{part}").write_text(f"{part} {image} always - - - -\n")


def _write_sessions(fleet: Fleet, folder: Path, config: Path) -> None:
    """Write what handful would send to each machine for this change."""
    loaded = load(fleet.folder, None)
    options = (f"IdentityFile={config.parent}/key", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    accesses = [
        Access(name, "127.0.0.1", user="root", port=FIRST_PORT + number, options=options)
        for number, name in enumerate(fleet.machines)
    ]
    facts = {name: each for name, each in look(accesses, fleet.stack).items() if not isinstance(each, Exception)}
    present = {"web": next(iter(facts.values())).app(fleet.stack, "web")}
    known = {name: state.releases[state.current] for name, state in present.items()}
    sources = read_sources(loaded.config, fleet.stack, fleet.folder, ("web",), known, Wish())
    intent = Intent("deploy", who="bench", handful="0.1.0", images=image_names(loaded.config.images))
    plan = make_plan(loaded.config, fleet.stack, facts, sources, intent)
    for work in (work for wave in plan.waves for work in wave):
        files = {
            f"releases/{each.app}/{path}": content for each in work.releases
            for path, content in release_files(each, loaded.config.apps[each.app], fleet.folder).items()
        }
        script = work_script(plan, work, "by hand").encode()
        tar = bundle({"session.bash": source("session").encode(), "work.bash": script, **files})
        (folder / f"{work.machine}.tar").write_bytes(tar)
        # By hand nobody waits: the words that handful would say when all are ready follow at once.
        (folder / f"{work.machine}.words").write_text("".join(f"{word}\n" for word in words(work)), encoding="utf-8")
        (folder / f"{work.machine}.look").write_text(observe(fleet.stack), encoding="utf-8")
