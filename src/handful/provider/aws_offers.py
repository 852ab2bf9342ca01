"""Which sizes, zones and images has AWS for machines?"""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from handful.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from handful.provider.aws_api import Api

# Who publishes them, and under which names: https://wiki.debian.org/Cloud/AmazonEC2Image and
# https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
DEBIAN, CANONICAL = "136693071363", "099720109477"
IMAGES = MappingProxyType({
    "debian-13": (DEBIAN, "debian-13-{arch}-*"),
    "debian-12": (DEBIAN, "debian-12-{arch}-*"),
    "ubuntu-24.04": (CANONICAL, "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-{arch}-server-*"),
    "ubuntu-22.04": (CANONICAL, "ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-{arch}-server-*"),
})
# AWS's word for a kind of processor → the publishers'.
ARCH = MappingProxyType({"x86_64": "amd64", "arm64": "arm64"})
MOST_TOLD = 30


def zones(api: Api, sizes: Collection[str]) -> dict[str, set[str]]:
    """Return the zones of the region that have each size. Raises MachineError, with those there are, when none has."""
    asked = [{"Name": "instance-type", "Values": sorted(sizes)}]
    found: dict[str, set[str]] = {size: set() for size in sizes}
    offers = "describe_instance_type_offerings", "InstanceTypeOfferings"
    for each in api.every(*offers, LocationType="availability-zone", Filters=asked):
        found.setdefault(each["InstanceType"], set()).add(each["Location"])
    for size in sizes:
        if not found[size]:
            there = {each["InstanceType"] for each in api.every(*offers, LocationType="region")}
            near = get_close_matches(size, sorted(there), n=MOST_TOLD, cutoff=0)
            message = f"AWS has no size {size} in this region"
            raise MachineError(message, advice=f"It has {len(there)}, among them: {', '.join(near)}")
    return found


def zone(api: Api, sizes: Collection[str], volumes: Collection[str]) -> str:
    """Return the zone for a stack: one that has all its sizes, and that of the volumes that it has already."""
    offered = zones(api, sizes)
    common = set.intersection(*offered.values())
    fitting = sorted(common.intersection(volumes) if volumes else common)
    if not fitting:
        told = "; ".join(f"{size} in {', '.join(sorted(where))}" for size, where in sorted(offered.items()))
        told += f"; volumes of the stack are in {', '.join(sorted(volumes))}" if volumes else ""
        message = "no zone of this region has all that the stack needs: its machines are in one"
        raise MachineError(message, detail=told, advice="Take other sizes.")
    return fitting[0]


def architecture(api: Api, size: str, *, volumes: bool) -> str:
    """Return the kind of processor of a size."""
    found = api.every("describe_instance_types", "InstanceTypes", InstanceTypes=[size])[0]
    if volumes and found.get("Hypervisor") == "xen":
        message = f"{size} is of an older kind, on which volumes are not found by their names"
        raise MachineError(message, advice="Take a newer one for a machine with volumes, like t3 or t4g.")
    for each in found["ProcessorInfo"]["SupportedArchitectures"]:
        if each in ARCH:
            return str(each)
    raise MachineError(f"there is no image for the processor of {size}", advice="Take another size.")


def newest_image(api: Api, image: str, arch: str) -> Mapping[str, Any]:
    """Return the newest image of a system, of those who make it."""
    owner, names = IMAGES[image]
    wanted = {"name": names.format(arch=ARCH[arch]), "architecture": arch, "state": "available"}
    asked = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    found = api.every("describe_images", "Images", Owners=[owner], Filters=asked)
    if not found:
        message = f"AWS has no image {image} for {arch} in this region"
        raise MachineError(message, detail=f"none of {owner} is named {wanted['name']}", advice="Take another image.")
    return max(found, key=lambda each: (str(each["CreationDate"]), str(each["ImageId"])))
