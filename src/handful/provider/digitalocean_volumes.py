"""The volumes of machines at DigitalOcean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.facts.servers import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from handful.provider.cloud import Wanted
    from handful.provider.digitalocean_api import Api


def volumes(api: Api, tag: str) -> tuple[Volume, ...]:
    """Return the stack's volumes, attached or not; `tag` is the stack's."""
    return tuple(
        Volume(
            name, machine, int(told["size_gigabytes"]), f"/dev/disk/by-id/scsi-0DO_Volume_{told['name']}",
            attached=bool(told["droplet_ids"]),
        )
        for machine, name, told in _tagged(api, tag)
    )


def _tagged(api: Api, tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield machine, volume and what is told of it, by a tag STACK:MACHINE:VOLUME."""
    for told in list(api.every("/v2/volumes", "volumes")):
        for each in told.get("tags") or ():
            if each.startswith(f"{tag}:"):
                machine, _, name = each.removeprefix(f"{tag}:").partition(":")
                yield machine, name, told


def ensure_volumes(
    api: Api, tag: str, wanted: Wanted, droplets: Mapping[str, Mapping[str, Any]], say: Callable[[str], None]
) -> None:
    """Have the volumes of machines that are there be made, attached, and as large as the file says; none shrinks."""
    there = {(machine, name): told for machine, name, told in _tagged(api, tag)}
    for machine, spec in wanted.machines.items():
        for name, size in spec.volumes.items() if machine in droplets else ():
            found = there.get((machine, name))
            if found is None:
                say(f"making the volume {name} of {machine}: {size} GB")
                told = {"name": f"{wanted.stack}-{machine}-{name}", "size_gigabytes": size, "region": spec.region}
                made = api.call("POST", "/v2/volumes", {**told, "tags": [tag, f"{tag}:{machine}:{name}"]})
                found = made["volume"]
            path, droplet = f"/v2/volumes/{found['id']}", droplets[machine]["id"]
            if found["droplet_ids"] != [droplet]:
                say(f"attaching the volume {name} to {machine}")
                for other in found["droplet_ids"]:
                    api.act(path, {"type": "detach", "droplet_id": other, "region": spec.region})
                api.act(path, {"type": "attach", "droplet_id": droplet, "region": spec.region})
            if found["size_gigabytes"] < size:
                say(f"the volume {name} of {machine} grows from {found['size_gigabytes']} to {size} GB")
                api.act(path, {"type": "resize", "size_gigabytes": size, "region": spec.region})


def remove_volumes(api: Api, tag: str, machine: str | None, say: Callable[[str], None]) -> None:
    """Remove a machine's volumes, or all of the stack's (None), which no machine has any more."""
    for owner, name, told in _tagged(api, tag):
        if machine in {None, owner}:
            for droplet in told["droplet_ids"]:
                region = told["region"]["slug"]
                api.act(f"/v2/volumes/{told['id']}", {"type": "detach", "droplet_id": droplet, "region": region})
            api.call("DELETE", f"/v2/volumes/{told['id']}")
            say(f"removed the volume {name} of {owner}")
