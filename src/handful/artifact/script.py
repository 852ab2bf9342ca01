"""How do steps become one bash script that a person can read?

Bash is never templated: files of `scripts/` are put one below the other as they are, and every value is quoted.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handful.plan.model import Plan, Release, Step, Value, Work

SCRIPTS = Path(__file__).parents[1] / "scripts"
# What `observe` needs besides when it looks for changes by hand: 15 KiB that other looks do not send.
CHECKING = ("lib_fragment", "lib_parts")
CONTRACT = re.compile(r'"\$\{(\w+)(:?)\?\}"')


def source(name: str) -> str:
    """Return the text of a script of handful's own."""
    return (SCRIPTS / f"{name}.bash").read_text(encoding="utf-8")


def contract(name: str) -> dict[str, bool]:
    """Return the values a script takes: its name → whether it may be empty. They stand on its second line."""
    return {found[1]: found[2] == "" for found in CONTRACT.finditer(source(name).splitlines()[1])}


def uses(name: str) -> tuple[str, ...]:
    """Return the libraries a script needs, from its line `# uses: …`."""
    line = next((line for line in source(name).splitlines() if line.startswith("# uses: ")), "# uses: prelude")
    return tuple(line.removeprefix("# uses: ").split())


def run_app(release: Release) -> str:
    """Return a release's run_app.bash: what it is, then how it is run."""
    manifest = release.manifest
    origin = manifest["built_from"]["git"] or manifest["built_from"]["reference"] or "a folder without git"
    whose = f"{release.settings['app']} of {release.settings['stack']}"
    head = [
        "#!/usr/bin/env bash",
        f"# {whose}, release {release.id}, made from {_comment(origin)}.",
        "# `bash run_app.bash` starts it without downtime. handful is not needed for that.",
        "",
        *(assignment(name, value) for name, value in release.settings.items()),
        "",
    ]
    return "\n".join(head) + "\n" + _texts(uses("run_app")) + "\n" + source("run_app")


def run_package(release: Release, secrets: tuple[str, ...]) -> str:
    """Return a package's run_app.bash; `secrets` are the files of secrets that it waits for."""
    head = [
        "#!/usr/bin/env bash",
        f"# {release.settings['app']} of {release.settings['stack']}, release {release.id}, as a package.",
        "# `bash run_app.bash` starts it, with LISTEN=ADDRESS:PORT in its environment to say where.",
        "",
        *(assignment(name, value) for name, value in release.settings.items()),
        assignment("needs_secrets", " ".join(secrets)),
        "",
    ]
    return "\n".join(head) + "\n" + _texts(uses("run_package")) + "\n" + source("run_package")


def observe(stack: str, *, whole: bool = True, check: bool = False) -> str:
    """Return the script that tells a machine's facts; not `whole`: without what only a plan asks for.

    `check`: with what was changed by hand.
    """
    values = {"stack": stack, "whole": "check" if check else "yes" if whole else ""}
    return stand_alone("observe", values, also=CHECKING if check else ())


def stand_alone(name: str, values: Mapping[str, Value], *, also: Iterable[str] = ()) -> str:
    """Return a script that is run by itself: its values, its libraries (and those of `also`), its text."""
    head = "\n".join(assignment(key, value) for key, value in values.items())
    return f"{head}\n{_texts((*uses(name), *also))}\n{source(name)}"


def work_script(plan: Plan, work: Work, holder: str) -> str:
    """Return the script that one machine runs: libraries, the steps' functions, and `main` with one line per step."""
    head = [
        "#!/usr/bin/env bash",
        f"# {plan.what} {plan.deploy} of {plan.stack} on {work.machine}",
        "",
        assignment("stack", plan.stack),
        assignment("deploy", str(plan.deploy)),
        assignment("begun", "" if work.learns else json.dumps(plan.begun, ensure_ascii=False, separators=(",", ":"))),
        assignment("holder", holder),
        "",
    ]
    main = "\n".join(["main() {", "  begin_work", *(f"  {call(step)}" for step in work.steps), "  outcome='done'", "}"])
    functions = _functions(work.steps, "lib_measure", "lib_work")
    return "\n".join(head) + "\n" + functions + "\n" + main + '\n\nmain "$@"\n'


def in_turn(steps: Sequence[Step]) -> str:
    """Return the script of steps that belong to no stack, one after the other."""
    main = "\n".join(["main() {", *(f"  {call(step)}" for step in steps), "}"])
    return _functions(steps) + "\n" + main + '\n\nmain "$@" </dev/null\n'


def _functions(steps: Sequence[Step], *libraries: str) -> str:
    """Return libraries, and a function for each script of the steps."""
    names = tuple(dict.fromkeys(step.script for step in steps))
    needed = dict.fromkeys(["prelude", *libraries, *(each for name in names for each in uses(name))])
    return _texts(needed) + "\n" + "\n".join(f"{name}() (\n{source(name)})\n" for name in names)


def call(step: Step) -> str:
    """Return a step as one line: its values, quoted, before its function's name."""
    return " ".join([*(assignment(name, value) for name, value in step.values.items()), step.script])


def assignment(name: str, value: Value) -> str:
    """Return `name=value` as bash reads it back byte for byte; a tuple becomes an array."""
    if isinstance(value, tuple):
        return f"{name}=({' '.join(shlex.quote(each) for each in value)})"
    return f"{name}={shlex.quote(value)}"


def _texts(names: Iterable[str] | Mapping[str, None]) -> str:
    return "\n".join(source(name) for name in names)


def _comment(text: str) -> str:
    """Put `text` on one line: a comment ends with its line, and nothing may start a new one."""
    return " ".join(text.split())
