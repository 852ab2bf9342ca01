"""Machines at Hetzner Cloud; see border.Provider, and docs/guide/providers.md for what its token must be allowed."""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hcloud import APIException, Client, HCloudException
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.ssh_keys import SSHKey
from requests import RequestException

from handful.errors import MachineError
from handful.facts.servers import Estate, Server
from handful.provider import hetzner_parts as parts
from handful.provider.cloud import (
    MACHINE,
    STACK,
    bare_key,
    forget_host_keys,
    need_keys,
    remember,
    settled,
    wait_for_ssh,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from hcloud.firewalls.client import BoundFirewall
    from hcloud.networks.client import BoundNetwork
    from hcloud.servers.client import BoundServer
    from hcloud.ssh_keys.client import BoundSSHKey

    from handful.provider.cloud import Wanted

ENDPOINT = "https://api.hetzner.cloud/v1"
TIMEOUT_SECONDS, OFF_SECONDS = 30, 90.0
EVERYWHERE = ("0.0.0.0/0", "::/0")
# Its codes for errors (docs.hetzner.cloud, "Errors") → what to do.
ADVICE = MappingProxyType({
    "unauthorized": "The token is wrong, or was deleted: make one in the console, under Security, API tokens.",
    "forbidden": "The token may only read: make one with the right Read & Write.",
    "token_readonly": "The token may only read: make one with the right Read & Write.",
    "resource_limit_exceeded": "The project's limit is reached. What was made is kept: ask for more in the console.",
    "rate_limit_exceeded": "Too many requests within the hour: try again later. What was made is kept.",
})


class Hetzner:
    """A stack's machines, volumes, addresses, network, firewall and keys there, known by their labels."""

    def __init__(
        self, wanted: Wanted, token: str, folder: Path, *, endpoint: str = ENDPOINT, poll_seconds: float = 1.0
    ) -> None:
        """Nothing is asked yet. `folder` keeps where machines were found last."""
        self._wanted, self._folder, self._poll = wanted, folder, poll_seconds
        self._label = f"{STACK}={wanted.stack}"
        self._client = Client(
            token, endpoint, application_name="handful", poll_interval=poll_seconds, timeout=TIMEOUT_SECONDS
        )

    def estate(self) -> Estate:
        """See Provider."""
        with _told():
            stays = parts.fixed(self._client, self._wanted.stack)
            servers = {name: _server(name, each, fixed=name in stays) for name, each in self._servers().items()}
            found = Estate(servers, parts.volumes(self._client, self._wanted.stack), self._opened())
        remember(self._folder, found)
        return found

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider."""
        if not self._wanted.machines:
            return
        with _told():
            network, firewall, here = self._network(say), self._firewall(say), self._servers()
            for name in wanted:
                if name in here:
                    here[name].power_on().wait_until_finished()
                else:
                    self._make(name, network, firewall, say)
            here = self._servers()
            # What a run that was interrupted has not come to.
            for name, server in here.items():
                if name in self._wanted.machines and not server.private_net:
                    address = self._wanted.machines[name].private or None
                    server.attach_to_network(network, ip=address).wait_until_finished()
            _apply(self._client.firewalls.get_by_id(firewall.id or 0), here.values(), say)
            parts.ensure_volumes(self._client, self._wanted, here, say)
            parts.ensure_fixed(self._client, self._wanted, here, say)
        servers = self.estate().servers
        wait_for_ssh({name: servers[name].address for name in wanted}, say)

    def check(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider."""
        with _told():
            need_keys(self._wanted)
            self._check(self._wanted.machines[name].size, self._wanted.machines[name].region)
            parts.ensure_fixed(self._client, self._wanted, self._servers(), say)

    def resize(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider. Its disk stays as it is, so that the machine can become smaller again."""
        size = self._wanted.machines[name].size
        with _told():
            server = self._servers()[name]
            if server.status == "running":
                say(f"stopping {name}")
                server.shutdown().wait_until_finished()
                # One that does not heed it is switched off.
                if not settled(lambda: self._servers()[name].status == "off", OFF_SECONDS, self._poll):
                    server.power_off().wait_until_finished()
            say(f"{name} becomes {size}")
            try:
                server.change_type(ServerType(name=size), upgrade_disk=False).wait_until_finished()
            finally:
                # As it was, where it could not be changed.
                server.power_on().wait_until_finished()
        wait_for_ssh({name: self.estate().servers[name].address}, say)

    def destroy(self, names: Collection[str], say: Callable[[str], None], *, volumes: bool) -> None:
        """See Provider."""
        with _told():
            for name, server in self._servers().items():
                if name in names:
                    forget_host_keys(self._folder, [_server(name, server).address])
                    server.delete().wait_until_finished()
                    say(f"removed {name} ({server.name})")
            for name in names if volumes else ():
                parts.remove_volumes(self._client, self._wanted.stack, name, say)
        self.estate()

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider. Servers first: what they use cannot go before."""
        with _told():
            self.destroy(self._servers(), say, volumes=True)
            parts.remove_volumes(self._client, self._wanted.stack, None, say)
            clients = (self._client.primary_ips, self._client.firewalls, self._client.networks, self._client.ssh_keys)
            for each in clients:
                for found in each.get_all(label_selector=self._label):
                    found.delete()
                    say(f"removed {found.name}")
            self.estate()

    def _servers(self) -> dict[str, BoundServer]:
        """Return the stack's servers by the names of their machines."""
        found = self._client.servers.get_all(label_selector=self._label)
        return {name: server for server in found if (name := (server.labels or {}).get(MACHINE))}

    def _make(
        self, name: str, network: BoundNetwork, firewall: BoundFirewall, say: Callable[[str], None]
    ) -> None:
        """The name at the provider is taken once: a second try, after an interruption, makes no second machine."""
        full, spec = f"{self._wanted.stack}-{name}", self._wanted.machines[name]
        if self._client.servers.get_by_name(full) is not None:
            message = f"Hetzner has a server {full} that is not labelled as this stack's: it is left alone"
            raise MachineError(message, advice=f"Rename it there, or the machine {name} in handful.yml.")
        self._check(spec.size, spec.region)
        keys = self._keys(say)
        stays = parts.fixed(self._client, self._wanted.stack).get(name)
        say(f"making {name}: {spec.size} in {spec.region}, {spec.image}")
        # By name: the vendor's description wants text there.
        named = [SSHKey(name=key.name) for key in keys]
        made = self._client.servers.create(
            full, ServerType(name=spec.size), Image(name=spec.image), ssh_keys=list(named), firewalls=[firewall],
            location=Location(name=spec.region), labels={STACK: self._wanted.stack, MACHINE: name},
            public_net=ServerCreatePublicNetwork(ipv4=stays) if stays else None,
        )
        for action in (made.action, *made.next_actions):
            action.wait_until_finished()
        forget_host_keys(self._folder, [_server(name, made.server).address])
        made.server.attach_to_network(network, ip=spec.private or None).wait_until_finished()

    def _check(self, size: str, region: str) -> None:
        """What is unknown is told with what there is, before anything is made."""
        if self._client.server_types.get_by_name(size) is None:
            there = ", ".join(str(each.name) for each in self._client.server_types.get_all())
            raise MachineError(f"Hetzner has no size {size}", advice=f"It has: {there}")
        if self._client.locations.get_by_name(region) is None:
            there = ", ".join(str(each.name) for each in self._client.locations.get_all())
            raise MachineError(f"Hetzner has no region {region}", advice=f"It has: {there}")

    def _network(self, say: Callable[[str], None]) -> BoundNetwork:
        found = self._client.networks.get_all(label_selector=self._label)
        if found:
            return found[0]
        region = next(iter(self._wanted.machines.values())).region
        location = self._client.locations.get_by_name(region)
        if location is None:
            there = ", ".join(str(each.name) for each in self._client.locations.get_all())
            raise MachineError(f"Hetzner has no region {region}", advice=f"It has: {there}")
        range_ = str(IPv4Network(self._wanted.range))
        say(f"making the private network {self._wanted.stack} ({range_})")
        subnet = NetworkSubnet(ip_range=range_, type="cloud", network_zone=location.network_zone)
        labels = {STACK: self._wanted.stack}
        return self._client.networks.create(self._wanted.stack, range_, [subnet], labels=labels)

    def _firewall(self, say: Callable[[str], None]) -> BoundFirewall:
        """Have one that lets in what is open to the world on any machine; each machine's own is closer."""
        ports = (each.partition("/") for each in self._wanted.ports)
        rules = [_rule(protocol, port) for port, _, protocol in ports] + [_rule("icmp", None)]
        found = self._client.firewalls.get_all(label_selector=self._label)
        if not found:
            say(f"making the firewall {self._wanted.stack}: open are {', '.join(self._wanted.ports)}")
            labels: Any = {STACK: self._wanted.stack}
            return self._client.firewalls.create(self._wanted.stack, rules, labels=labels).firewall
        if {(each.protocol, each.port) for each in found[0].rules or ()} != {(e.protocol, e.port) for e in rules}:
            say(f"the firewall {self._wanted.stack} opens {', '.join(self._wanted.ports)}")
            for action in found[0].set_rules(rules):
                action.wait_until_finished()
        return found[0]

    def _opened(self) -> frozenset[str]:
        found = self._client.firewalls.get_all(label_selector=self._label)
        rules = found[0].rules or () if found else ()
        return frozenset(f"{each.port}/{each.protocol}" for each in rules if each.port)

    def _keys(self, say: Callable[[str], None]) -> list[BoundSSHKey]:
        """A key is there once in a project, whoever has put it there."""
        need_keys(self._wanted)
        there = {bare_key(key.public_key or ""): key for key in self._client.ssh_keys.get_all()}
        keys = []
        for number, public in enumerate(self._wanted.keys, 1):
            if bare_key(public) not in there:
                name = f"{self._wanted.stack}-{number}-{public.split()[-1]}"
                say(f"adding the ssh key {name}")
                labels = {STACK: self._wanted.stack}
                there[bare_key(public)] = self._client.ssh_keys.create(name, public, labels=labels)
            keys.append(there[bare_key(public)])
        return keys


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong into sentences."""
    try:
        yield
    except APIException as refused:
        advice = ADVICE.get(str(refused.code), "What was made is kept. Mend it, then: handful machines apply")
        raise MachineError(f"Hetzner refuses: {refused.message} ({refused.code})", advice=advice) from refused
    except (HCloudException, RequestException) as wrong:
        advice = "What was made is kept: try again."
        raise MachineError("Hetzner's API does not answer as it should", detail=str(wrong), advice=advice) from wrong


def _apply(firewall: BoundFirewall, servers: Iterable[BoundServer], say: Callable[[str], None]) -> None:
    """Have a firewall be in force for servers that were made without it, as one made anew is."""
    there = {each.server.id for each in firewall.applied_to or () if each.server}
    missing = [each for each in servers if each.id not in there]
    if missing:
        say(f"the firewall {firewall.name} is put before {', '.join(str(each.name) for each in missing)}")
        resources = [FirewallResource(FirewallResource.TYPE_SERVER, server=each) for each in missing]
        for action in firewall.apply_to_resources(resources):
            action.wait_until_finished()


def _server(name: str, server: BoundServer, *, fixed: bool = False) -> Server:
    public = server.public_net.ipv4.ip if server.public_net and server.public_net.ipv4 else ""
    private = server.private_net[0].ip if server.private_net else ""
    state = "running" if server.status in {"running", "initializing", "starting"} else "stopped"
    size = server.server_type.name if server.server_type else ""
    return Server(name, public, private or "", state, size=str(size), fixed=fixed)


def _rule(protocol: str, port: str | None) -> FirewallRule:
    return FirewallRule("in", protocol, list(EVERYWHERE), port=port)
