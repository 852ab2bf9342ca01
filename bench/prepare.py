"""How long does it take to prepare bare machines, beside the bare `apt-get install` that it contains?"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

from handful.plan import docker
from handful.plan.prepare import PACKAGES
from harness.pairs import Limit, Pairs, Result

if TYPE_CHECKING:
    from harness.site import Site

RUNS = 3
AT_ONCE = 3
NO_CONFIG = Path("/dev/null")
INSTALL = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "


def measure(site: Site) -> list[Result]:
    """Each run has bare machines of its own: one for apt-get alone, one for handful, three for handful at once."""
    one, three, again, by_hand = list[float](), list[float](), list[float](), list[float]()
    for run in range(1, RUNS + 1):
        with Bare(site, f"bare-{run}", 2 + AT_ONCE) as bare:
            # In turn first, as what comes first warms the way to the packages.
            pair = (bare.install("m1"), bare.prepare("m2")) if run % 2 else (bare.prepare("m2"), bare.install("m1"))
            mine, theirs = (pair[1], pair[0]) if run % 2 else pair
            one.append(mine)
            by_hand.append(theirs)
            again.append(bare.prepare("m2"))
            three.append(bare.prepare(*(f"m{number}" for number in range(3, 3 + AT_ONCE))))
        rest = f"again {again[-1]:.2f} s; three {three[-1]:.1f} s"
        site.say(f"run {run} of {RUNS}: {mine:.1f} s, apt-get {theirs:.1f} s; {rest}")
    first = Result("prepare", Pairs(one, by_hand))
    done, at_once = Result("prepare-done", Pairs(again, again)), Result("prepare-three", Pairs(three, one))
    return [
        Result(first.name, first.pairs, (Limit("ratio to apt-get", first.ratio, 1.5),)),
        Result(done.name, done.pairs, (Limit("takes", done.median_s, 2.0, " s"),)),
        Result(at_once.name, at_once.pairs, (Limit("ratio to one", at_once.ratio, 1.5),)),
    ]


class Bare:
    """A project of bare machines in a lab of its own, gone at the end of the `with`."""

    def __init__(self, site: Site, name: str, count: int) -> None:
        self._site, self._stack, self._count = site, f"{site.stack}-{name}", count
        self._folder = site.folder.with_name(name)

    def __enter__(self) -> Self:
        """Make the machines."""
        self._folder.mkdir()
        machines: dict[str, object] = {f"m{number}": {} for number in range(1, self._count + 1)}
        told = {"project": self._stack, "provider": {"name": "lab"}, "machines": machines, "apps": {}}
        (self._folder / "handful.yml").write_text(yaml.safe_dump(told), encoding="utf-8")
        self._handful("lab", "up", "--bare")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them."""
        self._handful("lab", "down")

    def prepare(self, *machines: str) -> float:
        """Return how many seconds handful takes."""
        return self._handful("machines", "prepare", *machines)

    def _handful(self, *words: str) -> float:
        return self._site.elsewhere(self._folder, *words, config=NO_CONFIG)

    def install(self, machine: str) -> float:
        """Return how many seconds the packages alone take that handful installs."""
        packages = " ".join((*PACKAGES, *docker.PACKAGES["debian 13"]))
        line = ["docker", "exec", f"handful-lab-{self._stack}.{machine}", "sh", "-c", f"{INSTALL}{packages}"]
        began = time.monotonic()
        subprocess.run(line, check=True, capture_output=True)
        return time.monotonic() - began
