"""Machines at AWS, against moto's server: made once, whatever breaks off, and nothing of others is touched."""

from __future__ import annotations

import base64
import gc
import json
import logging
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from handful.errors import MachineError
from handful.provider import aws, aws_api, aws_offers
from handful.provider.cloud import Spec, Wanted, devices, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handful.facts.servers import Estate

POLICY = json.loads((Path(__file__).parents[2] / "docs" / "guide" / "aws-policy.json").read_text(encoding="utf-8"))
ANN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbSUwnVVGrwlRz8n6LXOjlXGVyMXGx+6m0KXJ0KtwLk ann"
BOB = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA== bob"
PAIR = "handful-shop-623d9fc3af22"
PORTS = ("22/tcp", "443/tcp", "51820/udp")
REGION = "eu-central-1"
M1 = Spec("t3.small", REGION, "debian-13", "10.114.0.5", {"data": 40}, fixed=True)
M2 = Spec("t4g.small", REGION, "ubuntu-24.04")
M3 = Spec("t3.medium", REGION, "debian-12")
AMIS = (
    ("ami-old", "debian-13-amd64-20250806-1", "136693071363", "x86_64", "2025-08-06"),
    ("ami-deb13", "debian-13-amd64-20260806-1", "136693071363", "x86_64", "2026-08-06"),
    ("ami-evil", "debian-13-amd64-20270101-1", "666666666666", "x86_64", "2027-01-01"),
    ("ami-deb12", "debian-12-amd64-20240702-1", "136693071363", "x86_64", "2024-07-02"),
    ("ami-noble", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20260501", "099720109477", "arm64", "2026-05-01"),
)
# A stack of m1 and m2, wholly made: what there is, and what it hangs on.
WHOLE = [
    "address shop-m1 at shop-m1",
    "group shop of shop: -1 -1 shop, icmp -1 0.0.0.0/0, tcp 22 0.0.0.0/0, tcp 22 ::/0, tcp 443 0.0.0.0/0, tcp 443 ::/0, udp 51820 0.0.0.0/0, udp 51820 ::/0",
    "instance shop-m1 running t3.small ami-deb13 in shop, 10.114.0.5, open as shop",
    "instance shop-m2 running t4g.small ami-noble in shop, any, open as shop",
    "internet-gateway shop at shop",
    f"key-pair {PAIR}",
    "route-table shop of shop: 0.0.0.0/0 by shop, for shop",
    "subnet shop of shop: 10.114.0.0/24 in eu-central-1a",
    "volume shop-m1 20 gp3 at shop-m1 /dev/xvda True",
    "volume shop-m1-data 40 gp3 at shop-m1 /dev/sdf False",
    "volume shop-m2 20 gp3 at shop-m2 /dev/xvda True",
    "vpc shop 10.114.0.0/24",
]
CHANGES = [
    "CreateVpc", "CreateInternetGateway", "AttachInternetGateway", "CreateSubnet", "CreateRouteTable", "CreateRoute", "AssociateRouteTable",
    "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair", "RunInstances", "RunInstances", "CreateVolume", "AttachVolume",
    "AllocateAddress", "AssociateAddress",
]  # fmt: skip
TEARDOWN = [
    "TerminateInstances", "DeleteVolume", "ReleaseAddress", "DeleteSecurityGroup", "DisassociateRouteTable", "DeleteRouteTable",
    "DeleteSubnet", "DetachInternetGateway", "DeleteInternetGateway", "DeleteVpc", "DeleteKeyPair",
]  # fmt: skip
LABELLED = ("Create", "Run", "Import", "Allocate", "Authorize")
session = cache(Session)


@cache
def client_of(endpoint: str) -> Any:
    """Return what does to AWS what people do by hand."""
    return session(region_name=REGION).client("ec2", endpoint_url=endpoint)


class Broken(Exception):
    """The line broke."""


class Try:
    """A stack's view of AWS; `calls` are all requests in their order."""

    def __init__(self, folder: Path, endpoint: str | None, *, stack: str = "shop", region: str = REGION, keys: tuple[str, ...] = (ANN, BOB), **machines: Spec) -> None:
        self.said: list[str] = []
        self.calls: list[str] = []
        self.wanted = Wanted(stack, machines or {"m1": M1, "m2": M2}, "10.114.0.0/24", PORTS, keys)
        self.folder, self.endpoint, self.region = folder, endpoint, region
        self.renew(self.wanted)

    def renew(self, wanted: Wanted) -> None:
        """Another person, or another file."""
        self.wanted = wanted
        self.provider = aws.Aws(wanted, self.region, self.folder, endpoint=self.endpoint, poll_seconds=0.01)
        self.on("before-call", lambda model, **_: self.calls.append(model.name))
        self.on("before-parameter-build", self.labelled)

    def on(self, event: str, act: Callable[..., None], operation: str = "") -> None:
        """Have something done at each request, or at those of one operation."""
        self.provider._api.client.meta.events.register(f"{event}.ec2" + (operation and f".{operation}"), act)

    def labelled(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Whatever is made has its labels from the first moment."""
        if model.name.startswith(LABELLED) and model.name != "CreateRoute":
            assert all({"Key": "handful-stack", "Value": self.wanted.stack} in each["Tags"] for each in params["TagSpecifications"])

    def changes(self) -> list[str]:
        """Return the requests that change something."""
        return [each for each in self.calls if not each.startswith("Describe")]

    def fail(self, number: int, *, after: bool) -> None:
        """Have the line break at a change, counted from now, before AWS hears of it or after it was done."""
        begun = len(self.changes())

        def breaks(model: Any, **_: Any) -> None:
            if not model.name.startswith("Describe") and len(self.changes()) - begun == number:
                raise Broken

        self.on("after-call" if after else "before-call", breaks)

    def refuse(self, operation: str, code: str, times: range = range(1, 100)) -> None:
        """Have AWS refuse an operation, some of the times."""
        count = iter(range(1, 10_000))

        def refuses(model: Any, **_: Any) -> None:
            if next(count) in times:
                raise ClientError({"Error": {"Code": code, "Message": "AWS's own words."}}, model.name)

        self.on("before-call", refuses, operation)

    def show(self, operation: str, times: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Have AWS's answers be others, some times: what it shows late, or what takes its time."""
        left = iter(range(times))
        self.on("after-call", lambda parsed, **_: None if next(left, None) is None else change(parsed), operation)

    def make(self) -> None:
        """Make what is missing."""
        self.provider.make(dict.fromkeys(self.wanted.machines), self.said.append)

    def made(self) -> Estate:
        """Make what is missing, and look."""
        self.make()
        return self.provider.estate()

    def resize(self, name: str, size: str) -> None:
        """Have a machine of another size."""
        machines = {**self.wanted.machines, name: Spec(**{**vars(self.wanted.machines[name]), "size": size})}
        self.provider._wanted = self.wanted = Wanted(**{**vars(self.wanted), "machines": machines})
        self.provider.resize(name, self.said.append)

    def destroy(self, *names: str, volumes: bool = False) -> None:
        """Remove machines, or all."""
        if names:
            self.provider.destroy(names, self.said.append, volumes=volumes)
        else:
            self.provider.destroy_all(self.said.append)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all tests: with images of its own, as moto's take seconds to load."""
    told = [
        {"ami_id": id_, "name": name, "owner_id": owner, "architecture": arch, "creation_date": f"{day}T00:00:00.000Z", "root_device_name": "/dev/xvda"}
        for id_, name, owner, arch, day in AMIS
    ]
    path = tmp_path_factory.mktemp("moto") / "amis.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_AMIS_PATH", str(path))
        from moto.core import responses
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Dispatcher
        from moto.server import ThreadedMotoServer

        # It looks these up again at each request, which takes a third of its time.
        patch.setattr(responses, "method_names_from_class", cache(responses.method_names_from_class))
        patch.setattr(Dispatcher, "get_backend_for_host", cache(Dispatcher.get_backend_for_host))
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        made.start()
        endpoint = "http://{}:{}".format(*made.get_host_and_port())
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "key")
        client_of(endpoint).describe_instances()
        # What both sides know of EC2 is much, and loaded now: it need not be looked through for garbage.
        gc.freeze()
        yield endpoint
        gc.unfreeze()
        made.stop()


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Where ssh was waited for: moto's machines are none."""
    waited: list[dict[str, str]] = []
    monkeypatch.setattr(aws, "wait_for_ssh", lambda addresses, _: waited.append(addresses))
    return waited


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys of nobody, and none of the computer's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture
def endpoint(server: str, environment: None, reached: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """AWS, with nothing in it."""
    del environment, reached
    # What the vendor's library knows of EC2 is read once.
    monkeypatch.setattr(aws_api, "Session", session)
    urlopen(Request(f"{server}/moto-api/reset", method="POST")).close()  # noqa: S310  # this computer
    return server


@pytest.fixture
def one(endpoint: str, tmp_path: Path) -> Iterator[Try]:
    """A stack of two machines; whatever it asks, its rights allow."""
    made = Try(tmp_path / "here", endpoint)
    yield made
    assert set(made.calls) <= rights()


def rights() -> set[str]:
    """Return the operations that the policy allows, besides the one that is never asked for by its name."""
    actions = (each["Action"] for each in POLICY["Statement"])
    listed = [action for each in actions for action in ([each] if isinstance(each, str) else each)]
    assert len(listed) == len(set(listed))
    return {each.removeprefix("ec2:") for each in listed} - {"CreateTags"}


def shape(endpoint: str) -> list[str]:
    """Return all that is there, by names instead of ids; a name is ? where labels are missing."""
    client, names = client_of(endpoint), {"": "nothing"}

    def every(operation: str, key: str) -> list[dict[str, Any]]:
        return list(getattr(client, operation)()[key])

    def name(told: dict[str, Any], id_: str) -> str:
        tags = {each["Key"]: each["Value"] for each in told.get("Tags", ())}
        names[told[id_]] = tags["Name"] if "handful-stack" in tags else "?"
        return names[told[id_]]

    lines = [f"vpc {name(each, 'VpcId')} {each['CidrBlock']}" for each in every("describe_vpcs", "Vpcs") if not each["IsDefault"]]
    lines += [
        f"subnet {name(each, 'SubnetId')} of {names[each['VpcId']]}: {each['CidrBlock']} in {each['AvailabilityZone']}"
        for each in every("describe_subnets", "Subnets") if not each["DefaultForAz"]
    ]
    for each in every("describe_internet_gateways", "InternetGateways"):
        lines.append(f"internet-gateway {name(each, 'InternetGatewayId')} at {', '.join(names[at['VpcId']] for at in each['Attachments'])}")
    for each in every("describe_route_tables", "RouteTables"):
        if not any(of["Main"] for of in each["Associations"]):
            routes = [f"{to['DestinationCidrBlock']} by {names[to['GatewayId']]}" for to in each["Routes"] if to["GatewayId"] != "local"]
            subnets = [names[of["SubnetId"]] for of in each["Associations"]]
            lines.append(f"route-table {name(each, 'RouteTableId')} of {names[each['VpcId']]}: {', '.join(routes)}, for {', '.join(subnets)}")
    rules = every("describe_security_group_rules", "SecurityGroupRules")
    groups = [each for each in every("describe_security_groups", "SecurityGroups") if each["GroupName"] != "default"]
    for each in groups:
        made = name(each, "GroupId")
        told = sorted(
            f"{rule['IpProtocol']} {rule['FromPort']} {rule.get('CidrIpv4') or rule.get('CidrIpv6') or names[rule['ReferencedGroupInfo']['GroupId']]}"
            for rule in rules if rule["GroupId"] == each["GroupId"] and not rule["IsEgress"]
        )
        lines.append(f"group {made} of {names[each['VpcId']]}: {', '.join(told)}")
    machines = [each for one in every("describe_instances", "Reservations") for each in one["Instances"] if each["State"]["Name"] != "terminated"]
    for each in machines:
        private = each["PrivateIpAddress"] if each["PrivateIpAddress"] == M1.private else "any"
        open_as = ", ".join(names[of["GroupId"]] for of in each["NetworkInterfaces"][0]["Groups"])
        lines.append(f"instance {name(each, 'InstanceId')} {each['State']['Name']} {each['InstanceType']} {each['ImageId']} in {names[each['SubnetId']]}, {private}, open as {open_as}")
    kept = {disk["Ebs"]["VolumeId"]: disk["Ebs"]["DeleteOnTermination"] for each in machines for disk in each["BlockDeviceMappings"]}
    for each in every("describe_volumes", "Volumes"):
        at = ", ".join(f"{names[to['InstanceId']]} {to['Device']} {kept[each['VolumeId']]}" for to in each["Attachments"])
        lines.append(f"volume {name(each, 'VolumeId')} {each['Size']} {each['VolumeType']} at {at}")
    lines += [f"address {name(each, 'AllocationId')} at {names.get(each.get('InstanceId', ''), 'nothing')}" for each in every("describe_addresses", "Addresses")]
    lines += [f"key-pair {name(each, 'KeyPairId')}" for each in every("describe_key_pairs", "KeyPairs")]
    return sorted(lines)


def test_a_stack_is_made_and_goes(one: Try, endpoint: str, tmp_path: Path, reached: list[dict[str, str]]) -> None:
    """Three machines with all that is theirs; made again, nothing is; found by labels alone, by whoever; nothing stays."""
    one.renew(Wanted(**{**vars(one.wanted), "machines": {"m1": M1, "m2": M2, "m3": M3}}))
    one.make()
    third = ["instance shop-m3 running t3.medium ami-deb12 in shop, any, open as shop", "volume shop-m3 20 gp3 at shop-m3 /dev/xvda True"]
    assert shape(endpoint) == sorted([*WHOLE, *third])
    found = Try(tmp_path / "there", endpoint, keys=()).provider.estate()
    m1 = found.servers["m1"]
    assert (m1.state, m1.size, m1.private, m1.fixed, found.servers["m2"].fixed) == ("running", "t3.small", "10.114.0.5", True, False)
    assert all(each.private.startswith("10.114.0.") and each.address for each in found.servers.values())
    assert reached == [{name: each.address for name, each in found.servers.items()}]
    (volume,) = found.volumes
    assert (volume.name, volume.machine, volume.gigabytes, volume.attached) == ("data", "m1", 40, True)
    assert found.opened == set(PORTS)
    assert remembered(tmp_path / "there", "admin", None)["m1"].host == m1.address
    assert volume.device.startswith("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol")
    assert volume.device.count("-") == "/dev/disk/by-id/nvme-".count("-")
    assert devices(tmp_path / "there") == {"m1": {"data": volume.device}, "m2": {}, "m3": {}}
    before = len(one.changes())
    one.make()
    one.provider.make({}, one.said.append)
    assert one.changes()[before:] == []
    one.destroy()
    assert shape(endpoint) == []
    assert remembered(tmp_path / "here", None, None) == {}
    one.destroy()


def test_what_a_machine_is_made_of(one: Try, endpoint: str) -> None:
    """All who log in are told in what is no secret; what is a machine's own is told to it alone."""
    asked: list[dict[str, Any]] = []
    one.on("before-parameter-build", lambda params, **_: asked.append(params), "RunInstances")
    one.make()
    first = asked[0]
    assert base64.b64decode(first["UserData"]).decode() == f'#cloud-config\ndisable_root: false\nssh_authorized_keys:\n  - "{ANN}"\n  - "{BOB}"\n'
    assert first["MetadataOptions"] == {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1}
    assert first["NetworkInterfaces"][0]["AssociatePublicIpAddress"]
    assert first["KeyName"] == PAIR
    assert {each["ResourceType"] for each in first["TagSpecifications"]} == {"instance", "volume", "network-interface"}
    client = client_of(endpoint)
    (pair,) = client.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert pair["PublicKey"].split()[:2] == ANN.split()[:2]
    machine = client.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    told = client.describe_instance_attribute(InstanceId=machine, Attribute="userData")["UserData"]["Value"]
    assert told == first["UserData"]


def test_keys_of_kinds_that_ec2_does_not_take(endpoint: str, tmp_path: Path) -> None:
    """Come in all the same: no key pair is made for them."""
    one = Try(tmp_path, endpoint, keys=(BOB,), m2=M2)
    one.make()
    assert "ImportKeyPair" not in one.calls
    assert len(one.provider.estate().servers) == 1


@pytest.mark.parametrize("number", range(1, len(CHANGES) + 1), ids=[f"{number}-{name}" for number, name in enumerate(CHANGES, 1)])
def test_whatever_breaks_off_the_next_try_finishes(one: Try, endpoint: str, number: int) -> None:
    """After each request that changes something was done, and its answer lost: in the end everything is there once."""
    one.fail(number, after=True)
    with pytest.raises(Broken):
        one.make()
    assert one.changes() == CHANGES[:number]
    one.make()
    assert one.changes() == CHANGES
    assert shape(endpoint) == WHOLE


def test_a_line_that_breaks_at_every_request(one: Try, endpoint: str) -> None:
    """Before AWS hears of it, and after it was done, of each in turn: each try goes on where the one before it ended.

    So also when all is removed: machines go before what they use, and what is gone is no error.
    """
    for act, steps, end in ((one.make, CHANGES, WHOLE), (one.destroy, TEARDOWN, [])):
        tried = []
        for step in steps:
            for after in (False, True):
                begun = len(one.changes())
                one.fail(1, after=after)
                with pytest.raises(Broken):
                    act()
                tried += one.changes()[begun:]
            assert tried[-2:] == [step, step]
        begun = len(one.changes())
        act()
        assert one.changes()[begun:] == []
        assert shape(endpoint) == end


def test_two_stacks_beside_each_other(endpoint: str, tmp_path: Path) -> None:
    """One's name begins as the other's: what is not the stack's stays as it was."""
    prod, stage = Try(tmp_path / "p", endpoint, stack="shop-prod"), Try(tmp_path / "s", endpoint)
    prod.make()
    before = prod.provider.estate(), shape(endpoint)
    stage.make()
    assert len(shape(endpoint)) == 2 * len(WHOLE)
    stage.destroy("m1", "m2", volumes=True)
    stage.destroy()
    assert (prod.provider.estate(), shape(endpoint)) == before


def test_the_firewall_follows_the_file(one: Try, endpoint: str) -> None:
    """Also when no machine is to be made, and when somebody else has opened or closed something by hand."""
    assert one.provider.estate().opened == frozenset()
    one.make()
    one.renew(Wanted(**{**vars(one.wanted), "ports": ("22/tcp", "80/tcp")}))
    client = client_of(endpoint)
    group = next(each["GroupId"] for each in client.describe_security_groups()["SecurityGroups"] if each["GroupName"] == "handful-shop")
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    client.revoke_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    by_hand = {"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8010, "IpRanges": [{"CidrIp": "0.0.0.0/0"}, {"CidrIp": "192.0.2.0/24"}]}
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[by_hand])
    assert one.provider.estate().opened == {*PORTS, "8000-8010/tcp"}
    begun = len(one.changes())
    one.provider.make({}, one.said.append)
    assert one.changes()[begun:] == ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]
    assert one.provider.estate().opened == {"22/tcp", "80/tcp"}
    rules = "-1 -1 shop, icmp -1 0.0.0.0/0, tcp 22 0.0.0.0/0, tcp 22 ::/0, tcp 80 0.0.0.0/0, tcp 80 ::/0"
    assert f"group shop of shop: {rules}" in shape(endpoint)


