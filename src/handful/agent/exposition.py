"""How are measurements told to Prometheus: its text format, version 0.0.4?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass
class Metric:
    """A metric and its samples: (suffix, labels as text, value). What cannot be measured is left out, not told as 0.

    Only a histogram has suffixes: _bucket, _sum, _count.
    """

    name: str
    kind: Literal["counter", "gauge", "untyped", "histogram"]
    help: str
    samples: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample; None: it is not known."""
        self.add_at(labels_text(labels), value)

    def add_at(self, labels: str, value: float | None) -> None:
        """As `add`, with labels as `labels_text` has made them once for many samples."""
        if value is not None:
            self.samples.append(("", labels, value))

    def add_histogram(self, bounds: Sequence[float], counts: Sequence[int], total: float, **labels: str) -> None:
        """Add a histogram: how many are up to each bound, and above the last one; the sum of all."""
        so_far = 0
        for bound, count in zip((*bounds, math.inf), counts, strict=True):
            so_far += count
            self.samples.append(("_bucket", labels_text({**labels, "le": _number(bound)}), so_far))
        told = labels_text(labels)
        self.samples += [("_sum", told, total), ("_count", told, so_far)]


def text(metrics: Iterable[Metric]) -> str:
    """Return all metrics that have samples; each name once."""
    lines = []
    for metric in metrics:
        if metric.samples:
            name = metric.name
            lines += [f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"]
            lines += [
                f"{name}{suffix}{labels} {value if value.__class__ is int else _number(value)}\n"
                for suffix, labels, value in metric.samples
            ]
    return "".join(lines)


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as they stand behind a name."""
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(value)}"' for name, value in labels.items()]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() else repr(value)
