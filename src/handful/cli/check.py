"""`handful check` and `handful schema`."""

from __future__ import annotations

import json

import click

from handful.cli.common import load_config


@click.command("check")
def check_command() -> None:
    """Check handful.yml and its overlay: every problem, with file, line and column. Touches no machine."""
    loaded = load_config()
    names = ", ".join(path.name for path in loaded.paths)
    click.echo(
        f"{names}: right. Stack {loaded.stack}, {len(loaded.config.apps)} apps, {len(loaded.config.machines)} machines."
    )


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of handful.yml, for editors: handful schema > handful.schema.json"""
    from handful.config.schema import schema

    click.echo(json.dumps(schema(), indent=2))