def test_a_stopped_machine_starts(one: Try, endpoint: str, monkeypatch: pytest.MonkeyPatch, reached: list[dict[str, str]]) -> None:
    """Also when it is only about to stop. Its address is another then, which may have been another machine's."""
    forgotten: list[list[str]] = []
    monkeypatch.setattr(aws, "forget_host_keys", lambda _, addresses: forgotten.append(addresses))
    one.make()
    client = client_of(endpoint)
    ids = [each["Instances"][0]["InstanceId"] for each in client.describe_instances()["Reservations"]]
    client.stop_instances(InstanceIds=ids)
    stopped = one.provider.estate().servers
    assert {each.state for each in stopped.values()} == {"stopped"}
    assert stopped["m2"].address == ""
    begun = len(one.changes())

    def stopping(parsed: dict[str, Any]) -> None:
        for each in parsed["Reservations"]:
            each["Instances"][0]["State"]["Name"] = "stopping"

    one.show("DescribeInstances", 4, stopping)
    found = one.made()
    assert one.changes()[begun:] == ["StartInstances"]
    assert {each.state for each in found.servers.values()} == {"running"}
    assert reached[-1] == {name: each.address for name, each in found.servers.items()}
    assert found.servers["m2"].address in forgotten[-1]
    one.make()
    assert forgotten[-1] == []


