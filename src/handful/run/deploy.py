"""Which way does a command go from handful.yml to a changed machine? Look, plan, make, send, do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from handful.artifact.base_image import image_id
from handful.artifact.docker_config import logged_in
from handful.artifact.image import Wish, image_sizes, is_large, read_sources
from handful.artifact.release import app_files, manifest_files, secret_files
from handful.artifact.system_image import make_part, part_name
from handful.errors import BuildFailed, CommandFailed, DeployFailed, NoRegistry
from handful.machine.local import run
from handful.plan.order import image_owner, machines_of
from handful.plan.plan import choose, make_plan
from handful.plan.release import describe
from handful.run.builds import make_images, registry_logins
from handful.run.edges import count_at_edges
from handful.run.engine import carry_out
from handful.run.images import send
from handful.secrets.vault import wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from handful.artifact.own_registry import OwnRegistry
    from handful.artifact.registry import Registry
    from handful.config.model import App, Config
    from handful.config.secrets import SecretUse
    from handful.facts.model import Facts
    from handful.plan.model import AppSource, ImageSource, Intent, Plan, Work
    from handful.run.collect import Home
    from handful.run.engine import Operator
    from handful.run.project import Project

AS_IT_IS = Wish()


@dataclass(frozen=True)
class Foreign:
    """What does not come from the project as it is.

    `images`, by app, take the place of what the file would build or look up, and `packaged` manifests of what it says;
    `homes` are machines that have such images, by their name here; `files` and `given` (the secrets that it is given)
    are those of a package, by app.
    """

    images: Mapping[str, ImageSource] = field(default_factory=dict)
    packaged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    homes: Mapping[str, Home] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    given: Mapping[str, tuple[SecretUse, ...]] = field(default_factory=dict)


NOTHING = Foreign()


def plan_deploy(
    project: Project, facts: Mapping[str, Facts], intent: Intent, wish: Wish = AS_IT_IS,
    foreign: Foreign = NOTHING,
) -> tuple[Plan, dict[str, AppSource]]:
    """Return the plan that brings the apps of `intent` to the file, and what it would be made from."""
    chosen = choose(project.config, intent)
    known = {
        name: manifest for name in project.config.apps if (manifest := present_manifest(name, project.stack, facts))
    }
    sources: dict[str, AppSource] = {}
    if not intent.targets:
        sources = sources_of(project, chosen, known, wish, foreign)
    return make_plan(project.config, project.stack, facts, sources, intent), sources


def same_source(project: Project, facts: Mapping[str, Facts], releases: Mapping[str, str]) -> bool:
    """Whether the project as it is now would make just these releases, by app."""
    kept = {
        name: manifest for name, identifier in releases.items() for here in facts.values()
        if (manifest := here.app(project.stack, name).releases.get(identifier))
    }
    if kept.keys() != releases.keys():
        return False
    sources = sources_of(project, tuple(releases), kept, AS_IT_IS, NOTHING)
    return all(describe(name, project.config, sources[name])["hash"] == kept[name]["hash"] for name in releases)


def sources_of(
    project: Project, chosen: Iterable[str], known: Mapping[str, Mapping[str, Any]], wish: Wish,
    foreign: Foreign,
) -> dict[str, AppSource]:
    """Return what apps bring. A secret that is missing is told before anything is built."""
    chosen, apps = tuple(chosen), project.config.apps
    built = {owner for name in chosen if (owner := image_owner(name, apps)) not in foreign.images}
    given = {name: foreign.given.get(name, apps[name].given) for name in chosen}
    uses = [(name, use.secret) for name in chosen for use in given[name]]
    uses += [(f"the build of {name}", secret) for name in built for secret in _build_secrets(apps[name])]
    values = project.vault.values(wanted(uses)) if uses else {}
    # What is pulled anew may be in the user's own registry.
    with logged_in(registry_logins(project) if wish.pull else {}, project.variables) as variables:
        wish = replace(wish, variables=variables)
        sources = read_sources(project.config, project.stack, project.folder, chosen, known, wish, foreign.images)
    told = project.vault.fingerprint
    return {
        name: replace(source, packaged=foreign.packaged.get(name, {}), secrets={
            f"env {use.env}" if use.env else f"file {use.file}": told(use.secret, values[use.secret])
            for use in given[name]
        }) for name, source in sources.items()
    }


def _build_secrets(app: App) -> tuple[str, ...]:
    return app.build.secrets if app.build else ()


def fulfil(
    project: Project, plan: Plan, sources: Mapping[str, AppSource], facts: Mapping[str, Facts], operator: Operator,
    foreign: Foreign = NOTHING,
) -> None:
    """Carry a plan out: hooks, images, machines."""
    names = tuple(dict.fromkeys(c.app for c in plan.changes if c.action == "deploy"))
    _hooks(project, plan, names, "before_deploy", operator)
    bring_images(project, plan, sources, facts, operator, foreign)
    uploads = {work.machine: _upload(project, work, foreign) for wave in plan.waves for work in wave if work.releases}
    carry_out(plan, project.machines, uploads, operator)
    count_at_edges(project, plan, operator)
    _hooks(project, plan, names, "after_deploy", operator)


def bring_images(
    project: Project, plan: Plan, sources: Mapping[str, AppSource], facts: Mapping[str, Facts], operator: Operator,
    foreign: Foreign = NOTHING,
) -> None:
    """Make every image that a plan needs, and bring each machine those that it lacks."""
    needed = tuple(dict.fromkeys(image for wave in plan.waves for work in wave for image in work.images))
    with _early(project, sources, facts, needed) as early:
        homes = make_images(project, plan, sources, facts, operator, foreign.homes)
        sizes = image_sizes(tuple(image for image in needed if image not in homes))
        send(plan, project.machines, operator, sizes, lambda: early or _registry(project, operator, homes), homes)


def machines_for(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    """Return the machines that hold one of the apps, in the file's order."""
    wanted = {machine for name in names for machine in machines_of(name, config)}
    return tuple(machine for machine in config.machines if machine in wanted)


