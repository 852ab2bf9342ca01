"""What do most commands begin with: the project, who asks, and where events are shown?"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handful import __version__
from handful.errors import UsageError
from handful.report.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.cli.main import Asked
    from handful.config.load import Loaded
    from handful.machine.access import Access
    from handful.plan.model import Intent
    from handful.run.engine import Operator
    from handful.run.project import Project
    from handful.secrets.store import Store
    from handful.secrets.vault import Vault

# A socket's name has at most 107 bytes; ssh adds a slash, 40 digits, and 17 more while it makes it.
LONGEST_SOCKETS = 49

json_option = click.option(
    "--json", "as_json", is_flag=True, help="JSON on stdout: one document, or one event per line."
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show every line of builds.")


def load_config(environment: str | None = None) -> Loaded:
    """Load handful.yml of this folder or the nearest one above, for an environment, or the one that was asked for."""
    from handful.config.load import find, load

    folder = find(Path.cwd())
    return load(folder, environment or _asked().environment)


def _asked() -> Asked:
    """Return what the command line asks for as a whole."""
    asked: Asked = click.get_current_context().find_root().obj
    return asked


def open_project(environment: str | None = None) -> Project:
    """Load the config, of an environment or the one that was asked for, and find out how its machines are reached."""
    from handful.provider.machines import reach, with_private
    from handful.run.project import Project

    # As the user left it: pydantic gets a variable of handful's own, which is not for hooks.
    variables = dict(os.environ)
    loaded = load_config(environment)
    machines = reach(loaded.config, loaded.stack, lab_state(), sockets())
    terminal = sys.stdin.isatty()
    config = with_private(loaded.config, machines)
    vault = open_vault(loaded, variables)
    return Project(config, loaded.stack, loaded.folder, machines, variables, vault, terminal=terminal)


def chosen(project: Project, machine: str | None) -> list[Access]:
    """Return how the machine of --machine is reached, or all. Raises UsageError."""
    if machine not in {None, *project.machines}:
        raise UsageError(f"there is no machine {machine}", advice=f"There are: {', '.join(project.machines)}.")
    return [access for name, access in project.machines.items() if machine in {None, name}]


def open_vault(loaded: Loaded, variables: Mapping[str, str]) -> Vault:
    """Return the values of secrets; nothing is read yet. `variables` are the user's environment."""
    from handful.secrets.vault import Vault

    return Vault(loaded.config.secrets, open_store(loaded), variables, _asked().mask)


def open_store(loaded: Loaded) -> Store:
    """Return the secrets of the environment that was asked for; nothing is read yet."""
    from handful.secrets.age import Keyring
    from handful.secrets.names import DEFAULT
    from handful.secrets.store import Store

    base = loaded.folder / loaded.config.secrets.source / (loaded.environment or DEFAULT)
    every = [base.with_name(base.name + ending) for ending in (".yml", ".yaml", ".env")]
    there = [path for path in every if path.exists()]
    if len(there) > 1:
        names = " and ".join(path.relative_to(loaded.folder).as_posix() for path in there)
        raise UsageError(f"there are {names}: which has the secrets?", advice="Put all into one, remove the rest.")
    return Store(loaded.folder, (there or every)[0], Keyring(os.environ, Path.home()), now)


def now() -> str:
    """Return the time, in UTC, as history and sops have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lab_state() -> Path:
    """Return the folder of the labs' keys."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "handful" / "lab"


def sockets() -> Path | None:
    """Return the folder of open ssh connections, which nobody else may enter; None where there can be none.

    Its name may be too long for a socket, or the ssh of this computer too old.
    """
    from handful.machine.ssh import can_share

    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "handful" if runtime else lab_state().parent / "ssh"
    if len(str(folder).encode()) > LONGEST_SOCKETS:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = folder.stat()
    except OSError:
        return None
    own = made.st_uid == os.getuid() and not made.st_mode & 0o077
    return folder if own and can_share() else None


def intent(
    what: str,
    project: Project,
    *,
    apps: tuple[str, ...] = (),
    targets: Mapping[str, str] | None = None,
    undoes: int | None = None,
    counts: Mapping[str, int] | None = None,
    seconds: float | None = None,
    origin: str = "",
) -> Intent:
    """Return what is asked for, by whom, from where and when."""
    from handful.artifact.system_image import image_names
    from handful.plan.model import Intent

    return Intent(
        what,
        apps=apps,
        targets=targets or {},
        undoes=undoes,
        counts=counts or {},
        seconds=seconds,
        origin=origin,
        who=getpass.getuser(),
        host=socket.gethostname(),
        when=now(),
        handful=__version__,
        images=image_names(project.config.images),
    )


def operator(asked: Intent, lines: Lines) -> Operator:
    """Return who carries a plan out, as others will see it in the lock."""
    from handful.run.engine import Operator

    holder = f"handful {asked.what}, by {asked.who} from {asked.host}, since {asked.when}"
    return Operator(holder, lines.show, time.monotonic())


def show_lines(*, as_json: bool, verbose: bool = False) -> Lines:
    """Return what shows events: JSON on stdout, or lines for people."""
    return Lines(click.echo, as_json=as_json, verbose=verbose)
