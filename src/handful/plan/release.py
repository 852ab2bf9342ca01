"""What is a release made of, and when are two of them the same?"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from handful.plan.model import Release, Value
from handful.plan.traffic import proxy_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import App, Config
    from handful.plan.model import AppSource, ImageSource

FORMAT = 1
# Of a manifest: what follows from the rest, or tells where it came from.
NO_PART = frozenset({"hash", "built_from", "release"})
SIDE_SCRIPTS = ("before_start", "after_start")
# Only where they are used: what an app is without is no difference between releases.
CHOICES = ("redirects", "sticky", "proxy_protocol", "prefer_local")


def describe(name: str, config: Config, source: AppSource) -> dict[str, Any]:
    """Return the manifest of what the file asks for, without an id: what runs, not where or how many."""
    manifest = _packaged(source) if source.packaged else _asked_for(name, config, source)
    if source.secrets:
        manifest["secrets"] = dict(sorted(source.secrets.items()))
    manifest["hash"] = fingerprint(manifest)
    manifest["built_from"] = _origin(source.image)
    return manifest


def _asked_for(name: str, config: Config, source: AppSource) -> dict[str, Any]:
    app = config.apps[name]
    return {
        "format": FORMAT,
        "app": name,
        "image": source.image.identity,
        "command": list(app.command or ()),
        "env": dict(sorted({**config.env, **app.env}.items())),
        "files": {target: source.digests[path] for path, target in sorted(app.files.items(), key=lambda each: each[1])},
        "settings": _settings(name, app, source),
    }


def _packaged(source: AppSource) -> dict[str, Any]:
    """Secrets are those of now; a package holds none."""
    return {key: value for key, value in source.packaged.items() if key not in {*NO_PART, "secrets"}}


def _origin(image: ImageSource) -> dict[str, Any]:
    told = {"image": image.name, "reference": image.reference, "git": image.git}
    more = {"inputs": image.inputs, "bases": dict(image.bases), "promoted": image.promoted}
    return {**told, **{key: value for key, value in more.items() if value}}


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """Return twelve hex digits over everything that makes the release what it is."""
    parts = {key: value for key, value in manifest.items() if key not in NO_PART}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def release(stack: str, identifier: str, manifest: Mapping[str, Any]) -> Release:
    """Return the release that a manifest describes, with the values that its run_app.bash starts from."""
    health = _health_values(manifest["settings"]["health"])
    values = {"stack": stack, "release": identifier, **_values(manifest), **health}
    return Release(manifest["app"], identifier, {**manifest, "release": identifier}, values)


def file_name(target: str) -> str:
    """Return the name in `files/` of what is mounted at `target`: unique, and still readable."""
    inner = target.removeprefix("/").rstrip("/")
    return inner.replace("%", "%25").replace("_", "%5F").replace("/", "_")


def secret_files(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where secrets are mounted as files."""
    return tuple(name.removeprefix("file ") for name in manifest.get("secrets", {}) if name.startswith("file "))


def reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what differs between two manifests, in the user's words: `env LOG_LEVEL changed`."""
    if not old:
        return ("new here",)
    found = [key + " changed" for key in ("image", "command") if old.get(key) != new.get(key)]
    found += _differences("env", old.get("env", {}), new["env"])
    found += _differences("file", old.get("files", {}), new["files"])
    found += _differences("secret", old.get("secrets", {}), new.get("secrets", {}))
    found += _differences("", _flat(old.get("settings", {})), _flat(new["settings"]))
    if not found and old.get("settings", {}).get("proxy") != new["settings"]["proxy"]:
        found.append("what handful tells the proxy changed")
    if not found and old.get("hash") != new["hash"]:
        found.append("the format of releases changed")
    return tuple(found)


def _values(manifest: Mapping[str, Any]) -> dict[str, Value]:
    settings = manifest["settings"]
    return {
        "app": manifest["app"],
        "image": manifest["built_from"]["image"],
        "command": tuple(manifest["command"]),
        "port": str(settings["port"] or ""),
        "network": settings["network"],
        "strategy": settings["strategy"],
        "domains": tuple(settings["domains"]),
        "path": settings["path"],
        "memory": str(settings["memory"] or ""),
        "cpus": str(settings["cpus"] or ""),
        "volumes": tuple(f"{volume}:{target}" for volume, target in sorted(settings["volumes"].items())),
        "files": tuple(f"{file_name(target)}:{target}" for target in manifest["files"]),
        "secret_files": tuple(f"{file_name(target)}:{target}" for target in secret_files(manifest)),
        "options": tuple(settings["options"]),
        "release_command": tuple(settings["release_command"]),
        "stop_timeout": str(math.ceil(settings["stop_timeout"])),
        "drain_timeout": str(math.ceil(settings["drain_timeout"])),
    }


def _health_values(health: Mapping[str, Any]) -> dict[str, Value]:
    return {
        "health_kind": health["kind"],
        "health_path": health["path"],
        "health_host": health["host"],
        "health_headers": tuple(f"{header}: {value}" for header, value in sorted(health["headers"].items())),
        "health_command": tuple(health["command"]),
        "health_every_ms": _milliseconds(health["every"]),
        "health_within_ms": _milliseconds(health["within"]),
    }


def _settings(name: str, app: App, source: AppSource) -> dict[str, Any]:
    return {
        "port": app.port,
        "protocol": app.protocol,
        "network": app.network,
        # What happens on one machine: in which order machines follow is no matter of a release.
        "strategy": "recreate" if app.strategy == "recreate" else "rolling",
        "domains": sorted({*app.domains, *app.redirects}),
        "path": app.path,
        "memory": app.memory,
        "cpus": app.cpus,
        "volumes": dict(app.volumes),
        "options": list(app.options),
        "release_command": list(app.release_command or ()),
        "health": _health(app),
        "stop_timeout": app.stop_timeout,
        "drain_timeout": app.drain_timeout,
        "timeouts": {"response": app.timeouts.response, "idle": app.timeouts.idle},
        "proxy": proxy_lines(name, app),
        **{key: value for key in CHOICES if (value := getattr(app, key))},
        **{key: source.digests[path] for key in SIDE_SCRIPTS if (path := getattr(app, key))},
    }


def _health(app: App) -> dict[str, Any]:
    """Without a check of its own, an app with a port must take connections, and one without must go on running."""
    check = app.health
    kind = "path" if check.path else "command" if check.command else "tcp" if app.port else "running"
    return {
        "kind": kind,
        "path": check.path or "",
        "host": check.host or (app.domains[0] if app.domains else "localhost") if kind == "path" else "",
        "headers": dict(check.headers),
        "command": list(check.command or ()),
        "every": check.every,
        "within": check.within,
    }


def _milliseconds(value: float) -> str:
    return str(round(value * 1000))


def _differences(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            verb = "added" if key not in old else "removed" if key not in new else "changed"
            yield f"{what} {key} {verb}".strip()


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with `health` and `timeouts` one level down; the proxy's lines follow from the others."""
    flat = {key: value for key, value in settings.items() if key not in {"health", "timeouts", "proxy"}}
    inner = {f"{key}.{name}": value for key in ("health", "timeouts") for name, value in settings.get(key, {}).items()}
    return flat | inner
