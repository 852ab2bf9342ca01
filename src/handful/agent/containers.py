"""Which containers are here, and whose are they: read from the files that Docker keeps of them.

Not from Docker's socket: whoever has that is root, and an agent needs names only.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.agent.store import Source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A `max-size` as Docker reads it, in powers of 1000 (measured): 20m, 1.5 GB, 1024.
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
UNITS = " kmgtp"
# Of those that are nobody's of handful's.
NOBODY, OTHERS = "_", "others"


@dataclass(frozen=True)
class Container:
    """A container, running or not; `log` is the file that Docker writes to, with its driver json-file.

    `pid` is 0 where it does not run; times are as Docker has them. `health`: healthy, unhealthy, starting; "": nobody
    looks. `part`: which of handful's own it is. `max_size`: of so many bytes, Docker begins another file; 0: it never
    does, or who knows.
    """

    id: str
    name: str
    image: str
    source: Source
    log: Path
    pid: int = 0
    started: str = ""
    finished: str = ""
    exit_code: int = 0
    killed_for_memory: bool = False
    restarts: int = 0
    running: bool = False
    health: str = ""
    part: str = ""
    max_size: int = 0
    # Of the app, as handful counts them; "" for commands beside them, and what is not handful's.
    instance: str = ""


class Containers:
    """The containers below Docker's folder; a file that has not changed is not read again."""

    def __init__(self, folder: Path) -> None:
        """`folder` is Docker's own `containers`, as seen from here."""
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int], Container]] = {}

    def look(self, changed: Iterable[str] | None = None) -> dict[str, Container]:
        """Return all that are there, by their id. One that is being made or removed at this moment may be missing.

        `changed`: only these are looked at anew.
        """
        if changed is None:
            try:
                changed = sorted(os.listdir(self._folder))  # noqa: PTH208  # each few seconds: see _one
            except FileNotFoundError:
                changed = ()
            except OSError:
                # Who cannot look now has not seen that they are gone.
                return self._told()
            self._known = {key: self._known[key] for key in changed if key in self._known}
        for key in changed:
            found = self._one(key)
            if found is None:
                self._known.pop(key, None)
            else:
                self._known[key] = found
        return self._told()

    def _told(self) -> dict[str, Container]:
        return {key: container for key, (_, container) in self._known.items()}

    def _one(self, key: str) -> tuple[tuple[int, int], Container] | None:
        path, known = f"{self._folder}/{key}/config.v2.json", self._known.get(key)
        try:
            told = os.stat(path)  # noqa: PTH116  # a Path costs more than the looking
        except FileNotFoundError:
            return None
        except OSError:
            return known
        stamp = told.st_ino, told.st_mtime_ns
        if known is not None and known[0] == stamp:
            return known
        container = _read(self._folder / key / "config.v2.json", known[1] if known else None)
        return (stamp, container) if container is not None else known


def _read(path: Path, known: Container | None) -> Container | None:
    """Read what Docker knows of one; None when that cannot be read now. `known`: what was read before."""
    try:
        told = json.loads(path.read_bytes())
        labels, state = told["Config"].get("Labels") or {}, told["State"]
        name = told["Name"].removeprefix("/")
        # Docker writes it down only when the container has started: one of a moment may be gone by then.
        log = told.get("LogPath") or f"{told['ID']}-json.log"
        return Container(
            id=told["ID"],
            name=name,
            image=told["Config"]["Image"],
            source=_source(name, labels),
            # As seen from the machine: here, the folder may be elsewhere.
            log=path.parent / log.rpartition("/")[2],
            pid=state["Pid"] if state["Running"] else 0,
            started=state.get("StartedAt", ""),
            finished=state.get("FinishedAt", ""),
            exit_code=state.get("ExitCode", 0),
            killed_for_memory=state.get("OOMKilled", False),
            restarts=told.get("RestartCount", 0),
            # While it waits for its next start, Docker calls it running.
            running=state["Running"] and not state.get("Restarting"),
            health=(state.get("Health") or {}).get("Status", ""),
            part=labels.get("handful.part", ""),
            max_size=known.max_size if known else _max_size(path.with_name("hostconfig.json")),
            instance=labels.get("handful.instance", ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _max_size(path: Path) -> int:
    """Read at how many bytes Docker begins another file: it stays so. Raises OSError when that cannot be read now."""
    try:
        told = json.loads(path.read_bytes())["LogConfig"]["Config"]["max-size"]
        size = SIZE.fullmatch(told)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0
    return int(float(size[1]) * 1000 ** UNITS.index(size[2].lower() or " ")) if size else 0


def _source(name: str, labels: dict[str, str]) -> Source:
    """Return who says what a container says: an app, one of handful's own parts, or whoever it is."""
    stack, app = labels.get("handful.stack", ""), labels.get("handful.app", "")
    if stack and app:
        # What is no instance (a release command, `handful run`) is called as its container is.
        instance = labels.get("handful.instance") or name.removeprefix(f"{stack}.")
        return Source(_plain(stack), _plain(app), instance, labels.get("handful.release", ""))
    # A name for each would be a folder for each `docker run`.
    return Source(NOBODY, labels.get("handful.part", "") or OTHERS, name)


def _plain(text: str) -> str:
    """Return a name that is a folder's: a label may be anything."""
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in text)
    # What begins with a dot is the agent's own, or no name at all.
    return f"_{kept}"[:100] if kept.startswith(".") or not kept else kept[:100]
