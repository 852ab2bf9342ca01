"""What do the scripts' tests share?"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from script_machine import Machine
from script_pair import two_machines

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a shell has started in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give an empty machine."""
    # A short path: a unix socket's has 107 bytes at the most.
    try:
        made = Machine(tmp_path_factory.mktemp("m"))
    except OSError as refused:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs root, and namespaces of its own: {refused}")
    yield made
    made.close()


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Give a machine with proxy, names and service addresses."""
    machine.set_up()
    return machine


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    """Give two machines with a private network between them."""
    with two_machines(tmp_path_factory.mktemp) as made:
        yield made
