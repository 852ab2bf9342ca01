"""What does the agent cost, with 50 containers that write 100 lines a second, and does it keep up with a burst?

Beside it, in the same minutes: prometheus-node-exporter, Docker's stats API, and following Docker's log API. The agent
is the image that handful makes, started by the line that handful starts it with; it also sees whatever else runs here.
CPU time is the figure to trust. What dockerd does anyway is taken off; whoever else uses it meanwhile spoils that.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING

from harness import engine
from harness.crowd import Agent, Crowd, free_port, scraped, wait_for
from harness.line import said
from harness.pairs import Limit, Pairs, Result
from harness.process import MEGABYTE, cpu, have, resident

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.site import Site

CONTAINERS = 50
WARM_SECONDS, SCRAPE_SECONDS, SCRAPES, FOLLOW_SECONDS = 30.0, 15.0, 6, 60.0
ROUNDS = 3
BURST, MANY = 300_000, 10_000
# Time for whoever follows to be there; 60 MB in Docker's file: three rotations.
BURST_SCRIPT = f'sleep 3; exec awk \'BEGIN {{ for (i = 0; i < {BURST}; i++) printf("%d %0120d\\n", i, 0) }}\''
SILENT_SECONDS, SETTLE_SECONDS = 15.0, 1.0
BUSY = 0.1


def measure(site: Site) -> list[Result]:
    """Start them all, and ask them in turn."""
    with ExitStack() as over:
        crowd = Crowd(site, over)
        agent = Agent(site, over)
        site.say(f"{CONTAINERS} containers of a stack")
        talkers = crowd.talk(CONTAINERS)
        exporter = _exporter(over)
        site.say(f"they write and are scraped for {WARM_SECONDS:.0f} s")
        scraped(agent.port)
        scraped(exporter.port)
        time.sleep(WARM_SECONDS)
        mine, theirs, idle = _steady(site, Watched(agent.port, agent.pid), exporter)
        return [
            _scrapes(mine, theirs), _stats(site, talkers, mine, idle),
            _lines(site, talkers, agent, idle), _burst(site, crowd, agent, mine, idle),
        ]


@dataclass
class Watched:
    """A process that is scraped, and what that took: seconds of the scrapes, and of its CPU in each of them."""

    port: int
    pid: int
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    answers: list[str] = field(default_factory=list)

    def scrape(self) -> None:
        """Scrape it once."""
        before = cpu(self.pid)
        wall, text = scraped(self.port)
        self.cpus.append(cpu(self.pid) - before)
        self.walls.append(wall)
        self.answers = [*self.answers[:1], text]
        self.memory.append(resident(self.pid))

    @property
    def between(self) -> float:
        """Its share of a core while nobody scrapes."""
        return max(0.0, (self.cpu - sum(self.cpus)) / (self.seconds - sum(self.walls)))

    @property
    def of_scrape(self) -> float:
        """Seconds of CPU that a scrape takes, without what goes on in any case."""
        return median(used - self.between * wall for used, wall in zip(self.cpus, self.walls, strict=True))

    @property
    def share(self) -> float:
        """Its share of a core, scrapes included."""
        return self.cpu / self.seconds

    def __str__(self) -> str:
        """Say it in a line."""
        memory, samples = max(self.memory) / MEGABYTE, self.answers[-1].count("\n")
        return (
            f"{memory:.1f} MB, {self.share:.2%} of a core ({self.between:.2%} between scrapes), a scrape "
            f"{1000 * self.of_scrape:.1f} ms of CPU and {1000 * median(self.walls):.0f} ms, {samples} lines"
        )


def _exporter(over: ExitStack) -> Watched:
    have("prometheus-node-exporter", "prometheus-node-exporter")
    port = free_port()
    line = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    over.callback(process.wait)
    over.callback(process.kill)
    wait_for(port)
    return Watched(port, process.pid)


def _steady(site: Site, agent: Watched, exporter: Watched) -> tuple[Watched, Watched, float]:
    """Scrape both; return them, and the share of a core that dockerd takes meanwhile."""
    began, docker = time.monotonic(), cpu(engine.daemon())
    before = {each.pid: cpu(each.pid) for each in (agent, exporter)}
    for number in range(SCRAPES):
        time.sleep(max(0.0, began + (number + 1) * SCRAPE_SECONDS - time.monotonic()))
        for each in (agent, exporter):
            each.scrape()
    seconds = time.monotonic() - began
    for each in (agent, exporter):
        each.seconds, each.cpu = seconds, cpu(each.pid) - before[each.pid]
    idle = (cpu(engine.daemon()) - docker) / seconds
    first, last = (_count(text, site.stack) for text in agent.answers)
    rate = (last - first) / (seconds - SCRAPE_SECONDS)
    site.say(f"{seconds:.0f} s, {rate:.0f} lines/s, dockerd takes {idle:.2%} of a core for them")
    site.say(f"agent: {agent}")
    site.say(f"prometheus-node-exporter: {exporter}")
    return agent, exporter, idle


def _count(text: str, stack: str) -> int:
    """Return how many lines of a stack were kept, as the agent counts them."""
    start = f'handful_log_lines_total{{stack="{stack}"'
    return sum(int(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))


def _scrapes(mine: Watched, theirs: Watched) -> Result:
    limits = (
        Limit("memory", max(mine.memory) / MEGABYTE, 35, " MB"), Limit("of a core", 100 * mine.share, 0.5, " %"),
        Limit("CPU of a scrape", 1000 * mine.of_scrape, 15, " ms"),
        Limit("takes", 1000 * median(mine.walls), 100, " ms"),
    )
    told = {
        f"{name}_{what}": value for name, each in (("agent", mine), ("exporter", theirs)) for what, value in (
            ("memory_mb", max(each.memory) / MEGABYTE), ("cpu_percent", 100 * each.share),
            ("between_percent", 100 * each.between), ("scrape_cpu_ms", 1000 * each.of_scrape),
        )
    }
    return Result("agent", Pairs(mine.walls, theirs.walls), limits, told)


def _stats(site: Site, talkers: list[str], mine: Watched, idle: float) -> Result:
    """Ask Docker what the containers use."""
    walls, own, docker = [], [], []
    for number in range(ROUNDS):
        spent = _Spent(idle)
        engine.stats(talkers)
        took = spent.now()
        walls.append(took.wall)
        own.append(took.own)
        docker.append(took.docker)
        site.say(f"stats API, round {number + 1} of {ROUNDS}: {took}")
    told = {"api_own_cpu_ms": 1000 * median(own), "api_dockerd_cpu_ms": 1000 * median(docker)}
    return Result("agent-stats", Pairs(mine.walls, walls), (), told)


@dataclass(frozen=True)
class Took:
    """Seconds: of the clock, of this process's CPU, of dockerd's beyond what it takes anyway, and all of dockerd's."""

    wall: float
    own: float
    docker: float
    whole: float

    def __str__(self) -> str:
        """Say it in a line."""
        own, docker, whole = (1000 * each for each in (self.own, self.docker, self.whole))
        return f"{self.wall:.1f} s, CPU: own {own:.0f} ms, dockerd {docker:.0f} ms (of {whole:.0f})"


