"""What would handful send to a machine for an app that is written like this?

Made by the planner's own functions, so that scripts get here what they get in earnest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.artifact.release import release_files
from handful.artifact.script import work_script
from handful.config.model import Config
from handful.plan import steps
from handful.plan.model import AppSource, ImageSource, Plan, Release, Step, Work
from handful.plan.release import describe, release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROXY, NAMES = "handful/proxy:1", "handful/names:1"
SETUP = (
    Step("setup_network", {"range": "10.210.0.0/16"}),
    Step("setup_names", {"image": NAMES, "address": "10.210.255.53"}),
    Step("setup_proxy", {"image": PROXY}),
    Step("setup_done", {"machine": '{"format":1,"parts":1}'}),
)
# Quick, so that tests are.
QUICK: dict[str, Any] = {
    "image": "web", "port": 8000, "stop_timeout": "1s", "drain_timeout": "5s",
    "health": {"path": "/up", "every": "0.1s", "within": "8s"},
}


@dataclass(frozen=True)
class Made:
    """A release with its files, and the number its app was given (None: it has no port)."""

    release: Release
    files: dict[str, bytes]
    config: Config
    number: int | None

    @property
    def app(self) -> str:
        """The app's name."""
        return self.release.app

    @property
    def id(self) -> str:
        """The release's id."""
        return self.release.id

    @property
    def stack(self) -> str:
        """The stack's name."""
        return str(self.release.settings["stack"])

    @property
    def image(self) -> str:
        """The image's name."""
        return str(self.release.settings["image"])

    @property
    def uploads(self) -> dict[str, bytes]:
        """The files as they lie in the bundle."""
        return {f"releases/{self.app}/{path}": content for path, content in self.files.items()}

    @property
    def first_steps(self) -> list[Step]:
        """What comes before the release runs."""
        return [
            Step("ensure_network", {"stack": self.stack}),
            steps.place(self.stack, self.app, self.number, self.config.apps[self.app].usual, self.config.apps[self.app].deploy.keep),
            steps.receive(self.stack, self.app, self.id),
        ]


def make(
    folder: Path, counter: int = 1, *, app: str = "web", stack: str = "shop", number: int | None = 1,
    values: Mapping[str, str] | None = None, **keys: Any,
) -> Made:
    """Make a release of an app with these keys of handful.yml over QUICK; a key that is None is left out.

    `folder` holds the app's files and side scripts. Its image is `<app>:<counter>`. `values` are those of secrets.
    """
    wanted = {key: value for key, value in {**QUICK, **keys}.items() if value is not None}
    config = Config.model_validate({"project": "shop", "apps": {app: wanted}})
    paths = [*config.apps[app].files, *(p for p in (config.apps[app].before_start, config.apps[app].after_start) if p)]
    marks = {f"env {use.env}" if use.env else f"file {use.file}": f"{counter:016x}" for use in config.apps[app].given}
    source = AppSource(ImageSource(f"{app}:{counter}", f"build:{counter}"), dict.fromkeys(paths, "0"), marks)
    manifest = describe(app, config, source)
    made = release(stack, f"{counter:04d}-{manifest['hash'][:6]}", manifest)
    served = config.apps[app].port is not None and config.apps[app].network == "stack"
    return Made(made, release_files(made, config.apps[app], folder, values or {}), config, number if served else None)


def run_steps(*made: Made, commands: Sequence[str] = ()) -> list[Step]:
    """Return the steps that bring releases of one stack into use together."""
    apps = {each.app: each.config.apps[each.app] for each in made}
    return list(steps.run(made[0].stack, {each.app: each.id for each in made}, apps, commands))


def script(stack: str, deploy: int, taken: Sequence[Step], holder: str = "anna on laptop") -> str:
    """Return the work script of one machine."""
    begun = {"deploy": deploy, "event": "begun", "what": "deploy", "who": "anna", "apps": {}}
    work = Work("m1", tuple(taken))
    return work_script(Plan(stack, deploy, "deploy", begun, ((work,),), ()), work, holder)
