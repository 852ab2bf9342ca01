"""What does it take to bring an image of 400 MB to a machine over a line of 100 Mbit/s?

Bytes are those that the machine's network interface has received. It counts one header for segments that this computer
hands over together: in frames of 1,500 bytes it would be 4.4 % more, for handful as by hand.
"""

from __future__ import annotations

import os
import time
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING

from handful.artifact.base_image import build_image, ensure_base
from handful.artifact.context import context_hash
from handful.artifact.registry import Registry
from handful.artifact.system_image import part_name
from handful.config.images import Images
from harness.fleet import Fleet
from harness.line import Line, said
from harness.pairs import RUNS, Limit, Pairs, Result, in_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.line import Deploy
    from harness.site import Site

# A run takes a minute, and its bytes, which are what is asked for, hardly differ from those of the next.
FIRST_RUNS = 3
BASE = "debian:13-slim"
HALF, LAST = 155_000_000, 1_000_000
FILES, FOLDERS = 5_000, 50
MEGABYTE = 1_000_000
APP = {"build": {"context": "."}, "port": 8000, "health": {"command": ["true"]}}
# The big layer is made by the build, as packages are: no file of the project has its size. Each bench has another one,
# which the registry cannot have from the last. As a container's first process `sleep` hears no other signal.
DOCKERFILE = """\
FROM {base}
RUN : {stack} && head -c {half} /dev/urandom >/random && head -c {half} /dev/zero >/zeros
COPY last /last
STOPSIGNAL SIGKILL
CMD ["sleep", "infinity"]
"""
HAVE_ZSTD = """\
export DEBIAN_FRONTEND=noninteractive
command -v zstd >/dev/null || timeout 150 sh -c 'apt-get update && apt-get install --yes zstd' >/dev/null 2>&1 || true
command -v zstd >/dev/null && echo zstd || echo gzip
"""
WAIT = """\
set -euo pipefail
deadline=$((SECONDS + 60))
until (($(docker ps --all --quiet --filter label=handful.stack={stack} | wc -l) <= {count})); do
  ((SECONDS < deadline)) || exit 1
  sleep 0.1
done
"""
WIPE = """\
rm -rf /var/lib/handful/stacks/{stack}
docker image prune --all --force >/dev/null
docker images --quiet --no-trunc | sort -u |
  xargs docker image inspect --format '{{{{range .RootFS.Layers}}}}{{{{.}}}} {{{{end}}}}'
"""


def measure(site: Site) -> list[Result]:
    """Send an image in turn with `handful deploy` and with `docker save | ssh docker load`, over a slow line."""
    site.have(1)
    packer = _packer(site)
    with Line(f"handful-lab-{site.stack}.m1") as line:
        app = App(site, line, packer)
        return [_first(app), _layer(app), _nothing(app), _context(site)]


def _packer(site: Site) -> str:
    """Have zstd on both sides; where that cannot be, gzip does."""
    here = said(["bash", "-c", HAVE_ZSTD])
    if here == "zstd" == site.sh("m1", HAVE_ZSTD).strip():
        return "zstd"
    site.say("zstd cannot be had: by hand, images are packed with gzip -1")
    return "gzip"


def _first(app: App) -> Result:
    """The machine has what the image begins from, and no more. The warm-up run packs the big layer, too."""
    deploys = []

    def handful(_: int) -> float:
        app.renew()
        app.wipe()
        deploys.append(app.deploy())
        return deploys[-1].shipping_s

    def by_hand(_: int) -> float:
        app.renew()
        image = app.build()
        app.wipe()
        return app.send(image)

    pairs = in_pairs(handful, by_hand, app.site.say, FIRST_RUNS)
    size = median(each.shipping_bytes for each in deploys[1:])
    packed = app.packed_missing()
    limits = (Limit("of the missing layers' packed bytes", size / packed, 1.05, " times"),)
    told = {"packed_bytes": packed, "sent_bytes": deploys[-1].sent, "with_packing_s": deploys[0].shipping_s}
    return app.result("images-first", pairs, size, deploys, limits, told)


def _layer(app: App) -> Result:
    """All but the last layer is there."""
    deploys = []

    def handful(_: int) -> float:
        app.renew()
        deploys.append(app.deploy())
        return deploys[-1].shipping_s

    def by_hand(_: int) -> float:
        app.renew()
        return app.send(app.build())

    pairs = in_pairs(handful, by_hand, app.site.say)
    size = median(each.shipping_bytes for each in deploys[1:])
    taken = median(pairs.handful)
    limits = (Limit("to the machine", size / MEGABYTE, 1.10, " MB"), Limit("takes", taken, 1.5, " s"))
    return app.result("images-layer", pairs, size, deploys, limits, {"sent_bytes": deploys[-1].sent})


