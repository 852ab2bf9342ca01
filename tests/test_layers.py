"""Are the rules of the design kept: who imports whom, one home per library, sizes, and the scripts' first lines?"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import STEPS

from handful.artifact.script import CHECKING, contract, uses

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "handful"
SCRIPTS = SOURCE / "scripts"
MODULES = sorted(SOURCE.rglob("*.py"))
BASH = sorted(SCRIPTS.glob("*.bash"))
# Which parts of handful a part may import, besides itself and `errors`; `cli` may import anything.
MAY_IMPORT = {
    "": set(),
    # It runs on machines, without the rest.
    "agent": set(),
    "scripts": set(),
    "config": set(),
    "facts": set(),
    "machine": set(),
    "plan": {"config.model", "facts.model", "facts.finding", "facts.servers", "facts.survey"},
    "artifact": {"config", "machine", "plan"},
    "logs": {"config.values"},
    "secrets": {"config.model", "config.secrets", "machine.local"},
    "provider": {"artifact", "config", "facts.servers", "machine"},
    "run": {"artifact", "config", "facts", "machine", "plan", "secrets"},
    "report": {"config", "facts", "machine", "plan", "run"},
}
# Where a library, or a part of Python that touches the world, may be imported.
HOMES = {
    "click": {"cli"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "yaml": {"config", "secrets/yamltext.py", "secrets/recipients.py", "secrets/plain.py"},
    "pyrage": {"secrets/age.py"},
    "cryptography": {"secrets/cipher.py", "secrets/generate.py"},
    "hcloud": {"provider/hetzner.py", "provider/hetzner_parts.py"},
    "boto3": {"provider/aws_api.py"},
    "botocore": {"provider/aws_api.py"},
    "requests": {"provider/hetzner.py"},
    "bcrypt": {"artifact/registry.py"},
    "orjson": {"agent"},
    "zstandard": {"agent/codec.py"},
    "rich": {"report"},
    # cli/inside.py hands the terminal over to ssh: that is no conversation with a program, so no business of machine/.
    "subprocess": {"machine", "artifact", "cli/inside.py"},
    "threading": {"agent", "run/engine.py", "run/together.py"},
    "concurrent": {"agent/disk.py", "run/audit.py", "run/engine.py", "run/together.py", "secrets/vault.py"},
    "multiprocessing": set(),
    "asyncio": set(),
}
# All that a pure function needs.
PLAN_MAY_USE = {"__future__", "collections", "dataclasses", "hashlib", "ipaddress", "json", "math", "re", "types", "typing"}
LONGEST_MODULE = 300
LONGEST_FUNCTION = 30


def name_of(path: Path) -> str:
    """Return a module's path in the package: `plan/model.py`."""
    return path.relative_to(SOURCE).as_posix()


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def part_of(path: Path) -> str:
    """Return the folder of a module; "" for those at the top."""
    return name_of(path).rpartition("/")[0]


