"""What can be written of images: how they are built, which the system runs, and by which way they reach machines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from handful.config.part import Part
from handful.config.secrets import SecretName
from handful.config.values import PLATFORM, SERVER, Choice, Name, Reference, Text


class Build(Part):
    """An image built from source."""

    context: str = "."
    """The folder that Docker is sent, inside the project's folder."""
    dockerfile: str = "Dockerfile"
    """The Dockerfile, inside the context."""
    target: Text | None = None
    """The stage of the Dockerfile to build; the last one unless told."""
    args: dict[str, Text] = {}
    """Build arguments, as NAME: value."""
    platform: Annotated[str, Field(pattern=PLATFORM)] | None = None
    """What the machines are, when this computer is something else: linux/amd64, linux/arm64. Needs BuildKit."""
    ssh: Choice = False
    """Let steps of the build use your ssh agent (RUN --mount=type=ssh). Needs BuildKit."""
    on: Name | None = None
    """A machine that builds instead of this computer, with at most half of its processors and memory."""
    secrets: tuple[SecretName, ...] = ()
    """Secrets that steps of the build may read, as RUN --mount=type=secret,id=NAME; they are not kept in the image."""


class SameImage(Part):
    """The image of another app of this file."""

    app: Name
    """The app whose image this one runs; both are deployed and rolled back together."""


class Images(Part):
    """The system's own parts: an image reference, or null for one made from the distribution's package."""

    proxy: Reference | None = "haproxy:3.2"
    """The HAProxy image; what cannot be pulled is built from Debian's package."""
    dns: Reference | None = None
    """The image of the name server (dnsmasq); null builds it from Debian's package."""
    agent: Reference | None = None
    """What the agent's image begins from, with Python 3.11 or newer; null takes Debian's package."""
    registry: Reference | None = "registry:3"
    """The registry that machines fetch images from, on your own computer; what cannot be pulled is built likewise."""


class RegistryPassword(Part):
    """Where the password of a registry comes from."""

    secret: SecretName
    """A secret's name."""


class Registry(Part):
    """A registry of your own, which machines fetch images from; without one, they travel over ssh."""

    server: Annotated[str, Field(pattern=SERVER)]
    """Its host name, with a port and a path where it wants them: registry.example.com, ghcr.io/acme."""
    user: Text | None = None
    """Who logs in."""
    password: RegistryPassword | None = None
    """The password or token, as {secret: NAME}; it goes to machines on stdin, and stays there for the transfer."""
    keep_login: Choice = False
    """Leave the machines logged in, for what they pull by themselves."""

    @model_validator(mode="after")
    def whole(self) -> Registry:
        """Refuse a user without a password, and the other way round; and Docker's hub without a name there."""
        if self.server == "docker.io":
            message = "write whose images they are at the hub: docker.io/YOUR_NAME"
            raise ValueError(message)
        if (self.user is None) != (self.password is None):
            message = "write user and password, or neither"
            raise ValueError(message)
        return self
