"""What does a plan hold, and what is it made from?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from handful.plan.hours import wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handful.config.model import Config
    from handful.facts.model import Facts

Value = str | tuple[str, ...]
LEARNING = frozenset({"reach_app", "mend_names"})


@dataclass(frozen=True)
class ImageSource:
    """An image as the operator's computer knows it, before anything is built.

    `name` is the tag it has or will have on machines; `identity` goes into the release's hash:
    `build:` and the hash of what it is built from, or `reference:` and what it was resolved to.
    `git` is the revision, with `+dirty` when files differ from it. `inputs` is a hash of what it is built from, without
    `bases`: what the images that it begins from stood for, by reference. `promoted` names the release it comes from.
    `anew`: nothing is taken from an earlier build; `pull`: the machine that builds pulls what it begins from.
    """

    name: str
    identity: str
    reference: str = ""
    git: str = ""
    inputs: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    promoted: str = ""
    anew: bool = False
    pull: bool = False


@dataclass(frozen=True)
class AppSource:
    """What an app brings besides its config: its image, and the digests of its files by their path in the project.

    `secrets`: keyed fingerprints of what it is given, by `env NAME` or `file /PATH`. The values are nowhere in a plan.
    `packaged`: the manifest of a release that was made earlier, and is deployed as it is.
    """

    image: ImageSource
    digests: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    packaged: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Intent:
    """What the user asked for.

    `apps` empty: all. `targets`: releases to go (back) to, by app, instead of the file's. `images`: the tags of the
    system's own parts. `counts`: instances on each machine, by app, instead of the file's; `seconds`: for how long.
    `origin`: the release whose image is promoted, with its stack.
    """

    what: str = "deploy"
    apps: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    undoes: int | None = None
    who: str = ""
    host: str = ""
    when: str = ""
    handful: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Step:
    """A script's name and its values."""

    script: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Release:
    """A release as it will be written: its id, its manifest (release.json) and the settings of run_app.bash."""

    app: str
    id: str
    manifest: Mapping[str, Any]
    settings: Mapping[str, Value]


@dataclass(frozen=True)
class Goal:
    """What a plan is about: the file, the machines as they are, and by app the releases that are to run."""

    config: Config
    stack: str
    facts: Mapping[str, Facts]
    releases: Mapping[str, Release]
    intent: Intent

    def count(self, app: str, machine: str) -> int:
        """Return how many instances of an app a machine is to have now."""
        if app in self.intent.counts:
            return self.intent.counts[app]
        present = self.facts[machine].app(self.stack, app).instances
        if present is not None and self.intent.what in {"restart", "start", "rollback"}:
            # These are about releases: how many run is another matter.
            return present
        return wanted(self.config.apps[app], self.stack, app, self.facts[machine])


@dataclass(frozen=True)
class Work:
    """What one machine does in one session: images it needs first, releases it is given, steps in their order."""

    machine: str
    steps: tuple[Step, ...]
    releases: tuple[Release, ...] = ()
    images: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        """Whether the machine only learns where apps are: that is no deploy, and history does not tell of it."""
        scripts = {step.script for step in self.steps if not step.script.startswith("setup_")}
        return bool(scripts & LEARNING) and scripts <= {*LEARNING, "ensure_network", "maintenance"}


@dataclass(frozen=True)
class Change:
    """What happens to an app on a machine, and why; `action` nothing: it is as the file says."""

    machine: str
    app: str
    action: Literal["deploy", "restart", "scale", "mend", "stop", "remove", "setup", "reach", "nothing"]
    before: str = ""
    after: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that will be done: waves follow one another, the machines of a wave work side by side.

    `deploy` is this act's number in history; `begun` its history line; `notes` are sentences for the user.
    """

    stack: str
    deploy: int
    what: str
    begun: Mapping[str, Any]
    waves: tuple[tuple[Work, ...], ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.waves
