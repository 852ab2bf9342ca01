"""Does the file fit the model, and if not, what is each fault in plain words?"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from handful.config.model import Config
from handful.config.shape import plain, unknown_key
from handful.config.tree import KEY, Problem, find
from handful.config.values import MEANING
from handful.config.words import code, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from handful.config.tree import Node, Spot

ROUNDS = 20
STAND_IN = "project"
PYDANTICS_KEY = "[key]"
WANTED = MappingProxyType({
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "too_short": "text or a list with at least one word",
})
MAPS = frozenset({"dict_type", "model_type"})
# What a map looks like, by its key or by the key that it stands in.
LIKE = MappingProxyType({
    "machines": "{m1: {address: 203.0.113.10}}", "machines.*": "{address: 203.0.113.10}",
    "apps": "{web: {image: nginx}}", "apps.*": "{image: nginx}", "build": "{context: .}", "provider": "{name: lab}",
    "health": "{path: /up}", "env": "{NAME: value}", "headers": "{Name: value}", "files": "{app.toml: /etc/app.toml}",
    "volumes": "{data: /srv/data}", "docker": "{repository: https://…, key: docker.asc}",
    "ssh": "{user: deploy}", "deploy": "{strategy: rolling}",
    "timeouts": "{response: 60s}", "hooks": "{before_deploy: ./check}", "images": "{proxy: haproxy}",
})
LIMITS = MappingProxyType({
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
})


class Fit(NamedTuple):
    """What the model makes of a tree.

    `config` is what is left when every faulty value is taken away; None when nothing useful is.
    `broken` are the spots of those values, and of the keys that unknown ones were probably meant to be.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    broken: frozenset[Spot]


class Fault(NamedTuple):
    """One error of the model in plain words; `meant` is the key that an unknown one was probably meant to be."""

    spot: Spot
    sentence: str
    meant: str | None = None


def fit(tree: Node) -> Fit:
    """Fit a whole file into the model."""
    data = plain(tree)
    config, errors = _validate(data)
    faults = [fault for error in errors for fault in _faults(tree, error)]
    meant = [(*_owner(fault.spot)[:-1], fault.meant) for fault in faults if fault.meant]
    faults = [fault for fault in faults if fault.spot not in meant or find(tree, fault.spot)]
    for _ in range(ROUNDS):
        if config is not None:
            break
        for error in errors:
            _take_away(data, _faulty(tree, error))
        config, errors = _validate(data)
    broken = [_owner(fault.spot) for fault in faults] + meant
    return Fit(config, tuple(Problem(fault.spot, fault.sentence) for fault in faults), frozenset(broken))


def _validate(data: object) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate(data), []
    except ValidationError as wrong:
        return None, wrong.errors(include_url=False)


def _faults(tree: Node, error: ErrorDetails) -> Iterator[Fault]:
    spot, other_arm = _spot(tree, error)
    if other_arm:
        return
    if error["type"] == "extra_forbidden":
        sentence, meant = unknown_key(spot)
        yield Fault((*spot, KEY), sentence, meant)
    else:
        yield Fault(spot, _sentence(tree, spot, error))


def _spot(tree: Node, error: ErrorDetails) -> tuple[Spot, bool]:
    """Return where an error is, and whether it comes from the arm of a union that is not the one written.

    pydantic's locations hold, besides keys and indexes, the name of the union's arm: a class for a map.
    """
    spot: Spot = ()
    node, other_arm = tree, False
    for step in error["loc"]:
        child = node.child(step)
        if child is not None:
            node, spot = child, (*spot, step)
        elif step == PYDANTICS_KEY:
            spot = (*spot, KEY)
        elif error["type"] == "missing" and step == error["loc"][-1]:
            spot = (*spot, step)
        else:
            # A class that has a check of its own: function-after[check(), Class].
            arm = str(step).rpartition(", ")[2]
            is_map = arm[0].isupper() or arm.startswith("dict[")
            other_arm = is_map != isinstance(node.value, dict)
    return spot, other_arm


def _sentence(tree: Node, spot: Spot, error: ErrorDetails) -> str:
    kind, name, node = error["type"], _label(spot), find(tree, spot)
    if kind == "missing":
        where = f" in {_label(spot[:-1])}" if len(spot) > 1 else ": write it, like `project: shop`"
        return f"{name} is missing{where}"
    if kind == "value_error":
        return f"{name}: {error['ctx']['error']}"
    wanted = f"a map, like {_like(spot)}" if kind in MAPS else _wanted(error)
    if wanted is None:
        return f"{name}: {printable(error['msg'])}"
    if node is None:
        return f"{name} must be {wanted}"
    if node.value is None:
        return f"{name} has {_nothing(spot, kind, wanted)}"
    return f"{name} is {_shown(node)}, but must be {wanted}{_hint(node, kind)}"


def _nothing(spot: Spot, kind: str, wanted: str) -> str:
    if kind in MAPS:
        return "nothing below it: write its keys, or {} for none"
    if spot == ("project",):
        return "no value: write a name, like `project: shop`"
    way_out = '"" for none' if "env" in spot[:-1] else "remove it"
    return f"no value: write {wanted}, or {way_out}"


def _wanted(error: ErrorDetails) -> str | None:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "wanted":
        return error["msg"]
    if kind == "string_pattern_mismatch":
        return MEANING.get(context["pattern"])
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "`").replace("True", "true")
    if kind in LIMITS:
        words, limit = LIMITS[kind]
        return f"{words} {context[limit]:g}"
    return WANTED.get(kind)


def _like(spot: Spot) -> str:
    return LIKE.get(str(spot[-1])) or LIKE.get(f"{spot[-2:-1][0]}.*" if len(spot) > 1 else "") or "{key: value}"


def _shown(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a map"
    if isinstance(node.value, tuple):
        return "a list" if node.value else "an empty list"
    return f'"{printable(node.value)}"' if isinstance(node.value, str) else printable(node.written)


def _hint(node: Node, kind: str) -> str:
    """Say how to write what was probably meant."""
    if isinstance(node.value, dict | tuple):
        return ""
    if kind == "tuple_type":
        return ": put it in [ ]"
    if kind == "string_type":
        return ": put it in quotes"
    bare = kind in {"int_type", "float_type"} and isinstance(node.value, str) and node.value.isdecimal()
    return ": leave out the quotes" if bare else ""


def _label(spot: Spot) -> str:
    owner = _owner(spot)
    if isinstance(owner[-1], int):
        return f"item {owner[-1] + 1} of {_label(owner[:-1])}"
    return code(owner[-1])


def _owner(spot: Spot) -> Spot:
    return spot[:-1] if spot[-1] == KEY else spot


def _faulty(tree: Node, error: ErrorDetails) -> Spot:
    """Return what to take away for an error: for a missing key, the map that lacks it."""
    spot, _ = _spot(tree, error)
    return spot[:-1] if error["type"] == "missing" and len(spot) > 1 else spot


def _take_away(data: object, spot: Spot) -> None:
    """Remove what is faulty from the data, so that the rest can still be judged.

    An app or machine with a good name stays, empty: others name it. A list goes as a whole.
    """
    owner = _owner(spot)
    owner = owner[: next((index for index, step in enumerate(owner) if isinstance(step, int)), len(owner))]
    holder = data
    for step in owner[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        return
    if owner == ("project",):
        holder["project"] = STAND_IN
    elif owner == spot and owner[:-1] in {("apps",), ("machines",)}:
        holder[owner[-1]] = {}
    else:
        holder.pop(owner[-1], None)
