"""Machines at AWS (EC2); see border.Provider, and docs/guide/providers.md for what its keys must be allowed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from handful.errors import MachineError
from handful.facts.servers import Estate, Server
from handful.provider import aws_offers as offers
from handful.provider import aws_volumes as parts
from handful.provider.aws_api import Api, once, tags
from handful.provider.aws_network import ensure_key, ensure_network, opened, remove_network, user_data
from handful.provider.cloud import MACHINE, USUAL_RANGE, forget_host_keys, need_keys, remember, wait_for_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from handful.provider.aws_network import Network
    from handful.provider.cloud import Spec, Wanted

ALIVE = ("pending", "running", "stopping", "stopped")
GOING, GONE = "shutting-down", "terminated"
ROOT_GIGABYTES = 20
# AWS takes networks of these lengths, and keeps the first four addresses of a subnet, and the last.
WIDEST, NARROWEST, KEPT_FIRST = 16, 28, 4


class Aws:
    """A stack's machines, volumes, addresses, network, firewall and keys there, known by their tags."""

    def __init__(
        self, wanted: Wanted, region: str, folder: Path, *, endpoint: str | None = None, poll_seconds: float = 2.0
    ) -> None:
        """Nothing is asked yet. `folder` keeps where machines were found last."""
        self._wanted, self._folder = replace(wanted, range=wanted.range or USUAL_RANGE), folder
        self._api = Api(wanted.stack, region, endpoint, poll_seconds)

    def estate(self) -> Estate:
        """See Provider."""
        stays = {each.get("InstanceId") for found in parts.fixed(self._api).values() for each in found}
        servers = {name: _server(name, each, stays) for name, each in self._here().items()}
        found = Estate(servers, parts.volumes(self._api), opened(self._api))
        remember(self._folder, found)
        return found

    def make(self, wanted: Mapping[str, str | None], say: Callable[[str], None]) -> None:
        """See Provider."""
        if not self._wanted.machines:
            return
        here = self._here()
        missing = [name for name in wanted if name not in here]
        zones = self._check(missing)
        network = ensure_network(self._api, self._wanted, self._zone, say)
        if missing:
            self._check_zone(missing, network.zone, zones)
            key = ensure_key(self._api, self._wanted, say)
            # One of the name that is on its way out has its private address and its volumes still.
            late = f"{', '.join(missing)} of before not removed"
            self._api.until(lambda: not self._every((GOING,)).keys() & set(missing), late)
            for name in missing:
                self._make(name, network, key, say)
        self._start([name for name in wanted if name in here], say)
        self._until(wanted, "running")
        # What somebody else is making at this moment takes nothing yet.
        settled = self._remove_doubles(wanted, say).items()
        ready = {name: each for name, each in settled if each["State"]["Name"] in {"running", "stopped"}}
        parts.ensure_volumes(self._api, self._wanted, ready, say)
        parts.ensure_fixed(self._api, self._wanted, ready, say)
        self._wait_for_ssh(wanted, {name: _address(each) for name, each in here.items()}, say)

    def check(self, name: str, say: Callable[[str], None]) -> None:  # noqa: ARG002  # nothing to say
        """See Provider. An address that is not fixed yet is AWS's, and cannot be kept."""
        need_keys(self._wanted)
        size = self._wanted.machines[name].size
        offers.zones(self._api, {size})
        offers.architecture(self._api, size, volumes=bool(self._wanted.machines[name].volumes))

    def resize(self, name: str, say: Callable[[str], None]) -> None:
        """See Provider. Without a fixed address, it has another public one then."""
        size = self._wanted.machines[name].size
        offers.zones(self._api, {size})
        instance = self._here()[name]
        arch = offers.architecture(self._api, size, volumes=bool(self._wanted.machines[name].volumes))
        if arch != instance.get("Architecture", arch):
            message = f"{size} has another kind of processor than {name}: {arch}, not {instance['Architecture']}"
            raise MachineError(message, advice="Take another size, or remove the machine, and make it anew.")
        id_ = instance["InstanceId"]
        if instance["InstanceType"] != size:
            self._api.until(lambda: self._state(name) != "pending", f"{name} is not running")
            if self._state(name) == "running":
                say(f"stopping {name}")
                self._api.call("stop_instances", InstanceIds=[id_])
            self._until([name], "stopped")
            say(f"{name} becomes {size}")
            try:
                self._api.call("modify_instance_attribute", InstanceId=id_, InstanceType={"Value": size})
            except MachineError:
                # As it was, where it could not be changed.
                self._start([name], say)
                raise
        self._start([name], say)
        self._until([name], "running")
        self._wait_for_ssh([name], {name: _address(instance)}, say)

    def destroy(self, names: Collection[str], say: Callable[[str], None], *, volumes: bool) -> None:
        """See Provider."""
        found = {name: each for name, each in self._every((*ALIVE, GOING)).items() if name in names}
        every = [each for instances in found.values() for each in instances]
        forget_host_keys(self._folder, [_address(each) for each in every])
        alive = [each["InstanceId"] for each in every if each["State"]["Name"] != GOING]
        if alive:
            self._api.call("terminate_instances", InstanceIds=alive)
        # Only then AWS lets go of what they used.
        late = f"{', '.join(sorted(found))} not removed"
        self._api.until(lambda: not found.keys() & self._every((*ALIVE, GOING)).keys(), late)
        for name, instances in found.items():
            say(f"removed {name} ({', '.join(each['InstanceId'] for each in instances)})")
        for name in names if volumes else ():
            parts.remove_volumes(self._api, name, say)
        self.estate()

    def destroy_all(self, say: Callable[[str], None]) -> None:
        """See Provider. Machines first: what they use cannot go before."""
        self.destroy(self._every((*ALIVE, GOING)), say, volumes=True)
        parts.remove_volumes(self._api, None, say)
        parts.remove_fixed(self._api, say)
        remove_network(self._api, say)
        self.estate()

    def _here(self) -> dict[str, dict[str, Any]]:
        """Return the stack's machines by their names; of two of one name, the one that was first."""
        return {name: found[0] for name, found in self._every(ALIVE).items()}

    def _every(self, states: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        asked = {"instance-state-name": list(states)}
        every = self._api.mine("describe_instances", "Reservations", asked)
        for each in sorted((each for one in every for each in one["Instances"]), key=_born):
            if name := tags(each).get(MACHINE):
                found.setdefault(name, []).append(each)
        return found

    def _state(self, name: str) -> str:
        """Return the state of a machine; "" when it is not seen (yet)."""
        found = self._here().get(name)
        return str(found["State"]["Name"]) if found else ""

    def _until(self, names: Collection[str], state: str) -> None:
        """Return when machines are in a state."""

        def reached() -> bool:
            here = self._here()
            return all(name in here and here[name]["State"]["Name"] == state for name in names)

        if names:
            self._api.until(reached, f"{', '.join(names)} not {state}")

    def _check(self, names: Collection[str]) -> dict[str, set[str]]:
        """Return the zones of the sizes of machines that are missing. What is wrong is told before anything is made."""
        network = IPv4Network(self._wanted.range)
        if not WIDEST <= network.prefixlen <= NARROWEST:
            message = f"AWS makes no network of the range {network}: from /{WIDEST} to /{NARROWEST}"
            raise MachineError(message, advice="Write another: network: {range: 10.114.0.0/24}")
        for name in names:
            private = self._wanted.machines[name].private
            number = int(IPv4Address(private)) - int(network.network_address) if private else KEPT_FIRST
            if not KEPT_FIRST <= number < network.num_addresses - 1:
                message = f"{name} cannot have the private address {private}: AWS keeps the first four, and the last"
                raise MachineError(message, advice=f"The first that it can have is {network[KEPT_FIRST]}.")
        return offers.zones(self._api, {self._wanted.machines[name].size for name in names}) if names else {}

    def _zone(self) -> str:
        """Return where the stack's subnet is to be."""
        volumes = set().union(*parts.zones(self._api).values())
        return offers.zone(self._api, {each.size for each in self._wanted.machines.values()}, volumes)

    def _check_zone(self, names: Collection[str], zone: str, zones: Mapping[str, set[str]]) -> None:
        """What cannot be where the stack's machines are is told before one is made."""
        there = parts.zones(self._api)
        for name in names:
            size = self._wanted.machines[name].size
            if zone not in zones[size]:
                message = f"{size} is not to be had in {zone}, where the stack's machines are"
                raise MachineError(message, advice=f"It is in {', '.join(sorted(zones[size]))}: take another size.")
            if other := there.get(name, {zone}) - {zone}:
                message = f"{name} has volumes in {', '.join(other)}, and the stack's machines are in {zone}"
                raise MachineError(message, advice="A volume stays in its zone: move it in the console, by a snapshot.")

    def _make(self, name: str, network: Network, key: str | None, say: Callable[[str], None]) -> None:
        spec = self._wanted.machines[name]
        told = self._request(name, spec, network, key)
        say(f"making {name}: {spec.size} in {network.zone}, {spec.image}")
        gone = [each["InstanceId"] for each in self._every((GOING, GONE)).get(name, ())]
        self._api.call("run_instances", **told, ClientToken=once(told, *gone))

    def _request(self, name: str, spec: Spec, network: Network, key: str | None) -> dict[str, Any]:
        """Return what run_instances is told."""
        arch = offers.architecture(self._api, spec.size, volumes=bool(spec.volumes))
        image = offers.newest_image(self._api, spec.image, arch)
        device = image["RootDeviceName"]
        disks = {each["DeviceName"]: each.get("Ebs", {}) for each in image.get("BlockDeviceMappings", ())}
        root = {"VolumeSize": max(ROOT_GIGABYTES, disks.get(device, {}).get("VolumeSize", 0)), "VolumeType": "gp3"}
        card = {
            "DeviceIndex": 0, "SubnetId": network.subnet, "Groups": [network.group], "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True, **({"PrivateIpAddress": spec.private} if spec.private else {}),
        }
        labels = {"name": f"{self._wanted.stack}-{name}", MACHINE: name}
        return {
            "ImageId": image["ImageId"], "InstanceType": spec.size, "MinCount": 1, "MaxCount": 1,
            "BlockDeviceMappings": [{"DeviceName": device, "Ebs": {**root, "DeleteOnTermination": True}}],
            "NetworkInterfaces": [card], "UserData": user_data(self._wanted), **({"KeyName": key} if key else {}),
            # A program in a container cannot ask for what is the machine's: its packets are one hop too far away.
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
            "TagSpecifications": self._api.labels("instance", "volume", "network-interface", **labels),
        }

    def _start(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """Start those that are stopped, or about to be."""
        if not names:
            return
        here = self._api.until(lambda: self._settled(names), f"{', '.join(names)} not stopped")
        stopped = [name for name in names if name in here and here[name]["State"]["Name"] == "stopped"]
        if stopped:
            say(f"starting {', '.join(stopped)}")
            self._api.call("start_instances", InstanceIds=[here[name]["InstanceId"] for name in stopped])

    def _settled(self, names: Collection[str]) -> dict[str, dict[str, Any]] | None:
        """Return the stack's machines, when none of these is about to stop."""
        here = self._here()
        stopping = any(name in here and here[name]["State"]["Name"] == "stopping" for name in names)
        return None if stopping else here

    def _remove_doubles(self, names: Collection[str], say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
        """Names may come twice here: of two that were made at the same time by two people, the second goes."""
        every = self._every(ALIVE)
        for name, found in every.items():
            for second in found[1:] if name in names else ():
                say(f"{name} was made twice at the same time: the second goes ({second['InstanceId']})")
                self._api.call("terminate_instances", InstanceIds=[second["InstanceId"]])
        return {name: found[0] for name, found in every.items()}

    def _wait_for_ssh(self, names: Collection[str], before: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Return when ssh answers. An address that a machine had not before may have been another one's."""
        servers = self.estate().servers
        fresh = [each.address for name, each in servers.items() if each.address and each.address != before.get(name)]
        forget_host_keys(self._folder, fresh)
        wait_for_ssh({name: servers[name].address for name in names}, say)


def _born(instance: Mapping[str, Any]) -> tuple[str, str]:
    """Return a key for the order in which machines were made: the time of a launch is another after each start."""
    cards = (each.get("Attachment", {}) for each in instance.get("NetworkInterfaces", ()))
    times = [str(each["AttachTime"]) for each in cards if each.get("DeviceIndex") == 0 and "AttachTime" in each]
    return (times or [str(instance["LaunchTime"])])[0], str(instance["InstanceId"])


def _address(instance: Mapping[str, Any]) -> str:
    return str(instance.get("PublicIpAddress") or "")


def _server(name: str, instance: Mapping[str, Any], fixed: Collection[str | None]) -> Server:
    state = "running" if instance["State"]["Name"] in {"pending", "running"} else "stopped"
    private, size = str(instance.get("PrivateIpAddress") or ""), str(instance["InstanceType"])
    stays = instance["InstanceId"] in fixed
    return Server(name, _address(instance), private, state, size=size, fixed=stays)
