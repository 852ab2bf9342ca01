"""What do the machines of a stack share at AWS: their network, who is let in, and the keys of those who log in?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.provider.cloud import bare_key, need_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handful.provider.aws_api import Api
    from handful.provider.cloud import Wanted

EVERYWHERE = ("0.0.0.0/0", "::/0")
# Kind → the list it is in, that list's key in the answer, and its id's.
KINDS = MappingProxyType({
    "vpc": ("describe_vpcs", "Vpcs", "VpcId"),
    "subnet": ("describe_subnets", "Subnets", "SubnetId"),
    "internet-gateway": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "route-table": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "security-group": ("describe_security_groups", "SecurityGroups", "GroupId"),
})
# Kinds of keys that EC2 takes; others come in by cloud-init alone.
TAKEN = frozenset({"ssh-ed25519", "ssh-rsa"})
Rule = tuple[str, int, int, str]


@dataclass(frozen=True)
class Network:
    """Where machines are made: their subnet, its zone, and their security group."""

    subnet: str
    zone: str
    group: str


def ensure_network(api: Api, wanted: Wanted, zone: Callable[[], str], say: Callable[[str], None]) -> Network:
    """Have the stack's network, of which any part may be there already; `zone` says where its subnet is to be."""
    found = api.mine(*KINDS["subnet"][:2])
    # Asked first: it may say that something is not to be had, before anything is made.
    where = found[0]["AvailabilityZone"] if found else zone()
    vpc = _one(api, "vpc", "", say, CidrBlock=wanted.range)
    home = str(vpc["VpcId"])
    if vpc["State"] != "available":
        ready = {"vpc-id": [home], "state": ["available"]}
        api.until(lambda: api.mine(*KINDS["vpc"][:2], ready), "the private network is not available")
    gateway = _one(api, "internet-gateway", home, say)
    if not gateway["Attachments"]:
        attach = {"InternetGatewayId": gateway["InternetGatewayId"], "VpcId": home}
        api.call("attach_internet_gateway", past={"Resource.AlreadyAssociated"}, **attach)
    subnet = _one(api, "subnet", home, say, VpcId=home, CidrBlock=vpc["CidrBlock"], AvailabilityZone=where)
    table = _one(api, "route-table", home, say, VpcId=home)
    _ensure_route(api, table, subnet["SubnetId"], gateway["InternetGatewayId"])
    return Network(subnet["SubnetId"], subnet["AvailabilityZone"], _ensure_group(api, wanted, home, say))


