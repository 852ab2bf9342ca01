"""What does a long way to the machine cost? `by_hand_s` is handful's own time without it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

from harness.fleet import of_lab
from harness.pairs import Limit, Result, in_pairs

if TYPE_CHECKING:
    from harness.site import Site

ROUND_TRIP = 0.050
PORT = 22


def measure(site: Site) -> Result:
    """Change an app over a relay that holds everything back for 25 ms each way, and without it; each connects anew."""
    site.have(1)
    fleet = of_lab(site, "rtt", ("m1",), build={"context": "."}, port=8000, health={"path": "/up"})
    config = site.own_folder / "ssh_config"
    with Relay(site.address("m1")) as relay:
        far = config.with_name("ssh_config.far")
        there, here = f"HostName {site.address('m1')}\n", f"HostName 127.0.0.1\n  Port {relay.port}\n"
        text = config.read_text(encoding="utf-8").replace(there, here)
        far.write_text(text + "  HostKeyAlias m1\n", encoding="utf-8")

        def over_relay(_: int) -> float:
            fleet.change()
            return fleet.handful("deploy", config=far, fresh=True)

        def without(_: int) -> float:
            fleet.change()
            return fleet.handful("deploy", fresh=True)

        result = in_pairs(over_relay, without, site.say)
    found = Result("rtt", result)
    added = found.median_s - found.by_hand_s
    return Result("rtt", result, (Limit("added by 50 ms of round trip", added, 1.0, " s"),), {"added_s": added})


class Relay:
    """Passes bytes on to an sshd, each as late as half a round trip, in a thread of its own."""

    def __init__(self, target: str) -> None:
        """Nothing is open yet."""
        self._target, self._loop, self.port = target, asyncio.new_event_loop(), 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        """Listen on a free port of this computer."""
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target, PORT)
        await asyncio.gather(_late(reader, back), _late(there, writer), return_exceptions=True)


async def _cancel_others() -> None:
    """End what still passes on: ssh keeps its connection for the next session."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, late, but without making it come slower."""
    loop = asyncio.get_running_loop()
    while chunk := await reader.read(65536):
        loop.call_later(ROUND_TRIP / 2, writer.write, chunk)
    loop.call_later(ROUND_TRIP / 2, writer.close)
