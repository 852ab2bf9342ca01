"""Which keys does the model know at a spot of handful.yml, and where else does it know a key?"""

from __future__ import annotations

from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, TypeGuard, Union, get_args, get_origin

from handful.config.model import Config
from handful.config.part import Part
from handful.config.values import text
from handful.config.words import code, either, guess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handful.config.tree import Node, Spot

TOP = "the top of the file"
ONE = MappingProxyType({"machines": "a machine", "apps": "an app"})
# What other tools call it → what handful calls it.
ELSEWHERE = MappingProxyType({
    "services": "apps", "servers": "machines", "hosts": "machines", "name": "project", "environment": "env",
    "ports": "port", "depends_on": "needs", "healthcheck": "health", "replicas": "instances", "scale": "instances",
    "mem_limit": "memory", "cmd": "command", "domain": "domains", "host": "domains", "timeout": "within",
    "interval": "every", "ip": "address", "file": "dockerfile",
})


def inside(kind: object, step: str | int) -> object:
    """Return the annotation of what stands under a key or index of `kind`; None when the model knows nothing there."""
    for arm in _arms(kind):
        origin = get_origin(arm)
        if origin in (dict, tuple):
            return get_args(arm)[1 if origin is dict else 0]
        if _is_part(arm) and step in arm.model_fields:
            known = arm.model_fields[str(step)]
            return Annotated[known.annotation, *known.metadata] if known.metadata else known.annotation
    return None


def plain(node: Node, kind: object = Config) -> object:
    """Return the values of a tree, without places; where the model wants text, as it is written: 1.10 stays 1.10."""
    if isinstance(node.value, dict):
        return {key: plain(child, inside(kind, key)) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(child, inside(kind, index)) for index, child in enumerate(node.value)]
    return node.written if node.value is not None and _is_text(kind) else node.value


def unknown_key(spot: Spot) -> tuple[str, str | None]:
    """Return the sentence for a key that is not known where it stands, and the key that was probably meant."""
    kind: object = Config
    for step in spot[:-1]:
        kind = inside(kind, step)
    key = str(spot[-1])
    known = [name for arm in _arms(kind) if _is_part(arm) for name in arm.model_fields]
    homes = [label for label, part in parts() if key in part.model_fields]
    meant = ELSEWHERE[key] if ELSEWHERE.get(key) in known else guess(key, known)
    sentence = f"unknown key {code(key)}"
    belongs = f"{code(key)} belongs to {either(homes)}"
    if meant is not None:
        return f"{sentence}; did you mean {code(meant)}?{f' ({belongs})' if homes else ''}", meant
    if homes:
        return f"{sentence} here: {belongs}", None
    return f"{sentence}; the keys here are {either(known, 'and')}", None


def parts(label: str = TOP, part: type[Part] = Config) -> Iterator[tuple[str, type[Part]]]:
    """Walk through the maps that the model knows, each with a label like "`health` of an app"."""
    yield label, part
    for name, known in part.model_fields.items():
        of = f" of {label}" if label != TOP else ""
        for below in (known.annotation, inside(known.annotation, "")):
            for arm in _arms(below):
                if _is_part(arm):
                    yield from parts(ONE.get(name, code(name) + of), arm)


def _arms(kind: object) -> list[object]:
    if get_origin(kind) is Annotated:
        return _arms(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [arm for each in get_args(kind) if each is not NoneType for arm in _arms(each)]
    return [kind]


def _is_part(kind: object) -> TypeGuard[type[Part]]:
    return isinstance(kind, type) and issubclass(kind, Part)


def _is_text(kind: object) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_is_text(arm) for arm in get_args(kind))
    return any(getattr(mark, "func", None) is text for mark in getattr(kind, "__metadata__", ()))
