"""Where are a lab's machines, with which keys are they reached, and by which keys are they known?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from handful.errors import MachineError
from handful.machine.local import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def ensure_key(folder: Path) -> str:
    """Return the lab's public key, made in `folder` (0700) when it has none."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    private, public = folder / "id_ed25519", folder / "id_ed25519.pub"
    if not (private.exists() and public.exists()):
        private.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"handful lab {folder.name}", "-f", str(private)])
    return public.read_text(encoding="ascii")


def write_host_keys(folder: Path, keys: Mapping[str, str]) -> None:
    """Make the lab's known_hosts say that each address of `keys` has that host key; other addresses stay as they are.

    The keys come from the machines through Docker: a machine that was made anew is known at once, and for certain.
    """
    path = folder / "known_hosts"
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in old if line.split(" ")[0] not in keys]
    lines = kept + [f"{address} {key}" for address, key in keys.items()]
    fresh = folder / "known_hosts.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    fresh.replace(path)


def write_addresses(folder: Path, addresses: Mapping[str, str]) -> None:
    """Write down where the lab's machines are, so that reaching them asks no Docker."""
    fresh = folder / "addresses.new"
    fresh.write_text("".join(f"{name} {address}\n" for name, address in addresses.items()), encoding="ascii")
    fresh.replace(folder / "addresses")


def read_addresses(folder: Path) -> dict[str, str]:
    """Return where the lab's machines are, by name; nothing when there is no lab."""
    path = folder / "addresses"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return {name: address for name, _, address in (line.partition(" ") for line in lines)}


def options(folder: Path) -> tuple[str, ...]:
    """Return the `-o` values with which ssh enters the lab's machines.

    Raises MachineError when the key is not there.
    """
    if not (folder / "id_ed25519").exists():
        raise MachineError(f"The key of the lab is gone: {folder}/id_ed25519", advice="Make a new one: handful lab up.")
    place = str(folder).replace("%", "%%")
    return (
        f'IdentityFile="{place}/id_ed25519"',
        "IdentitiesOnly=yes",
        f'UserKnownHostsFile="{place}/known_hosts"',
        "StrictHostKeyChecking=accept-new",
    )
