"""Do README and docs say what is so: commands, options, keys, files and links?"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from handful.cli.main import handful
from handful.config.load import load
from handful.errors import HandfulError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parents[1]
PAGES = sorted([HOME / "README.md", HOME / "CONTRIBUTING.md", *HOME.glob("docs/**/*.md")])
# Decisions also speak of commands that are to come.
MANUAL = [page for page in PAGES if page.parent.name != "decisions"]
# What a block of keys stands in, when it does not say itself.
AROUND = "project: docs\nmachines: {m1: {address: 203.0.113.10}, m2: {address: 203.0.113.11}}\n"
ENDS_A_COMMAND = {"|", ">", ">>", "<", "&&", ";", "&"}


def test_every_command_has_help_and_is_in_the_reference() -> None:
    """So has each of its options."""
    reference = (HOME / "docs/reference/commands.md").read_text(encoding="utf-8")
    for words, command in _commands(handful, click.Context(handful, info_name="handful")):
        assert command.help, words
        assert words == "handful" or f"# {words}\n" in reference
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert [each.name for each in options if not each.help] == [], words


def test_the_reference_is_current() -> None:
    """What `script/reference` would write is what is there."""
    line = [sys.executable, "script/reference", "--check"]
    said = subprocess.run(line, cwd=HOME, capture_output=True, text=True, check=False)
    assert (said.stdout + said.stderr, said.returncode) == ("", 0)


def test_every_key_has_a_meaning_in_the_reference() -> None:
    """One sentence, which ends as sentences do."""
    rows = re.findall(r"^\| `\w+` \|.*\|.*\| (.*) \|$", (HOME / "docs/reference/handful-yml.md").read_text(), re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if not row.endswith(".")] == []


def test_every_link_leads_somewhere() -> None:
    """To a file or folder of the project, and to a heading that it has."""
    dead = []
    for page in PAGES:
        for link in re.findall(r"\]\(((?![a-z]+:)[^)\s]+)\)", _prose(page)):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (heading and heading not in _headings(target)):
                dead.append(f"{page.relative_to(HOME)}: {link}")
    assert dead == []


def test_every_yaml_block_loads(tmp_path: Path) -> None:
    """As handful.yml, as a part of it, or as the overlay of the block before it."""
    found = list(_yaml_blocks())
    assert len(found) > 10
    for number, (page, whole, text) in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "handful.yml").write_text(whole, encoding="utf-8")
        told = yaml.safe_load(whole)
        _make_files(told.get("apps", {}), folder)
        if "docker" in told:
            (folder / told["docker"]["key"]).write_text("a key", encoding="utf-8")
        overlay = re.match(r"# environments/([a-z]+)\.yml\n", text)
        if overlay:
            (folder / "environments").mkdir()
            (folder / f"environments/{overlay[1]}.yml").write_text(text, encoding="utf-8")
        try:
            load(folder, overlay[1] if overlay else None)
        except HandfulError as wrong:
            raise AssertionError(f"{page.name}, block:\n{text}") from wrong


def test_every_command_line_can_be_typed() -> None:
    """Its command exists, and so do its options; an argument may be left out."""
    found = list(_command_lines())
    assert len(found) > 50
    wrong = [f"{page.relative_to(HOME)}: {line}: {fault}" for page, line in found if (fault := _fault(line))]
    assert wrong == []


def test_the_claims_name_tests_that_exist() -> None:
    """Each row of the README's table of claims."""
    table = (HOME / "README.md").read_text(encoding="utf-8").partition("| claim | proof |\n|---|---|\n")[2]
    rows = table.partition("\n\n")[0].splitlines()
    assert rows
    for row in rows:
        proofs = re.findall(r"`([^` ]+)", row.rsplit("|", 2)[1])
        assert proofs, row
        assert [proof for proof in proofs if not (HOME / proof.partition("::")[0]).exists()] == []


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it, each with the words that call it."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, click.Context(below, info_name=name, parent=context))


def _prose(page: Path) -> str:
    """Return a page without its blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)


def _headings(page: Path) -> set[str]:
    """Return the names that a page's headings are linked by, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _yaml_blocks() -> Iterator[tuple[Path, str, str]]:
    """Yield each yaml block with the handful.yml that it belongs to: itself, or for an overlay the one before it."""
    for page in MANUAL:
        whole = ""
        for text in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if not text.startswith("# environments/"):
                whole = text if re.search(r"^project:", text, re.MULTILINE) else AROUND + text
            yield page, whole, text


def _make_files(apps: dict[str, dict[str, Any]], folder: Path) -> None:
    """Make the files that the apps name."""
    for app in apps.values():
        named = [*app.get("files", {}), *(app[key] for key in ("before_start", "after_start", "maintenance") if key in app)]
        if build := app.get("build"):
            named.append(f"{build.get('context', '.')}/{build.get('dockerfile', 'Dockerfile')}")
        for path in named:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()


def _command_lines() -> Iterator[tuple[Path, str]]:
    """Yield what the pages tell to type: lines of blocks, and `handful …` in the text.

    In a block that has lines with a prompt only those are typed; the others are what was said.
    """
    for page in MANUAL:
        for block in re.findall(r"(?:^ {4}.*\n|^\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
            lines = [line.strip() for line in block.splitlines()]
            if any(line.startswith("$ ") for line in lines):
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            yield from ((page, line) for line in lines if re.match(r"(HANDFUL_ENV=\S+ )?handful ", line))
        yield from ((page, line) for line in re.findall(r"`(handful [^`\n]+)`", _prose(page)))


def _fault(line: str) -> str:
    """Say why a command line cannot be typed; nothing when it can."""
    words = shlex.split(line, comments=True)
    words = words[words.index("handful") + 1 :]
    end = next((number for number, word in enumerate(words) if word in ENDS_A_COMMAND), len(words))
    try:
        _parse(handful, words[:end], None, "handful")
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, click.MissingParameter):
        return ""
    except click.UsageError as wrong:
        return wrong.format_message()
    return ""


def _parse(command: click.Command, words: list[str], parent: click.Context | None, name: str | None) -> None:
    """Read words as the command line would, without running anything."""
    if not isinstance(command, click.Group):
        command.make_context(name, words, parent)
        return
    context = click.Context(command, parent, name)
    _, rest, _ = command.make_parser(context).parse_args(words)
    if rest:
        name, below, further = command.resolve_command(context, rest)
        assert below is not None
        _parse(below, further, context, name)
