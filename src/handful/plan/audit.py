"""What on a machine lets strangers in, or a container out? Pure: from what audit.bash told to findings.

Of what docker-bench and the CIS lists ask, it is what matters on machines of this kind: docs/guide/machines.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from handful.facts.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

PREPARE = "handful machines prepare {}"
SSHD = (
    ("passwordauthentication", "yes", "sshd lets people in by password"),
    ("kbdinteractiveauthentication", "yes", "sshd lets people in by password (keyboard-interactive)"),
    ("permitrootlogin", "yes", "sshd lets root in by whatever others come in by"),
    ("permitemptypasswords", "yes", "sshd lets people in without a password"),
)
AGENT = "handful-agent"
TAKES_OVER = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE"})
SS_WORDS = 5


def findings(machine: str, told: Mapping[str, str]) -> Iterator[Finding]:
    """Return what is bad, as sentences with what to do about each."""
    yield from _logins(machine, told)
    yield from _system(machine, told)
    yield from _docker(machine, told)
    for line in told.get("containers", "").splitlines():
        yield from _container(machine, json.loads(line))


def listening(told: Mapping[str, str]) -> dict[int, str]:
    """Return the TCP ports that something listens on beyond loopback, and what that is."""
    found = {}
    for words in (line.split() for line in told["listening"].splitlines()):
        if len(words) >= SS_WORDS and words[0] == "tcp" and not words[4].startswith(("127.", "[::1]")):
            found[int(words[4].rpartition(":")[2])] = words[-1].partition('(("')[2].partition('"')[0] or "a program"
    return found


def reached(
    machine: str, open_: Collection[int], told: Mapping[str, str], wanted: Collection[str]
) -> Iterator[Finding]:
    """Compare the ports that were open from outside with those that the file opens; `wanted`: PORT/PROTOCOL."""
    programs = listening(told)
    allowed = {int(each.partition("/")[0]) for each in wanted if each.endswith("/tcp")}
    for port in sorted(set(open_) - allowed):
        meant = f"machines: {{{machine}: {{open: [{port}]}}}}"
        mend = f"Close it: {PREPARE.format(machine)}. Or say that it is meant: {meant}"
        yield Finding(machine, f"port {port} ({programs.get(port, 'a program')}) is open to the world", mend)
    for port in sorted(allowed & programs.keys() - set(open_)):
        mend = "Something in between closes it: a firewall of the provider's?"
        yield Finding(machine, f"port {port} ({programs[port]}) is meant to be open, and is not, from here", mend)


def untried(machine: str) -> Finding:
    """Return that nobody could try a machine's ports."""
    text = "its ports were not tried: ssh reaches it over another machine"
    return Finding(machine, text, "Run handful audit from where it is reached directly, too")


def unasked(machine: str, neighbour: str) -> Finding:
    """Return that another machine could not try a machine's ports."""
    return Finding(machine, f"its ports were not tried from {neighbour}, which could not be asked", "Try again later")


def _logins(machine: str, told: Mapping[str, str]) -> Iterator[Finding]:
    settings = dict(line.partition(" ")[::2] for line in told["sshd"].splitlines())
    for name, bad, text in SSHD:
        if settings.get(name) == bad:
            yield Finding(machine, text, PREPARE.format(machine))
    for user in told["empty_passwords"].split():
        yield Finding(machine, f"the user {user} has an empty password", f"There: passwd --lock {user}")


def _system(machine: str, told: Mapping[str, str]) -> Iterator[Finding]:
    if not told["firewall"].strip():
        yield Finding(machine, "the firewall is not in force", PREPARE.format(machine))
    if not told["upgrades"].strip():
        yield Finding(machine, "security upgrades do not come by themselves", PREPARE.format(machine))
    if told["reboot"].strip():
        yield Finding(machine, "upgrades wait for a restart", f"When it suits: handful ssh {machine} reboot")
    for path in told["writable"].split():
        mend = f"There: chown root:root {path}; chmod go-w {path}"
        yield Finding(machine, f"others than root may write to {path}", mend)
    for path in told["readable"].split():
        yield Finding(machine, f"others than root may read {path}", f"There: chmod 700 {path}")


def _docker(machine: str, told: Mapping[str, str]) -> Iterator[Finding]:
    socket = told["socket"].strip()
    if socket and socket[-1] != "0":
        yield Finding(machine, f"everybody may use Docker's socket (mode {socket})", "There: chmod o= /run/docker.sock")
    for port in (port for port, program in listening(told).items() if program == "dockerd"):
        mend = "There: take -H tcp://… from docker.service, and hosts from /etc/docker/daemon.json"
        yield Finding(machine, f"Docker listens on port {port}: whoever reaches it is root", mend)
    if members := told["docker_group"].strip():
        mend = "There, for each: gpasswd --delete USER docker"
        yield Finding(machine, f"by the group docker, these users are as good as root: {members}", mend)


def _container(machine: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    name, host = told["name"].removeprefix("/"), told["host"]
    for text, mend in _escapes(host, told["mounts"] or (), own=name == AGENT):
        yield Finding(machine, f"the container {name} {text}", mend)
    for bindings in (host.get("PortBindings") or {}).values():
        for each in bindings or ():
            if not (each.get("HostIp") or "").startswith("127."):
                where = each.get("HostIp") or "all addresses"
                text = f"the container {name} is published on port {each['HostPort']} of {where}"
                yield Finding(machine, text, "handful's proxy needs no published port; others: -p 127.0.0.1:PORT:PORT")


def _escapes(
    host: Mapping[str, Any], mounts: Iterable[Mapping[str, Any]], *, own: bool
) -> Iterator[tuple[str, str]]:
    """Tell how a container could get out. `own`: it is handful's agent, which is to see all, and can do nothing."""
    if host.get("Privileged"):
        yield "is privileged: it can do what the machine can", "Run it without --privileged"
    if host.get("PidMode") == "host" and not (own and host.get("CapDrop") == ["ALL"]):
        yield "sees all processes of the machine", "Run it without --pid host"
    if taken := {each.removeprefix("CAP_") for each in host.get("CapAdd") or ()} & TAKES_OVER:
        yield f"may take the machine over ({', '.join(sorted(taken))})", "Run it without --cap-add of these"
    if any("unconfined" in each for each in host.get("SecurityOpt") or ()):
        yield "is not confined", "Run it without --security-opt …=unconfined"
    if any(each.get("Source", "").endswith("docker.sock") for each in mounts):
        yield "has Docker's socket: it is as good as root", "Run it without that mount"
