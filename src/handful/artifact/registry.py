"""Where do machines fetch images from, for the length of a command?

A registry on this computer's loopback address, in a container that ends with its standard input: whoever started it
may be killed, and nothing stays but what the next run need not pack again.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from handful.artifact.docker import docker
from handful.artifact.docker_config import auth, logged_in
from handful.errors import NoRegistry
from handful.machine.local import last_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOOPBACK = "127.0.0.1"
# The same one if it can be had: Docker knows by it what it has pushed before.
FIRST_PORT = 24_817
PORTS = 5
UP_SECONDS = 20
ANSWER_SECONDS = 30
USER = "handful"
# In a volume, until it is too much; then it is packed anew.
VOLUME = "handful-registry"
MOST_MEGABYTES = 20_000
# Its password is of 192 bits and lives for a command: there is nothing to slow down.
ROUNDS = 4
# Of an image's layers, packed, what may be lost when the line is cut; a part costs an HTTP request or four.
PART_BYTES = 8_000_000
MOST_PARTS = 24
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


@dataclass(frozen=True)
class Stored:
    """An image in a registry: its name on machines, REPOSITORY@DIGEST, and its layers as (diff id, packed bytes).

    `parts` are images of its lowest layers alone, as (REPOSITORY@DIGEST, how many): who has fetched one keeps it when
    the line is cut. `size` is what it takes unpacked, in bytes; 0 when nobody knows.
    """

    name: str
    reference: str
    layers: tuple[tuple[str, int], ...]
    parts: tuple[tuple[str, int], ...] = ()
    size: int = 0

    @property
    def packed(self) -> int:
        """How many bytes travel to a machine that has none of it."""
        return sum(size for _, size in self.layers)


def image_here(name: str, reference: str = "-") -> Stored:
    """Return what the engine here knows of an image: not how large its layers are packed. Raises CommandFailed."""
    form = "{{.Size}}{{range .RootFS.Layers}} {{.}}{{end}}"
    size, *layers = docker("image", "inspect", "--format", form, name).out.split()
    return Stored(name, reference, tuple((layer, 0) for layer in layers), (), int(size))


@dataclass(frozen=True)
class Answer:
    """What the registry answered, and three of its headers."""

    status: int
    digest: str
    location: str
    kind: str
    body: bytes


class Registry:
    """The registry, as long as the `with` lasts: on `port` of the loopback address, for who has `login`."""

    def __init__(self, image: str, variables: Mapping[str, str]) -> None:
        """Run the image `image`; `variables` is the environment of `docker`."""
        self._image, self._variables = image, variables
        self.login = f"{USER}:{secrets.token_urlsafe(24)}"
        self.port = 0
        # The one that runs, with its port; nothing before it has begun.
        self._port_and_process: list[tuple[int, subprocess.Popen[bytes]]] = []

    def begin(self) -> Self:
        """Start it already, for who has something else to do meanwhile; `end` it then, in any case."""
        self._port_and_process = self._begun(_free_ports()[:1])
        return self

    def end(self) -> None:
        """End what has begun."""
        for _, process in self._port_and_process:
            _end(process)
        self._port_and_process = []

    def __enter__(self) -> Self:
        """Start it, and wait until it can be reached. Raises NoRegistry when that cannot be."""
        self._start()
        self._configured = logged_in({self._server: self.login}, self._variables)
        self.variables = self._configured.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._configured.__exit__(None, None, None)
        self.end()

    def store(self, name: str) -> Stored:
        """Have the registry hold an image of the engine here; what it holds already is not packed again.

        Raises NoRegistry when the engine cannot reach it.
        """
        there = f"{self._server}/{name}"
        docker("tag", name, there)
        try:
            said = docker("push", "--quiet", there, check=False, env=self.variables)
        finally:
            docker("rmi", there, check=False)
        if said.status != 0:
            raise NoRegistry(f"{name} could not be put into the registry here", detail=last_lines(said.err))
        return self.stored(name, image_here(name).size)

    def bring(self, names: Iterable[str]) -> None:
        """Have the engine here hold images, too, that the registry has. Raises CommandFailed."""
        for name in names:
            there = f"{self._server}/{name}"
            docker("pull", "--quiet", there, env=self.variables)
            docker("tag", there, name)
            docker("rmi", there, check=False)

    def stored(self, name: str, size: int = 0) -> Stored:
        """Return what the registry has under an image's name. Raises NoRegistry when that is nothing."""
        repository, _, tag = name.rpartition(":")
        digest, manifest = self._manifest(repository, tag)
        if "manifests" in manifest:
            _, manifest = self._manifest(repository, _of_linux(manifest["manifests"]))
        config = json.loads(self._ask("GET", f"/v2/{repository}/blobs/{manifest['config']['digest']}").body)
        sizes = [layer["size"] for layer in manifest["layers"]]
        layers = tuple(zip(config["rootfs"]["diff_ids"], sizes, strict=True))
        parts = tuple((self._part(repository, manifest, config, count), count) for count in _ends_of_parts(sizes))
        return Stored(name, f"{repository}@{digest}", layers, parts, size)

    def _part(self, repository: str, manifest: Mapping[str, Any], config: Mapping[str, Any], count: int) -> str:
        """Have the registry hold an image of the lowest `count` layers; Docker drops layers that no image names."""
        kept = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
        rootfs = {"type": "layers", "diff_ids": config["rootfs"]["diff_ids"][:count]}
        blob = json.dumps({**kept, "config": {}, "rootfs": rootfs}, sort_keys=True).encode()
        told = {**manifest["config"], "digest": _digest(blob), "size": len(blob)}
        layers = manifest["layers"][:count]
        text = json.dumps({**manifest, "config": told, "layers": layers}, sort_keys=True).encode()
        path = f"/v2/{repository}/manifests/{_digest(text)}"
        if self._ask("HEAD", path, expected=None).status != http.client.OK:
            where = self._ask("POST", f"/v2/{repository}/blobs/uploads/", expected=http.client.ACCEPTED).location
            join = "&" if "?" in where else "?"
            there = f"{where}{join}digest={_digest(blob)}"
            self._ask("PUT", there, blob, "application/octet-stream", http.client.CREATED)
            self._ask("PUT", path, text, manifest["mediaType"], http.client.CREATED)
        return f"{repository}@{_digest(text)}"

    @property
    def _server(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def _start(self) -> None:
        tried = ""
        ports = _free_ports()
        while self._port_and_process or ports:
            if not self._port_and_process:
                self._port_and_process = self._begun(ports[:1])
                ports = ports[1:]
            self.port, process = self._port_and_process[0]
            if self._is_up(process):
                return
            self._port_and_process = []
            # One that runs and is not reached is on another computer: another port would not be, either.
            ports = [] if process.poll() is None else ports
            tried = _end(process)
        raise NoRegistry("no registry could be started on this computer", detail=last_lines(tried))

    def _begun(self, ports: list[int]) -> list[tuple[int, subprocess.Popen[bytes]]]:
        return [(port, self._run(port)) for port in ports]

    def _run(self, port: int) -> subprocess.Popen[bytes]:
        import bcrypt

        hashed = bcrypt.hashpw(self.login.partition(":")[2].encode(), bcrypt.gensalt(ROUNDS)).decode()
        script = files("handful.artifact").joinpath("images", "registry.sh").read_text(encoding="utf-8")
        words = ["docker", "run", "--rm", "--interactive", "--label", "handful.part=registry", "--volume"]
        words += [f"{VOLUME}:/var/lib/registry", "--entrypoint", "sh", "--publish", f"{LOOPBACK}:{port}:5000"]
        process = subprocess.Popen(
            [*words, self._image, "-c", script, "sh", str(MOST_MEGABYTES)], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(self._variables), start_new_session=True,
        )
        if process.stdin is not None:
            process.stdin.write(f"{USER}:{hashed}\n".encode())
            process.stdin.flush()
        return process

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + UP_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self._ask("GET", "/v2/")
            except (OSError, http.client.HTTPException, NoRegistry):
                time.sleep(0.02)
            else:
                return True
        return False

    def _manifest(self, repository: str, reference: str) -> tuple[str, dict[str, Any]]:
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}")
        # OCI lets a manifest leave out what it is.
        return answer.digest, {"mediaType": answer.kind, **json.loads(answer.body)}

    def _ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "", expected: int | None = http.client.OK
    ) -> Answer:
        """Raises NoRegistry for another status than `expected`, unless that is None."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=ANSWER_SECONDS)
        told = {"Authorization": f"Basic {auth(self.login)}", "Accept": ", ".join(MANIFESTS)}
        try:
            connection.request(method, path, body or None, {**told, "Content-Type": kind} if kind else told)
            found = connection.getresponse()
            read = found.read()
        finally:
            connection.close()
        if expected is not None and found.status != expected:
            raise NoRegistry(f"the registry here answered {found.status} to {method} {path}")
        where = urlsplit(found.headers.get("Location", ""))
        location = where.path + (f"?{where.query}" if where.query else "")
        digest, told_kind = found.headers.get("Docker-Content-Digest", ""), found.headers.get("Content-Type", "")
        return Answer(found.status, digest, location, told_kind, read)


def forget_kept() -> bool:
    """Remove what registries of earlier commands have kept; whether there was any, and none of them runs now."""
    return docker("volume", "rm", VOLUME, check=False).status == 0


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _ends_of_parts(sizes: list[int]) -> list[int]:
    """Return after how many layers a part ends: so often that a cut line costs little, and the last is the image."""
    least, ends, since = max(PART_BYTES, sum(sizes) // MOST_PARTS), [], 0
    for count, size in enumerate(sizes[:-1], 1):
        since += size
        if since >= least:
            ends.append(count)
            since = 0
    return ends


def _free_ports() -> list[int]:
    free = []
    for port in range(FIRST_PORT, FIRST_PORT + 10 * PORTS):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((LOOPBACK, port))
            except OSError:
                continue
        free.append(port)
    return free[:PORTS]


def _of_linux(manifests: list[dict[str, Any]]) -> str:
    """Return the digest of the image among what a list names: attestations are of no platform."""
    found = [each for each in manifests if each.get("platform", {}).get("os") == "linux"]
    return str((found or manifests)[0]["digest"])


def _end(process: subprocess.Popen[bytes]) -> str:
    """Close its standard input, wait, and return its last words."""
    try:
        _, said = process.communicate(timeout=UP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    return said.decode(errors="replace") if said else ""
