"""How is the Docker engine of this computer asked for something?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import CommandFailed, NoDocker
from handful.machine.local import Said, last_lines, run

if TYPE_CHECKING:
    from collections.abc import Mapping


def docker(
    *words: str, stdin: str = "", check: bool = True, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> Said:
    """Run `docker WORDS…` on this computer; `timeout` is in seconds, `env` its whole environment when given.

    Raises NoDocker when no engine answers, CommandFailed when it refuses (the latter only with `check`).
    """
    try:
        said = run(["docker", *words], stdin=stdin, check=False, timeout=timeout, env=env)
    except CommandFailed as failed:
        raise _no_engine(failed.message) if failed.status == MISSING else failed from None
    if said.status != 0:
        _require_engine()
        if check:
            message = f"docker {' '.join(words[:2])} ended with exit code {said.status}"
            raise CommandFailed(message, status=said.status, detail=last_lines(said.err or said.out))
    return said


def refuse_podman() -> None:
    """Raise NoDocker when `docker` is Podman: images it saves have other names, and loopback is no registry to it.

    Its template knows a field that Docker's does not (tried: Podman 4.3; Docker 20.10, 28.2).
    """
    if run(["docker", "version", "--format", "{{.Client.OsArch}}"], check=False).status == 0:
        message = "`docker` on this computer is Podman, which names and saves images differently"
        raise NoDocker(message, advice="Install Docker, and put it first on PATH. Nothing was changed.")


MISSING = 127


def _require_engine() -> None:
    """Tell a refusal from an engine that is not there: asked only after a failure, so that it costs nothing."""
    said = run(["docker", "version", "--format", "{{.Server.Version}}"], check=False)
    if said.status != 0:
        raise _no_engine(last_lines(said.err))


def _no_engine(detail: str) -> NoDocker:
    return NoDocker(
        "No Docker engine answers on this computer.",
        detail=detail,
        advice="Install Docker and start it (`docker version` must name a server), as a user who may use it.",
    )
