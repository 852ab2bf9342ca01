"""What does a provider have of a stack?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A machine at a provider: `name` is the machine's in the file, `state` is running or stopped.

    `address` is where the world finds it, `private` its address in the machines' own network.
    """

    name: str
    address: str
    private: str
    state: str
    image: str = ""
    size: str = ""

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.state == "running"