def tree_of(path: Path) -> ast.Module:
    """Return a module as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield all modules that one imports, wherever it does: at the top, for the types, or late in a function."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports by a relative name"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                is_module = (SOURCE.parent / below.replace(".", "/")).with_suffix(".py").exists()
                yield below if is_module else str(node.module)


@each_module
def test_who_imports_whom(path: Path) -> None:
    """Every arrow of the design points right; nobody imports cli."""
    part = part_of(path)
    if part == "cli" or path.name == "__main__.py":
        return
    allowed = {"errors", *([part] if part else []), *MAY_IMPORT[part]}
    for imported in imports(path):
        if imported.partition(".")[0] == "handful":
            inner = imported.partition(".")[2]
            assert not inner or any(inner == each or inner.startswith(f"{each}.") for each in allowed), imported


@each_module
def test_a_library_has_one_home(path: Path) -> None:
    """What is not in the standard library must have one, and some of the standard library has, too."""
    for imported in imports(path):
        top = imported.partition(".")[0]
        if top in HOMES:
            assert {part_of(path), name_of(path)} & HOMES[top], f"{imported} has no home in {name_of(path)}"
        else:
            assert top == "handful" or top in sys.stdlib_module_names, f"{imported} has no home yet"


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) == "plan"], ids=name_of)
def test_a_plan_is_pure(path: Path) -> None:
    """No input or output, no clock, no randomness, no environment."""
    used = {imported.partition(".")[0] for imported in imports(path)} - {"handful"}
    assert used <= PLAN_MAY_USE
    assert not {"open", "input", "print"} & {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}


@each_module
def test_only_cli_and_report_print(path: Path) -> None:
    """All others give back values."""
    called = {node.func.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call) if isinstance(node.func, ast.Name)}
    assert "print" not in called or part_of(path) in {"cli", "report"}


@each_module
def test_only_cli_and_config_read_the_environment(path: Path) -> None:
    """What a function depends on is among its arguments."""
    names = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) for alias in node.names}
    # The agent's own command line is one.
    assert not {"environ", "getenv"} & names or part_of(path) in {"cli", "config"} or name_of(path) == "agent/__main__.py"


@each_module
def test_no_module_holds_a_value_that_can_change(path: Path) -> None:
    """A constant is a tuple, a frozenset or a MappingProxyType."""
    kinds = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    makers = {"list", "dict", "set", "deque", "defaultdict", "Counter", "bytearray"}
    for node in tree_of(path).body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        made = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        targets = node.targets if isinstance(node, ast.Assign) else []
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert not isinstance(value, kinds), f"line {node.lineno}"
            assert made not in makers, f"line {node.lineno}"


@each_module
def test_modules_and_functions_are_short(path: Path) -> None:
    """What does not fit on a page is two things."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", BASH, ids=lambda path: path.stem)
def test_a_script_says_what_it_is_for_and_what_it_takes(path: Path) -> None:
    """First its purpose; of those that are given values, then the contract, then the libraries, which exist."""
    purpose, second, third, *_ = path.read_text(encoding="utf-8").splitlines()
    assert re.match(r"# [A-Z].*\.", purpose)
    if path.stem == "prelude" or path.stem.startswith("lib_"):
        assert path.stem in {library for other in BASH for library in uses(other.stem)} | {"prelude", "lib_work", *CHECKING}
    elif path.stem not in {"session", "firewall", "wireguard"}:  # They are given nothing, and need nothing.
        assert re.fullmatch(r': ("\$\{\w+:?\?\}" ?)+', second), "line 2 is the contract"
        assert re.fullmatch(r"# uses: prelude( lib_\w+)*", third), "line 3 names the libraries"
        assert all((SCRIPTS / f"{library}.bash").exists() for library in uses(path.stem))
        assert contract(path.stem)


def test_every_step_is_a_script() -> None:
    """Those of the planner, which tests/plan/test_properties.py gives their values."""
    assert set(STEPS) <= {path.stem for path in BASH}


@pytest.mark.parametrize("path", BASH, ids=lambda path: path.stem)
def test_shellcheck_finds_nothing(path: Path) -> None:
    """As the files stand: bash is never templated."""
    program = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run(
        [program, "--shell=bash", path.relative_to(ROOT)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_by(*words: str) -> set[str]:
    """Return the modules that `handful WORDS` loads, beyond those that Python itself has."""
    program = (
        "import sys\nbefore = set(sys.modules)\nsys.argv = ['handful', *sys.argv[1:]]\n"
        "from handful.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "sys.stderr.write(' '.join(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(("handful ", "Usage: "))
    return set(done.stderr.split())


def test_version_loads_nothing() -> None:
    """It answers before anything else is read from disk."""
    assert loaded_by("--version") <= {"__future__", "handful", "handful.__main__"}


@pytest.mark.parametrize("words", [("--help",), ("deploy", "--help")])
def test_help_does_not_load_what_reads_the_file(words: tuple[str, ...]) -> None:
    """Pydantic takes longer to load than all the rest."""
    assert not {"pydantic", "yaml"} & loaded_by(*words)
