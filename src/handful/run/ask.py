"""How are the agents of many machines asked, and their answers taken as they come?"""

from __future__ import annotations

import json
import time
from functools import partial
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError, ObserveFailed, UsageError
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import relay
from handful.run.together import new_stop, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from handful.machine.access import Access
    from handful.machine.session import Ended
    from handful.run.together import Stop

    # (machine, what it said); None, or an error: it says no more.
    Told = dict[str, Any] | HandfulError | None
    Answers = Queue[tuple[str, Told]]

# So many answers wait for whoever takes them; then the machine does.
MOST_WAITING = 1000
# How often somebody who waits looks up.
PAUSE_SECONDS = 0.2
# As a shell tells of a program that was ended by SIGKILL.
KILLED = 137
SIMPLER = "Make it simpler, or look for words: --grep"


def ask_in_turn(
    machines: Iterable[Access], script: str, take: Callable[[Mapping[str, Iterator[dict[str, Any]]]], None]
) -> HandfulError | None:
    """Run a script on machines side by side; `take` is given what each says, one after the other.

    Returns the first machine's error, once the others have been heard. Raises KeyboardInterrupt, and what `take` does.
    """
    queues: dict[str, Answers] = {access.name: Queue(MOST_WAITING) for access in machines}
    streams = {name: _until_end(queue) for name, queue in queues.items()}
    return _ask_all(machines, script, queues, lambda: take(streams))


def ask_as_they_come(
    machines: Iterable[Access], script: str, take: Callable[[str, dict[str, Any]], None],
    pause: Callable[[], None], ended: Callable[[str, HandfulError | None], None],
) -> HandfulError | None:
    """As ask_in_turn, but `take` is given each answer when it comes; `pause` is called several times a second.

    `ended` is told of each machine that says no more, and why: others may go on for ever.
    """
    queue: Answers = Queue(MOST_WAITING)
    names = [access.name for access in machines]

    def consume() -> None:
        left = len(names)
        while left:
            try:
                machine, told = queue.get(timeout=PAUSE_SECONDS)
            except Empty:
                pause()
                continue
            if isinstance(told, dict):
                take(machine, told)
                pause()
            else:
                left -= 1
                ended(machine, told)
        pause()

    return _ask_all(machines, script, dict.fromkeys(names, queue), consume)


def _until_end(queue: Answers) -> Iterator[dict[str, Any]]:
    while True:
        _, told = queue.get()
        if not isinstance(told, dict):
            return
        yield told


def _ask_all(
    machines: Iterable[Access], script: str, queues: Mapping[str, Answers], consume: Callable[[], None]
) -> HandfulError | None:
    stop, interrupted = new_stop(), list[KeyboardInterrupt]()

    def watched() -> None:
        try:
            consume()
        except BaseException as ended:
            # Nobody takes answers any more: machines must not wait for that.
            stop.set()
            if isinstance(ended, KeyboardInterrupt):
                interrupted.append(ended)
            raise

    jobs = [partial(_ask, access, script, queues[access.name], stop) for access in machines]
    errors = side_by_side(jobs, stop, watched)
    if interrupted:
        raise interrupted[0]
    return next((error for error in errors if error is not None), None)


def _ask(access: Access, script: str, queue: Answers, stop: Stop) -> HandfulError | None:
    refused: list[HandfulError] = []

    def on_line(line: str) -> None:
        told = _read(line)
        if told is None or "failed" in told:
            message = str(told["failed"]) if told else f"{access.name} said what is no answer: {line[:200]}"
            refused.append(UsageError(message, advice=SIMPLER) if told else ObserveFailed(message))
        else:
            # Clocks are compared by this; whoever takes the answer may do so much later.
            _put(queue, (access.name, {**told, "came": time.time()} if "now" in told else told), stop)

    error: HandfulError | None = None
    try:
        error = _outcome(access, relay(access, script, on_line, stop.is_set), refused)
    finally:
        _put(queue, (access.name, error), stop)
    return None if stop.is_set() else error


def _outcome(access: Access, ended: Ended, refused: list[HandfulError]) -> HandfulError | None:
    if refused:
        return refused[0]
    if ended.cut:
        return unreachable(access, ended.err)
    if ended.status == KILLED:
        message = f"{access.name}: the search was killed, for memory as it seems"
        return ObserveFailed(message, advice="Ask for less: --since, --until, APP, -n")
    return None if ended.status == 0 else ObserveFailed(f"{access.name}: {last_lines(ended.err) or 'no answer'}")


def _read(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _put(queue: Answers, told: tuple[str, Told], stop: Stop) -> None:
    while not stop.is_set():
        try:
            queue.put(told, timeout=PAUSE_SECONDS)
        except Full:
            continue
        return
