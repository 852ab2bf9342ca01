"""What would Docker have said and done?

It knows the commands and formats that handful's scripts use, whole; any other is an error that names it.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from script_containers import Behaviour, Container, Process, Service
from script_poll import DEADLINE, until
from script_tap import Answer, Become, Call
from script_words import Words, Wrong, environment, parse, parse_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from script_namespace import Namespace

VALUES = frozenset({
    "filter", "format", "restart", "signal", "t", "tail", "since", "subnet", "gateway", "ip-range", "driver", "label",
})
FACTS = (
    '{"name":{{json .Name}},"image":{{json .Config.Image}},"image_id":{{json .Image}},"labels":{{json .Config.Labels}},'
    '"running":{{json .State.Running}},"exit_code":{{json .State.ExitCode}},"started":{{json .State.StartedAt}},'
    '"finished":{{json .State.FinishedAt}},"restarts":{{json .RestartCount}},'
    '"restart":{{json .HostConfig.RestartPolicy.Name}},"host_network":{{eq .HostConfig.NetworkMode "host"}},'
    '"networks":{{json .NetworkSettings.Networks}},"pid":{{json .State.Pid}},'
    '"memory":{{json .HostConfig.Memory}},"cpus":{{json .HostConfig.NanoCpus}}}'
)


SURVEY = re.compile(
    r'\{\{\.ID\}\} \{\{\.Name\}\} \{\{\.HostConfig\.RestartPolicy\.Name\}\} \{\{with \.Config\.Labels\}\}'
    r'\{\{index \. "handful\.stack"\}\}/\{\{index \. "handful\.app"\}\}/\{\{index \. "handful\.instance"\}\}\{\{end\}\} '
    r'\{\{\.State\.Running\}\},\{\{with \.Config\.Labels\}\}\{\{index \. "handful\.release"\}\}\{\{end\}\} '
    r'at=\{\{with index \.NetworkSettings\.Networks "([^"]*)"\}\}'
    r"\{\{\.IPAddress\}\},\{\{with \.IPAMConfig\}\}\{\{\.IPv4Address\}\}\{\{end\}\}\{\{end\}\}"
)


def _facts(it: Container) -> str:
    return json.dumps({
        "name": f"/{it.name}", "image": it.image, "image_id": f"sha256:{it.image}", "labels": it.labels,
        "running": it.running, "exit_code": it.exit_code, "started": "2026-01-01T00:00:00Z",
        "finished": "0001-01-01T00:00:00Z", "restarts": it.restarts, "restart": it.restart,
        "host_network": it.network == "host", "networks": {it.network: {"IPAddress": it.held}}, "pid": int(it.running),
        "memory": 0, "cpus": 0,
    })


def _truth(value: object) -> str:
    return str(value).lower()


CONTAINER_FORMATS: dict[str, Callable[[Container], str]] = {
    FACTS: _facts,
    "{{.Config.Image}} {{.State.Running}}": lambda it: f"{it.image} {_truth(it.running)}",
    "{{.Config.Image}}": lambda it: it.image,
    "{{.State.Running}}": lambda it: _truth(it.running),
    # All instances share the namespace's network: what listens can be read from any process of it.
    "{{.State.Pid}}": lambda it: str(int(it.running)),
    "{{.Name}} {{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.RestartCount}}":
        lambda it: f"/{it.name} {_truth(it.running)} {it.exit_code} {_truth(it.exit_code == 137)} {it.restarts}",
}
NETWORK_FORMATS: dict[str, Callable[[str, str], str]] = {
    "{{(index .IPAM.Config 0).Subnet}}": lambda _, subnet: subnet,
    "{{range .IPAM.Config}}{{.Subnet}} {{end}}": lambda _, subnet: f"{subnet} ",
    '{"name":{{json .Name}},"subnets":[{{range $i, $c := .IPAM.Config}}{{if $i}},{{end}}{{json $c.Subnet}}{{end}}]}':
        lambda name, subnet: json.dumps({"name": name, "subnets": [subnet]}),
}


@dataclass
class Docker:
    """Containers, images and networks of one machine.

    `images` maps a name to what its containers do. `faults` maps the beginning of a command to what is said instead.
    """

    namespace: Namespace
    folder: Path
    images: dict[str, Behaviour] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    faults: dict[str, Answer] = field(default_factory=dict)
    started: int = 0
    # For seconds at the longest, while a container is stopped.
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, call: Call) -> Answer | Become:
        """Do what a call of `docker` asks for."""
        line = " ".join(call.words)
        fault = next((answer for text, answer in self.faults.items() if line.startswith(text)), None)
        if fault:
            return fault
        name, *words = call.words
        if name in {"image", "network", "volume"} and words:
            name = f"{name}_{words.pop(0)}"
        method = getattr(self, f"do_{name.replace('-', '_')}", None)
        try:
            if method is None:
                raise Wrong(f"'{name}' is not a docker command that these tests know")
            return method(call, tuple(words))  # type: ignore[no-any-return]
        except Wrong as wrong:
            return Answer(err=f"Error response from daemon: {wrong}\n", status=125 if name == "run" else 1)

    def close(self) -> None:
        """End all containers."""
        for container in tuple(self.containers.values()):
            self.end(container, 137)

    def known(self) -> dict[str, Container]:
        """Return all containers, each by its name and by its id."""
        with self.lock:
            return self.containers | {each.id: each for each in self.containers.values()}

    def named(self, name: str) -> Container:
        """Return a container."""
        known = self.known()
        if name not in known:
            raise Wrong(f"No such container: {name}")
        return known[name]

    def end(self, container: Container, code: int) -> None:
        """Make a running container end, by someone's hand."""
        with self.lock:
            work, container.work, container.stays_down = container.work, None, True
            if container.running:
                container.running, container.held, container.exit_code = False, "", code
        if work:
            work.end()

    def reboot(self) -> None:
        """End everything; start what Docker would start again."""
        for container in tuple(self.containers.values()):
            back = container.after_reboot
            self.end(container, 143)
            if back:
                self.start(container)

    # Commands. Each gets its call and the words after its name.

    def do_run(self, call: Call, words: tuple[str, ...]) -> Answer:
        """Make a container and start it; without --detach, run its command to the end."""
        asked = parse_run(words)
        with self.lock:
            container = self._make(call, asked)
            self.containers[container.name] = container
        if "detach" in asked.options:
            self.start(container)
            return Answer(container.id + "\n")
        code, said = container.behaviour.commands.get(container.command, (0, ""))
        self.containers.pop(container.name, None)
        return Answer(said, "", code)

    def _make(self, call: Call, asked: Words) -> Container:
        name, image = asked.one("name", f"nameless-{self.started}"), asked.others[0]
        if name in self.containers:
            raise Wrong(f'Conflict. The container name "/{name}" is already in use')
        if image not in self.images:
            raise Wrong(f"No such image: {image}")
        network = asked.one("network", "bridge")
        if network not in {"host", "bridge", *self.networks}:
            raise Wrong(f"network {network} not found")
        self.started += 1
        return Container(
            name, f"{self.started:064x}", image, self.images[image],
            dict(label.split("=", 1) for label in asked.all("label")), environment(asked, call.environ),
            (*asked.all("entrypoint"), *asked.others[1:]), asked.options, network, asked.one("ip"),
            restart=asked.one("restart", "no"),
        )

    def start(self, container: Container) -> None:
        """Let a container run, on the address that it was promised."""
        with self.lock:
            address = container.address or ("127.0.0.1" if container.network == "host" else "")
            if container.address and any(each.held == address for each in self.containers.values()):
                raise Wrong("Address already in use")
            container.behaviour = replace(container.behaviour, slow=threading.Event())
            container.running, container.held, container.exit_code = True, container.address, 0
            container.by_hand = container.stays_down = False
            behaviour = container.behaviour
            container.logs += behaviour.says
            if behaviour.exits is not None:
                container.running, container.held, container.exit_code = False, "", behaviour.exits
            elif "haproxy" in container.command:
                container.work = self._process(container)
            elif behaviour.port is not None:
                container.work = Service(self.namespace, container, behaviour.on or address)

    def _process(self, container: Container) -> Process:
        volumes = dict(reversed(each.split(":")[:2]) for each in container.options["volume"])

        def ended(work: Process, code: int) -> None:
            self._ended(container, work, code)

        return Process(
            self.namespace, container.command, volumes, self._log(container), ended, container.behaviour.delay
        )

    def _log(self, container: Container) -> Path:
        return self.folder / f"{container.id[-4:]}.log"

    def _ended(self, container: Container, work: Process, code: int) -> None:
        """As Docker does: a policy brings a container back that ended by itself, unless it was sent its stop signal."""
        with self.lock:
            if container.work is not work:
                return
            container.work, container.running, container.exit_code = None, False, code
            if container.restart == "always" and not container.stays_down:
                container.restarts += 1
                self.start(container)

    def do_start(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Start stopped containers."""
        for name in words:
            if not self.named(name).running:
                self.start(self.named(name))
        return Answer("".join(f"{name}\n" for name in words))

    def do_stop(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Stop containers one after the other: TERM, and KILL when their time is up."""
        asked = parse(words, VALUES)
        for name in asked.others:
            container = self.named(name)
            container.by_hand = container.stays_down = True
            if container.behaviour.ignores_term and container.running:
                time.sleep(float(asked.one("t", "10")))
            self.end(container, 137 if container.behaviour.ignores_term else 143)
        return Answer("".join(f"{name}\n" for name in asked.others))

    def do_rm(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Remove containers, running ones with --force only; go on after one that is missing."""
        asked, missing = parse(words, VALUES), []
        for name in asked.others:
            with self.lock:
                container = self.known().get(name)
                if container is None or (container.running and not asked.options.keys() & {"force", "f"}):
                    missing.append(name)
                    continue
                del self.containers[container.name]
            self.end(container, 137)
        return Answer(err="".join(f"Error: No such container: {name}\n" for name in missing), status=int(bool(missing)))

    def do_kill(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Send a signal. An image without a stop signal of its own is not restarted by its policy afterwards (tried, 20.10)."""
        asked = parse(words, VALUES)
        container = self.named(asked.others[0])
        sent = asked.one("signal", "KILL").removeprefix("SIG")
        container.by_hand = True
        own = container.options.get("stop-signal", [""])[-1].removeprefix("SIG")
        container.stays_down = own in {"", sent}
        if isinstance(container.work, Process):
            container.work.signal(sent)
        return Answer(asked.others[0] + "\n")

    def do_wait(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Wait until a container has ended."""
        container = self.named(words[0])
        until(lambda: not container.running, f"{words[0]} did not end")
        return Answer(f"{container.exit_code}\n")

    def do_rename(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Give a container another name."""
        with self.lock:
            old, new = words
            if new in self.containers:
                raise Wrong(f'Conflict. The container name "/{new}" is already in use')
            container = self.named(old)
            container.name = new
            self.containers[new] = self.containers.pop(old)
        return Answer()

    def do_update(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Change restart policies."""
        asked = parse(words, VALUES)
        missing = [name for name in asked.others if name not in self.known()]
        for name in asked.others:
            if name not in missing:
                self.named(name).restart = asked.one("restart")
        if missing:
            raise Wrong(f"No such container: {missing[0]}")
        return Answer("".join(f"{name}\n" for name in asked.others))

    def do_ps(self, _: Call, words: tuple[str, ...]) -> Answer:
        """List containers, the newest first."""
        asked = parse(words, VALUES)
        everyone = bool(asked.options.keys() & {"all", "a"})
        with self.lock:
            found = [each for each in reversed(self.containers.values()) if everyone or each.running]
        for kind, _, wanted in (each.partition("=") for each in asked.all("filter")):
            found = [each for each in found if _fits(each, kind, wanted)]
        if "quiet" in asked.options:
            return Answer("".join(f"{each.id}\n" for each in found))
        if asked.one("format") != "{{.Names}}":
            raise Wrong(f"docker ps: these tests do not know the format {asked.one('format')}")
        return Answer("".join(f"{each.name}\n" for each in found))

    def do_inspect(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell about containers, by name or id; about those that exist, when one is missing."""
        asked = parse(words, VALUES)
        with self.lock:
            known = self.known()
            found = [known[name] for name in asked.others if name in known]
            out = "".join(self._format(each, asked.one("format")) + "\n" for each in found)
        missing = [name for name in asked.others if name not in known]
        return Answer(out, "".join(f"Error: No such object: {name}\n" for name in missing), int(bool(missing)))

    def _format(self, container: Container, asked: str) -> str:
        if found := SURVEY.fullmatch(asked):
            labels = "/".join(container.labels.get(f"handful.{name}", "") for name in ("stack", "app", "instance"))
            at = f"{container.held},{container.address}" if container.network == found[1] else ""
            state = f"{_truth(container.running)},{container.labels.get('handful.release', '')}"
            return f"{container.id} /{container.name} {container.restart} {labels if container.labels else ''} {state} at={at}"
        if asked not in CONTAINER_FORMATS:
            raise Wrong(f"docker inspect: these tests do not know the format {asked}")
        return CONTAINER_FORMATS[asked](container)

    def do_logs(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell what a container wrote."""
        asked = parse(words, VALUES)
        container = self.named(asked.others[0])
        log = self._log(container)
        stamp = "2026-01-01T00:00:00.000000000Z " if "timestamps" in asked.options else ""
        last = int(asked.one("tail", "all").replace("all", "1000000"))
        out, err = (file.read_text() if file.exists() else "" for file in (log, log.with_suffix(".err")))
        texts = (text.splitlines(keepends=True)[-last:] for text in (out + container.logs, err))
        return Answer(*("".join(stamp + line for line in lines) for lines in texts))

    def do_exec(self, _: Call, words: tuple[str, ...]) -> Answer | Become:
        """Run a program beside the proxy, or say what an instance's behaviour says."""
        name, *command = words
        container = self.named(name)
        if isinstance(container.work, Process):
            return Become(container.work.inside(tuple(command)))
        code, said = container.behaviour.commands.get(tuple(command), (126, "no such program"))
        return Answer(said, "", code)

    def do_image_inspect(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell whether an image is here."""
        if words[0] not in self.images:
            raise Wrong(f"No such image: {words[0]}")
        return Answer("[]\n")

    def do_image_rm(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Remove an image that no container uses."""
        if words[0] not in self.images or any(each.image == words[0] for each in self.containers.values()):
            raise Wrong(f"cannot remove {words[0]}")
        del self.images[words[0]]
        return Answer()

    def do_images(self, _: Call, words: tuple[str, ...]) -> Answer:
        """List images."""
        _expect(parse(words, VALUES).one("format"), "{{.ID}} {{.Repository}}:{{.Tag}}")
        return Answer("".join(f"sha256:{name} {name}\n" for name in self.images))

    def do_volume_ls(self, _: Call, words: tuple[str, ...]) -> Answer:
        """List volumes."""
        _expect(parse(words, VALUES).one("format"), "{{.Name}}")
        used = [volume.split(":")[0] for each in self.containers.values() for volume in each.options.get("volume", [])]
        return Answer("".join(f"{name}\n" for name in sorted({name for name in used if not name.startswith("/")})))

    def do_version(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell the engine's version."""
        _expect(parse(words, VALUES).one("format"), "{{.Server.Version}}")
        return Answer("28.0.0\n")

    def do_info(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell where Docker keeps things."""
        _expect(parse(words, VALUES).one("format"), "{{.DockerRootDir}}")
        return Answer(f"{self.folder}\n")

    def do_network_ls(self, _: Call, words: tuple[str, ...]) -> Answer:
        """List networks."""
        assert words == ("--quiet",), words
        return Answer("".join(f"{name}\n" for name in self.networks))

    def do_network_create(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Make a network."""
        asked = parse(words, VALUES)
        self.networks[asked.others[0]] = asked.one("subnet")
        return Answer("0\n")

    def do_network_inspect(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Tell about networks."""
        asked = parse(words, VALUES)
        if missing := [name for name in asked.others if name not in self.networks]:
            raise Wrong(f"network {missing[0]} not found")
        if "format" not in asked.options:
            return Answer("[]\n")
        if asked.one("format") not in NETWORK_FORMATS:
            raise Wrong(f"docker network inspect: these tests do not know the format {asked.one('format')}")
        tell = NETWORK_FORMATS[asked.one("format")]
        return Answer("".join(tell(name, self.networks[name]) + "\n" for name in asked.others))

    def do_network_rm(self, _: Call, words: tuple[str, ...]) -> Answer:
        """Remove a network that no container is in."""
        if words[0] not in self.networks or any(each.network == words[0] for each in self.containers.values()):
            raise Wrong(f"cannot remove {words[0]}")
        del self.networks[words[0]]
        return Answer()

    def gone(self, name: str) -> None:
        """Wait until a container is removed."""
        until(lambda: name not in self.containers, f"{name} was not removed", DEADLINE)


def _fits(container: Container, kind: str, wanted: str) -> bool:
    if kind == "network":
        return container.network == wanted
    if kind == "label":
        name, equals, value = wanted.partition("=")
        return name in container.labels and (not equals or container.labels[name] == value)
    raise Wrong(f"docker ps: these tests do not know the filter {kind}")


def _expect(asked: str, known: str) -> None:
    if asked != known:
        raise Wrong(f"these tests do not know the format {asked}")
