"""How is a machine reached over ssh?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What ssh needs to know of a machine; everything else comes from the user's own ssh config.

    `private` is its address in the private network; `options` are further `-o` values, like `IdentityFile=…`.
    `advice` says how a person gets in, or makes it answer, where `ssh HOST` does not.
    `sockets` is the folder of connections that stay open for the next session; None: each session connects anew.
    """

    name: str
    host: str
    private: str | None = None
    user: str | None = None
    port: int | None = None
    options: tuple[str, ...] = ()
    advice: str = ""
    sockets: str | None = None