def test_a_machine_becomes_larger(one: Try, reached: list[dict[str, str]]) -> None:
    """And is the same one, with its addresses and its volume."""
    before = one.made()
    begun = len(one.changes())
    one.resize("m1", "t3.large")
    assert one.changes()[begun:] == ["StopInstances", "ModifyInstanceAttribute", "StartInstances"]
    found = one.provider.estate()
    assert found.servers["m1"].size == "t3.large"
    assert (found.volumes, found.servers["m1"].fixed, found.servers["m2"]) == (before.volumes, True, before.servers["m2"])
    assert reached[-1] == {"m1": found.servers["m1"].address}
    begun = len(one.changes())
    one.provider.resize("m1", one.said.append)
    assert one.changes()[begun:] == []
    with pytest.raises(MachineError, match=r"t4g\.large has another kind of processor than m1: arm64, not x86_64"):
        one.resize("m1", "t4g.large")


def test_a_resize_that_breaks_off(endpoint: str, tmp_path: Path) -> None:
    """Ends well, wherever it did: tried again, or when the machine is only wanted to run."""
    one, sizes = Try(tmp_path, endpoint, m3=M3), ["t3.medium", "t3.large"] * 3
    one.make()
    for number, after in [(number, after) for number in (1, 2, 3) for after in (False, True)]:
        size = sizes.pop()
        one.fail(number, after=after)
        with pytest.raises(Broken):
            one.resize("m3", size)
        if after:
            one.make()
            assert one.provider.estate().servers["m3"].state == "running"
        one.provider.resize("m3", one.said.append)
        found = one.provider.estate().servers["m3"]
        assert (found.state, found.size) == ("running", size)