def _one(api: Api, kind: str, vpc: str, say: Callable[[str], None], **told: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the stack's one of a kind, made when there is none. Of two (two people at once), all take the same."""
    describe, key, id_ = KINDS[kind]

    def found() -> list[dict[str, Any]]:
        return [each for each in api.mine(describe, key) if _fits(vpc, each)]

    there = found()
    if not there:
        say(f"making the {kind.replace('-', ' ')} {api.stack}")
        api.call(f"create_{kind.replace('-', '_')}", **told, TagSpecifications=api.labels(kind))
        # AWS shows a thing some moments after it is made.
        there = api.until(found, f"the {kind} that was made is not seen")
    return min(there, key=lambda each: str(each[id_]))


def _fits(vpc: str, each: dict[str, Any]) -> bool:
    """Whether it is in this network, or in none yet."""
    homes = {home["VpcId"] for home in each.get("Attachments") or ([each] if "VpcId" in each else [])}
    return not vpc or not homes or vpc in homes


def _ensure_route(api: Api, table: dict[str, Any], subnet: str, gateway: str) -> None:
    """Let machines out into the world, and the world in."""
    route = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": EVERYWHERE[0], "GatewayId": gateway}
    there = [each for each in table["Routes"] if each.get("DestinationCidrBlock") == EVERYWHERE[0]]
    if not there:
        api.call("create_route", past={"RouteAlreadyExists"}, **route)
    elif there[0].get("GatewayId") != gateway:
        api.call("replace_route", **route)
    if all(each.get("SubnetId") != subnet for each in table["Associations"]):
        told = {"RouteTableId": table["RouteTableId"], "SubnetId": subnet}
        api.call("associate_route_table", past={"Resource.AlreadyAssociated"}, **told)


def _ensure_group(api: Api, wanted: Wanted, vpc: str, say: Callable[[str], None]) -> str:
    """Have a security group that lets in what is open to the world on any machine; each machine's own is closer."""
    told = {"GroupName": f"handful-{api.stack}", "Description": f"machines of {api.stack}", "VpcId": vpc}
    group = str(_one(api, "security-group", vpc, say, **told)["GroupId"])
    there, rules = dict(_rules(api, group)), set(_wanted_rules(wanted.ports, group))
    much = [id_ for id_, rule in there.items() if rule not in rules]
    if lacks := sorted(rules - set(there.values())):
        say(f"the security group {api.stack} opens {', '.join(wanted.ports)}")
        permissions = [_permission(rule) for rule in lacks]
        added = {"GroupId": group, "IpPermissions": permissions, "TagSpecifications": api.labels("security-group-rule")}
        api.call("authorize_security_group_ingress", past={"InvalidPermission.Duplicate"}, **added)
    if much:
        say(f"the security group {api.stack} closes what is not in the file")
        closed = {"GroupId": group, "SecurityGroupRuleIds": much}
        api.call("revoke_security_group_ingress", past={"InvalidSecurityGroupRuleId.NotFound"}, **closed)
    return group


def _rules(api: Api, group: str) -> Iterator[tuple[str, Rule]]:
    """Yield id and rule of all that a group lets in."""
    asked = [{"Name": "group-id", "Values": [group]}]
    for each in api.every("describe_security_group_rules", "SecurityGroupRules", Filters=asked):
        if not each["IsEgress"]:
            source = (
                each.get("CidrIpv4") or each.get("CidrIpv6") or each.get("PrefixListId")
                or each.get("ReferencedGroupInfo", {}).get("GroupId")
            )
            protocol, first, last = each["IpProtocol"], each.get("FromPort", -1), each.get("ToPort", -1)
            yield each["SecurityGroupRuleId"], (protocol, first, last, str(source))


def _wanted_rules(ports: tuple[str, ...], group: str) -> Iterator[Rule]:
    for each in ports:
        port, _, protocol = each.partition("/")
        yield from ((protocol, int(port), int(port), source) for source in EVERYWHERE)
    yield "icmp", -1, -1, EVERYWHERE[0]
    # Machines of the stack reach each other everywhere.
    yield "-1", -1, -1, group


def _permission(rule: Rule) -> dict[str, Any]:
    protocol, first, last, source = rule
    told = {"IpProtocol": protocol, "FromPort": first, "ToPort": last}
    if source not in EVERYWHERE:
        return told | {"UserIdGroupPairs": [{"GroupId": source}]}
    return told | ({"Ipv6Ranges": [{"CidrIpv6": source}]} if ":" in source else {"IpRanges": [{"CidrIp": source}]})


def opened(api: Api) -> frozenset[str]:
    """Return PORT/PROTOCOL of what the stack's groups open to the world."""
    groups = api.mine(*KINDS["security-group"][:2])
    rules = {rule for group in groups for _, rule in _rules(api, group["GroupId"])}
    world = {(protocol, first, last) for protocol, first, last, source in rules if source in EVERYWHERE}
    ports = (f"{_port(first, last)}/{protocol}" for protocol, first, last in world if protocol != "icmp")
    return frozenset(ports)


def _port(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def ensure_key(api: Api, wanted: Wanted, say: Callable[[str], None]) -> str | None:
    """Return the name of the key pair that new machines get: EC2 takes one only, and not of each kind."""
    need_keys(wanted)
    there = {str(each["KeyName"]) for each in api.mine("describe_key_pairs", "KeyPairs")}
    fitting = {_pair_name(api, each): each for each in wanted.keys if TAKEN.intersection(bare_key(each)[:1])}
    for name in fitting:
        if name in there:
            return name
    for name, public in fitting.items():
        say(f"adding the key pair {name}")
        labels, material = api.labels("key-pair", name=name), " ".join(bare_key(public)).encode()
        api.call("import_key_pair", KeyName=name, PublicKeyMaterial=material, TagSpecifications=labels)
        return name
    return None


def _pair_name(api: Api, public: str) -> str:
    """Return a key pair's name, which tells which key it is of."""
    return f"handful-{api.stack}-{sha256(' '.join(bare_key(public)).encode()).hexdigest()[:12]}"


def user_data(wanted: Wanted) -> str:
    """Return what cloud-init is told: the keys of all who log in. Nothing in it is a secret."""
    # Else root's login seems to work, and ends with a sentence that names the image's own user: nobody is refused.
    lines = ["#cloud-config", "disable_root: false", "ssh_authorized_keys:"]
    return "\n".join([*lines, *(f"  - {json.dumps(each)}" for each in wanted.keys), ""])


def remove_network(api: Api, say: Callable[[str], None]) -> None:
    """Remove all of it, in the order that AWS accepts. No machine is in it any more."""
    _remove(api, "security-group", say)
    for table in api.mine(*KINDS["route-table"][:2]):
        for each in table["Associations"]:
            api.remove("disassociate_route_table", AssociationId=each["RouteTableAssociationId"])
    _remove(api, "route-table", say)
    _remove(api, "subnet", say)
    for gateway in api.mine(*KINDS["internet-gateway"][:2]):
        for each in gateway["Attachments"]:
            told = {"InternetGatewayId": gateway["InternetGatewayId"], "VpcId": each["VpcId"]}
            api.remove("detach_internet_gateway", **told)
    _remove(api, "internet-gateway", say)
    _remove(api, "vpc", say)
    for pair in api.mine("describe_key_pairs", "KeyPairs"):
        api.remove("delete_key_pair", KeyName=pair["KeyName"])
        say(f"removed the key pair {pair['KeyName']}")


def _remove(api: Api, kind: str, say: Callable[[str], None]) -> None:
    describe, key, id_ = KINDS[kind]
    for each in api.mine(describe, key):
        api.remove(f"delete_{kind.replace('-', '_')}", **{id_: each[id_]})
        say(f"removed the {kind.replace('-', ' ')} {each[id_]}")
