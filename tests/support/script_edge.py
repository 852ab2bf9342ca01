"""How does a machine's port 80 answer, as the internet asks it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from script_machine import Machine

HOST = "shop.test"


def edge(machine: Machine, host: str = HOST, path: str = "/", cookie: str = "") -> str:
    """Ask the machine's port 80, as the internet does; return the whole answer."""
    with machine.connect("127.0.0.1", 80) as made:
        sent = f"Cookie: {cookie}\r\n" if cookie else ""
        made.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{sent}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: made.recv(65536), b"")).decode()


def body(answer: str) -> str:
    """Return what stands below an answer's head."""
    return answer.partition("\r\n\r\n")[2]