def test_a_machine_that_is_replaced(one: Try, endpoint: str, tmp_path: Path) -> None:
    """Gets its volume and its address; the host key of the one before it is forgotten."""
    before = one.made()
    address = before.servers["m1"].address
    (tmp_path / "here" / "known_hosts").write_text(f"{address} ssh-ed25519 A\n192.0.2.1 ssh-ed25519 B\n", encoding="utf-8")
    one.destroy("m1")
    between = one.provider.estate()
    assert list(between.servers) == ["m2"]
    assert [(each.name, each.attached) for each in between.volumes] == [("data", False)]
    assert "address shop-m1 at nothing" in shape(endpoint)
    assert (tmp_path / "here" / "known_hosts").read_text(encoding="utf-8") == "192.0.2.1 ssh-ed25519 B\n"
    after = one.made()
    assert (after.servers["m1"].address, after.volumes) == (address, before.volumes)
    assert shape(endpoint) == WHOLE
    one.destroy("m1", "nobody", volumes=True)
    assert one.provider.estate().volumes == ()


def test_a_volume_grows_and_comes_back(one: Try, endpoint: str) -> None:
    """It never shrinks; one that somebody has put elsewhere is put where it belongs."""
    one.make()
    client = client_of(endpoint)
    ids = {name["Value"]: each["Instances"][0]["InstanceId"] for each in client.describe_instances()["Reservations"] for name in each["Instances"][0]["Tags"] if name["Key"] == "Name"}
    volume = client.describe_volumes(Filters=[{"Name": "tag:handful-volume", "Values": ["data"]}])["Volumes"][0]["VolumeId"]
    client.detach_volume(VolumeId=volume, InstanceId=ids["shop-m1"])
    client.attach_volume(VolumeId=volume, InstanceId=ids["shop-m2"], Device="/dev/sdf")
    larger = Spec(**{**vars(M1), "volumes": {"data": 60, "more": 10}})
    one.renew(Wanted(**{**vars(one.wanted), "machines": {"m1": larger, "m2": M2}}))
    begun = len(one.changes())
    one.show("DescribeVolumesModifications", 1, lambda parsed: parsed["VolumesModifications"][0].update(ModificationState="modifying"))
    found = one.made()
    assert one.changes()[begun:] == ["DetachVolume", "AttachVolume", "ModifyVolume", "CreateVolume", "AttachVolume"]
    assert {each.name: each.gigabytes for each in found.volumes} == {"data": 60, "more": 10}
    assert {"volume shop-m1-data 60 gp3 at shop-m1 /dev/sdf False", "volume shop-m1-more 10 gp3 at shop-m1 /dev/sdg False"} <= set(shape(endpoint))
    one.renew(Wanted(**{**vars(one.wanted), "machines": {"m1": M1, "m2": M2}}))
    begun = len(one.changes())
    assert one.made().volumes == found.volumes
    assert one.changes()[begun:] == []


