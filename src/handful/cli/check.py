"""`handful check` and `handful schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from handful.cli.common import load_config

if TYPE_CHECKING:
    from collections.abc import Sized


@click.command("check")
def check_command() -> None:
    """Check handful.yml and its overlay: every problem, with file, line and column. Touches no machine."""
    loaded = load_config()
    names = ", ".join(path.name for path in loaded.paths)
    apps, machines = _count(loaded.config.apps, "app"), _count(loaded.config.machines, "machine")
    click.echo(f"{names}: right. Stack {loaded.stack}, {apps}, {machines}.")


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of handful.yml, for editors: handful schema > handful.schema.json"""
    from handful.config.schema import schema

    click.echo(json.dumps(schema(), indent=2))
