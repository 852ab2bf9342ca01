"""Is every mistake told in the words, and at the place, that the tables in files/ say?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from handful.config.faults import LIKE
from handful.config.shape import ELSEWHERE, parts

Problems = Callable[..., tuple[str, ...]]
FILES = Path(__file__).parent / "files"


def cases(table: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the cases of a table, each a handful.yml and the problems to be told."""
    _, *blocks = (FILES / table).read_text(encoding="utf-8").split("-----\n")
    return [_case(block.splitlines()) for block in blocks]


def _case(lines: list[str]) -> tuple[str, tuple[str, ...]]:
    text = "".join(f"{line}\n" for line in lines if not line.startswith("→ "))
    return text, tuple("handful.yml:" + line.removeprefix("→ ") for line in lines if line.startswith("→ "))


@pytest.mark.parametrize(("text", "told"), cases("faults.txt"))
def test_what_does_not_fit_the_model_is_told(problems: Problems, text: str, told: tuple[str, ...]) -> None:
    """All of a file's problems, each at its own line and column, and nothing that only follows from them."""
    assert problems(text) == told


@pytest.mark.parametrize(("text", "told"), cases("checks.txt"))
def test_what_does_not_fit_together_is_told(problems: Problems, text: str, told: tuple[str, ...]) -> None:
    """Each at the value, or else the key, that has to change."""
    assert problems(text) == told


def test_a_hint_names_a_key_that_exists() -> None:
    """What other tools call a key, and what a map looks like, is told in keys of the model."""
    known = {key for _, part in parts() for key in part.model_fields}
    assert set(ELSEWHERE.values()) <= known
    assert {key.removesuffix(".*") for key in LIKE} <= known


def test_nothing_is_told_of_a_file_that_is_right(problems: Problems) -> None:
    """The smallest file that can be deployed."""
    assert problems("project: shop\nmachines: {m1: {address: 192.0.2.1}}\napps: {web: {image: nginx}}\n") == ()


def test_a_long_value_of_a_variable_is_told(problems: Problems) -> None:
    """A program's environment takes 128 KiB for one variable, name included."""
    text = "project: shop\nmachines: {m1: {address: 192.0.2.1}}\nenv:\n  A: %s\n  B: %s\n"
    told = problems(text % ("x" * 120 * 1024, "ü" * 61 * 1024))
    assert told == ("handful.yml:5:6: the value of `B` has 122 KiB, and 120 are the most: put it under `files`",)


def test_a_mistake_is_told_once_and_hides_no_other(problems: Problems) -> None:
    """What only follows from a faulty value is not told; what is wrong elsewhere is."""
    text = """\
project: shop
provider: {name: labb}
machines: {m1: {}, m2: {}}
apps:
  web: {imge: nginx, machines: [m3]}
  worker: {image: {app: 5}, machines: [m1], needs: [db]}
"""
    assert problems(text) == (
        'handful.yml:2:18: `name` is "labb", but must be `lab`, `hetzner`, `digitalocean` or `aws`',
        "handful.yml:5:9: unknown key `imge`; did you mean `image`?",
        "handful.yml:5:33: there is no machine `m3`: there are m1 and m2",
        "handful.yml:6:25: `app` is 5, but must be text: put it in quotes",
        "handful.yml:6:53: there is no app `db`: there are web and worker",
    )


def test_a_problem_of_the_text_and_one_of_the_model_come_together(problems: Problems) -> None:
    """Text that can be read to its end is judged to its end."""
    assert problems("project: shop\nproject: shop\nmachines: {m1: !!str x}\nimages: {dsn: x}\n") == (
        "handful.yml:2:1: the key `project` is here twice: the first is on line 1",
        "handful.yml:3:16: tags mean nothing in this file: remove `!!str`",
        "handful.yml:4:10: unknown key `dsn`; did you mean `dns`?",
    )


def test_a_mistake_that_aliases_repeat_is_told_once(problems: Problems) -> None:
    """An alias stands where its anchor is written."""
    text = "project: shop\nmachines: {m1: &m {address: 5}, m2: *m}\n"
    assert problems(text) == ("handful.yml:2:29: `address` is 5, but must be text: put it in quotes",)