def test_two_people_at_once(one: Try, endpoint: str, tmp_path: Path) -> None:
    """Make one machine twice: the second goes, and it is said."""
    # With a private address, AWS refuses the second.
    machines = {"m1": Spec(**{**vars(M1), "private": ""}), "m2": M2}
    one.renew(Wanted(**{**vars(one.wanted), "machines": machines}))
    other = Try(tmp_path / "b", endpoint, **machines)
    one.provider.make({}, one.said.append)
    once = iter([1])

    def overtakes(**_: Any) -> None:
        if next(once, None):
            other.make()

    one.on("before-call", overtakes, "RunInstances")
    one.make()
    assert sum("m1 was made twice at the same time" in each for each in one.said) == 1
    whole = [each.replace(M1.private, "any") for each in WHOLE]
    assert [each.replace(M1.private, "any") for each in shape(endpoint)] == whole
    client = client_of(endpoint)
    labels = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "handful-stack", "Value": "shop"}, {"Key": "handful-machine", "Value": "m1"}]}]
    client.allocate_address(Domain="vpc", TagSpecifications=labels)
    one.make()
    assert [each.replace(M1.private, "any") for each in shape(endpoint)] == whole


def test_the_one_that_was_made_first_is_the_machine() -> None:
    """However often it was started since."""

    def machine(id_: str, launched: str, made: str) -> dict[str, Any]:
        return {"InstanceId": id_, "LaunchTime": launched, "NetworkInterfaces": [{"Attachment": {"DeviceIndex": 0, "AttachTime": made}}]}

    old, new = machine("i-2", "2026-03-01", "2026-01-01"), machine("i-1", "2026-02-01", "2026-02-01")
    assert sorted([new, old], key=aws._born) == [old, new]
    assert aws._born({"InstanceId": "i-1", "LaunchTime": "2026-02-01"}) == aws._born(new)


