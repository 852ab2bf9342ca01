"""How is a plan carried out on many machines, and how did it end on each?"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from handful.artifact.script import observe, source, work_script
from handful.errors import ConnectionLost, DeployFailed, HandfulError, Interrupted, LoginRefused, ObserveFailed
from handful.facts.parse import parse
from handful.machine.diagnose import unreachable
from handful.machine.local import last_lines
from handful.machine.ssh import ask, relay, work
from handful.run.events import Event, read_event
from handful.run.fleet import words
from handful.run.together import Crew, nothing, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from handful.facts.model import Facts
    from handful.machine.access import Access
    from handful.plan.model import Plan, Work
    from handful.run.together import Doing

    OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Operator:
    """Who carries the plan out, as a lock's holder is named to others, and where events go."""

    holder: str
    on_event: OnEvent
    started: float

    def tell(self, kind: str, text: str, machine: str = "", **data: str) -> None:
        """Pass on an event of the operator's own side."""
        self.on_event(Event(kind, text, machine, time.monotonic() - self.started, data))


def look(
    machines: Iterable[Access], stack: str, *, whole: bool = True, check: bool = False, may_ask: bool = False,
    meanwhile: Doing = nothing,
) -> dict[str, Facts | HandfulError]:
    """Observe machines side by side: one ssh session each. A machine that cannot be observed gives its error.

    `whole` facts are those that can be planned with; `check`: with what was changed by hand. `meanwhile` is done while
    the machines answer.
    `may_ask`: ssh may ask at the terminal for what lets it in, one machine after the other; the sessions that follow
    share that connection.
    """
    machines = tuple(machines)
    script = observe(stack, whole=whole, check=check)
    found = side_by_side([partial(_look, access, script) for access in machines], meanwhile=meanwhile)
    told = {access.name: facts for access, facts in zip(machines, found, strict=True)}
    for access in machines:
        if may_ask and access.sockets and isinstance(told[access.name], LoginRefused):
            told[access.name] = _look(access, script, batch=False)
    return told


def tell(machines: Iterable[Access], script: str) -> list[HandfulError | None]:
    """Run a script on machines side by side, one ssh session each; None for each on which it went well."""
    return side_by_side([partial(_tell, access, script) for access in machines])


def carry_out(
    plan: Plan, machines: Mapping[str, Access], uploads: Mapping[str, Mapping[str, bytes]], operator: Operator
) -> None:
    """Carry out a plan wave by wave; `uploads` maps a machine that is given releases to their files.

    A wave begins when all of the one before have ended well, or wait for a word that this one waits for, too. When one
    machine fails, or at Ctrl-C, all that have not been told to finish go back.
    Raises DeployFailed or Interrupted, naming the machines that took the plan, and those that did not.
    """
    crew = Crew(plan)
    jobs: list[tuple[str, Future[HandfulError | None]]] = []

    def begin(each: Work) -> None:
        crew.begins(each.machine)
        files = uploads[each.machine] if each.releases else {}
        job = pool.submit(_work, plan, each, machines[each.machine], files, operator, crew)
        jobs.append((each.machine, job))

    with ThreadPoolExecutor(max_workers=sum(map(len, plan.waves)) or 1) as pool:
        try:
            _in_waves(plan, crew, begin)
        except KeyboardInterrupt:
            crew.interrupt()
        failures = {name: error for name, job in jobs if (error := job.result())}
    if failures or (crew.interrupted and len(jobs) < sum(map(len, plan.waves))):
        raise _stopped(plan, [name for name, _ in jobs if name not in failures], failures, crew)


def _in_waves(plan: Plan, crew: Crew, begin: Callable[[Work], None]) -> None:
    for place, wave in enumerate(plan.waves):
        if not any(words(each) for each in wave):
            crew.wait(each for earlier in plan.waves[:place] for each in earlier)
        if crew.stopped():
            return
        for each in wave:
            begin(each)
        crew.wait(wave, resting=True)


def stream(machines: Iterable[Access], script: str, show: Callable[[str, str], None]) -> None:
    """Run a script on machines side by side and show each line with its machine, as it comes.

    Raises the first machine's error, after the other machines' lines were shown.
    """
    stop = threading.Event()
    jobs = [partial(_stream, access, script, show, stop) for access in machines]
    errors = [error for error in side_by_side(jobs, stop) if error is not None]
    if stop.is_set():
        raise Interrupted("interrupted")
    if errors:
        raise errors[0]


def _tell(access: Access, script: str) -> HandfulError | None:
    ended = ask(access, script)
    if ended.cut:
        return unreachable(access, ended.err)
    return None if ended.status == 0 else DeployFailed(f"{access.name}: {last_lines(ended.err) or 'it failed'}")


