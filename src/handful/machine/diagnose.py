"""Why can ssh not reach a machine, told from what can be measured and not from ssh's prose?"""

from __future__ import annotations

import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from handful.errors import CommandFailed, LoginRefused, Unreachable
from handful.machine.local import last_lines, run
from handful.machine.ssh import command

if TYPE_CHECKING:
    from handful.machine.access import Access

SECONDS = 5.0
USUAL_PORT = 22


def unreachable(access: Access, said: str) -> Unreachable:
    """Return the error for a session that ssh could not open; `said` are ssh's own words."""
    detail = last_lines(said, 6)
    settings = _settings(access)
    host, port = settings.get("hostname", access.host), int(settings.get("port", "22"))
    target = f"{access.name} ({host} port {port})"
    by_hand = access.advice or f"Try by hand: {_by_hand(access)}"
    if settings.get("proxyjump", settings.get("proxycommand", "none")) != "none":
        return Unreachable(f"{target} cannot be reached over its jump host", detail=detail, advice=by_hand)
    if not _answers(host, port):
        return Unreachable(
            f"{target} does not answer",
            detail=detail,
            advice=access.advice or f"Is it up, and is its address right? A firewall may be in between. {by_hand}",
        )
    if _key_changed(settings, host, port):
        return Unreachable(
            f"{target} shows another host key than before: it was made anew, or somebody stands in between",
            detail=detail,
            advice=f"If you know why, forget the old key and try again: {_forget(settings, host, port)}",
        )
    return LoginRefused(
        f"{target} refuses the login of {settings.get('user', 'this user')}",
        detail=detail,
        advice=f"Its authorized_keys must hold your key. {by_hand}",
    )


def way(access: Access) -> str:
    """Return the host that ssh connects to, by the user's own config; "" when it does so over another one."""
    settings = _settings(access)
    if any(settings.get(key, "none") != "none" for key in ("proxyjump", "proxycommand")):
        return ""
    return settings.get("hostname", access.host)


def _settings(access: Access) -> dict[str, str]:
    """Return ssh's own view of a machine (`ssh -G`), after the user's config."""
    line = command(access, [])
    try:
        told = run([line[0], "-G", *line[1:]], check=False, timeout=SECONDS).out
    except CommandFailed:
        return {}
    return {key: value for key, _, value in (row.partition(" ") for row in told.splitlines())}


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _key_changed(settings: dict[str, str], host: str, port: int) -> bool:
    """Whether the machine shows keys, and none of them is one that is on file for it."""
    files = settings.get("userknownhostsfile", "").split()
    try:
        shown = run(["ssh-keyscan", "-T", "5", "-p", str(port), host], check=False, timeout=2 * SECONDS).out
        known = "".join(
            run(["ssh-keygen", "-F", _known_name(host, port), "-f", file], check=False, timeout=SECONDS).out
            for file in files
        )
    except CommandFailed:
        return False
    return bool(_keys(known)) and bool(_keys(shown)) and not _keys(shown) & _keys(known)


def _keys(text: str) -> set[tuple[str, str]]:
    """Return (type, key) of lines `host type key`."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {(row[1], row[2]) for row in rows if row[2:]}


def _forget(settings: dict[str, str], host: str, port: int) -> str:
    """Return the command that forgets a machine's key, in the file that ssh keeps it in."""
    file = next(iter(settings.get("userknownhostsfile", "").split()), "")
    usual = file in {"", str(Path.home() / ".ssh" / "known_hosts")}
    return shlex.join(["ssh-keygen", *([] if usual else ["-f", file]), "-R", _known_name(host, port)])


def _known_name(host: str, port: int) -> str:
    return host if port == USUAL_PORT else f"[{host}]:{port}"


def _by_hand(access: Access) -> str:
    user = f"{access.user}@" if access.user else ""
    return f"ssh {f'-p {access.port} ' if access.port else ''}{user}{access.host}"