def test_the_same_request_is_made_once(one: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS is told by a token, as what was made may not be seen yet; a machine of the same name is another later."""
    now = [1_800_000_000.0]
    clock = SimpleNamespace(time=lambda: now[0], monotonic=lambda: 0.0, sleep=lambda _: None)
    monkeypatch.setattr(aws_api, "time", clock)
    tokens: list[str] = []
    one.on("before-parameter-build", lambda params, **_: tokens.append(params["ClientToken"]), "RunInstances")
    one.wanted = Wanted(**{**vars(one.wanted), "machines": {"m1": M1}})
    one.fail(11, after=False)
    with suppress(Broken):
        one.make()
    one.make()
    one.destroy("m1")
    one.make()
    first, again, anew = tokens
    assert first == again != anew
    assert all(len(each) == 64 for each in tokens)
    token = aws_api.once({"name": "m1"})
    now[0] += aws_api.ONCE_SECONDS
    assert aws_api.once({"name": "m1"}) != token


def test_what_is_seen_late(one: Try, endpoint: str) -> None:
    """Is waited for: AWS shows a thing some moments after it was made, and machines take their time."""
    one.show("DescribeVpcs", 3, lambda parsed: parsed.update(Vpcs=[]))

    def pending(parsed: dict[str, Any]) -> None:
        for each in parsed["Reservations"]:
            each["Instances"][0]["State"]["Name"] = "pending"

    one.on("after-call", lambda **_: one.show("DescribeInstances", 3, pending), "RunInstances")
    one.make()
    assert one.calls.count("CreateVpc") == 1
    assert shape(endpoint) == WHOLE
    one.refuse("DeleteSecurityGroup", "DependencyViolation", range(1, 3))
    one.refuse("DeleteKeyPair", "InvalidKeyPair.NotFound", range(1, 2))
    one.refuse("ReleaseAddress", "InvalidAllocationID.NotFound", range(1, 2))
    one.destroy()
    one.destroy()
    assert shape(endpoint) == []


def test_one_of_before_that_is_on_its_way_out(endpoint: str, tmp_path: Path) -> None:
    """Is waited for: it has the private address still."""
    one, left, asked = Try(tmp_path, endpoint, m3=M3), iter(range(2)), []
    going = {"InstanceId": "i-0", "LaunchTime": "2026-01-01", "State": {"Name": "shutting-down"}, "Tags": [{"Key": "handful-machine", "Value": "m3"}]}
    one.on("before-parameter-build", lambda params, **_: asked.append(params["Filters"][-1]["Values"]), "DescribeInstances")

    def shows(parsed: dict[str, Any], **_: Any) -> None:
        if asked[-1] == ["shutting-down"] and next(left, None) is not None:
            parsed["Reservations"] = [{"Instances": [going]}]

    one.on("after-call", shows, "DescribeInstances")
    one.make()
    assert asked.count(["shutting-down"]) == 3
    assert one.calls.count("RunInstances") == 1


def test_what_does_not_come_is_told(one: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; it is kept."""
    monkeypatch.setattr(aws_api, "READY_SECONDS", 0.0)
    with pytest.raises(MachineError, match=r"AWS: m1 not running after 0 s") as late:
        one.provider._api.until(lambda: False, "m1 not running", 0.05)
    assert "kept" in late.value.advice


def test_half_a_network(one: Try, endpoint: str) -> None:
    """A gateway that somebody has removed is made again, and the way out goes through it."""
    one.make()
    client = client_of(endpoint)
    gateway = next(each for each in client.describe_internet_gateways()["InternetGateways"] if each.get("Tags"))
    # moto, unlike AWS, lets go of one that addresses still need.
    client.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=gateway["Attachments"][0]["VpcId"])
    client.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    begun = len(one.changes())
    one.provider.make({}, one.said.append)
    assert one.changes()[begun:] == ["CreateInternetGateway", "AttachInternetGateway", "ReplaceRoute"]
    assert shape(endpoint) == WHOLE


