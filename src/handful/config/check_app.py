"""Can one app be run and reached in the way that it is written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.words import code, either, no_such

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.model import App, Config
    from handful.config.tree import Spot


def check_app(config: Config, name: str, app: App) -> Iterator[Problem]:
    """Find what is wrong with one app, seen without the other apps."""
    yield from _image(name, app)
    yield from _built_on(config, name, app)
    yield from _machines(config, name, app)
    yield from _alone(name, app)
    yield from _strategy(config, name, app)
    yield from _hours(name, app)
    yield from _reached(name, app)
    yield from _health(name, app)


def _image(name: str, app: App) -> Iterator[Problem]:
    if app.build is None and app.image is None:
        sentence = f"app {code(name)} has neither `build` nor `image`: write one of them"
        yield Problem(("apps", name, KEY), sentence, _spots(name, "build", "image"))
    if app.build is not None and app.image is not None:
        sentence = f"app {code(name)} has both `build` and `image`: keep one (in an overlay, null removes the other)"
        yield Problem(("apps", name, "image", KEY), sentence, others=(("apps", name, "build", KEY),))


def _built_on(config: Config, name: str, app: App) -> Iterator[Problem]:
    if app.build is None or app.build.on is None:
        return
    spot = ("apps", name, "build", "on")
    if app.build.on not in config.machines:
        sentence = no_such("machine", app.build.on, list(config.machines))
        yield Problem(spot, sentence, relies=(("machines", app.build.on),))
    told = {"secrets": app.build.secrets, "ssh": app.build.ssh, "platform": app.build.platform}
    for key in (key for key, value in told.items() if value):
        sentence = f"`{key}` needs BuildKit, and `on` builds without it, within half of the machine: keep one of them"
        yield Problem(("apps", name, "build", key), sentence, others=(spot,))


def _machines(config: Config, name: str, app: App) -> Iterator[Problem]:
    known, named = list(config.machines), app.machines
    if named is None:
        if len(known) > 1:
            choice = f"there are {either(known, 'and')}, so write for example `machines: [{known[0]}]`"
            sentence = f"app {code(name)} does not say where it runs: {choice}"
            yield Problem(("apps", name, KEY), sentence, _spots(name, "machines"))
        return
    if not named:
        sentence = f"app {code(name)} runs on no machine: name one, or remove `machines`"
        yield Problem(("apps", name, "machines"), sentence)
    for index, machine in enumerate(named):
        spot = ("apps", name, "machines", index)
        if machine not in config.machines:
            yield Problem(spot, no_such("machine", machine, known), relies=(("machines", machine),))
        elif machine in named[:index]:
            yield Problem(spot, f"machine {code(machine)} is here twice: `instances` is how many run on each")


def _alone(name: str, app: App) -> Iterator[Problem]:
    """One instance on one machine, for the host's network always, for volumes unless a strategy is written."""
    host = app.network == "host"
    if not host and (not app.volumes or app.deploy.strategy is not None):
        return
    why = "is on the host's network" if host else "has volumes"
    way_out = "" if host else ", or write `deploy: {strategy: recreate}` if several are meant"
    relies = _spots(name, "network", "volumes", "deploy")
    others = (("apps", name, "network" if host else "volumes", KEY),)
    if app.most > 1:
        sentence = f"app {code(name)} {why}, so it is one instance: write `instances: 1`{way_out}"
        yield Problem(("apps", name, "instances"), sentence, relies, others)
    if len(app.machines or ()) > 1:
        sentence = f"app {code(name)} {why}, so it runs on one machine: name one{way_out}"
        yield Problem(("apps", name, "machines"), sentence, relies, others)


def _strategy(config: Config, name: str, app: App) -> Iterator[Problem]:
    """A batch that says nothing, and a strategy for which an app would have to run twice on one address."""
    spot, count = ("apps", name, "deploy"), len(app.machines or config.machines)
    if app.network == "host" and app.strategy != "recreate":
        sentence = f"app {code(name)} is on the host's network, where only `recreate` works: the old one has the port"
        yield Problem((*spot, "strategy"), sentence, _spots(name, "network"), _spots(name, "network"))
    if app.deploy.batch > 1 and app.strategy == "all":
        sentence = f"app {code(name)} has a batch, but with strategy `all` every machine is at work: remove one of them"
        yield Problem((*spot, "batch"), sentence, relies=((*spot, "strategy"),))
    elif app.deploy.batch > max(count, 1):
        sentence = f"app {code(name)} has a batch of {app.deploy.batch}, and runs on {count} machine{'s'[: count != 1]}"
        yield Problem((*spot, "batch"), sentence, relies=(("apps", name, "machines"),))


