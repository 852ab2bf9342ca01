"""Is a machine of the lab up: sshd answers, and its own Docker does?"""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING

from handful.artifact.docker import docker
from handful.errors import MachineError
from handful.machine.local import last_lines
from handful.provider.lab_machines import container_name, machines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handful.provider.lab_machines import LabMachine

DEADLINE_SECONDS = 90
POLL_SECONDS = 0.1
SSH_PORT = 22
LET_KEY_IN = "cat >/etc/ssh/lab_keys/root"
# Waiting inside the machine is one `docker exec`; asking again and again from outside slows down what it waits for.
DOCKER_ANSWERS = "until docker info >/dev/null 2>&1; do sleep 0.2; done"
HOST_KEY = "cat /etc/ssh/ssh_host_ed25519_key.pub"


def wait_ready(stack: str, names: Iterable[str], public_key: str) -> dict[str, str]:
    """Let `public_key` in as root, wait until all machines `names` are up, return their host keys by address.

    One is waited for after the other, while all of them start. Raises MachineError, with the last lines of the
    machine's journal, after DEADLINE_SECONDS for all together, or when one stops.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    here = machines(stack)
    return {here[name].address: _host_key(stack, here[name], public_key, deadline) for name in names}


def _host_key(stack: str, machine: LabMachine, public_key: str, deadline: float) -> str:
    while not _sshd_answers(machine.address):
        if time.monotonic() > deadline or not machines(stack)[machine.name].running:
            raise _not_ready(stack, machine.name)
        time.sleep(POLL_SECONDS)
    remaining = max(1, math.ceil(deadline - time.monotonic()))
    waits = () if machine.bare else (DOCKER_ANSWERS,)
    inside = ("timeout", str(remaining), "sh", "-c", "\n".join((LET_KEY_IN, *waits, HOST_KEY)))
    said = docker("exec", "--interactive", container_name(stack, machine.name), *inside, stdin=public_key, check=False)
    if said.status != 0:
        raise _not_ready(stack, machine.name)
    return said.out.strip()


def _sshd_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, SSH_PORT), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _not_ready(stack: str, name: str) -> MachineError:
    container = container_name(stack, name)
    if machines(stack)[name].running:
        what = f"was not up after {DEADLINE_SECONDS} s"
        seen = docker("exec", container, "journalctl", "--no-pager", "--lines=10", check=False)
    else:
        what = "stopped while it started"
        seen = docker("logs", "--tail=10", container, check=False)
    return MachineError(
        f"The machine {name} of the lab {stack} {what}.",
        detail=last_lines(f"{seen.out}\n{seen.err}"),
        advice=f"Look inside: docker exec -it {container} bash. Or make it anew: handful lab down, handful lab up.",
    )