def test_the_rights_are_what_is_asked_for_and_no_other(one: Try, endpoint: str) -> None:
    """A life with everything in it asks for each right of the policy."""
    test_half_a_network(one, endpoint)
    one.destroy()
    test_a_volume_grows_and_comes_back(one, endpoint)
    one.resize("m2", "t4g.medium")
    one.renew(Wanted(**{**vars(one.wanted), "ports": ("22/tcp",)}))
    one.make()
    one.destroy()
    assert set(one.calls) == rights()
    labels = next(each for each in POLICY["Statement"] if each["Action"] == "ec2:CreateTags")
    made = {each for each in one.calls if each.startswith(LABELLED)} - {"CreateRoute"}
    assert set(labels["Condition"]["StringEquals"]["ec2:CreateAction"]) == made


def test_a_limit_keeps_what_was_made(endpoint: str, tmp_path: Path) -> None:
    """And shows it: two of three."""
    one = Try(tmp_path, endpoint, m1=M1, m2=M2, m3=M3)
    one.refuse("RunInstances", "VcpuLimitExceeded", range(3, 4))
    with pytest.raises(MachineError, match="AWS refuses RunInstances") as refused:
        one.make()
    assert "What was made is kept" in refused.value.advice
    assert sorted(one.provider.estate().servers) == ["m1", "m2"]
    assert sorted(one.made().servers) == ["m1", "m2", "m3"]


@pytest.mark.parametrize(("operation", "code", "message", "advice"), [
    ("DescribeInstances", "AuthFailure", "(AuthFailure)", "The keys are wrong"),
    ("DescribeInstances", "RequestExpired", "(RequestExpired)", "this computer's clock is wrong"),
    ("RunInstances", "UnauthorizedOperation", "lack the right ec2:RunInstances, or ec2:CreateTags", "docs/guide/aws-policy.json"),
    ("DescribeInstances", "UnauthorizedOperation", "lack the right ec2:DescribeInstances", "docs/guide/aws-policy.json"),
    ("CreateVpc", "VpcLimitExceeded", "(VpcLimitExceeded)", "limit of the account is reached"),
    ("CreateVpc", "MaxSpotInstanceCountExceeded", "(MaxSpotInstanceCountExceeded)", "limit of the account is reached"),
    ("CreateVpc", "RequestLimitExceeded", "(RequestLimitExceeded)", "Too many requests"),
    ("ImportKeyPair", "InvalidKeyPair.Duplicate", "(InvalidKeyPair.Duplicate)", "without the stack's label"),
    ("CreateVpc", "SomethingNew", "(SomethingNew)", "What was made is kept"),
])  # fmt: skip
def test_what_aws_refuses_is_told(one: Try, operation: str, code: str, message: str, advice: str) -> None:
    """By its codes, never by its words; those are shown."""
    one.refuse(operation, code)
    with pytest.raises(MachineError) as refused:
        one.make()
    assert message in refused.value.message
    assert advice in refused.value.advice
    assert refused.value.detail == "AWS's own words."