def _stream(
    access: Access, script: str, take: Callable[[str, str], None], stop: threading.Event
) -> HandfulError | None:
    ended = relay(access, script, lambda line: take(access.name, line), stop.is_set)
    if ended.cut:
        return unreachable(access, ended.err)
    return (
        None
        if ended.status == 0
        else ObserveFailed(f"{access.name} did not answer", detail=last_lines(ended.err))
    )


def _look(access: Access, script: str, *, batch: bool = True) -> Facts | HandfulError:
    asked = time.time()
    ended = ask(access, script, batch=batch)
    answered = time.time()
    if ended.cut:
        return unreachable(access, ended.err)
    if ended.status != 0:
        return ObserveFailed(
            f"{access.name} did not tell its facts (exit code {ended.status})",
            detail=last_lines(ended.err),
            advice="handful works as root, or as a user with password-less sudo.",
        )
    try:
        facts = parse(access.name, ended.out)
        # The machine looked at its clock at some moment between question and answer.
        return replace(facts, skew=facts.clock - min(max(facts.clock, asked), answered))
    except HandfulError as wrong:
        return wrong


def _work(
    plan: Plan, work_: Work, access: Access, files: Mapping[str, bytes], operator: Operator, crew: Crew
) -> HandfulError | None:
    """Run one machine's script; None when it ended well."""
    well = False
    try:
        error = _worked(plan, work_, access, files, operator, crew)
        well = error is None
    finally:
        crew.ends(access.name, well=well)
    return error


def _worked(
    plan: Plan, work_: Work, access: Access, files: Mapping[str, bytes], operator: Operator, crew: Crew
) -> HandfulError | None:
    from handful.artifact.bundle import bundle

    failure: list[Event] = []
    outcome: list[str] = []

    def on_line(line: str) -> None:
        event = read_event(line, access.name, time.monotonic() - operator.started)
        if event.kind == "ended":
            outcome.append(event.data.get("outcome", "failed"))
        elif event.kind == "failed":
            failure.append(event)
        elif event.kind == "waits":
            crew.asks(access.name, event.data["word"])
        operator.on_event(event)

    script = work_script(plan, work_, operator.holder)
    tar = bundle({"session.bash": source("session").encode(), "work.bash": script.encode(), **files})
    ended = work(access, tar, on_line, crew.stopped, lambda: crew.next_word(access.name))
    if outcome == ["done"]:
        return None
    return _failure(access, ended.cut, ended.err, failure, outcome)


def _failure(access: Access, cut: bool, said: str, failure: list[Event], outcome: list[str]) -> HandfulError:  # noqa: FBT001  # private
    if outcome == ["interrupted"]:
        return DeployFailed(f"{access.name} was interrupted and is back on the old release")
    if failure:
        event = failure[0]
        detail, advice = event.data.get("detail", ""), event.data.get("advice", "")
        if not detail and not advice:
            # What nobody foresaw: the words of the program that failed are all there is.
            detail, advice = last_lines(said), "See: handful status"
        return DeployFailed(f"{access.name}: {event.text}", detail=detail, advice=advice)
    if cut and not outcome:
        lost = unreachable(access, said)
        return ConnectionLost(
            f"the connection to {access.name} was lost",
            detail=lost.detail or lost.message,
            advice="The machine finishes what it has begun to switch, and takes back the rest. See: handful status",
        )
    return DeployFailed(
        f"{access.name}: the script ended without a word", detail=last_lines(said), advice="See: handful status"
    )


def _stopped(plan: Plan, done: list[str], failures: Mapping[str, HandfulError], crew: Crew) -> HandfulError:
    """Say which machines are new, which are old, of which nobody knows, and what to do."""
    every = dict.fromkeys(work.machine for wave in plan.waves for work in wave if not work.learns)
    lost = [name for name, error in failures.items() if isinstance(error, ConnectionLost)]
    done = [name for name in every if name in done]
    old = [name for name in every if name not in {*done, *lost}]
    first = failures.get(crew.culprit)
    message = first.message if first else f"interrupted between machines: {', '.join(old)} not begun"
    advice = [first.advice] if first else []
    if back := [name for name in failures if name not in {crew.culprit, *lost}]:
        advice.append(f"{', '.join(back)} went back, too.")
    if others := [name for name in lost if name != crew.culprit]:
        advice.append(f"The connection to {', '.join(others)} was lost, too: it decides by itself. See: handful status")
    if done:
        rest = f", {', '.join(old)} did not" if old else ""
        how = "Finish it: handful deploy. Take it back: handful rollback."
        advice.append(f"unfinished: {', '.join(done)} took {plan.what} {plan.deploy}{rest}. {how}")
    kind = Interrupted if crew.interrupted else DeployFailed
    return kind(message, detail=first.detail if first else "", advice="\n".join(filter(None, advice)))
