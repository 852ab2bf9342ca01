"""What was changed on a machine by hand, and how is it mended?"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handful.facts.model import Container, Facts
    from handful.plan.model import Goal, Release


DIFFERS = "what the proxy has of it differs"
# What a machine tells in one word.
SENTENCES = MappingProxyType({
    "names": "its names differ",
    "unread": "the running proxy has not read all of its files",
    "unknown": "nobody has written down what its files are to be",
})


def edited_files(here: Facts, app: str) -> tuple[str, ...]:
    """Return the files of an app's present release that are not as they were uploaded."""
    return tuple(line.removeprefix("file ") for line in here.drift.get(app, ()) if line.startswith("file "))


def edits(goal: Goal, name: str, machine: str) -> tuple[str, ...]:
    """Return sentences about what only new instances mend: files of the release, and limits of containers."""
    here, wanted = goal.facts[machine], goal.releases[name]
    found = [f"{file} of {wanted.id} was edited" for file in edited_files(here, name)]
    for each in here.instances(goal.stack, name):
        if each.running and each.release == wanted.id and each.restart != "no":
            found += [f"{what} of {each.instance} was changed" for what in _changed(each, wanted)]
    return tuple(found)


def gaps(goal: Goal, name: str, machine: str) -> tuple[str, ...]:
    """Return sentences about what is mended beside the instances, which go on."""
    here, wanted = goal.facts[machine], goal.releases[name]
    image, told = str(wanted.settings["image"]), here.drift.get(name, ())
    found = [DIFFERS] if "traffic" in told else []
    found += ["what keeps its hours was changed"] if "hours" in told else []
    return tuple(found if image in here.images else [*found, f"its image {image} is not there"])


def parts(here: Facts) -> tuple[str, ...]:
    """Return sentences about the machine's own parts."""
    return tuple(_part(line) for line in here.drift.get("", ()))


def parts_differ(here: Facts) -> bool:
    """Whether setting the machine up again puts something right."""
    return any(line != "names" for line in here.drift.get("", ()))


def _part(line: str) -> str:
    kind, _, name = line.partition(" ")
    if kind in SENTENCES:
        return SENTENCES[kind]
    return f"{name} is not handful's, and is set aside" if kind == "stranger" else f"{name} was edited"


def _changed(each: Container, wanted: Release) -> list[str]:
    settings = wanted.manifest["settings"]
    cpus = round((settings["cpus"] or 0) * 1e9)
    pairs = [("the memory limit", each.memory, settings["memory"] or 0), ("the cpu limit", each.cpus, cpus)]
    # A kernel may know no limits, and options of the user's own may set them.
    limits = [] if settings["options"] else [what for what, found, asked in pairs if found not in {asked, 0}]
    return limits if each.image == wanted.settings["image"] else [*limits, "the image"]
