"""What can be written of who makes machines?"""

from __future__ import annotations

from typing import Literal

from handful.config.part import Part
from handful.config.secrets import SecretName
from handful.config.values import Word


class ProviderToken(Part):
    """Where the token of a provider comes from."""

    secret: SecretName
    """A secret's name."""


class Provider(Part):
    """Who makes the machines that have no address."""

    name: Literal["lab", "hetzner", "digitalocean", "aws"]
    """`lab`: machines made of containers on this computer; `hetzner` is Hetzner Cloud."""
    image: Literal["debian-13", "debian-12", "ubuntu-24.04", "ubuntu-22.04"] = "debian-13"
    """The system of the machines that are made; a lab has the Debians."""
    region: Word | None = None
    """Where they are made, in the provider's words: fsn1, fra1."""
    size: Word | None = None
    """How large they are, unless a machine says otherwise, in the provider's words: cx32, s-2vcpu-4gb."""
    token: ProviderToken | None = None
    """What lets handful in there, as {secret: NAME}; for aws, that is found as the `aws` command finds it."""
