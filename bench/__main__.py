"""Which benches run, and how is what they found shown?"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.pairs import Result, table
from harness.program import say, start
from harness.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

# Those without a lab come first, then those on one machine: the others add machines to it.
NAMES = (
    "cli", "agent", "logs", "deploy-change", "deploy-nothing", "rollback", "status", "secrets", "images", "prepare",
    "switch", "rtt", "machines",
)
# A module `secrets` would be taken for Python's own.
MODULES = MappingProxyType({"secrets": "with_secrets"})


def main(arguments: Sequence[str]) -> int:
    """Run the benches named, or all; 0 when all could be measured, whatever their times are."""
    what = "Measures how fast handful is beside the same work by hand."
    parser = argparse.ArgumentParser(prog="script/bench", description=what)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of: {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--json", action="store_true", help="one JSON line for each bench on stdout, and nothing else")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(NAMES)}")
    results = run(tuple(name for name in NAMES if not given.names or name in given.names), as_json=given.json)
    if not given.json:
        print(table(results))
    return 0


def run(names: Sequence[str], *, as_json: bool) -> list[Result]:
    """Run benches on one site; JSON lines are printed as each has ended."""
    results = []
    site = Site(say)
    with site:
        for name in names:
            say(f"{name} (load average {os.getloadavg()[0]:.1f})")
            found = import_module(MODULES.get(name, name.replace("-", "_"))).measure(site)
            for each in (found,) if isinstance(found, Result) else found:
                results.append(each)
                if as_json:
                    print(each.as_json(), flush=True)
    return results


if __name__ == "__main__":
    start(main)
