"""Does loading end in a config or a ConfigError, whatever a file holds, and do overlays merge as they should?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.config.load import load
from handful.config.shape import parts
from handful.config.tree import Node, idle_nulls, merge
from handful.config.yaml import read
from handful.errors import ConfigError

LINES = (Path(__file__).parent / "files" / "shop.yml").read_text().splitlines()
KEYS = sorted({key for _, part in parts() for key in part.model_fields})
NAMES = ["web", "db", "m1", "A", "Web", "", "<<", "[key]", "SameImage", "handful.yml", "\n", "a b"]
WORDS = ["web", "db", "m1", "lab", "host", "tcp", "rolling", "10s", "0s", "1g", "/", "/a", "..", "'", "a.b", "--rm"]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS + NAMES), inner, max_size=5),
    max_leaves=30,
)
APP = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)
CONFIGS = st.fixed_dictionaries(
    {"project": st.just("shop") | SCALARS},
    optional={
        "machines": st.dictionaries(st.sampled_from(["m1", "m2"]), st.just({"address": "a"}) | VALUES) | VALUES,
        "apps": st.dictionaries(st.sampled_from(["web", "db", "api"]), APP | VALUES) | VALUES,
        "provider": st.just({"name": "lab"}) | VALUES,
        "env": VALUES,
    },
)
PROBLEM = re.compile(r"(handful|environments/stage)\.yml:[1-9][0-9]*:[1-9][0-9]*: \S.*[^\s:]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project's folder, written again and again."""
    return tmp_path_factory.mktemp("project")


def endure(folder: Path, data: bytes, environment: str | None = None) -> None:
    """Load, and look at the problems if there are any: each on one line, and told once."""
    (folder / "handful.yml").write_bytes(data)
    problems: tuple[str, ...] = ()
    try:
        load(folder, environment)
    except ConfigError as told:
        problems = told.problems or ("",)
    assert len(set(problems)) == len(problems)
    for problem in problems:
        assert PROBLEM.fullmatch(problem), problem
        assert problem.isprintable()


@given(st.binary())
def test_any_bytes(folder: Path, data: bytes) -> None:
    """Nothing but a ConfigError."""
    endure(folder, data)


@given(st.text() | st.text(alphabet=" \n\t:-[]{}#&*!|>'\"%@`,?ab1.~\\/\0\ufeff\x85\u2028"))
def test_any_text(folder: Path, text: str) -> None:
    """Nothing but a ConfigError."""
    endure(folder, text.encode("utf-8", "replace"))


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from([*LINES, "", "  x: 1", "\t"])), max_size=6))
def test_the_example_with_lines_exchanged(folder: Path, exchanges: list[tuple[int, str]]) -> None:
    """Nothing but a ConfigError."""
    lines = list(LINES)
    for index, line in exchanges:
        lines[index] = line
    endure(folder, "\n".join(lines).encode())


@given(CONFIGS)
def test_any_value_at_any_key(folder: Path, config: dict[str, Any]) -> None:
    """Nothing but a ConfigError."""
    endure(folder, as_yaml(config))


@given(CONFIGS, VALUES)
def test_any_overlay(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any], overlay: object) -> None:
    """Nothing but a ConfigError."""
    folder = tmp_path_factory.getbasetemp() / "overlaid"
    (folder / "environments").mkdir(parents=True, exist_ok=True)
    (folder / "environments" / "stage.yml").write_bytes(as_yaml(overlay))
    endure(folder, as_yaml(config), "stage")


TREES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.sampled_from([None, 1, "x"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
)


@given(TREES, TREES)
def test_overlays_merge_like_json_merge_patches(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    """RFC 7386 in nine lines is the measure; every key of the result has its place."""
    merged = merge(tree(base), tree(overlay))
    assert bare(merged) == patched(base, overlay)


@given(TREES, TREES)
def test_a_null_that_removes_nothing_is_found(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    """And no other: what is left of the overlay without them changes the base in the same way."""
    idle = {finding.at.column for finding in idle_nulls(tree(base), tree(overlay))}
    assert bool(idle) == has_idle(base, overlay)


def as_yaml(value: object) -> bytes:
    """Return JSON, which is YAML; what JSON has no word for is left to be text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=True).encode("utf-8", "replace")


def tree(value: object) -> Node:
    """Return the tree of a value."""
    node, findings = read(as_yaml(value), "f.yml")
    assert node is not None
    assert not findings
    return node


def bare(node: Node) -> Any:
    """Return the value of a tree."""
    if isinstance(node.value, dict):
        assert set(node.keys) == set(node.value)
        return {key: bare(child) for key, child in node.value.items()}
    return [bare(child) for child in node.value] if isinstance(node.value, tuple) else node.value


def patched(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def has_idle(target: Any, patch: Any) -> bool:
    """Tell whether a null of the patch finds nothing to remove."""
    below = target if isinstance(target, dict) else {}
    return isinstance(patch, dict) and any(
        key not in below if value is None else has_idle(below.get(key), value) for key, value in patch.items()
    )
