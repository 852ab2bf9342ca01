"""Does loading find the file, its environment, and the values that are written there?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from handful.config.load import find, load
from handful.config.model import SameImage
from handful.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

Problems = Callable[..., tuple[str, ...]]
BASE = """\
project: shop
machines: {m1: {address: 192.0.2.1}}
env: {A: a, B: b}
apps:
  web:
    image: nginx:1
    port: 80
    domains: [shop.example.com, www.shop.example.com]
"""


def test_the_agreed_example_loads(shop: Path) -> None:
    """Every key that exists today, as it is written in the agreed example."""
    loaded = load(shop, None)
    web, worker = loaded.config.apps["web"], loaded.config.apps["worker"]
    assert (loaded.stack, loaded.environment, loaded.folder) == ("shop", None, shop)
    assert loaded.paths == (shop / "handful.yml",)
    assert (web.memory, web.stop_timeout, web.timeouts.idle, web.health.every) == (512 * 1024**2, 10.0, 3600.0, 1.0)
    assert (web.machines, web.instances, web.strategy) == (("m1", "m2"), 2, "rolling")
    assert web.hooks.before_deploy == ("./scripts/check",)
    assert worker.image == SameImage(app="web")
    assert loaded.config.apps["db"].strategy == "recreate"
    assert loaded.config.images.dns is None


def test_another_file_name_can_be_given(shop: Path) -> None:
    """It is the name that problems carry, too."""
    (shop / "handful.yml").rename(shop / "other.yml")
    assert load(shop, None, file="other.yml").config.project == "shop"


def test_text_arrives_as_it_is_written(tmp_path: Path) -> None:
    """A number or a boolean that stands where text is wanted is not rewritten: 1.10 is not 1.1."""
    env = "A: 1.10, B: 0x1F, C: 1e3, D: True, E: no, F: 007, G: 12:30, H: 2026-11-22, I: '', J: .inf, K: null text"
    (tmp_path / "handful.yml").write_text(
        f"project: shop\nmachines: {{m1: {{address: 192.0.2.1}}}}\nenv: {{{env}}}\n"
        "apps: {web: {image: x, port: 80, command: [sleep, 1.50, true], options: [--cpu-shares, 0512],"
        " health: {path: /, headers: {X-V: 1.0}}}}\n",
    )
    config = load(tmp_path, None).config
    values = ["1.10", "0x1F", "1e3", "True", "no", "007", "12:30", "2026-11-22", "", ".inf", "null text"]
    assert list(config.env.values()) == values
    assert config.apps["web"].command == ("sleep", "1.50", "true")
    assert config.apps["web"].options == ("--cpu-shares", "0512")
    assert config.apps["web"].health.headers == {"X-V": "1.0"}


def test_a_command_in_one_line_is_split_as_a_shell_would(tmp_path: Path) -> None:
    """Quotes hold words together, and nothing else of a shell is obeyed."""
    (tmp_path / "handful.yml").write_text(BASE + """    command: run 'a b' "c d" $HOME ; e\n""")
    assert load(tmp_path, None).config.apps["web"].command == ("run", "a b", "c d", "$HOME", ";", "e")


def test_without_environments_none_may_be_given(shop: Path) -> None:
    """It would be a deploy to a place that does not exist."""
    with pytest.raises(UsageError) as told:
        load(shop, "prod")
    assert str(told.value) == (
        "environment `prod` was asked for, and this project has no environments/ folder\n"
        "Leave out -e (and HANDFUL_ENV), or write its overlay there."
    )


REFUSED = [
    (None, "which environment? environments/ holds prod and stage.\nName one with -e, or in HANDFUL_ENV."),
    ("prd", "there is no environment `prd`; did you mean `prod`?\nenvironments/ holds prod and stage."),
    ("qa", "there is no environment `qa`\nenvironments/ holds prod and stage."),
    (
        "../prod",
        ("`../prod` cannot be an environment: lower-case letters, digits and dashes, a letter first\n"
        "environments/ holds prod and stage."),
    ),
]


@pytest.mark.parametrize(("environment", "message"), REFUSED)
def test_with_environments_a_known_one_must_be_given(shop: Path, environment: str | None, message: str) -> None:
    """Those that exist are told; what is no name is not among them."""
    (shop / "environments").mkdir()
    for name in ("stage.yml", "prod.yml", "Old.yml", "notes.txt"):
        (shop / "environments" / name).touch()
    with pytest.raises(UsageError) as told:
        load(shop, environment)
    assert str(told.value) == message


def test_an_empty_folder_of_environments_asks_for_the_first(shop: Path) -> None:
    """The folder alone says that there are environments."""
    (shop / "environments").mkdir()
    with pytest.raises(UsageError, match=r"environments/ holds no overlay yet, like stage\.yml\."):
        load(shop, None)


def overlaid(folder: Path, overlay: str) -> Path:
    """Write a project with the environment stage."""
    (folder / "environments").mkdir()
    (folder / "handful.yml").write_text(BASE)
    (folder / "environments" / "stage.yml").write_text(overlay)
    return folder


def test_an_overlay_merges_maps_and_replaces_the_rest(tmp_path: Path) -> None:
    """Lists are not joined; null removes."""
    overlay = "env: {B: null, C: c}\napps: {web: {image: {app: base}, domains: [a.b]}, base: {image: x}}\n"
    loaded = load(overlaid(tmp_path, overlay), "stage")
    web = loaded.config.apps["web"]
    assert (loaded.stack, loaded.environment) == ("shop-stage", "stage")
    assert loaded.paths == (tmp_path / "handful.yml", tmp_path / "environments" / "stage.yml")
    assert loaded.config.env == {"A": "a", "C": "c"}
    assert (web.image, web.port, web.domains) == (SameImage(app="base"), 80, ("a.b",))


def test_an_overlay_may_be_empty(tmp_path: Path) -> None:
    """An environment that differs in its name only."""
    assert load(overlaid(tmp_path, "# like handful.yml\n"), "stage").stack == "shop-stage"


OVERLAYS = [
    ("apps: {web: {prot: 8000}}\n", ["environments/stage.yml:1:14: unknown key `prot`; did you mean `port`?"]),
    ("apps: {web: {port: 0}}\n", ["environments/stage.yml:1:20: `port` is 0, but must be at least 1"]),
    (
        "apps: {web: {port: null}}\n",
        ["handful.yml:8:5: app `web` has `domains` but no `port`: write the port that it listens on"],
    ),
    (
        "apps: {web: {build: {}}}\n",
        [
            ("environments/stage.yml:1:14: app `web` has both `build` and `image`: keep one"
            " (in an overlay, null removes the other)"),
        ],
    ),
    (
        "project: null\napps: {wob: {port: null}}\n",
        [
            "environments/stage.yml:2:8: app `wob` has neither `build` nor `image`: write one of them",
            "environments/stage.yml:2:14: null removes `port` from handful.yml, where it is not written: leave it out",
            "handful.yml:1:1: `project` is missing: write it, like `project: shop`",
        ],
    ),
    (
        "images: {proxy: null}\n",
        ["environments/stage.yml:1:10: null removes `proxy` from handful.yml, where it is not written: leave it out"],
    ),
    (
        "apps: {api: {image: x, port: 80, domains: [shop.example.com]}}\n",
        [
            ("environments/stage.yml:1:44: apps `web` and `api` both take shop.example.com/:"
            " give one of them a different `path`"),
        ],
    ),
    (
        "apps: {web: {protocol: tcp}}\n",
        ["environments/stage.yml:1:24: app `web` has `domains`, so its protocol must be http, not tcp"],
    ),
    ("logs: {keep: 14}\n", ["environments/stage.yml:1:14: `keep` is 14, but must be a number of hours or days, like 12h or 14d"]),
    ("- a\n", ["environments/stage.yml:1:1: this file must be a map of keys, like `project: shop`"]),
    (
        "project: a-project-with-a-name-of-36-letters\n",
        [
            ("environments/stage.yml:1:10: project and environment make `a-project-with-a-name-of-36-letters-stage`:"
            " 41 characters, and 40 are the most"),
        ],
    ),
]


@pytest.mark.parametrize(("overlay", "told"), OVERLAYS)
def test_a_problem_is_told_at_the_line_that_made_it(problems: Problems, overlay: str, told: list[str]) -> None:
    """In the overlay or in handful.yml, whichever has the value that counts."""
    assert problems(BASE, "stage", stage=overlay) == tuple(told)


def test_a_faulty_project_is_not_too_long_as_well(problems: Problems) -> None:
    """What stands in for it while the rest is judged is not the user's."""
    environment = "an-environment-of-34-letters-or-so"
    assert problems("project: 5\nmachines: {m1: {address: a}}\n", environment, **{environment: ""}) == (
        "handful.yml:1:10: `project` is 5, but must be text: put it in quotes",
    )