def _hours(name: str, app: App) -> Iterator[Problem]:
    if isinstance(app.instances, dict) and "default" not in app.instances:
        sentence = f"app {code(name)} does not say how many instances it has at other hours: write `default: 1`"
        yield Problem(("apps", name, "instances"), sentence)


def _reached(name: str, app: App) -> Iterator[Problem]:
    domains = ("apps", name, "domains", KEY)
    if app.domains and app.port is None:
        sentence = f"app {code(name)} has `domains` but no `port`: write the port that it listens on"
        yield Problem(domains, sentence, _spots(name, "port"))
    if app.domains and app.protocol != "http":
        sentence = f"app {code(name)} has `domains`, so its protocol must be http, not {app.protocol}"
        yield Problem(domains, sentence, _spots(name, "protocol"), _spots(name, "protocol"))
    if app.domains and app.network == "host":
        sentence = f"app {code(name)} is on the host's network, with nothing in front of it: it can have no `domains`"
        yield Problem(domains, sentence, _spots(name, "network"), _spots(name, "network"))
    yield from _redirects(name, app)
    if app.path != "/" and not app.domains:
        sentence = f"app {code(name)} has a `path` but no `domains`: without them nothing asks for it"
        yield Problem(("apps", name, "path", KEY), sentence, _spots(name, "domains"))


def _redirects(name: str, app: App) -> Iterator[Problem]:
    """A redirect ends at a domain of the app; sticky and the PROXY protocol have their protocols."""
    for host, target in app.redirects.items():
        spot, relies = ("apps", name, "redirects", host), _spots(name, "domains")
        if target in app.redirects:
            yield Problem(spot, f"{host} leads to {target}, which leads on: name the last one")
        elif target not in app.domains:
            yield Problem(spot, f"{host} leads to {target}, which is none of the `domains` of app {code(name)}", relies)
    if app.sticky and (app.port is None or app.protocol != "http" or app.network == "host"):
        sentence = f"app {code(name)} cannot be sticky: that is a cookie, for http apps with a port that handful serves"
        yield Problem(("apps", name, "sticky"), sentence, _spots(name, "port", "protocol", "network"))
    for key in ("prefer_local", "proxy_protocol"):
        if getattr(app, key) and (app.port is None or app.network == "host"):
            sentence = f"{code(key)} of app {code(name)} needs a `port`, served by handful: nothing is in front of it"
            yield Problem(("apps", name, key), sentence, _spots(name, "port", "network"))
    if app.proxy_protocol and app.protocol != "tcp":
        sentence = f"app {code(name)} speaks http: it is told its clients in X-Forwarded-For, not by the PROXY protocol"
        yield Problem(("apps", name, "proxy_protocol"), sentence, _spots(name, "protocol"), _spots(name, "protocol"))


def _health(name: str, app: App) -> Iterator[Problem]:
    health, spot = app.health, ("apps", name, "health")
    way = "path" if health.path is not None else "tcp" if health.tcp else ""
    if way and app.port is None:
        sentence = f"app {code(name)} has a health check by {way} but no `port`: write the port that it listens on"
        yield Problem((*spot, way, KEY), sentence, _spots(name, "port"))
    if health.path is not None and app.protocol == "tcp":
        sentence = f"app {code(name)} speaks tcp: its health check is `tcp: true` or a `command`, not a path"
        yield Problem((*spot, "path", KEY), sentence, _spots(name, "protocol"), _spots(name, "protocol"))
    if health.every > health.within:
        both = f"`every` ({health.every:g}s) is longer than `within` ({health.within:g}s)"
        sentence = f"{both}: a second check comes too late"
        relies = ((*spot, "every"), (*spot, "within"))
        yield Problem((*spot, "every", KEY), sentence, relies, others=relies)


def _spots(name: str, *keys: str) -> tuple[Spot, ...]:
    return tuple(("apps", name, key) for key in keys)
