"""What is good or bad about a machine, and how is it mended?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence about a machine ("" is the operator's computer); `mend` says what to do, "" when it is good."""

    machine: str
    text: str
    mend: str = ""

    @property
    def good(self) -> bool:
        """Whether there is nothing to do."""
        return not self.mend
