"""A DigitalOcean of this computer; see fake_cloud."""

from __future__ import annotations

from typing import Any

from fake_cloud import FakeCloud, Refused

# Path → the key of its entries, and of one.
KINDS = {"droplets": "droplet", "firewalls": "firewall", "vpcs": "vpc", "keys": "ssh_key", "tags": "tag", "volumes": "volume"}
SIZES = ["s-1vcpu-1gb", "s-2vcpu-4gb"]
REGIONS = [{"slug": "fra1", "name": "Frankfurt", "available": True, "sizes": SIZES}, {"slug": "old1", "name": "Old", "available": False, "sizes": []}]


class FakeDigitalOcean(FakeCloud):
    """The cloud. A droplet is active at the second look."""

    spec, base, described = "digitalocean.json", "", ""
    kinds = tuple(KINDS)

    def get(self, parts: list[str], query: dict[str, str]) -> dict[str, Any]:
        """Tell; one entry a page."""
        if parts[1] == "actions":
            return {"action": {"id": int(parts[2]), "status": "completed", "type": "x"}}
        kind = parts[-1]
        every = REGIONS if kind == "regions" else list(self.kept[kind].values())
        if "tag_name" in query:
            every = [each for each in every if query["tag_name"] in each["tags"]]
        page = int(query.get("page", 1))
        rest = {key: value for key, value in query.items() if key != "page"}
        following = "&".join(f"{key}={value}" for key, value in {**rest, "page": str(page + 1)}.items())
        pages = {"pages": {"next": f"{self.endpoint}/{'/'.join(parts)}?{following}"}} if page < len(every) else {}
        shown = every[page - 1 : page]
        told = {"ssh_keys" if kind == "keys" else kind: [dict(each) for each in shown], "links": pages, "meta": {"total": len(every)}}
        for each in shown:
            if kind == "droplets":
                each["status"] = "active" if each["status"] == "new" else each["status"]
        return told

    def do(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Change."""
        kind = next(each for each in KINDS if each in parts)
        if method == "POST" and parts[-1] == kind:
            return (202 if kind in {"droplets", "firewalls"} else 201), {KINDS[kind]: self._create(kind, body)}
        number = parts[parts.index(kind) + 1]
        found = next((key for key, each in self.kept[kind].items() if number in {str(key), each["name"]}), None)
        if found is None:
            raise Refused(404, "not_found", "The resource you requested could not be found.")
        if method == "PUT":
            self.kept[kind][found] |= body
            return 200, {KINDS[kind]: self.kept[kind][found]}
        if method == "POST":
            self._act(kind, self.kept[kind][found], body)
            return 201, {"action": {"id": 5, "status": "in-progress", "type": body["type"]}}
        self._delete(kind, found)
        return 204, {}

    def _act(self, kind: str, one: dict[str, Any], body: dict[str, Any]) -> None:
        if kind == "volumes":
            assert one["region"]["slug"] == body["region"]
            if body["type"] == "resize":
                assert body["size_gigabytes"] > one["size_gigabytes"]
                one["size_gigabytes"] = body["size_gigabytes"]
            elif body["type"] == "attach":
                assert one["droplet_ids"] == []
                assert body["droplet_id"] in self.kept["droplets"]
                one["droplet_ids"] = [body["droplet_id"]]
            else:
                one["droplet_ids"].remove(body["droplet_id"])
        elif body["type"] == "resize":
            assert one["status"] == "off"
            assert body["disk"] is False
            one["size_slug"] = body["size"]
        else:
            one["status"] = {"power_on": "active", "shutdown": "off", "power_off": "off"}[body["type"]]

    def error(self, refused: Refused) -> dict[str, Any]:
        """Return the body of an error."""
        return {"id": refused.code, "message": refused.message}

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        made: dict[str, Any] = {"id": f"id-{self.number}" if kind in {"vpcs", "firewalls"} else self.number, **body}
        if kind == "tags" and body["name"] in self.names("tags"):
            return next(each for each in self.kept["tags"].values() if each["name"] == body["name"])
        if kind in {"vpcs", "firewalls"} and body["name"] in self.names(kind):
            raise Refused(409 if kind == "firewalls" else 422, "conflict", "duplicate name")
        if kind == "firewalls":
            assert set(body["tags"]) <= set(self.names("tags"))
        if kind == "volumes":
            if body["name"] in self.names("volumes"):
                raise Refused(409, "conflict", "failed to create volume: name is already in use")
            made |= {"id": f"id-{self.number}", "droplet_ids": [], "region": {"slug": body["region"]}}
            for tag in body["tags"]:
                self._create("tags", {"name": tag})
        if kind == "vpcs":
            made.setdefault("ip_range", f"10.{self.number % 200}.0.0/20")
        if kind == "droplets":
            made |= self._droplet(body)
        self.kept[kind][made["id"]] = made
        return made

    def _droplet(self, body: dict[str, Any]) -> dict[str, Any]:
        if len(self.kept["droplets"]) >= self.limit:
            raise Refused(403, "forbidden", "droplet limit exceeded")
        assert body["vpc_uuid"] in self.kept["vpcs"]
        assert set(body["ssh_keys"]) <= self.kept["keys"].keys()
        for tag in body["tags"]:
            self._create("tags", {"name": tag})
        private = f"{self.kept['vpcs'][body['vpc_uuid']]['ip_range'].rpartition('.')[0]}.{self.number % 200 + 2}"
        addresses = [{"ip_address": self.boot(body["name"]), "type": "public"}, {"ip_address": private, "type": "private"}]
        return {"status": "new", "networks": {"v4": addresses, "v6": []}, "size_slug": body["size"]}

    def _delete(self, kind: str, number: Any) -> None:
        if kind == "vpcs" and any(each["vpc_uuid"] == number for each in self.kept["droplets"].values()):
            raise Refused(403, "forbidden", "Can not delete VPC with members")
        if kind == "volumes" and self.kept[kind][number]["droplet_ids"]:
            raise Refused(422, "unprocessable_entity", "volume is attached")
        if kind == "droplets":
            self.stop(self.kept[kind][number]["name"])
            for volume in self.kept["volumes"].values():
                volume["droplet_ids"] = [each for each in volume["droplet_ids"] if each != number]
        del self.kept[kind][number]