def test_both_files_that_are_no_yaml_are_told(problems: Problems) -> None:
    """Not the first one only."""
    assert [line[:30] for line in problems("a: @b\n", "stage", stage="\tb: 1\n")] == [
        "environments/stage.yml:1:1: a ",
        "handful.yml:1:4: text that beg",
    ]


FILES = [
    (b"", "1:1: this file is empty: write at least `project`, `machines` and `apps`"),
    (b"# nothing yet\n", "1:1: this file is empty: write at least `project`, `machines` and `apps`"),
    (b"shop\n", "1:1: this file must be a map of keys, like `project: shop`"),
    (b"\n- project: shop\n", "2:1: this file must be a map of keys, like `project: shop`"),
    (b"project: caf\xe9\n", "1:13: this file is not UTF-8 text (byte 0xe9): save it as UTF-8"),
]


@pytest.mark.parametrize(("data", "told"), FILES)
def test_a_file_that_is_no_config_is_told(problems: Problems, data: bytes, told: str) -> None:
    """One sentence is enough."""
    assert problems(data) == (f"handful.yml:{told}",)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the folder in which it was looked for."""
    with pytest.raises(UsageError) as told:
        load(tmp_path, None)
    assert str(told.value) == f"handful.yml:1:1: there is no such file in {tmp_path}"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A folder of that name, for one."""
    (tmp_path / "handful.yml").mkdir()
    with pytest.raises(UsageError, match=r"^handful\.yml:1:1: this file cannot be read: Is a directory$"):
        load(tmp_path, None)


def test_the_project_is_found_from_below(shop: Path) -> None:
    """The nearest folder upwards that has the file."""
    assert find(shop / "scripts") == shop
    assert find(shop) == shop


def test_no_project_is_told_with_what_to_do(tmp_path: Path) -> None:
    """`handful init` writes a file, unless there is one with another ending."""
    with pytest.raises(UsageError) as told:
        find(tmp_path)
    assert str(told.value) == (
        f"there is no handful.yml in {tmp_path}, nor in a folder above it\nWrite one with: handful init"
    )
    (tmp_path / "handful.yaml").touch()
    with pytest.raises(UsageError, match=r"Rename handful\.yaml to handful\.yml\."):
        find(tmp_path)
