"""Machines at DigitalOcean; see border.Provider, and docs/guide/providers.md for what its token must be allowed.

Plain HTTP: the vendor's own library brings 100 MB of others along.
"""

from __future__ import annotations

import json
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from handful.errors import MachineError
from handful.facts.servers import Server
from handful.provider.cloud import bare_key, forget_host_keys, remember, wait_for_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from handful.provider.cloud import Wanted

ENDPOINT = "https://api.digitalocean.com"
TIMEOUT_SECONDS, ACTIVE_SECONDS = 30, 300.0
# Of a list, so that one that never ends is not followed for ever.
MOST_PAGES, PER_PAGE = 500, 100
EVERYWHERE = ("0.0.0.0/0", "::/0")
IMAGES = MappingProxyType({
    "debian-13": "debian-13-x64", "debian-12": "debian-12-x64", "ubuntu-24.04": "ubuntu-24-04-x64",
    "ubuntu-22.04": "ubuntu-22-04-x64",
})
ADVICE = MappingProxyType({
    401: "The token is wrong, expired, or was deleted: make one in the console, under API.",
    403: "The token lacks a right (docs/guide/providers.md lists them), or a limit of the account is reached.",
    429: "Too many requests within the hour: try again later. What was made is kept.",
})


class DigitalOcean:
    """A stack's droplets, known by their tags, and its network, firewall and keys, known by their names."""

    def __init__(
        self, wanted: Wanted, token: str, folder: Path, *, endpoint: str = ENDPOINT, poll_seconds: float = 2.0
    ) -> None:
        """Nothing is asked yet. `folder` keeps where machines were found last."""
        self._wanted, self._folder, self._poll = wanted, folder, poll_seconds
        self._token, self._endpoint = token, endpoint
        # Of all that is the stack's: a tag of droplets, and the name of the rest.
        self._tag, self._name = f"handful:{wanted.stack}", f"handful-{wanted.stack}"

    def servers(self) -> dict[str, Server]:
        """See Provider."""
        found = {name: _server(name, droplet) for name, droplet in self._droplets().items()}
        remember(self._folder, found)
        return found

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider. Network, firewall and keys come to be what the file says, too."""
        if not self._wanted.machines:
            return
        here = self._droplets()
        vpc, keys = self._vpc(say), self._keys(say)
        self._firewall(say)
        for name in wanted:
            if name in here:
                self._call("POST", f"/v2/droplets/{here[name]['id']}/actions", {"type": "power_on"})
            else:
                self._make(name, vpc, keys, say)
        self._wait(wanted)
        found = self.servers()
        wait_for_ssh({name: found[name].address for name in wanted}, say)

    def destroy(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """See Provider."""
        for name, droplet in self._droplets().items():
            if name in names:
                forget_host_keys(self._folder, [_server(name, droplet).address])
                self._call("DELETE", f"/v2/droplets/{droplet['id']}")
                say(f"removed {name} ({droplet['name']})")
        deadline = time.monotonic() + ACTIVE_SECONDS
        while set(names) & self._droplets().keys() and time.monotonic() < deadline:
            time.sleep(self._poll)
        self.servers()

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider. Droplets first: a network that has members cannot go."""
        self.destroy(self._droplets(), say)
        for path, key in (("/v2/firewalls", "firewalls"), ("/v2/vpcs", "vpcs")):
            for found in self._named(path, key, {self._name}):
                self._call("DELETE", f"{path}/{found['id']}")
                say(f"removed {found['name']}")
        for found in self._named("/v2/account/keys", "ssh_keys", set(self._key_names().values())):
            self._call("DELETE", f"/v2/account/keys/{found['id']}")
            say(f"removed {found['name']}")
        for found in list(self._every("/v2/tags", "tags")):
            if found["name"] == self._tag or found["name"].startswith(f"{self._tag}:"):
                self._call("DELETE", f"/v2/tags/{found['name']}")

    def _droplets(self) -> dict[str, dict[str, Any]]:
        """Return the stack's droplets by the names of their machines."""
        prefix = f"{self._tag}:"
        found = {}
        for droplet in self._every("/v2/droplets", "droplets", tag_name=self._tag):
            for tag in droplet["tags"]:
                if tag.startswith(prefix):
                    found[tag.removeprefix(prefix)] = droplet
        return found

    def _make(self, name: str, vpc: str, keys: list[int], say: Callable[[str], None]) -> None:
        """Names of droplets may come twice: it is the tag, looked for before, that tells whether one is there."""
        spec = self._wanted.machines[name]
        self._check(spec.size, spec.region)
        say(f"making {name}: {spec.size} in {spec.region}, {spec.image}")
        told = {"name": f"{self._wanted.stack}-{name}", "tags": [self._tag, f"{self._tag}:{name}"]}
        told |= {"region": spec.region, "size": spec.size, "image": IMAGES[spec.image]}
        self._call("POST", "/v2/droplets", {**told, "ssh_keys": keys, "vpc_uuid": vpc})

    def _check(self, size: str, region: str) -> None:
        """What is unknown is told with what there is, before anything is made."""
        regions = {each["slug"]: each for each in self._every("/v2/regions", "regions") if each["available"]}
        if region not in regions:
            message = f"DigitalOcean has no region {region} that takes droplets"
            raise MachineError(message, advice=f"It has: {', '.join(regions)}")
        if size not in regions[region]["sizes"]:
            there = ", ".join(regions[region]["sizes"])
            raise MachineError(f"DigitalOcean has no size {size} in {region}", advice=f"It has: {there}")

    def _wait(self, names: Collection[str]) -> None:
        """Return when droplets are active: only then they have addresses."""
        deadline = time.monotonic() + ACTIVE_SECONDS
        while names:
            here = self._droplets()
            late = [name for name in names if name not in here or here[name]["status"] != "active"]
            if not late:
                return
            if time.monotonic() > deadline:
                message = f"not active after {ACTIVE_SECONDS:.0f} s: {', '.join(late)}"
                raise MachineError(message, advice="They are kept: look at the console, then: handful machines apply")
            time.sleep(self._poll)

    def _vpc(self, say: Callable[[str], None]) -> str:
        for found in self._named("/v2/vpcs", "vpcs", {self._name}):
            return str(found["id"])
        say(f"making the private network {self._name} ({self._wanted.range})")
        region = next(iter(self._wanted.machines.values())).region
        told = {"name": self._name, "region": region, "ip_range": self._wanted.range}
        return str(self._call("POST", "/v2/vpcs", told)["vpc"]["id"])

    def _firewall(self, say: Callable[[str], None]) -> None:
        """Have one that lets in what is open to the world on any machine; each machine's own is closer."""
        ports = [str(port) for port in self._wanted.ports]
        world = {"addresses": list(EVERYWHERE)}
        inbound = [{"protocol": "tcp", "ports": port, "sources": world} for port in ports]
        # Machines of the stack reach each other everywhere: by the network that is theirs.
        own = {"addresses": [self._wanted.range]}
        inbound += [{"protocol": protocol, "ports": "all", "sources": own} for protocol in ("tcp", "udp")]
        inbound += [{"protocol": "icmp", "ports": "0", "sources": world}]
        outbound: list[dict[str, Any]] = [
            {"protocol": protocol, "ports": "all", "destinations": world} for protocol in ("tcp", "udp")
        ]
        outbound += [{"protocol": "icmp", "ports": "0", "destinations": world}]
        told = {"name": self._name, "tags": [self._tag], "inbound_rules": inbound, "outbound_rules": outbound}
        for found in self._named("/v2/firewalls", "firewalls", {self._name}):
            if _opened(found["inbound_rules"]) != _opened(inbound):
                say(f"the firewall {self._name} opens {', '.join(ports)}")
                self._call("PUT", f"/v2/firewalls/{found['id']}", told)
            return
        say(f"making the firewall {self._name}: open are {', '.join(ports)}")
        self._call("POST", "/v2/tags", {"name": self._tag})
        self._call("POST", "/v2/firewalls", told)

    def _keys(self, say: Callable[[str], None]) -> list[int]:
        """A key is there once in an account, whoever has put it there."""
        there = {bare_key(each["public_key"]): each["id"] for each in self._every("/v2/account/keys", "ssh_keys")}
        for public, name in self._key_names().items():
            if bare_key(public) not in there:
                say(f"adding the ssh key {name}")
                made = self._call("POST", "/v2/account/keys", {"name": name, "public_key": public})
                there[bare_key(public)] = made["ssh_key"]["id"]
        return [there[bare_key(public)] for public in self._wanted.keys]

    def _key_names(self) -> dict[str, str]:
        return {public: f"{self._name}-{public.split()[-1]}" for public in self._wanted.keys}

    def _named(self, path: str, key: str, names: set[str]) -> list[dict[str, Any]]:
        return [each for each in self._every(path, key) if each["name"] in names]

    def _every(self, path: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield all entries of a list, page by page."""
        following = f"{path}?{urlencode({**query, 'per_page': PER_PAGE})}"
        for _ in range(MOST_PAGES):
            told = self._call("GET", following)
            yield from told[key]
            following = (told.get("links", {}).get("pages") or {}).get("next", "")
            if not following:
                return
            parts = urlsplit(following)
            following = f"{parts.path}?{parts.query}"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Raises MachineError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(f"{self._endpoint}{path}", data, headers, method=method)  # noqa: S310  # the endpoint is https
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # likewise
                read = answer.read()
            return json.loads(read) if read else {}
        except HTTPError as refused:
            with refused:
                said = refused.read().decode(errors="replace")
            advice = ADVICE.get(refused.code, "What was made is kept. Mend it, then: handful machines apply")
            message = f"DigitalOcean refuses {method} {path.partition('?')[0]} ({refused.code})"
            raise MachineError(message, detail=said[:500], advice=advice) from refused
        except (URLError, OSError, ValueError) as wrong:
            message, advice = "DigitalOcean's API does not answer as it should", "What was made is kept: try again."
            raise MachineError(message, detail=str(wrong), advice=advice) from wrong


def _server(name: str, droplet: Mapping[str, Any]) -> Server:
    networks = droplet.get("networks", {}).get("v4", [])
    found = {each["type"]: each["ip_address"] for each in networks}
    state = "stopped" if droplet["status"] in {"off", "archive"} else "running"
    return Server(name, found.get("public", ""), found.get("private", ""), state, size=str(droplet["size_slug"]))


def _opened(inbound: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return what is open to whom; a port range comes back as a number, or as `0`, for all."""
    return {
        (f"{rule['protocol']} {str(rule.get('ports', '')).replace('all', '0') or '0'}",
         ",".join(sorted(rule["sources"].get("addresses", ())))) for rule in inbound
    }
