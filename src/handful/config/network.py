"""What can be written of the machines' own network?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from handful.config.part import Part
from handful.config.values import RANGE


class Network(Part):
    """The machines' own network, in which they have their `private` addresses."""

    range: Annotated[str, Field(pattern=RANGE)] = "10.114.0.0/24"
    """The addresses of it."""
    join: Literal["auto", "wireguard", "none"] = "auto"
    """`wireguard`: handful joins them; `none`: somebody else has; `auto`: WireGuard, but for a lab, which has one."""
