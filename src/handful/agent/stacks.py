"""What is to run on this machine, as deploys wrote it down: apps, how many instances, releases, and the last deploys.

Read from handful's own folder; each file again only when it has changed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from handful.agent.levels import rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Of a history: a deploy has two or three lines, and the last one is to be among them.
TAIL_BYTES = 64 * 1024
T = TypeVar("T")


@dataclass(frozen=True)
class App:
    """An app that has a release here; `wanted`: how many instances are to run now."""

    release: str
    wanted: int


@dataclass(frozen=True)
class Deploy:
    """A deploy that has ended; times are seconds since 1970, `requests` by app as lib_measure.bash tells them."""

    number: int
    what: str
    outcome: str
    ended: float
    seconds: float | None = None
    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """A stack, and what its handful.yml says of logs.

    `machine` is its name for this one, `private` an address of it.
    """

    name: str
    machine: str = ""
    private: str = ""
    days: float | None = None
    most_bytes: float | None = None
    rules: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    apps: Mapping[str, App] = field(default_factory=dict)
    deploys: tuple[Deploy, ...] = ()
    # When each app was taken away from here, the last time.
    removed: Mapping[str, str] = field(default_factory=dict)


class Stacks:
    """The stacks of a machine, below handful's folder."""

    def __init__(self, root: Path) -> None:
        """Nothing is read yet."""
        self._folder = root / "stacks"
        self._kept: dict[str, tuple[object, Any]] = {}

    def look(self) -> tuple[Stack, ...]:
        """Return all stacks that are here."""
        return tuple(self._whole(stack) for stack in self.settings())

    def settings(self) -> tuple[Stack, ...]:
        """Return all stacks that are here, with what their handful.yml says, and without apps and deploys."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder) if entry.is_dir())
        except OSError:
            return ()
        return tuple(self._read(f"{self._folder}/{name}/agent.json", _settings) or Stack(name) for name in names)

    def _whole(self, stack: Stack) -> Stack:
        folder = self._folder / stack.name
        deploys, removed = self._read(f"{folder}/history.jsonl", _history) or ((), {})
        return replace(stack, apps=dict(self._apps(folder / "apps")), deploys=deploys, removed=removed)

    def _apps(self, folder: Path) -> Iterator[tuple[str, App]]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208  # see below
        except OSError:
            return
        for name in names:
            # As texts: with Paths, this would be a tenth of all that is done for an answer.
            app = f"{folder}/{name}"
            try:
                release = os.readlink(f"{app}/current")  # noqa: PTH115  # see above
            except OSError:
                continue
            stopped = os.path.lexists(f"{app}/stopped")
            count = (self._read(f"{app}/instances", _text) or "").strip()
            yield name, App(release.rpartition("/")[2], 0 if stopped or not count.isdecimal() else int(count))

    def _read(self, path: str, read: Callable[[Path], T]) -> T | None:
        """Return what a file says, None when there is none."""
        try:
            told = os.stat(path)  # noqa: PTH116  # see above
        except OSError:
            self._kept.pop(path, None)
            return None
        stamp = told.st_ino, told.st_mtime_ns, told.st_size
        if path not in self._kept or self._kept[path][0] != stamp:
            self._kept[path] = stamp, read(Path(path))
        kept: T = self._kept[path][1]
        return kept


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _settings(path: Path) -> Stack:
    told = _object(_text(path))
    return Stack(
        path.parent.name, str(told.get("machine", "")), str(told.get("private", "")),
        _number(told.get("days")), _number(told.get("bytes")),
        {app: rules_of(rules) for app, rules in _members(told.get("levels")).items()},
    )


def _object(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _history(path: Path) -> tuple[tuple[Deploy, ...], dict[str, str]]:
    """Return the deploys of a history's end that have ended, oldest first, and when each app was removed."""
    begun: dict[int, dict[str, Any]] = {}
    deploys, removed = [], dict[str, str]()
    for told in map(_object, _end(path)):
        number = told.get("deploy")
        if not isinstance(number, int):
            continue
        if told.get("event") == "begun":
            begun[number] = told
        elif told.get("event") == "ended":
            first = begun.get(number, {})
            deploys.append(_deploy(number, first, told))
            for app, (_, after) in _changes(first).items():
                if after:
                    removed.pop(app, None)
                elif told.get("outcome") == "done":
                    removed[app] = str(told.get("when", ""))
    return tuple(deploys), removed


def _deploy(number: int, begun: Mapping[str, Any], ended: Mapping[str, Any]) -> Deploy:
    return Deploy(
        number, str(begun.get("what", "")), str(ended.get("outcome", "")),
        _seconds(ended.get("when")), _number(ended.get("seconds")), _members(ended.get("requests")),
    )


def _changes(begun: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {app: (each.get("from", ""), each.get("to", "")) for app, each in _members(begun.get("apps")).items()}


def _members(told: object) -> dict[str, dict[str, Any]]:
    """Return the objects of an object; what is none is damaged."""
    return {key: each for key, each in told.items() if isinstance(each, dict)} if isinstance(told, dict) else {}


def _number(told: object) -> float | None:
    return told if isinstance(told, int | float) and not isinstance(told, bool) else None


def _seconds(moment: object) -> float:
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return 0.0


def _end(path: Path) -> list[str]:
    """Return the last lines of a file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return []
    # The first one may have begun before.
    return lines[1:] if size > TAIL_BYTES else lines
