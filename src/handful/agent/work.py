"""The agent at work: reads logs, looks at containers, serves measurements, and makes room, until it is told to end."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.agent.cgroups import Groups, memory_of
from handful.agent.checkpoint import LOCK, OWN
from handful.agent.codec import best
from handful.agent.collect import Collector
from handful.agent.containers import Containers
from handful.agent.ends import Memory
from handful.agent.notice import Notice
from handful.agent.proc import Files, lines_of
from handful.agent.requests import Requests
from handful.agent.retain import Keep, free_share, retain
from handful.agent.scrape import Places, Scrape, Seen
from handful.agent.serve import Endpoint
from handful.agent.stacks import Stacks
from handful.agent.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from handful.agent.stacks import Stack

# Between two looks at the logs, at what stacks say, at memory, at how much is kept, and after a disk was full.
READ_SECONDS, LEARN_SECONDS, SAMPLE_SECONDS, RETAIN_SECONDS, AGAIN_SECONDS = 0.2, 2.0, 10.0, 60.0, 5.0
# How far two clocks may part in between; and how long the clock of a machine that has just booted may be anything.
STEADY_SECONDS, TRUST_SECONDS = 120.0, 600.0
# What is kept of stacks that say nothing, and of what is no stack's.
DAYS, BYTES = 14.0, 5 * 1024**3
PROXY = "proxy"


def work(places: Places, containers: Path, logs: Path, port: int) -> int:
    """Work until SIGTERM or SIGINT; return an exit code. A disk that is full is waited for."""
    over: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: over.append(number))
    os.umask(0o077)
    # One file for each container's log, and some more for each that is measured.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    while not over and not _locked(logs):
        time.sleep(READ_SECONDS)
    Agent(places, containers, logs, port).go_on(over)
    return 0


def _locked(logs: Path) -> bool:
    """Try to be the only one who writes there, until this program ends."""
    try:
        (logs / OWN).mkdir(parents=True, exist_ok=True)
        lock = os.open(logs / LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as full:
        _wait(full)
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Another agent ends in a moment: it writes down how far it has read.
        os.close(lock)
        return False
    return True


def _wait(wrong: Exception) -> None:
    if not isinstance(wrong, OSError):
        # A mistake of ours: where it is, somebody is to find out.
        traceback.print_exception(wrong)
    sys.stderr.write(f"nothing can be kept now, and it is tried again: {type(wrong).__name__}: {wrong}\n")
    time.sleep(AGAIN_SECONDS)


class Agent:
    """All that one agent knows."""

    def __init__(self, places: Places, containers: Path, logs: Path, port: int) -> None:
        """Nothing is read yet, and nothing listens."""
        self._places, self._folder, self._logs = places, containers, logs
        self._containers, self._stacks = Containers(containers), Stacks(places.root)
        self._seen, self._requests, self._memory = Seen(), Requests(), Memory()
        # The threads that answer have their own: what is read and kept is of one thread.
        self.scrape = Scrape(places, Stacks(places.root), self._seen, self._requests)
        self._groups, self._files = Groups(places.proc, places.cgroup), Files()
        self._endpoint = Endpoint(self.scrape, port)
        self._room = Room(logs)
        self._learned = self._sampled = float("-inf")

    def go_on(self, over: list[int]) -> None:
        """Work until `over` is not empty, whatever fails."""
        while not over:
            try:
                self._collect(over)
            except Exception as wrong:  # noqa: BLE001  # whatever it is: the next try begins from the last checkpoint
                self.scrape.errors["disk" if isinstance(wrong, OSError) else "logs"] += 1
                self._requests.again()
                _wait(wrong)
        self._endpoint.close()

    def _collect(self, over: list[int]) -> None:
        """Read logs until `over` is not empty. Raises OSError when something cannot be written."""
        # Before anything is written: it may be what there is no room for.
        self._room.make(self._stacks.settings())
        parts = MappingProxyType({PROXY: self._requests.take})
        boot = "".join(lines_of(self._places.proc / "sys/kernel/random/boot_id"))
        store = Store(self._logs, best(), boot)
        collector = Collector(store, {}, parts, self._memory)
        self._learn(collector)
        notice = Notice(self._folder)
        store.between = partial(self._look_meanwhile, collector, notice)
        stirred = True
        try:
            while not over:
                now = time.monotonic()
                if stirred or collector.is_due(now):
                    self._round(collector, notice, now)
                stirred = notice.wait(0.0 if collector.behind else READ_SECONDS)
            collector.checkpoint(time.monotonic())
        finally:
            notice.close()
            collector.drop()

    def _look_meanwhile(self, collector: Collector, notice: Notice) -> None:
        """While the disk is waited for, or lines are packed: open what would be gone afterwards."""
        if notice.wait(0.0):
            self._look(collector, notice, time.monotonic())

    def _look(self, collector: Collector, notice: Notice, now: float) -> None:
        """Look which containers have come, begun, written, ended or gone."""
        changed = notice.changed(now)
        if notice.lived is None or notice.lived:
            before, self._seen.containers = self._seen.containers, self._containers.look(notice.lived)
            notice.watch(self._seen.containers)
            if self._seen.containers.keys() - before.keys():
                # One that comes may be of a stack that has just said something of it.
                self._learn(collector)
        collector.see(self._seen.containers, now, changed, notice.lived)

    def _round(self, collector: Collector, notice: Notice, now: float) -> None:
        self._look(collector, notice, now)
        if now - self._learned >= LEARN_SECONDS:
            self._learn(collector)
        if now - self._sampled >= SAMPLE_SECONDS:
            self._sample()
        collector.read(now)
        self._seen.lines, self._seen.gaps = collector.lines, collector.gaps
        if now - self._room.made >= RETAIN_SECONDS:
            self._room.make(self._stacks.settings())

    def _learn(self, collector: Collector) -> None:
        """Look at what the stacks say."""
        self._learned = time.monotonic()
        stacks = self._stacks.settings()
        collector.rules = {(stack.name, app): rules for stack in stacks for app, rules in stack.rules.items()}
        self._endpoint.listen(stack.private for stack in stacks if stack.private)

    def _sample(self) -> None:
        """Look how much memory is in use."""
        self._sampled = time.monotonic()
        self._groups.forget_but(self._seen.containers)
        self._files.turn()
        for key, each in self._seen.containers.items():
            group = self._groups.of(key, each.pid)
            if group is not None and (told := memory_of(group, self._files.read)):
                self._memory.sample(key, *told)


class Room:
    """Keeps logs from taking more than they may; `made` is when it was looked at last, on the monotonic clock."""

    def __init__(self, folder: Path) -> None:
        """Nothing goes yet."""
        self._folder = folder
        self.made, self._wall = time.monotonic(), time.time()
        self._began = self.made

    def make(self, stacks: Iterable[Stack]) -> None:
        """Remove what is too old, or too much. A clock that has just been set says nothing about age."""
        now, wall = time.monotonic(), time.time()
        steady = abs((wall - self._wall) - (now - self.made)) < STEADY_SECONDS and now - self._began > TRUST_SECONDS
        self.made, self._wall = now, wall
        keeps = {stack.name: _keep(wall, stack.days, stack.most_bytes, steady=steady) for stack in stacks}
        retain(self._folder, keeps, _keep(wall, None, None, steady=steady), free_share)


def _keep(wall: float, days: float | None, most_bytes: float | None, *, steady: bool) -> Keep:
    oldest = datetime.fromtimestamp(wall, UTC) - timedelta(days=DAYS if days is None else days)
    return Keep(oldest.strftime("%Y-%m-%dT%H") if steady else "", int(BYTES if most_bytes is None else most_bytes))
