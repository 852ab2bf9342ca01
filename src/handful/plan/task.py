"""What is one thing that is done to a machine before containers run on it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.plan.model import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.facts.survey import Survey


@dataclass(frozen=True)
class Task:
    """One thing to do, said before and after; `closes`: only once the new way in has been tried."""

    says: str
    step: Step
    closes: bool = False


def written(
    survey: Survey, path: str, text: str, what: str, *, check: str = "", heed: str = "", again: bool = False
) -> Iterator[Task]:
    """Have a file hold a text, unless it does, or `again`; `check` and `heed` are commands, see prepare_file.bash."""
    if again or survey.files.get(path, "").rstrip("\n") != text.rstrip("\n"):
        says = f"{what}: {path}"
        values = {"says": says, "path": path, "text": text.rstrip("\n"), "check": check, "heed": heed}
        yield Task(says, Step("prepare_file", values))
