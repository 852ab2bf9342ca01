"""How do past deploys, and the differences between releases, look?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.report.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handful.plan.back import Past


HEAD = ("DEPLOY", "WHEN (UTC)", "WHO", "WHAT", "ENDED", "TOOK", "REQUESTS")


def history_lines(past: Sequence[Past]) -> list[str]:
    """Return a line per deploy, oldest first."""
    if not past:
        return ["no deploy yet"]
    return table(HEAD, [_row(each) for each in past]).splitlines()


def difference_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line per difference between two manifests: `env LOG_LEVEL: info → debug`."""
    old, new = _flat(before), _flat(after)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if not keys:
        return ["no difference"]
    return [f"{key}: {_shown(old.get(key))} → {_shown(new.get(key))}" for key in keys]


def _row(past: Past) -> tuple[str, ...]:
    when = past.when.replace("T", " ").removesuffix("Z")
    took = f"{past.seconds:.1f} s" if past.seconds else ""
    return (str(past.number), when, f"{past.who}@{past.host}", _what(past), _outcome(past), took, _requests(past))


def _what(past: Past) -> str:
    changes = ", ".join(
        f"{app} {before or 'nothing'} → {after or 'nothing'}" if before != after else f"{app} {after}"
        for app, (before, after) in past.apps.items()
    )
    undone = f" of {past.undoes}" if past.undoes is not None else f" from {past.origin}" if past.origin else ""
    return f"{past.what}{undone}: {changes}" if changes else f"{past.what}{undone}"


def _requests(past: Past) -> str:
    """Return what all users of all apps noticed; nothing when nobody asked."""
    answered, failed = (sum(each[key] for each in past.requests.values()) for key in ("answered", "failed"))
    return f"{answered}, {failed} failed" if answered or failed else ""


def _outcome(past: Past) -> str:
    if len(set(past.outcomes.values())) <= 1:
        return past.outcome
    return ", ".join(f"{machine} {outcome}" for machine, outcome in past.outcomes.items())


def _flat(manifest: Mapping[str, Any]) -> dict[str, Any]:
    flat = {"image": manifest.get("image"), "command": manifest.get("command")}
    flat |= {f"env {name}": value or '""' for name, value in manifest.get("env", {}).items()}
    flat |= {f"secret {name}": value for name, value in manifest.get("secrets", {}).items()}
    flat |= {f"file {target}": value[:12] for target, value in manifest.get("files", {}).items()}
    flat |= {f"built from {key}": value for key, value in manifest.get("built_from", {}).items() if key != "image"}
    return flat | dict(_settings(manifest.get("settings", {}), ""))


def _settings(settings: Mapping[str, Any], before: str) -> Iterable[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and key in {"health", "timeouts"}:
            yield from _settings(value, f"{key}.")
        elif key != "proxy":
            yield before + key, value


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(each) for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items()) or "none"
    return "none" if value is None or value == "" else str(value)
