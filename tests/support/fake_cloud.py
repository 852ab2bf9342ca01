"""A provider's interface on this computer, for tests: it remembers, and each request must be one that the vendor's description allows.

Its servers are what a test gives it: machines of the lab, or nothing but addresses.
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

VECTORS = Path(__file__).parents[1] / "vectors"
TOKEN = "right"  # noqa: S105  # of the fake
VARIABLE = re.compile(r"\{[^/]+\}")


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class FakeCloud:
    """What fakes have in common. `changes` are the requests that changed something, `limit` is how many servers there may be.

    `fail_at` breaks off the n-th change, before it was done or (`fail_after`) after it, as a line that is cut does. `boot` makes the
    server of a name and returns its address, `stop` removes it. `kept` is what is there, by kind and number.
    """

    # Of the vendor: the file of its description, what its paths begin with here, and there.
    spec, base, described = "", "", ""
    kinds: tuple[str, ...] = ()

    def __init__(self, boot: Callable[[str], str], stop: Callable[[str], None]) -> None:
        self.boot, self.stop = boot, stop
        # Further things that happen to a server: it is switched off; it gets a volume, or a larger one (server, device, gigabytes).
        self.halt: Callable[[str], None] = lambda _: None
        self.plug: Callable[[str, str, int], None] = lambda *_: None
        # A server's address in the private network, "" for one that is made up.
        self.private: Callable[[str], str] = lambda _: ""
        self.changes: list[str] = []
        self.limit, self.number = 10, 100
        self.fail_at, self.fail_after = 0, False
        self.kept: dict[str, dict[Any, dict[str, Any]]] = {kind: {} for kind in self.kinds}
        self._described: dict[str, Any] = json.loads((VECTORS / self.spec).read_text(encoding="utf-8"))
        handler = type("Handler", (Handler,), {"cloud": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}{self.base}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()

    def names(self, kind: str) -> list[str]:
        """Return what is there of a kind."""
        return [each["name"] for each in self.kept[kind].values()]

    def answer(self, method: str, url: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body."""
        if token != f"Bearer {TOKEN}":
            raise Refused(401, "unauthorized", "unable to authenticate")
        told = urlsplit(url)
        path = told.path.removeprefix(self.base)
        self.check(self.described + path, method, body)
        parts = path.strip("/").split("/")
        if method == "GET":
            return 200, self.get(parts, {key: value[0] for key, value in parse_qs(told.query).items()})
        self.changes.append(f"{method} {path}")
        breaks = len(self.changes) == self.fail_at
        if breaks and not self.fail_after:
            raise ConnectionAbortedError
        found = self.do(method, parts, body)
        if breaks:
            raise ConnectionAbortedError
        return found

    def check(self, path: str, method: str, body: dict[str, Any]) -> None:
        """Refuse what the vendor's description does not have: the path, the method, or the body."""
        paths = self._described["paths"]
        fits = [each for each in paths if re.fullmatch(VARIABLE.sub("[^/]+", each), path) and method.lower() in paths[each]]
        assert fits, f"{method} {path} is in no description"
        told = paths[min(fits, key=lambda each: each.count("{"))][method.lower()].get("requestBody")
        if told is not None and "content" in told:
            schema = {**told["content"]["application/json"]["schema"], "components": self._described["components"]}
            jsonschema.Draft202012Validator(schema).validate(body)

    def get(self, parts: list[str], query: dict[str, str]) -> dict[str, Any]:
        """Tell."""
        raise NotImplementedError

    def do(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Change."""
        raise NotImplementedError

    def error(self, refused: Refused) -> dict[str, Any]:
        """Return the body of an error."""
        return {"error": {"code": refused.code, "message": refused.message, "details": {}}}


class Handler(BaseHTTPRequestHandler):
    """Hands requests on to the cloud."""

    cloud: FakeCloud

    def do_GET(self) -> None:  # http.server's name
        """Answer."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        try:
            status, told = self.cloud.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
        except Refused as refused:
            status, told = refused.status, self.cloud.error(refused)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        except (AssertionError, jsonschema.ValidationError) as wrong:
            refused = Refused(422, "not_as_described", str(wrong).splitlines()[0])
            status, told = 422, self.cloud.error(refused)
        text = b"" if status == 204 else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_DELETE = do_GET  # likewise

    def log_message(self, *_: object) -> None:
        """Say nothing."""
