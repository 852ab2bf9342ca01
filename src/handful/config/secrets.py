"""What can be written of secrets: where they come from, and how an app is given them. Values are never written."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from handful.config.part import Part
from handful.config.values import FOLDER, VARIABLE, Choice, Target, Words

SecretName = Annotated[str, Field(pattern=VARIABLE)]


class SecretSource(Part):
    """Where one secret comes from, when it is not in the file of secrets."""

    command: Words | None = None
    """A program on your computer that writes the value to its output; {name} in a word stands for the secret's name."""
    environment: SecretName | None = None
    """A variable of your own environment, for CI."""

    @model_validator(mode="after")
    def one_way(self) -> SecretSource:
        """Refuse two ways at once, and none."""
        if (self.command is None) == (self.environment is None):
            message = "write one of command and environment"
            raise ValueError(message)
        return self


class Secrets(Part):
    """Where the values of secrets come from."""

    source: Annotated[str, Field(pattern=FOLDER)] = "secrets"
    """The folder of files in SOPS format: ENVIRONMENT.yml (or .env), and default.yml without environments."""
    command: Words | None = None
    """A program that tells the value of each secret that is not in the file; {name} in a word stands for its name."""
    environment: Choice = False
    """Take secrets that are not in the file from your own environment, by their names: for CI."""
    names: dict[SecretName, SecretSource] = {}
    """Where single secrets come from, by name."""


class SecretUse(Part):
    """A secret under another name, or as a file."""

    secret: SecretName
    """Its name."""
    env: SecretName | None = None
    """The environment variable that holds it."""
    file: Target | None = None
    """Where it is mounted read-only in the container; any user of the container can read it."""

    @model_validator(mode="after")
    def one_way(self) -> SecretUse:
        """Refuse two ways at once, and none."""
        if (self.env is None) == (self.file is None):
            message = "write one of env and file"
            raise ValueError(message)
        return self
