"""What does a command work on, and how does it look at the machines?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.errors import HandfulError
from handful.run.engine import look
from handful.run.together import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from handful.config.model import Config
    from handful.facts.model import Facts
    from handful.machine.access import Access
    from handful.run.together import Doing
    from handful.secrets.vault import Vault


@dataclass(frozen=True)
class Project:
    """A loaded handful.yml and how its machines are reached; `variables` are the environment that hooks inherit.

    `terminal`: a person sits there, whom ssh may ask. `vault` has the values of secrets.
    """

    config: Config
    stack: str
    folder: Path
    machines: Mapping[str, Access]
    variables: Mapping[str, str]
    vault: Vault
    terminal: bool = False


def observed(
    project: Project, names: Iterable[str] | None = None, *, whole: bool = True, check: bool = False,
    meanwhile: Doing = nothing,
) -> dict[str, Facts | HandfulError]:
    """Observe machines (all, or those named) side by side; one that cannot be observed gives its error.

    `whole` facts are those that can be planned with; `check`: with what was changed by hand. `meanwhile` is done
    while the machines answer.
    """
    wanted = [project.machines[name] for name in (project.machines if names is None else names)]
    terminal = project.terminal
    return look(wanted, project.stack, whole=whole, check=check, may_ask=terminal, meanwhile=meanwhile)


def facts_of_those_up(
    project: Project, say: Callable[[str], None], *, check: bool = False, meanwhile: Doing = nothing
) -> dict[str, Facts]:
    """Observe all machines, and say which are away. Raises the first one's error when all are."""
    found = observed(project, check=check, meanwhile=meanwhile)
    facts = {name: each for name, each in found.items() if not isinstance(each, HandfulError)}
    for name, each in found.items():
        if isinstance(each, HandfulError):
            if not facts:
                raise each
            say(f"{name} is away, and left out: {each.message}. It catches up at the next: handful apply")
    return facts


def facts_of(
    project: Project, names: Iterable[str] | None = None, *, whole: bool = True, check: bool = False,
    meanwhile: Doing = nothing,
) -> dict[str, Facts]:
    """Observe machines (all, or those named). Raises the first machine's error."""
    found = observed(project, names, whole=whole, check=check, meanwhile=meanwhile)
    for each in found.values():
        if isinstance(each, HandfulError):
            raise each
    return {name: each for name, each in found.items() if not isinstance(each, HandfulError)}
