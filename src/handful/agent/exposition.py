"""How are measurements told to Prometheus: its text format, version 0.0.4?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass
class Metric:
    """A metric and its samples: (suffix, labels, value). What cannot be measured is left out, not told as 0.

    Only a histogram has suffixes: _bucket, _sum, _count.
    """

    name: str
    kind: Literal["counter", "gauge", "untyped", "histogram"]
    help: str
    samples: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample; None: it is not known."""
        if value is not None:
            self.samples.append(("", labels, value))

    def add_for(self, labels: Mapping[str, str], value: float | None) -> None:
        """As `add`, with labels that many samples share: they are written down once."""
        if value is not None:
            self.samples.append(("", labels, value))

    def add_histogram(self, bounds: Sequence[float], counts: Sequence[int], total: float, **labels: str) -> None:
        """Add a histogram: how many are up to each bound, and above the last one; the sum of all."""
        so_far = 0
        for bound, count in zip((*bounds, math.inf), counts, strict=True):
            so_far += count
            self.samples.append(("_bucket", {**labels, "le": _number(bound)}, so_far))
        self.samples += [("_sum", labels, total), ("_count", labels, so_far)]


def text(metrics: Iterable[Metric]) -> str:
    """Return all metrics that have samples; each name once."""
    metrics = tuple(metrics)
    # Labels as text; the metrics hold them until the end, so that each is known by its place in memory.
    lines, written = [], dict[int, str]()
    for metric in metrics:
        if metric.samples:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            for suffix, labels, value in metric.samples:
                told = written.get(id(labels))
                if told is None:
                    told = written[id(labels)] = _labels(labels)
                lines.append(f"{metric.name}{suffix}{told} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))