def _nothing(app: App) -> Result:
    """The image is there: what a change of env alone sends of images; `median_s` is a deploy with nothing to do."""
    changes, deploys = [], []
    image = app.build()

    def handful(_: int) -> float:
        app.fleet.change()
        changes.append(app.deploy())
        app.settle()
        deploys.append(app.deploy())
        return deploys[-1].seconds

    pairs = in_pairs(handful, lambda _: app.send(image), app.site.say)
    size, moved = median(each.bytes for each in deploys[1:]), max(each.shipping_bytes for each in changes)
    taken = max(each.shipping_s for each in changes)
    limits = (
        Limit("for images, with another env", moved / 1000, 20, " kB"),
        Limit("takes for images", taken, 0.5, " s"),
    )
    told = {"change_bytes": median(each.bytes for each in changes[1:])}
    return app.result("images-nothing", pairs, size, [*changes, *deploys], limits, told)


def _context(site: Site) -> Result:
    """How long does it take to see that nothing of a context has changed?"""
    folder = site.folder.with_name("context")
    for number in range(FILES):
        path = folder / f"folder{number % FOLDERS}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 100, encoding="utf-8")
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    taken = []
    for _ in range(RUNS + 1):
        began = time.monotonic()
        context_hash(folder, dockerfile)
        taken.append(time.monotonic() - began)
    limit = Limit(f"a context of {FILES} files", median(taken[1:]), 0.3, " s")
    return Result("images-context", Pairs(taken[1:], taken[1:]), (limit,))


class App:
    """An app with a big image on m1: its deploys, and the same image by hand."""

    def __init__(self, site: Site, line: Line, packer: str) -> None:
        """Write its files; nothing is on the machine yet."""
        self.site, self._line, self._packer = site, line, packer
        self.fleet = Fleet(site, "images", {"m1": site.address("m1")}, APP)
        self._text = DOCKERFILE.format(base=ensure_base(BASE, site.say), stack=site.stack, half=HALF)
        (self.fleet.folder / "Dockerfile").write_text(self._text, encoding="utf-8")
        self.fleet.change()
        self.renew()
        self._built, self._serves = 0, False
        self._held: list[list[str]] = []
        self._by_hand: list[int] = []

    def renew(self) -> None:
        """Change the last layer, of which nothing can be packed."""
        (self.fleet.folder / "last").write_bytes(os.urandom(LAST))

    def build(self) -> str:
        """Build the image by hand, and return a name that it has nowhere else."""
        self._built += 1
        name = f"{self.site.stack}:images-{self._built}"
        build_image(name, self._text, lambda _: None, context=self.fleet.folder)
        return name

    def settle(self, count: int = 1) -> None:
        """Wait until no more than `count` instances are left on the machine."""
        self.site.sh("m1", WAIT.format(stack=self.fleet.stack, count=count))

    def wipe(self) -> None:
        """Take the app from the machine, and all images that nothing else runs."""
        if self._serves:
            self.fleet.handful("remove", "web", "--yes")
        self._serves = False
        self.settle(0)
        layers = self.site.sh("m1", WIPE.format(stack=self.fleet.stack))
        self._held = [line.split() for line in layers.splitlines()]

    def packed_missing(self) -> int:
        """Return the packed bytes of the newest image's layers that the machine lacked when it had been wiped."""
        name = f"--filter=reference=handful/{self.fleet.stack}/web"
        image = said(["docker", "images", "--format={{.Repository}}:{{.Tag}}", name]).split()[0]
        with Registry(part_name("registry", Images()), self.site.environ) as registry:
            layers = registry.store(image).layers
        # A layer is there when all below it are, too.
        there = max(
            len(list(takewhile(lambda both: both[0][0] == both[1], zip(layers, held, strict=False))))
            for held in self._held
        )
        return sum(size for _, size in layers[there:])

    def send(self, image: str) -> float:
        """Send an image by hand."""
        before = self._line.received()
        seconds = self.site.by_hand("send_image", "m1", image, self._packer)
        self._by_hand.append(self._line.received() - before)
        return seconds

    def deploy(self) -> Deploy:
        """Run `handful deploy`."""
        environ = {**self.site.environ, "BENCH_SSH_CONFIG": str(self.site.own_folder / "ssh_config")}
        self._serves = True
        return self._line.deploy(self.fleet.folder, environ)

    def result(
        self, name: str, pairs: Pairs, size: float, deploys: Sequence[Deploy], limits: tuple[Limit, ...],
        told: dict[str, float],
    ) -> Result:
        """Return a result with what each has; the next one's bytes by hand are counted anew."""
        peak = max(each.peak for each in deploys) / MEGABYTE
        # The first one is the warm-up's.
        by_hand, self._by_hand = median(self._by_hand[1:]), []
        extra = {"bytes": size, "by_hand_bytes": by_hand, "operator_mb": peak, **told}
        return Result(name, pairs, (*limits, Limit("operator's memory", peak, 150, " MB")), extra)
