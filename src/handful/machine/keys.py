"""By which public keys may this user log in to machines?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import CommandFailed
from handful.machine.local import run

if TYPE_CHECKING:
    from pathlib import Path


def public_keys(home: Path) -> tuple[str, ...]:
    """Return those of the agent, and those beside the user's private keys; each once, by its kind and key."""
    try:
        held = run(["ssh-add", "-L"], check=False)
        lines = held.out.splitlines() if held.status == 0 else []
    except CommandFailed:
        lines = []
    for path in sorted((home / ".ssh").glob("id_*.pub")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = {tuple(line.split()[:2]): line.strip() for line in reversed(lines) if len(line.split()) > 1}
    return tuple(reversed(found.values()))
