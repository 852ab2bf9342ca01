"""What can be written of Docker itself?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from handful.config.part import Part
from handful.config.values import REPOSITORY, VERSION


class DockerPackages(Part):
    """Where machines that have no Docker get it from, when not from their distribution."""

    repository: Annotated[str, Field(pattern=REPOSITORY)]
    """Docker's own packages for the system of the machines, or a mirror, as Docker's documentation has it."""
    key: str
    """The file of the project that has the public key of who signs them."""
    version: Annotated[str, Field(pattern=VERSION)] | None = None
    """The version that is kept, until another is written here, like 5:28.5.2*."""