class _Spent:
    """What is spent from now on."""

    def __init__(self, idle: float) -> None:
        self._idle, self._began = idle, time.monotonic()
        self._own, self._docker = time.process_time(), cpu(engine.daemon())

    def now(self) -> Took:
        wall = time.monotonic() - self._began
        whole = cpu(engine.daemon()) - self._docker
        return Took(wall, time.process_time() - self._own, max(0.0, whole - self._idle * wall), whole)


def _lines(site: Site, talkers: list[str], agent: Agent, idle: float) -> Result:
    """Follow what the containers say; the agent reads the same lines meanwhile, and nobody scrapes it."""
    count: Counter[bool] = Counter()

    def take(_: bytes) -> None:
        count[True] += 1

    end = time.monotonic() + FOLLOW_SECONDS
    spent, before = _Spent(idle), cpu(agent.pid)
    engine.follow(talkers, take, lambda _: time.monotonic() > end)
    took, mine = spent.now(), cpu(agent.pid) - before
    scale = MANY / max(1, count[True])
    site.say(f"log API, {count[True]} lines: {took}; the agent: {1000 * mine:.0f} ms")
    told = {"api_own_cpu_s": took.own * scale, "api_dockerd_cpu_s": took.docker * scale}
    return Result("agent-lines", Pairs([mine * scale], [(took.own + took.docker) * scale]), (), told)


def _burst(site: Site, crowd: Crowd, agent: Agent, mine: Watched, idle: float) -> Result:
    """Two bursts: the first is the agent's alone, the second is followed through Docker as well."""
    alone, spent, before = crowd.start("burst", BURST_SCRIPT), _Spent(idle), cpu(agent.pid)
    said(["docker", "wait", alone])
    writing = spent.now()
    behind = _settle(agent)
    used = cpu(agent.pid) - before - mine.between * (writing.wall + behind)
    lost, doubled = _missing(agent.kept(crowd.stack, "burst"))
    memory = resident(agent.pid, "VmHWM") / MEGABYTE
    site.say(f"burst of {BURST} lines: the agent lost {lost}, doubled {doubled}; {used:.2f} s of CPU, {memory:.1f} MB")
    took, api_lost, api_doubled = _followed(crowd, idle)
    docker = max(0.0, took.docker - writing.docker)
    site.say(f"the same through the log API: lost {api_lost}, doubled {api_doubled}; {took}, {docker:.2f} s for it")
    scale = MANY / BURST
    told = {
        "api_lost": api_lost, "api_doubled": api_doubled, "api_own_cpu_s": took.own * scale,
        "api_dockerd_cpu_s": docker * scale, "agent_peak_mb": memory, "caught_up_s": behind,
    }
    limits = (Limit("lines lost", lost, 0), Limit("lines doubled", doubled, 0))
    return Result("agent-burst", Pairs([used * scale], [(took.own + docker) * scale]), limits, told)


def _followed(crowd: Crowd, idle: float) -> tuple[Took, int, int]:
    lines: list[bytes] = []
    container, spent = crowd.start("burst-followed", BURST_SCRIPT), _Spent(idle)
    engine.follow([container], lines.append, _silent(container))
    return spent.now(), *_missing([line.partition(b" ")[2].decode() for line in lines])


def _silent(container: str) -> Callable[[float], bool]:
    """Return what says that nothing comes any more: it has ended, and has been silent for long."""

    def over(last: float) -> bool:
        if time.monotonic() - last < SILENT_SECONDS:
            return False
        return said(["docker", "inspect", "--format", "{{.State.Running}}", container]) == "false"

    return over


def _settle(agent: Agent) -> float:
    """Wait until the agent has caught up; return after how many seconds."""
    began = time.monotonic()
    while True:
        shares = []
        for _ in range(2):
            before = cpu(agent.pid)
            time.sleep(SETTLE_SECONDS)
            shares.append((cpu(agent.pid) - before) / SETTLE_SECONDS)
        if mean(shares) < BUSY:
            return time.monotonic() - began


def _missing(lines: list[str]) -> tuple[int, int]:
    """Return how many numbers are missing, and how many lines are there again."""
    numbers = Counter(int(line.split(maxsplit=1)[0]) for line in lines)
    return BURST - len(numbers), sum(numbers.values()) - len(numbers)