@pytest.mark.parametrize(("machine", "message", "advice"), [
    (Spec("t9.small", REGION, "debian-13"), "AWS has no size t9.small in this region", "among them: t"),
    (Spec("t2.small", REGION, "debian-13", volumes={"data": 1}), "t2.small is of an older kind", "like t3"),
    (Spec("t3.small", REGION, "ubuntu-22.04"), "AWS has no image ubuntu-22.04 for x86_64", "another image"),
    (Spec("t3.small", REGION, "debian-13", "10.114.0.3"), "m1 cannot have the private address 10.114.0.3", "10.114.0.4"),
    (Spec("t3.small", REGION, "debian-13", "10.114.0.255"), "m1 cannot have the private address 10.114.0.255", "10.114.0.4"),
])  # fmt: skip
def test_what_is_not_to_be_had_is_told(endpoint: str, tmp_path: Path, machine: Spec, message: str, advice: str) -> None:
    """With what is, before a machine is made."""
    one = Try(tmp_path, endpoint, m1=machine)
    with pytest.raises(MachineError) as refused:
        one.make()
    assert message in refused.value.message
    assert advice in refused.value.advice
    assert refused.value.advice.count(",") <= aws_offers.MOST_TOLD
    assert "RunInstances" not in one.calls


def test_a_zone_that_has_not_all(one: Try) -> None:
    """Machines of a stack are in one zone: the one that their volumes are in, and that has their sizes."""
    api = one.provider._api
    assert aws_offers.zone(api, {"t3.small", "t4g.small"}, {"eu-central-1b"}) == "eu-central-1b"
    with pytest.raises(MachineError, match="no zone of this region has all") as refused:
        aws_offers.zone(api, {"t3.small"}, {"eu-central-1a", "us-east-1a"} - {"eu-central-1a"})
    assert "volumes of the stack are in us-east-1a" in refused.value.detail


def test_a_volume_in_another_zone(one: Try, endpoint: str) -> None:
    """Is told: it cannot come along."""
    one.provider.make({"m2": None}, one.said.append)
    client = client_of(endpoint)
    labels = {"handful-stack": "shop", "handful-machine": "m1", "handful-volume": "data"}
    told = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in labels.items()]}]
    client.create_volume(AvailabilityZone="eu-central-1b", Size=1, TagSpecifications=told)
    with pytest.raises(MachineError, match="m1 has volumes in eu-central-1b, and the stack's machines are in eu-central-1a"):
        one.make()


def test_a_range_that_aws_does_not_make(endpoint: str, tmp_path: Path) -> None:
    """Is told before anything is made."""
    one = Try(tmp_path, endpoint, m1=M3)
    one.renew(Wanted(**{**vars(one.wanted), "range": "10.0.0.0/8"}))
    with pytest.raises(MachineError, match="from /16 to /28"):
        one.make()
    assert one.changes() == []


def test_where_all_machines_exist_nothing_is_made(endpoint: str, tmp_path: Path) -> None:
    """A provider in the file is no reason for a network."""
    one = Try(tmp_path, endpoint)
    one.renew(Wanted("shop", {}, "10.114.0.0/24", PORTS, ()))
    one.make()
    assert one.changes() == []


def test_nobody_who_could_log_in(endpoint: str, tmp_path: Path) -> None:
    """Is told, and no machine made."""
    one = Try(tmp_path, endpoint, keys=())
    with pytest.raises(MachineError, match="no public key"):
        one.make()
    assert "RunInstances" not in one.calls


def test_a_region_that_does_not_exist(endpoint: str, tmp_path: Path) -> None:
    """Is told with those that do."""
    with pytest.raises(MachineError, match="AWS has no region mars") as refused:
        Try(tmp_path, endpoint, region="mars").make()
    assert REGION in refused.value.advice
    with pytest.raises(MachineError, match="AWS has no region Mars!"):
        Try(tmp_path, endpoint, region="Mars!").make()


def test_no_keys_for_aws(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told with where they are looked for."""
    monkeypatch.setattr(aws_api, "Session", Session)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(MachineError, match="there are no keys for AWS") as refused:
        Try(tmp_path, endpoint).make()
    assert "AWS_ACCESS_KEY_ID" in refused.value.advice
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(MachineError, match="there are no keys for AWS"):
        Try(tmp_path, endpoint)


@pytest.mark.parametrize("nobody", ["http://127.0.0.1:9", "nonsense"])
def test_nothing_that_answers(environment: None, tmp_path: Path, nobody: str) -> None:
    """Is told as that."""
    del environment
    with pytest.raises(MachineError, match="does not answer as it should"):
        Try(tmp_path, nobody).provider.estate()


def test_the_endpoint_is_found_as_the_vendors_program_finds_it(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its variable."""
    monkeypatch.setattr(aws_api, "Session", Session)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    one = Try(tmp_path, None, m3=M3)
    assert list(one.made().servers) == ["m3"]
