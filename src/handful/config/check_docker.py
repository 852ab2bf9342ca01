"""What would Docker refuse, misread, or take away from handful?"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from handful.config.tree import KEY, Problem
from handful.config.words import code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from handful.config.model import App
    from handful.config.tree import Spot

LONGEST_VALUE = 120 * 1024
LEAST_MEMORY = 6 * 1024**2
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# A value with a line break cannot stand in docker's env-file: it goes through the docker program's own environment.
READ_BY_DOCKER = re.compile(r"DOCKER_.*|LD_.*|SSL_CERT_.*|HOME|GODEBUG|(?i:(HTTP|HTTPS|NO|ALL)_PROXY)", re.DOTALL)
OWN = "handful sets it itself"
PORTS = "write `port`, and `domains` to be reached from outside"
NETWORK = "write `network: host`, or leave it to handful"
OWN_OPTIONS = MappingProxyType({
    "--name": OWN, "--ip": OWN, "--restart": OWN, "--detach": OWN, "-d": OWN, "--rm": OWN, "--cidfile": OWN,
    "--network": NETWORK, "--net": NETWORK, "--publish": PORTS, "-p": PORTS, "--publish-all": PORTS, "-P": PORTS,
    "--env-file": "write the variables under `env`", "--": "what follows it would be taken for the image",
})
# The one-letter options of `docker run` that take a value: what follows the letter is no further option.
WITH_VALUE = "acehlmpuvw"


def check_docker(name: str, app: App) -> Iterator[Problem]:
    """Find what Docker would not take as it is meant, in one app."""
    spot = ("apps", name)
    yield from check_env((*spot, "env"), app.env)
    yield from _options((*spot, "options"), app.options)
    yield from _targets(name, app)
    yield from _headers((*spot, "health", "headers"), app.health.headers)
    if app.memory is not None and app.memory < LEAST_MEMORY:
        yield Problem((*spot, "memory"), f"`memory` is {app.memory} bytes, and Docker takes no less than 6m")


def check_env(spot: Spot, env: Mapping[str, str]) -> Iterator[Problem]:
    """Find the environment variables that would not arrive as they are written."""
    for name, value in env.items():
        if re.search(r"[\s=]", name) or not name or name.startswith("#"):
            wrong = code(name) if name else "an empty text"
            sentence = f"{wrong} cannot be a variable's name, which has no space and no =, and does not begin with #"
            yield Problem((*spot, name, KEY), sentence)
        length = len(value.encode("utf-8", "replace"))
        if length > LONGEST_VALUE:
            sentence = f"the value of {code(name)} has {length // 1024} KiB, and 120 are the most: put it under `files`"
            yield Problem((*spot, name), sentence)
        if re.search(r"[\r\n]", value) and READ_BY_DOCKER.fullmatch(name):
            sentence = f"{code(name)} has a line break, and the docker program reads that variable too: use one line"
            yield Problem((*spot, name), sentence)


def _options(spot: Spot, options: Sequence[str]) -> Iterator[Problem]:
    for index, option in enumerate(options):
        wrong = _wrong_option(option, options[index + 1] if index + 1 < len(options) else "")
        if index == 0 and not option.startswith("-"):
            wrong = f"{code(option)} is no option of `docker run`: the first word begins with a dash"
        if wrong:
            yield Problem((*spot, index), wrong)


def _wrong_option(option: str, following: str) -> str:
    flag, _, value = option.partition("=")
    words = flag.split(maxsplit=1) if flag.startswith("-") else [flag]
    flag = words[0] if words else ""
    own = next((letter for letter in _letters(flag) if letter in OWN_OPTIONS), flag)
    if own in OWN_OPTIONS:
        return f"the option {code(own)} cannot be used: {OWN_OPTIONS[own]}"
    if _is_own_label(flag, "".join(words[1:]) or value or following):
        return "labels that begin with `handful.` are handful's own"
    return f"{code(option)} is two words: write [{', '.join(option.split(maxsplit=1))}]" if len(words) > 1 else ""


def _letters(flag: str) -> Iterator[str]:
    """Take a word like -itd apart into -i, -t and -d."""
    if flag.startswith("--") or not flag.startswith("-"):
        return
    for letter in flag[1:]:
        yield f"-{letter}"
        if letter in WITH_VALUE:
            return


def _is_own_label(flag: str, value: str) -> bool:
    if flag.startswith("-l") and flag != "-l":
        return flag.removeprefix("-l").startswith("handful.")
    return flag in {"--label", "-l"} and value.startswith("handful.")


def _targets(name: str, app: App) -> Iterator[Problem]:
    mounts = [("volumes", key, target) for key, target in app.volumes.items()]
    mounts += [("files", key, target) for key, target in app.files.items()]
    taken: dict[str, str] = {}
    for section, key, target in mounts:
        holder = taken.setdefault(target.rstrip("/"), key)
        if holder != key:
            sentence = f"{code(holder)} and {code(key)} both go to {target} in the container"
            yield Problem(("apps", name, section, key), sentence)


def _headers(spot: Spot, headers: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or re.search(r"[\r\n]", value):
            sentence = f"{code(name)} is no HTTP header: its name has no spaces, and its value is one line"
            yield Problem((*spot, name, KEY), sentence)
