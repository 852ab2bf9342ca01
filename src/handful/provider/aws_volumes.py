"""What do machines at AWS have besides themselves: volumes, and addresses that outlive them?"""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from handful.errors import MachineError
from handful.facts.servers import Volume
from handful.provider.aws_api import once, tags
from handful.provider.cloud import MACHINE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handful.provider.aws_api import Api
    from handful.provider.cloud import Wanted

# What AWS recommends for volumes: https://docs.aws.amazon.com/ebs/latest/userguide/device_naming.html
DEVICES = tuple(f"/dev/sd{letter}" for letter in ascii_lowercase[5:16])
Found = dict[str, Any]


def volumes(api: Api) -> tuple[Volume, ...]:
    """Return the volumes of a stack, attached or not; `device` is where udev puts those of NVMe, without the dash."""
    return tuple(
        Volume(
            name, machine, int(found["Size"]),
            f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{found['VolumeId'].replace('-', '')}",
            attached=bool(found["Attachments"]),
        )
        for (machine, name), (found, *_) in _labelled(api).items()
    )


def zones(api: Api) -> dict[str, set[str]]:
    """Return in which zones machines have volumes already."""
    found: dict[str, set[str]] = {}
    for (machine, _), (first, *_) in _labelled(api).items():
        found.setdefault(machine, set()).add(first["AvailabilityZone"])
    return found


def _labelled(api: Api) -> dict[tuple[str, str], list[Found]]:
    """Return the volumes by machine and name; of two (two people at once), the attached or older one first."""
    found: dict[tuple[str, str], list[Found]] = {}
    every = api.mine("describe_volumes", "Volumes", {"status": ["creating", "available", "in-use", "error"]})
    for each in sorted(every, key=lambda each: (not each["Attachments"], each["CreateTime"], each["VolumeId"])):
        labels = tags(each)
        # Disks that machines run from have no label of a volume: they go with them.
        if {MACHINE, VOLUME} <= labels.keys():
            found.setdefault((labels[MACHINE], labels[VOLUME]), []).append(each)
    return found


def ensure_volumes(api: Api, wanted: Wanted, instances: Mapping[str, Found], say: Callable[[str], None]) -> None:
    """Have the volumes of machines that are there be made, attached, and as large as the file says; none shrinks."""
    there = _labelled(api)
    for machine, spec in wanted.machines.items():
        for name, size in spec.volumes.items() if machine in instances else ():
            found = there.get((machine, name)) or [_create(api, machine, name, size, instances[machine], say)]
            volume = found[0]
            _attach(api, volume, instances[machine]["InstanceId"], f"{name} of {machine}", say)
            if volume["Size"] < size:
                say(f"the volume {name} of {machine} grows from {volume['Size']} to {size} GB")
                _grow(api, volume["VolumeId"], size, f"{name} of {machine}")


def _create(api: Api, machine: str, name: str, size: int, instance: Found, say: Callable[[str], None]) -> Found:
    say(f"making the volume {name} of {machine}: {size} GB")
    labels = api.labels("volume", name=f"{api.stack}-{machine}-{name}", **{MACHINE: machine, VOLUME: name})
    told = {
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"], "Size": size, "VolumeType": "gp3",
        "TagSpecifications": labels,
    }
    made = api.call("create_volume", **told, ClientToken=once(told, instance["InstanceId"]))
    # AWS shows a thing some moments after it is made.
    api.until(lambda: _state(api, made["VolumeId"]) not in {"creating", "gone"}, f"the volume {name} is not available")
    return {**made, "Attachments": []}


def _attach(api: Api, volume: Found, instance: str, name: str, say: Callable[[str], None]) -> None:
    """Have it at this machine, and at no other."""
    id_, at = volume["VolumeId"], {each["InstanceId"]: each["State"] for each in volume["Attachments"]}
    if at.get(instance) == "attached":
        return
    if instance not in at:
        _detach(api, volume, name)
        say(f"attaching the volume {name}")
        asked = [{"Name": "attachment.instance-id", "Values": [instance]}]
        there = api.every("describe_volumes", "Volumes", Filters=asked)
        taken = {each["Device"] for other in there for each in other["Attachments"]}
        free = [each for each in DEVICES if each not in taken]
        if not free:
            message = f"{instance} has {len(taken)} disks: the volume {name} is one too many"
            raise MachineError(message, advice="Make fewer, larger ones.")
        api.call("attach_volume", VolumeId=id_, InstanceId=instance, Device=free[0])
    api.until(lambda: _state(api, id_) == "attached", f"the volume {name} is not attached")


