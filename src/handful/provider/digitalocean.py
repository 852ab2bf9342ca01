"""Machines at DigitalOcean; see border.Provider, and docs/guide/providers.md for what its token must be allowed."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.errors import MachineError
from handful.facts.servers import Estate, Server
from handful.provider.cloud import bare_key, forget_host_keys, need_keys, remember, settled, until, wait_for_ssh
from handful.provider.digitalocean_api import ENDPOINT, Api
from handful.provider.digitalocean_volumes import ensure_volumes, remove_volumes, volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from handful.provider.cloud import Wanted

ACTIVE_SECONDS, OFF_SECONDS = 300.0, 90.0
EVERYWHERE = ("0.0.0.0/0", "::/0")
IMAGES = MappingProxyType({
    "debian-13": "debian-13-x64", "debian-12": "debian-12-x64", "ubuntu-24.04": "ubuntu-24-04-x64",
    "ubuntu-22.04": "ubuntu-22-04-x64",
})


class DigitalOcean:
    """A stack's droplets and volumes, known by their tags, and its network, firewall and keys, known by their names."""

    def __init__(
        self, wanted: Wanted, token: str, folder: Path, *, endpoint: str = ENDPOINT, poll_seconds: float = 2.0
    ) -> None:
        """Nothing is asked yet. `folder` keeps where machines were found last."""
        self._wanted, self._folder = wanted, folder
        self._api = Api(token, endpoint, poll_seconds)
        # Of all that is the stack's: a tag of droplets, and the name of the rest.
        self._tag, self._name = f"handful:{wanted.stack}", f"handful-{wanted.stack}"

    def estate(self) -> Estate:
        """See Provider. There are no fixed addresses: reserved ones carry no tag."""
        servers = {name: _server(name, droplet) for name, droplet in self._droplets().items()}
        opened = frozenset[str]()
        for found in self._named("/v2/firewalls", "firewalls", {self._name}):
            world = (rule for rule in found["inbound_rules"] if rule["sources"].get("addresses"))
            opened = frozenset(f"{rule['ports']}/{rule['protocol']}" for rule in world if rule["protocol"] != "icmp")
        estate = Estate(servers, volumes(self._api, self._tag), opened)
        remember(self._folder, estate)
        return estate

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider."""
        if not self._wanted.machines:
            return
        here = self._droplets()
        vpc = self._vpc(say)
        self._firewall(say)
        for name in wanted:
            if name in here:
                self._api.act(f"/v2/droplets/{here[name]['id']}", {"type": "power_on"})
            else:
                self._make(name, vpc, self._keys(say), say)
        self._wait(wanted, say)
        ensure_volumes(self._api, self._tag, self._wanted, self._droplets(), say)
        servers = self.estate().servers
        forget_host_keys(self._folder, [servers[name].address for name in wanted if name not in here])
        wait_for_ssh({name: servers[name].address for name in wanted}, say)

    def check(self, name: str, say: Callable[[str], None]) -> None:  # noqa: ARG002  # nothing to say
        """See Provider."""
        need_keys(self._wanted)
        self._check(self._wanted.machines[name].size, self._wanted.machines[name].region)

    def resize(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider. Its disk stays as it is, so that the machine can become smaller again."""
        size = self._wanted.machines[name].size
        droplet = self._droplets()[name]
        path = f"/v2/droplets/{droplet['id']}"
        if droplet["status"] == "active":
            say(f"stopping {name}")
            self._api.act(path, {"type": "shutdown"})
            # One that does not heed it is switched off.
            if not settled(lambda: self._droplets()[name]["status"] == "off", OFF_SECONDS, self._api.poll):
                self._api.act(path, {"type": "power_off"})
        say(f"{name} becomes {size}")
        try:
            self._api.act(path, {"type": "resize", "size": size, "disk": False})
        finally:
            # As it was, where it could not be changed.
            self._api.act(path, {"type": "power_on"})
        wait_for_ssh({name: self.estate().servers[name].address}, say)

    def destroy(self, names: Collection[str], say: Callable[[str], None], *, volumes: bool) -> None:
        """See Provider."""
        for name, droplet in self._droplets().items():
            if name in names:
                forget_host_keys(self._folder, [_server(name, droplet).address])
                self._api.call("DELETE", f"/v2/droplets/{droplet['id']}")
                say(f"removed {name} ({droplet['name']})")
        late = f"DigitalOcean has not removed {', '.join(sorted(names))}"
        until(lambda: not set(names) & self._droplets().keys(), late, ACTIVE_SECONDS, self._api.poll)
        for name in names if volumes else ():
            remove_volumes(self._api, self._tag, name, say)
        self.estate()

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider. Droplets first: a network that has members cannot go."""
        self.destroy(self._droplets(), say, volumes=True)
        remove_volumes(self._api, self._tag, None, say)
        for path, key in (("/v2/firewalls", "firewalls"), ("/v2/vpcs", "vpcs")):
            for found in self._named(path, key, {self._name}):
                self._api.call("DELETE", f"{path}/{found['id']}")
                say(f"removed {found['name']}")
        for found in self._named("/v2/account/keys", "ssh_keys", set(self._key_names().values())):
            self._api.call("DELETE", f"/v2/account/keys/{found['id']}")
            say(f"removed {found['name']}")
        for found in list(self._api.every("/v2/tags", "tags")):
            if found["name"] == self._tag or found["name"].startswith(f"{self._tag}:"):
                self._api.call("DELETE", f"/v2/tags/{found['name']}")
        self.estate()

    def _droplets(self) -> dict[str, dict[str, Any]]:
        """Return the stack's droplets by the names of their machines; of two of one name, the one that was first."""
        return {name: found[0] for name, found in self._every_droplet().items()}

    def _every_droplet(self) -> dict[str, list[dict[str, Any]]]:
        prefix, found = f"{self._tag}:", dict[str, list[dict[str, Any]]]()
        every = self._api.every("/v2/droplets", "droplets", tag_name=self._tag)
        for droplet in sorted(every, key=lambda each: int(each["id"])):
            for tag in droplet["tags"]:
                if tag.startswith(prefix):
                    found.setdefault(tag.removeprefix(prefix), []).append(droplet)
        return found

    def _make(self, name: str, vpc: str, keys: list[int], say: Callable[[str], None]) -> None:
        """Names of droplets may come twice: it is the tag, looked for before, that tells whether one is there."""
        spec = self._wanted.machines[name]
        self._check(spec.size, spec.region)
        say(f"making {name}: {spec.size} in {spec.region}, {spec.image}")
        told = {"name": f"{self._wanted.stack}-{name}", "tags": [self._tag, f"{self._tag}:{name}"]}
        told |= {"region": spec.region, "size": spec.size, "image": IMAGES[spec.image]}
        self._api.call("POST", "/v2/droplets", {**told, "ssh_keys": keys, "vpc_uuid": vpc})

    def _check(self, size: str, region: str) -> None:
        """What is unknown is told with what there is, before anything is made."""
        regions = {each["slug"]: each for each in self._api.every("/v2/regions", "regions") if each["available"]}
        if region not in regions:
            message = f"DigitalOcean has no region {region} that takes droplets"
            raise MachineError(message, advice=f"It has: {', '.join(regions)}")
        if size not in regions[region]["sizes"]:
            there = ", ".join(regions[region]["sizes"])
            raise MachineError(f"DigitalOcean has no size {size} in {region}", advice=f"It has: {there}")

    def _wait(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """Return when droplets are active: only then they have addresses."""
        self._remove_doubles(names, say)

        def active() -> bool:
            here = self._droplets()
            return all(name in here and here[name]["status"] == "active" for name in names)

        if names:
            until(active, f"DigitalOcean has not started {', '.join(names)}", ACTIVE_SECONDS, self._api.poll)

    def _remove_doubles(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """Names may come twice here: of two that were made at the same time by two people, the second goes."""
        for name, found in self._every_droplet().items():
            for second in found[1:] if name in names else ():
                say(f"{name} was made twice at the same time: the second goes ({second['id']})")
                self._api.call("DELETE", f"/v2/droplets/{second['id']}")

    def _vpc(self, say: Callable[[str], None]) -> str:
        for found in self._named("/v2/vpcs", "vpcs", {self._name}):
            return str(found["id"])
        say(f"making the private network {self._name}{self._wanted.range and f' ({self._wanted.range})'}")
        region = next(iter(self._wanted.machines.values())).region
        # Ranges must not overlap in an account: unless the file says one, it is DigitalOcean's to choose.
        chosen = {"ip_range": self._wanted.range} if self._wanted.range else {}
        told = {"name": self._name, "region": region, **chosen}
        return str(self._api.call("POST", "/v2/vpcs", told)["vpc"]["id"])

    def _firewall(self, say: Callable[[str], None]) -> None:
        """Have one that lets in what is open to the world on any machine; each machine's own is closer."""
        ports = self._wanted.ports
        world = {"addresses": list(EVERYWHERE)}
        split = (each.partition("/") for each in ports)
        inbound = [{"protocol": protocol, "ports": port, "sources": world} for port, _, protocol in split]
        # Machines of the stack reach each other everywhere.
        own = {"tags": [self._tag]}
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
                self._api.call("PUT", f"/v2/firewalls/{found['id']}", told)
            return
        say(f"making the firewall {self._name}: open are {', '.join(ports)}")
        self._api.call("POST", "/v2/tags", {"name": self._tag})
        self._api.call("POST", "/v2/firewalls", told)

    def _keys(self, say: Callable[[str], None]) -> list[int]:
        """A key is there once in an account, whoever has put it there."""
        need_keys(self._wanted)
        there = {bare_key(each["public_key"]): each["id"] for each in self._api.every("/v2/account/keys", "ssh_keys")}
        for public, name in self._key_names().items():
            if bare_key(public) not in there:
                say(f"adding the ssh key {name}")
                made = self._api.call("POST", "/v2/account/keys", {"name": name, "public_key": public})
                there[bare_key(public)] = made["ssh_key"]["id"]
        return [there[bare_key(public)] for public in self._wanted.keys]

    def _key_names(self) -> dict[str, str]:
        return {public: f"{self._name}-{public.split()[-1]}" for public in self._wanted.keys}

    def _named(self, path: str, key: str, names: set[str]) -> list[dict[str, Any]]:
        return [each for each in self._api.every(path, key) if each["name"] in names]


def _server(name: str, droplet: Mapping[str, Any]) -> Server:
    networks = droplet.get("networks", {}).get("v4", [])
    found = {each["type"]: each["ip_address"] for each in networks}
    state = "stopped" if droplet["status"] in {"off", "archive"} else "running"
    return Server(name, found.get("public", ""), found.get("private", ""), state, size=str(droplet["size_slug"]))


def _opened(inbound: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return what is open to whom; a port range comes back as a number, or as `0`, for all."""
    found = set()
    for rule in inbound:
        ports, sources = str(rule.get("ports", "")).replace("all", "0") or "0", rule["sources"]
        whom = sorted([*sources.get("addresses", ()), *sources.get("tags", ())])
        found.add((f"{rule['protocol']} {ports}", ",".join(whom)))
    return found
