"""Which images has the engine here that no machine has any more?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from handful.artifact.docker import docker

if TYPE_CHECKING:
    from collections.abc import Collection

# Docker writes a time of Go's; its zero is the year 1, before any Unix time.
FORM = "{{.Size}} {{.Metadata.LastTagTime.Unix}}"


def leftovers(stack: str, needed: Collection[str], older: float) -> dict[str, int]:
    """Return images of a stack that are not `needed` and got their name more than `older` seconds ago; name → bytes.

    Raises NoDocker when there is no engine here.
    """
    told = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=handful/{stack}/*").out
    found = {}
    for name in sorted(set(told.split()) - set(needed)):
        said = docker("image", "inspect", "--format", FORM, name, check=False)
        if said.status == 0:
            size, tagged = (int(word) for word in said.out.split())
            if 0 < tagged < time.time() - older:
                found[name] = size
    return found


def remove(name: str) -> bool:
    """Take an image's name away; whether that could be: not while a container uses it."""
    return docker("rmi", name, check=False).status == 0