def _detach(api: Api, volume: Found, name: str) -> None:
    """Have it at no machine."""
    id_ = volume["VolumeId"]
    for each in volume["Attachments"]:
        api.call("detach_volume", past={"IncorrectState"}, VolumeId=id_, InstanceId=each["InstanceId"])
    api.until(lambda: _state(api, id_) in {"available", "error", "gone"}, f"the volume {name} is not free")


def _state(api: Api, id_: str) -> str:
    """Return the state of what a volume is attached to, or its own."""
    for each in api.every("describe_volumes", "Volumes", Filters=[{"Name": "volume-id", "Values": [id_]}]):
        return str(each["Attachments"][0]["State"] if each["Attachments"] else each["State"])
    return "gone"


def _grow(api: Api, id_: str, size: int, name: str) -> None:
    # Its size is the old one until AWS has begun: asked twice, the second is too much.
    api.call("modify_volume", past={"IncorrectModificationState"}, VolumeId=id_, Size=size)
    api.until(lambda: _grown(api, id_), f"the volume {name} has not grown")


def _grown(api: Api, id_: str) -> bool:
    """Whether a machine can use it: AWS goes on at something else for hours."""
    asked = [{"Name": "volume-id", "Values": [id_]}]
    found = api.every("describe_volumes_modifications", "VolumesModifications", Filters=asked)
    return all(each["ModificationState"] in {"optimizing", "completed"} for each in found)


def remove_volumes(api: Api, machine: str | None, say: Callable[[str], None]) -> None:
    """Remove a machine's volumes, or all of the stack's (None). Nobody uses them any more."""
    for (owner, name), found in _labelled(api).items():
        for each in found if machine in {None, owner} else ():
            _detach(api, each, f"{name} of {owner}")
            api.remove("delete_volume", VolumeId=each["VolumeId"])
            say(f"removed the volume {name} of {owner}")


def fixed(api: Api) -> dict[str, list[Found]]:
    """Return the stack's addresses that outlive their machines; of two of a machine, the one in use first."""
    found: dict[str, list[Found]] = {}
    every = api.mine("describe_addresses", "Addresses")
    for each in sorted(every, key=lambda each: (not each.get("InstanceId"), each["AllocationId"])):
        if name := tags(each).get(MACHINE):
            found.setdefault(name, []).append(each)
    return found


def ensure_fixed(api: Api, wanted: Wanted, instances: Mapping[str, Found], say: Callable[[str], None]) -> None:
    """Have the addresses that are to outlive their machines, at their machines."""
    there = fixed(api)
    for name, spec in wanted.machines.items():
        if not spec.fixed or name not in instances:
            continue
        labels = api.labels("elastic-ip", name=f"{api.stack}-{name}", **{MACHINE: name})
        found = there.get(name) or [api.call("allocate_address", Domain="vpc", TagSpecifications=labels)]
        instance = instances[name]["InstanceId"]
        if found[0].get("InstanceId") != instance:
            say(f"{name} has the address {found[0]['PublicIp']}, whatever becomes of the machine")
            told = {"AllocationId": found[0]["AllocationId"], "InstanceId": instance}
            api.call("associate_address", **told, AllowReassociation=True)
        for second in found[1:]:
            say(f"the address {second['PublicIp']} of {name} is one too many: it goes")
            api.remove("release_address", AllocationId=second["AllocationId"])


def remove_fixed(api: Api, say: Callable[[str], None]) -> None:
    """Remove all addresses of the stack. No machine has them any more."""
    for found in fixed(api).values():
        for each in found:
            api.remove("release_address", AllocationId=each["AllocationId"])
            say(f"removed the address {each['PublicIp']}")