def present_manifest(name: str, stack: str, facts: Mapping[str, Facts]) -> Mapping[str, Any]:
    """Return the manifest of the release that an app runs on the first machine that runs it; empty when none does."""
    states = [machine.app(stack, name) for machine in facts.values()]
    return next((s.releases[s.current] for s in states if s.current in s.releases), {})


@contextmanager
def _early(
    project: Project, sources: Mapping[str, AppSource], facts: Mapping[str, Facts], needed: Collection[str]
) -> Iterator[Registry | None]:
    """Give a registry that starts while an image is built, when that will be a large one, as it was the last time."""
    from handful.artifact.registry import Registry

    image = part_name("registry", project.config.images)
    before = [
        told["built_from"]["image"] for name, source in sources.items()
        if source.image.name in needed and (told := present_manifest(name, project.stack, facts))
    ]
    if project.config.registry or not before or image_id(image) is None or not any(is_large(name) for name in before):
        yield None
        return
    early = Registry(image, project.variables).begin()
    try:
        yield early
    finally:
        early.end()


def _registry(project: Project, operator: Operator, homes: Collection[str]) -> Registry | OwnRegistry:
    """Return the user's registry, or one of this computer, not started yet: what only machines have goes by that one.

    Raises NoRegistry when there is no image for one.
    """
    from handful.artifact.own_registry import OwnRegistry
    from handful.artifact.registry import Registry

    own = project.config.registry
    if own is not None and not homes:
        login = next(iter(registry_logins(project).values()), "")
        return OwnRegistry(own.server, login, project.variables, keep_login=own.keep_login)
    image = part_name("registry", project.config.images)
    try:
        make_part("registry", project.config.images, image, say=lambda text: operator.tell("image", text))
    except BuildFailed as failed:
        raise NoRegistry(failed.message, detail=failed.detail) from failed
    return Registry(image, project.variables)


def _upload(project: Project, work: Work, foreign: Foreign) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for release in work.releases:
        app = project.config.apps[release.app]
        uses = foreign.given.get(release.app, app.given)
        secrets = project.vault.values(wanted((release.app, use.secret) for use in uses))
        own = foreign.files[release.app] if release.app in foreign.files else app_files(app, project.folder)
        files = {**manifest_files(release), **own, **secret_files(uses, secrets)}
        found |= {f"releases/{release.app}/{path}": content for path, content in files.items()}
    return found


def _hooks(project: Project, plan: Plan, names: Iterable[str], hook: str, operator: Operator) -> None:
    """Run the apps' programs on this computer, in the project's folder; each once."""
    for name in names:
        words = getattr(project.config.apps[name].hooks, hook)
        if words is None:
            continue
        operator.tell("hook", f"{hook} of {name}: {' '.join(words)}")
        release = next(c.after for c in plan.changes if c.app == name)
        given = {
            "HANDFUL_STACK": plan.stack,
            "HANDFUL_APP": name,
            "HANDFUL_RELEASE": release,
            "HANDFUL_WHAT": plan.what,
        }
        try:
            said = run(words, cwd=project.folder, env={**project.variables, **given})
        except CommandFailed as failed:
            message = f"the hook {hook} of {name} failed: {failed.message}"
            then = "Nothing was changed." if hook == "before_deploy" else "The deploy itself is done."
            raise DeployFailed(message, detail=failed.detail, advice=then) from failed
        for line in (said.out + said.err).splitlines():
            operator.tell("output", line)
