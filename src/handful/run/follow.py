"""How is a deploy followed that somebody else began?"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import stand_alone
from handful.errors import DeployFailed, Interrupted
from handful.machine.diagnose import unreachable
from handful.machine.ssh import relay
from handful.run.events import Event, read_event
from handful.run.together import new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handful.errors import HandfulError
    from handful.machine.access import Access


def follow(machines: Iterable[Access], stack: str, on_event: Callable[[Event], None]) -> None:
    """Pass on what the work under way on machines says, until it has ended on all of them.

    Raises DeployFailed with what failed first, and Interrupted at Ctrl-C: the deploy goes on then.
    """
    script, stop, began = stand_alone("attach", {"stack": stack}), new_stop(), time.monotonic()
    failed: list[Event] = []

    def one(access: Access) -> HandfulError | None:
        def on_line(line: str) -> None:
            event = read_event(line, access.name, time.monotonic() - began)
            if event.kind == "failed" or (event.kind == "ended" and event.data.get("outcome") != "done"):
                failed.append(event)
            on_event(event)

        ended = relay(access, script, on_line, stop.is_set)
        return unreachable(access, ended.err) if ended.cut and not stop.is_set() else None

    errors = side_by_side([partial(one, access) for access in machines], stop)
    if stop.is_set():
        raise Interrupted("no longer followed: the deploy goes on", advice="Follow it again: handful deploy --attach")
    for error in filter(None, errors):
        raise error
    if failed:
        first = failed[0]
        text = first.text or "it was interrupted, and is back on the old release"
        detail, advice = first.data.get("detail", ""), first.data.get("advice", "")
        raise DeployFailed(f"{first.machine}: {text}", detail=detail, advice=advice)
