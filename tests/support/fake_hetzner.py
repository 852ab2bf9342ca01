"""A Hetzner Cloud of this computer: it remembers, and each request must be one that the vendor's description allows.

Its servers are what a test gives it; machines of the lab, or nothing but addresses. `fail_at` breaks off the n-th request that
changes something, before or after it was done, as a line that is cut does.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "hetzner.json").read_text(encoding="utf-8"))
TOKEN = "right"  # noqa: S105  # of the fake
KINDS = {"servers": "server", "ssh_keys": "ssh_key", "networks": "network", "firewalls": "firewall"}
LOCATIONS = [{"id": 1, "name": "fsn1", "network_zone": "eu-central"}, {"id": 2, "name": "nbg1", "network_zone": "eu-central"}]
SIZES = [{"id": 1, "name": "cx22"}, {"id": 2, "name": "cx32"}]
DONE = {"id": 7, "status": "success", "command": "x", "progress": 100, "started": None, "finished": None, "resources": [], "error": None}
LOCATION = re.compile(r"\{[^/]+\}")


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"code": code, "message": message, "details": {}}}


class FakeHetzner:
    """The cloud; `changes` are the requests that changed something, `limit` is how many servers there may be."""

    def __init__(self, boot: Callable[[str], str], stop: Callable[[str], None]) -> None:
        self.boot, self.stop = boot, stop
        self.changes: list[str] = []
        self.limit = 10
        self.fail_at, self.fail_after = 0, False
        self.kept: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self._number = 100
        handler = type("Handler", (Handler,), {"cloud": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()

    def names(self, kind: str) -> list[str]:
        """Return what is there of a kind."""
        return [each["name"] for each in self.kept[kind].values()]

    def answer(self, method: str, url: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body; a request that the description does not allow is an error of the client's."""
        if token != f"Bearer {TOKEN}":
            raise Refused(401, "unauthorized", "unable to authenticate")
        told = urlsplit(url)
        path = told.path.removeprefix("/v1")
        check(path, method, body)
        if method != "GET":
            self.changes.append(f"{method} {path}")
            breaks = len(self.changes) == self.fail_at
            if breaks and not self.fail_after:
                raise ConnectionAbortedError
            found = self._do(method, path.strip("/").split("/"), body)
            if breaks:
                raise ConnectionAbortedError
            return found
        return 200, self._get(path.strip("/").split("/"), {key: value[0] for key, value in parse_qs(told.query).items()})

    def _get(self, parts: list[str], query: dict[str, str]) -> dict[str, Any]:
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

    def _do(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kind = parts[0]
        if method == "POST" and len(parts) == 1:
            return 201, self._create(kind, body)
        one = self._one(kind, int(parts[1]))
        if method == "DELETE":
            self._delete(kind, one)
            return (200, {"action": DONE}) if kind == "servers" else (204, {})
        {"poweron": self._power_on, "attach_to_network": self._attach, "set_rules": self._rules}[parts[3]](one, body)
        return 201, {"action": DONE, "actions": [DONE]}

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["name"] in self.names(kind):
            raise Refused(409, "uniqueness_error", f"{KINDS[kind]} name is already used")
        self._number += 1
        made = {"id": self._number, "created": "2026-01-01T00:00:00+00:00", "labels": {}, **body}
        more: dict[str, Any] = {}
        if kind == "servers":
            made |= self._server_of(body)
            more = {"action": DONE, "next_actions": [], "root_password": None}
        if kind == "firewalls":
            made |= {"applied_to": [], "rules": whole(body["rules"])}
            more = {"actions": []}
        if kind == "networks":
            made |= {"routes": [], "servers": [], "protection": {"delete": False}}
        self.kept[kind][made["id"]] = made
        return {KINDS[kind]: made, **more}

    def _server_of(self, body: dict[str, Any]) -> dict[str, Any]:
        if len(self.kept["servers"]) >= self.limit:
            raise Refused(403, "resource_limit_exceeded", "server limit exceeded")
        assert {each["firewall"] for each in body["firewalls"]} <= self.kept["firewalls"].keys()
        assert set(body["ssh_keys"]) <= set(self.names("ssh_keys"))
        network = {"ipv4": {"id": 1, "ip": self.boot(body["name"]), "blocked": False, "dns_ptr": ""}, "ipv6": None, "floating_ips": []}
        size = next(each for each in SIZES if each["name"] == body["server_type"])
        return {"status": "running", "public_net": network, "private_net": [], "server_type": size, "image": None, "location": None}

    def _delete(self, kind: str, one: dict[str, Any]) -> None:
        used = {
            "networks": any(each["network"] == one["id"] for server in self.kept["servers"].values() for each in server["private_net"]),
            "firewalls": any(one["id"] in {each["firewall"] for each in server["firewalls"]} for server in self.kept["servers"].values()),
        }
        if used.get(kind):
            raise Refused(409, "resource_in_use", f"{KINDS[kind]} is still in use")
        if kind == "servers":
            self.stop(one["name"])
        del self.kept[kind][one["id"]]

    def _power_on(self, server: dict[str, Any], _: dict[str, Any]) -> None:
        server["status"] = "running"

    def _attach(self, server: dict[str, Any], body: dict[str, Any]) -> None:
        network = self._one("networks", body["network"])
        base = network["ip_range"].rpartition(".")[0]
        address = body.get("ip") or f"{base}.{server['id']}"
        server["private_net"] = [{"network": network["id"], "ip": address, "alias_ips": [], "mac_address": ""}]

    def _rules(self, firewall: dict[str, Any], body: dict[str, Any]) -> None:
        firewall["rules"] = whole(body["rules"])


def whole(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rules as the cloud tells them."""
    return [{"destination_ips": [], "port": None, "description": None, **rule} for rule in rules]


def check(path: str, method: str, body: dict[str, Any]) -> None:
    """Refuse what the vendor's description does not have: the path, the method, or the body."""
    fits = [each for each in SPEC["paths"] if re.fullmatch(LOCATION.sub("[^/]+", each), path) and method.lower() in SPEC["paths"][each]]
    assert fits, f"{method} {path} is in no description"
    told = SPEC["paths"][min(fits, key=lambda each: each.count("{"))][method.lower()].get("requestBody")
    if told is None:
        return
    schema = {**told["content"]["application/json"]["schema"], "components": SPEC["components"]}
    jsonschema.Draft202012Validator(schema).validate(body)


class Handler(BaseHTTPRequestHandler):
    """Hands requests on to the cloud."""

    cloud: FakeHetzner

    def do_GET(self) -> None:  # http.server's name
        """Answer."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        try:
            status, told = self.cloud.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
        except Refused as refused:
            status, told = refused.status, refused.body
        except ConnectionAbortedError:
            self.close_connection = True
            return
        except (AssertionError, jsonschema.ValidationError) as wrong:
            status, told = 422, {"error": {"code": "not_as_described", "message": str(wrong).splitlines()[0], "details": {}}}
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_DELETE = do_GET  # likewise

    def log_message(self, *_: object) -> None:
        """Say nothing."""
