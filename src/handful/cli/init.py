"""`handful init`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from handful.errors import CommandFailed, UsageError
from handful.machine.local import run

HEAD = """\
# What runs, and where. `handful check` reads it, `handful plan` shows what would happen, `handful deploy` does it.
project: {project}

# Machines that exist are named with their address, and reached with your own ssh:
#   machines: {{m1: {{address: 203.0.113.10}}}}
# The lab makes a machine out of a container on this computer, to try things: handful lab up
provider: {{name: lab}}
machines: {{m1: {{}}}}

# Variables of every app.
env: {{TZ: UTC}}

apps:
"""
APP = """\
  web:
    build: {{context: .}}
    port: {port}{port_note}
    # Host names that the proxy on port 80 leads here. This one is for trying: deploy prints a curl line for it.
    domains: [{project}.localhost]
    {health}
    # instances: 2              # on each machine
    # memory: 512m
    # env: {{LOG_LEVEL: info}}
    # release_command: ["./manage.py", "migrate"]   # once per deploy, before any traffic moves
    # needs: [db]
"""
MORE = """\
  # A database beside it, reached as db:5432 from the other apps. A volume makes it one instance,
  # stopped before it starts anew.
  # db:
  #   image: postgres:17
  #   port: 5432
  #   protocol: tcp
  #   env: {POSTGRES_PASSWORD: change-me}
  #   volumes: {pgdata: /var/lib/postgresql/data}
  #   health: {command: [pg_isready, -h, 127.0.0.1, -U, postgres]}
"""


@click.command("init")
def init_command() -> None:
    """Write a commented handful.yml for this folder, from its Dockerfile and its git remote."""
    file = Path("handful.yml")
    if file.exists():
        raise UsageError("handful.yml is here already", advice="Look at it with: handful check")
    dockerfile = Path("Dockerfile")
    text = dockerfile.read_text(encoding="utf-8", errors="replace") if dockerfile.exists() else ""
    file.write_text(write(_project(), text), encoding="utf-8")
    click.echo("wrote handful.yml")
    if not text:
        click.echo("There is no Dockerfile here: write one, or put `image: REFERENCE` in place of `build`.")
    click.echo("Next: handful lab up, then handful deploy")


def write(project: str, dockerfile: str) -> str:
    """Return the text of a handful.yml for a project with this Dockerfile ("" when it has none)."""
    exposed = re.search(r"^\s*EXPOSE\s+(\d+)", dockerfile, re.MULTILINE | re.IGNORECASE)
    note = (
        "                  # from EXPOSE"
        if exposed
        else "                  # what the app listens on, inside its container"
    )
    app = APP.format(
        project=project, port=exposed[1] if exposed else "8000", port_note=note, health=_health(dockerfile)
    )
    return HEAD.format(project=project) + app + MORE


def _health(dockerfile: str) -> str:
    """A path in the Dockerfile's HEALTHCHECK is the check; without one, taking connections is enough."""
    found = re.search(
        r"^\s*HEALTHCHECK\b(?:.*\\\n)*.*?https?://[^/\s\"']+(/[^\s\"'|;)\]]*)", dockerfile, re.MULTILINE | re.IGNORECASE
    )
    if found:
        return f"health: {{path: {found[1]}}}        # from HEALTHCHECK"
    return "health: {tcp: true}         # better: a page that answers 200 when the app is ready, {path: /up}"


def _project() -> str:
    """The git remote's name, else the folder's, as a name that handful takes."""
    try:
        remote = run(["git", "remote", "get-url", "origin"], check=False).out.strip()
    except CommandFailed:
        remote = ""
    raw = re.split(r"[/:]", remote.removesuffix(".git").rstrip("/"))[-1] or Path.cwd().name
    name = re.sub(r"[^a-z0-9]+", "-", raw.lower()).strip("-").lstrip("0123456789-")[:40].rstrip("-")
    return name or "app"
