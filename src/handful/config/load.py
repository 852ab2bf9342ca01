"""What does this project's handful.yml say, with the overlay of an environment over it?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.config.check import check
from handful.config.faults import fit
from handful.config.tree import Finding, Node, Place, Problem, idle_nulls, merge, place
from handful.config.values import NAME
from handful.config.words import code, either, guess
from handful.config.yaml import read
from handful.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from handful.config.model import Config
    from handful.config.tree import Spot

FILE = "handful.yml"
FOLDER = "environments"
LONGEST_STACK = 40


@dataclass(frozen=True)
class Loaded:
    """A config that is right in itself.

    `stack` is the project, or project-environment; `folder` holds the project's files; `paths` are the files read.
    """

    config: Config
    stack: str
    environment: str | None
    folder: Path
    paths: tuple[Path, ...]


def load(project_dir: Path, environment: str | None, *, file: str = FILE) -> Loaded:
    """Load `file` of a project and, over it, `environments/<environment>.yml`.

    Raises UsageError when the environment is missing, unknown or out of place, and ConfigError with all problems
    of the files at once, each `file:line:column: sentence`, sorted by file and line.
    """
    overlay = _overlay(project_dir, environment)
    names = (file, overlay) if overlay else (file,)
    tree, findings = _read(project_dir, names)
    if tree is None:
        raise _error(findings)
    fitted = fit(tree)
    problems = list(fitted.problems)
    stack = ""
    if fitted.config is not None:
        stack = f"{fitted.config.project}-{environment}" if environment else fitted.config.project
        cross = (*_long_stack(stack), *check(fitted.config, project_dir))
        problems += [problem for problem in cross if not _follows(problem, fitted.broken)]
    told = {finding.at for finding in findings}
    found = [Finding(_place(tree, problem, names[-1]), problem.sentence) for problem in problems]
    findings += [finding for finding in found if finding.at not in told]
    if findings or fitted.config is None:
        raise _error(findings)
    return Loaded(fitted.config, stack, environment, project_dir, tuple(project_dir / name for name in names))


def find(start: Path, *, file: str = FILE) -> Path:
    """Return the nearest folder, from `start` upwards, that holds `file`; raise UsageError when none does."""
    for folder in (start, *start.parents):
        if (folder / file).is_file():
            return folder
    other = file.removesuffix(".yml") + ".yaml"
    advice = f"Rename {other} to {file}." if (start / other).is_file() else "Write one with: handful init"
    message = f"there is no {file} in {start}, nor in a folder above it"
    raise UsageError(message, advice=advice)


def _overlay(project_dir: Path, environment: str | None) -> str | None:
    folder = project_dir / FOLDER
    if not folder.is_dir():
        if environment is None:
            return None
        message = f"environment {code(environment)} was asked for, and this project has no {FOLDER}/ folder"
        raise UsageError(message, advice="Leave out -e (and HANDFUL_ENV), or write its overlay there.")
    known = sorted(path.stem for path in folder.glob("*.yml") if re.fullmatch(NAME, path.stem))
    have = f"{FOLDER}/ holds {either(known, 'and') or 'no overlay yet, like stage.yml'}."
    if environment is None:
        message = f"which environment? {have}"
        raise UsageError(message, advice="Name one with -e, or in HANDFUL_ENV.")
    if not re.fullmatch(NAME, environment):
        message = f"{code(environment)} cannot be an environment: lower-case letters, digits and dashes, a letter first"
        raise UsageError(message, advice=have)
    if environment not in known:
        meant = guess(environment, known)
        message = f"there is no environment {code(environment)}" + (f"; did you mean {code(meant)}?" if meant else "")
        raise UsageError(message, advice=have)
    return f"{FOLDER}/{environment}.yml"


def _read(project_dir: Path, names: tuple[str, ...]) -> tuple[Node | None, list[Finding]]:
    """Read and merge the files; there is no tree when one of them cannot be used at all."""
    read_files = [_read_one(project_dir / name, name, may_be_empty=name != names[0]) for name in names]
    findings = [finding for _, wrong in read_files for finding in wrong]
    if any(node is None and wrong for node, wrong in read_files):
        return None, findings
    tree, *overlays = [node for node, _ in read_files if node is not None]
    for overlay in overlays:
        findings += idle_nulls(tree, overlay)
        tree = merge(tree, overlay)
    return tree, findings


def _read_one(path: Path, name: str, *, may_be_empty: bool) -> tuple[Node | None, list[Finding]]:
    start = Place(name, 1, 1)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, [Finding(start, f"there is no such file in {path.parent}")]
    except OSError as wrong:
        return None, [Finding(start, f"this file cannot be read: {wrong.strerror}")]
    node, findings = read(data, name)
    if node is None and not findings and not may_be_empty:
        return None, [Finding(start, "this file is empty: write at least `project`, `machines` and `apps`")]
    if node is None:
        return None, findings
    if not isinstance(node.value, dict):
        return None, [*findings, Finding(node.at, "this file must be a map of keys, like `project: shop`")]
    return node, findings


def _long_stack(stack: str) -> tuple[Problem, ...]:
    if len(stack) <= LONGEST_STACK:
        return ()
    sentence = f"project and environment make {code(stack)}: {len(stack)} characters, and {LONGEST_STACK} are the most"
    return (Problem(("project",), sentence, relies=(("project",),)),)


def _follows(problem: Problem, broken: frozenset[Spot]) -> bool:
    """Tell whether a problem is only there because a faulty value was taken away."""
    return any(_touch(spot, other) for spot in broken for other in problem.relies)


def _touch(one: Spot, other: Spot) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _place(tree: Node, problem: Problem, last: str) -> Place:
    """Return where to tell a problem: at the first of its spots that the last file wrote, or else at its own."""
    own, *others = (place(tree, spot) for spot in (problem.spot, *problem.others))
    return next((each for each in (own, *others) if each.file == last), own)


def _error(findings: list[Finding]) -> ConfigError:
    return ConfigError(tuple(str(finding) for finding in sorted(set(findings))))
