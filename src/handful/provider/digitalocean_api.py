"""DigitalOcean's interface: plain HTTP, as the vendor's own library brings 100 MB of others along."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from handful.errors import MachineError
from handful.provider.cloud import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDPOINT = "https://api.digitalocean.com"
TIMEOUT_SECONDS, ACTION_SECONDS = 30, 600.0
# Of a list, so that one that never ends is not followed for ever.
MOST_PAGES, PER_PAGE = 500, 100
ADVICE = MappingProxyType({
    401: "The token is wrong, expired, or was deleted: make one in the console, under API.",
    403: "The token lacks a right (docs/guide/providers.md lists them), or a limit of the account is reached.",
    429: "Too many requests within the hour: try again later. What was made is kept.",
})


class Api:
    """Requests with a token."""

    def __init__(self, token: str, endpoint: str, poll_seconds: float) -> None:
        """Nothing is asked yet; `poll_seconds` is between two looks at what takes its time."""
        self._token, self._endpoint, self.poll = token, endpoint, poll_seconds

    def act(self, path: str, told: Mapping[str, Any]) -> None:
        """Have something done that takes its time, and return when it is. Raises MachineError."""
        begun = self.call("POST", f"{path}/actions", told)["action"]

        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = self.call("GET", f"/v2/actions/{begun['id']}")["action"]
            return None if now["status"] == "in-progress" else now

        late = f"DigitalOcean has not ended {told['type']}"
        running = begun["status"] == "in-progress"
        action = until(ended, late, ACTION_SECONDS, self.poll) if running else begun
        if action["status"] != "completed":
            message = f"DigitalOcean could not {told['type']} ({action['status']})"
            raise MachineError(message, advice="Look at the console, then: handful machines apply")

    def every(self, path: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield all entries of a list, page by page."""
        following = f"{path}?{urlencode({**query, 'per_page': PER_PAGE})}"
        for _ in range(MOST_PAGES):
            told = self.call("GET", following)
            yield from told[key]
            following = (told.get("links", {}).get("pages") or {}).get("next", "")
            if not following:
                return
            parts = urlsplit(following)
            following = f"{parts.path}?{parts.query}"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Raises MachineError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(f"{self._endpoint}{path}", data, headers, method=method)  # noqa: S310  # the endpoint is https
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # likewise
                read = answer.read()
            return json.loads(read) if read else {}
        except HTTPError as refused:
            with refused:
                said = refused.read().decode(errors="replace")
            advice = ADVICE.get(refused.code, "What was made is kept. Mend it, then: handful machines apply")
            message = f"DigitalOcean refuses {method} {path.partition('?')[0]} ({refused.code})"
            raise MachineError(message, detail=said[:500], advice=advice) from refused
        except (URLError, OSError, ValueError) as wrong:
            message, advice = "DigitalOcean's API does not answer as it should", "What was made is kept: try again."
            raise MachineError(message, detail=str(wrong), advice=advice) from wrong
