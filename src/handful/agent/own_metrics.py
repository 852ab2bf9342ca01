"""What handful itself knows of its apps and deploys, as metrics: they are called handful_…"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from handful.agent.exposition import Metric
from handful.agent.requests import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from handful.agent.containers import Container
    from handful.agent.requests import Requests
    from handful.agent.stacks import Stack

WELL = "done"
MILLI = 1e3


def app_metrics(stacks: Sequence[Stack], containers: Iterable[Container]) -> Iterator[Metric]:
    """Yield how many instances are to run, and do."""
    desired = Metric(
        "handful_app_replicas_desired", "gauge", "How many instances of an app are to run on this machine."
    )
    running = Metric(
        "handful_app_replicas_running", "gauge", "How many instances of an app run on this machine, by release."
    )
    restarts = Metric(
        "handful_container_restarts_total", "counter", "How often Docker has started an instance again."
    )
    machines = {stack.name: stack.machine for stack in stacks}
    count: Counter[tuple[str, str, str]] = Counter()
    for each in containers:
        source = each.source
        if source.release and each.instance:
            labels = {"stack": source.stack, "app": source.app, "instance": source.instance, "name": each.name}
            restarts.add(each.restarts, **labels, machine=machines.get(source.stack, ""))
            count[source.stack, source.app, source.release] += each.running
    for stack in stacks:
        for name, app in stack.apps.items():
            desired.add(app.wanted, stack=stack.name, app=name, machine=stack.machine)
            # An app none of which runs has a zero, and no missing series.
            count.setdefault((stack.name, name, app.release), 0)
    for (stack_name, name, release), number in sorted(count.items()):
        running.add(number, stack=stack_name, app=name, release=release, machine=machines.get(stack_name, ""))
    yield from (desired, running, restarts)


def deploy_metrics(stacks: Sequence[Stack]) -> Iterator[Metric]:
    """Yield how the last deploy of each stack went, as this machine took part in it."""
    last = Metric("handful_deploy_last_timestamp_seconds", "gauge", "When the last deploy ended here.")
    well = Metric(
        "handful_deploy_last_success_timestamp_seconds", "gauge", "When a deploy ended well here, the last time."
    )
    failed = Metric(
        "handful_deploy_last_failure_timestamp_seconds", "gauge", "When a deploy did not end well here, the last time."
    )
    info = Metric("handful_deploy_last_info", "gauge", "The last deploy here: what it was, and how it ended.")
    took = Metric("handful_deploy_last_duration_seconds", "gauge", "How long the last deploy took here.")
    requests = Metric(
        "handful_deploy_last_requests", "gauge", "What users noticed of the last deploy: requests while it was at work."
    )
    for stack in stacks:
        labels = {"stack": stack.name, "machine": stack.machine}
        for metric, those in (
            (last, stack.deploys), (well, [each for each in stack.deploys if each.outcome == WELL]),
            (failed, [each for each in stack.deploys if each.outcome != WELL]),
        ):
            if those:
                metric.add(those[-1].ended, **labels)
        if stack.deploys:
            newest = stack.deploys[-1]
            info.add(1, **labels, deploy=str(newest.number), what=newest.what, outcome=newest.outcome)
            took.add(newest.seconds, **labels)
            for app, told in newest.requests.items():
                for outcome in ("answered", "failed", "retried"):
                    requests.add(told.get(outcome), **labels, app=app, outcome=outcome)
    yield from (last, well, failed, info, took, requests)


def request_metrics(requests: Requests, stacks: Sequence[Stack]) -> Iterator[Metric]:
    """Yield what the proxy here has answered, counted where a request came in, since the agent began."""
    total = Metric(
        "handful_requests_total", "counter", "Requests that an app answered, by status; connections of tcp apps."
    )
    failed = Metric(
        "handful_requests_failed_total", "counter", "Requests that the proxy had to answer with an error of its own."
    )
    cut = Metric("handful_requests_cut_total", "counter", "Answers that were cut off.")
    times = Metric(
        "handful_request_duration_seconds", "histogram", "From a request's end to the beginning of its answer."
    )
    machines = {stack.name: stack.machine for stack in stacks}
    # More are counted meanwhile.
    answered, seconds = requests.answered.copy(), requests.seconds.copy()
    users = {*requests.failed.copy(), *requests.cut.copy(), *(each for each, _ in answered)}

    def labels(backend: str) -> dict[str, str]:
        stack, _, app = backend.partition(".")
        return {"stack": stack, "app": app, "machine": machines.get(stack, "")}

    for (backend, code), number in answered.items():
        total.add(number, **labels(backend), code=code)
    for backend in users:
        failed.add(requests.failed[backend], **labels(backend))
        cut.add(requests.cut[backend], **labels(backend))
    for backend, counts in dict(requests.times).items():
        bounds = [bound / MILLI for bound in BUCKETS]
        times.add_histogram(bounds, counts, seconds[backend] / MILLI, **labels(backend))
    yield from (total, failed, cut, times)


def log_metrics(
    lines: Mapping[tuple[str, str, str], int], gaps: Mapping[tuple[str, str], int], stacks: Sequence[Stack]
) -> Iterator[Metric]:
    """Yield how many lines were kept, by level, and where some may be missing, since the agent began."""
    machines = {stack.name: stack.machine for stack in stacks}
    told = Metric(
        "handful_log_lines_total", "counter", "Lines of logs, by level; one that says none has the level unknown."
    )
    for (stack, app, level), number in lines.items():
        told.add(number, stack=stack, app=app, level=level or "unknown", machine=machines.get(stack, ""))
    missing = Metric(
        "handful_agent_log_gaps_total", "counter", "How often lines may have been lost before they were read."
    )
    # What has not happened yet is a zero: an increase from nothing is none.
    missing.add(0, stack="", app="")
    for (stack, app), number in gaps.items():
        missing.add(number, stack=stack, app=app, machine=machines.get(stack, ""))
    yield from (told, missing)
