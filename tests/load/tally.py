"""How did a load go: what was answered, what failed and when, how long it took?"""

from __future__ import annotations

import json
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

KEPT_SAMPLES = 5  # of each kind of failure


@dataclass(frozen=True)
class Failure:
    """A request that was not answered as it should; `offset_s` is when it began, in seconds since the start.

    Kinds: `refused`, `connect` (no connection) · `stale` (a kept connection closed without a byte of answer),
    `unanswered` (the same on a new one) · `cut` (closed within the answer) · `timeout` · `malformed` (not HTTP) ·
    `status_502` and so on · `wrong` (another answer than asked for).
    """

    kind: str
    offset_s: float
    method: str
    path: str
    status: int | None


@dataclass(frozen=True)
class Summary:
    """How it went. `sent` is `ok + failed`; a handshake and each echo of a websocket count as one request.

    Seconds count from `started_at` (Unix time). `p50_ms` and `p99_ms`: answered short requests, from when they were
    due. `websocket_cut`: websockets that the other side closed between two frames. `unsent`: short requests that were
    due while every connection was busy. `unfinished`: long requests that were not over 5 s after the end.
    `versions`: when each was first seen. `samples`: the first 5 failures of each kind. `failures_s`: when each began.
    """

    started_at: float
    seconds: float
    sent: int
    ok: int
    failed: int
    failed_by_kind: dict[str, int]
    websocket_cut: int
    unsent: int
    unfinished: int
    first_failure_s: float | None
    last_failure_s: float | None
    p50_ms: float
    p99_ms: float
    versions: dict[str, float]
    samples: list[Failure]
    failures_s: list[float] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the summary that the client printed with `--json`."""
        values = json.loads(text)
        return cls(**{**values, "samples": [Failure(**sample) for sample in values["samples"]]})

    def __str__(self) -> str:
        """Say it in a line, and one more for each kind of failure."""
        lines = [
            (
                f"{self.sent} requests in {self.seconds:.1f} s: {self.failed} failed, {self.unsent} not sent, "
                f"{self.unfinished} unfinished, {self.websocket_cut} websockets cut; "
                f"half within {self.p50_ms:.1f} ms, 99 % within {self.p99_ms:.1f} ms"
            )
        ]
        for kind, count in self.failed_by_kind.items():
            first = next(sample for sample in self.samples if sample.kind == kind)
            lines.append(f"  {kind}: {count}, the first after {first.offset_s:.2f} s: {first.method} {first.path}")
        return "\n".join(lines)


class Tally:
    """The counts while the load runs."""

    def __init__(self) -> None:
        """Begin at zero, now."""
        self.websocket_cut = self.unsent = self.unfinished = 0
        self._started_at, self._zero = time.time(), time.monotonic()
        self._ok = 0
        self._failed: Counter[str] = Counter()
        self._samples: list[Failure] = []
        self._failed_at = array("d")
        self._latencies = array("f")
        self._versions: dict[str, float] = {}

    def clock(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._zero

    def succeed(self, due: float | None = None) -> None:
        """Count a good answer; `due` is when a short request should have been sent."""
        self._ok += 1
        if due is not None:
            self._latencies.append(self.clock() - due)

    def fail(self, failure: Failure) -> None:
        """Count a failure and keep the first ones."""
        if self._failed[failure.kind] < KEPT_SAMPLES:
            self._samples.append(failure)
        self._failed[failure.kind] += 1
        self._failed_at.append(failure.offset_s)

    def see(self, version: str) -> None:
        """Note the first answer by a version."""
        self._versions.setdefault(version, round(self.clock(), 3))

    def summary(self, seconds: float) -> Summary:
        """Sum up a load that lasted `seconds`."""
        ordered = sorted(self._latencies) or [0.0]
        failed = self._failed.total()
        return Summary(
            started_at=self._started_at,
            seconds=round(seconds, 3),
            sent=self._ok + failed,
            ok=self._ok,
            failed=failed,
            failed_by_kind=dict(self._failed),
            websocket_cut=self.websocket_cut,
            unsent=self.unsent,
            unfinished=self.unfinished,
            first_failure_s=min(self._failed_at, default=None),
            last_failure_s=max(self._failed_at, default=None),
            p50_ms=round(ordered[len(ordered) // 2] * 1000, 2),
            p99_ms=round(ordered[len(ordered) * 99 // 100] * 1000, 2),
            versions=self._versions,
            samples=self._samples,
            failures_s=[round(each, 3) for each in self._failed_at],
        )
