"""A Hetzner Cloud of this computer; see fake_cloud."""

from __future__ import annotations

from typing import Any

from fake_cloud import FakeCloud, Refused

KINDS = {
    "servers": "server", "ssh_keys": "ssh_key", "networks": "network", "firewalls": "firewall", "volumes": "volume", "primary_ips": "primary_ip",
}
LOCATIONS = [{"id": 1, "name": "fsn1", "network_zone": "eu-central"}, {"id": 2, "name": "nbg1", "network_zone": "eu-central"}]
SIZES = [{"id": 1, "name": "cx22"}, {"id": 2, "name": "cx32"}]
DONE = {"id": 7, "status": "success", "command": "x", "progress": 100, "started": None, "finished": None, "resources": [], "error": None}


class FakeHetzner(FakeCloud):
    """The cloud."""

    spec, base, described = "hetzner.json", "/v1", ""
    kinds = tuple(KINDS)

    def get(self, parts: list[str], query: dict[str, str]) -> dict[str, Any]:
        """Tell; one entry a page."""
        kind = parts[0]
        if kind == "actions" or "actions" in parts:
            return {"action": DONE}
        fixed = {"locations": LOCATIONS, "server_types": SIZES}
        every = list(self.kept[kind].values()) if kind in KINDS else fixed[kind]
        if len(parts) > 1:
            return {KINDS[kind]: self._one(kind, int(parts[1]))}
        if "name" in query:
            every = [each for each in every if each["name"] == query["name"]]
        if "label_selector" in query:
            key, _, value = query["label_selector"].partition("=")
            every = [each for each in every if each["labels"].get(key) == value]
        page, size = int(query.get("page", 1)), 1
        pages = max(1, -(-len(every) // size))
        told = {"page": page, "per_page": size, "previous_page": None, "next_page": page + 1 if page < pages else None, "last_page": pages,
                "total_entries": len(every)}
        return {kind: every[(page - 1) * size : page * size], "meta": {"pagination": told}}

    def _one(self, kind: str, number: int) -> dict[str, Any]:
        if number not in self.kept[kind]:
            raise Refused(404, "not_found", f"{KINDS[kind]} not found")
        return self.kept[kind][number]

    def do(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Change."""
        kind = parts[0]
        if method == "POST" and len(parts) == 1:
            return 201, self._create(kind, body)
        one = self._one(kind, int(parts[1]))
        if method == "DELETE":
            self._delete(kind, one)
            return (200, {"action": DONE}) if kind == "servers" else (204, {})
        if method == "PUT":
            one |= body
            return 200, {KINDS[kind]: one}
        {
            "poweron": self._power_on, "attach_to_network": self._attach, "set_rules": self._rules, "shutdown": self._shut_down,
            "apply_to_resources": self._apply_firewall, "change_type": self._change_type, "attach": self._attach_volume, "detach": self._detach_volume, "resize": self._resize_volume,
        }[parts[3]](one, body)
        return 201, {"action": DONE, "actions": [DONE]}

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["name"] in self.names(kind):
            raise Refused(409, "uniqueness_error", f"{KINDS[kind]} name is already used")
        self.number += 1
        made = {"id": self.number, "created": "2026-01-01T00:00:00+00:00", "labels": {}, **body}
        more: dict[str, Any] = {}
        if kind == "servers":
            made |= self._server_of(body)
            more = {"action": DONE, "next_actions": [], "root_password": None}
        if kind == "firewalls":
            made |= {"applied_to": [], "rules": whole(body["rules"])}
            more = {"actions": []}
        if kind == "networks":
            made |= {"routes": [], "servers": [], "protection": {"delete": False}}
        if kind == "volumes":
            made |= {"status": "available", "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{made['id']}", "protection": {"delete": False}}
            made["server"] = None
            if "server" in body:
                self._attach_volume(made, body)
            more = {"action": DONE, "next_actions": []}
        self.kept[kind][made["id"]] = made
        if kind == "servers":
            made["public_net"]["ipv4"] = self._address_of(made, body)
            for each in body["firewalls"]:
                self._put_before(self._one("firewalls", each["firewall"]), made["id"])
        return {KINDS[kind]: made, **more}

    def _address_of(self, server: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Each address is a thing of its own, which goes with its server unless it is told not to."""
        number = body.get("public_net", {}).get("ipv4")
        if number is None:
            self.number += 1
            number = self.number
            ip = {"id": number, "name": f"primary_ip-{number}", "ip": self.boot(body["name"]), "labels": {}, "auto_delete": True, "type": "ipv4"}
            self.kept["primary_ips"][number] = {**ip, "assignee_type": "server", "dns_ptr": [], "blocked": False, "created": "2026-01-01T00:00:00+00:00"}
        else:
            self.boot(body["name"])
        address = self._one("primary_ips", number)
        assert address.get("assignee_id") is None
        address["assignee_id"] = server["id"]
        return {"id": number, "ip": address["ip"], "blocked": False, "dns_ptr": ""}

    def _server_of(self, body: dict[str, Any]) -> dict[str, Any]:
        if len(self.kept["servers"]) >= self.limit:
            raise Refused(403, "resource_limit_exceeded", "server limit exceeded")
        assert {each["firewall"] for each in body["firewalls"]} <= self.kept["firewalls"].keys()
        assert set(body["ssh_keys"]) <= set(self.names("ssh_keys"))
        network = {"ipv4": None, "ipv6": None, "floating_ips": []}
        size = next(each for each in SIZES if each["name"] == body["server_type"])
        return {"status": "running", "public_net": network, "private_net": [], "server_type": size, "image": None, "location": None}

    def _delete(self, kind: str, one: dict[str, Any]) -> None:
        used = {
            "networks": any(each["network"] == one["id"] for server in self.kept["servers"].values() for each in server["private_net"]),
            "firewalls": bool(one.get("applied_to")),
        }
        if used.get(kind):
            raise Refused(409, "resource_in_use", f"{KINDS[kind]} is still in use")
        if kind == "volumes" and one["server"] is not None:
            raise Refused(409, "volume_already_attached", "volume is still attached")
        if kind == "servers":
            self.stop(one["name"])
            for firewall in self.kept["firewalls"].values():
                firewall["applied_to"] = [each for each in firewall["applied_to"] if each["server"]["id"] != one["id"]]
            for volume in self.kept["volumes"].values():
                volume["server"] = None if volume["server"] == one["id"] else volume["server"]
            address = self._one("primary_ips", one["public_net"]["ipv4"]["id"])
            address["assignee_id"] = None
            if address["auto_delete"]:
                del self.kept["primary_ips"][address["id"]]
        del self.kept[kind][one["id"]]

    def _power_on(self, server: dict[str, Any], _: dict[str, Any]) -> None:
        server["status"] = "running"
        self.boot(server["name"])

    def _shut_down(self, server: dict[str, Any], _: dict[str, Any]) -> None:
        server["status"] = "off"
        self.halt(server["name"])

    def _change_type(self, server: dict[str, Any], body: dict[str, Any]) -> None:
        if server["status"] != "off":
            raise Refused(422, "server_not_stopped", "server is not stopped")
        assert body["upgrade_disk"] is False
        server["server_type"] = next(each for each in SIZES if each["name"] == body["server_type"])

    def _attach_volume(self, volume: dict[str, Any], body: dict[str, Any]) -> None:
        assert volume["server"] is None
        server = self._one("servers", body["server"])
        volume["server"] = server["id"]
        self.plug(server["name"], volume["linux_device"], volume["size"])

    def _detach_volume(self, volume: dict[str, Any], _: dict[str, Any]) -> None:
        volume["server"] = None

    def _resize_volume(self, volume: dict[str, Any], body: dict[str, Any]) -> None:
        assert body["size"] > volume["size"]
        volume["size"] = body["size"]
        if volume["server"] is not None:
            self.plug(self._one("servers", volume["server"])["name"], volume["linux_device"], volume["size"])

    def _attach(self, server: dict[str, Any], body: dict[str, Any]) -> None:
        network = self._one("networks", body["network"])
        base = network["ip_range"].rpartition(".")[0]
        address = self.private(server["name"]) or body.get("ip") or f"{base}.{server['id']}"
        server["private_net"] = [{"network": network["id"], "ip": address, "alias_ips": [], "mac_address": ""}]

    def _apply_firewall(self, firewall: dict[str, Any], body: dict[str, Any]) -> None:
        for each in body["apply_to"]:
            self._put_before(firewall, self._one("servers", each["server"]["id"])["id"])

    def _put_before(self, firewall: dict[str, Any], number: int) -> None:
        firewall["applied_to"].append({"type": "server", "server": {"id": number}})

    def _rules(self, firewall: dict[str, Any], body: dict[str, Any]) -> None:
        firewall["rules"] = whole(body["rules"])


def whole(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rules as the cloud tells them."""
    return [{"destination_ips": [], "port": None, "description": None, **rule} for rule in rules]
