"""What do the words of a docker command say?"""

from __future__ import annotations

from dataclasses import dataclass, field

# Options of `docker run` that stand alone; every other takes the next word.
FLAGS = frozenset({"detach", "rm", "interactive", "tty", "read-only", "init", "privileged"})
KNOWN = frozenset({
    "name", "label", "network", "ip", "restart", "env", "env-file", "log-opt", "log-driver", "pid", "cgroupns", "cap-drop", "security-opt", "memory-swap", "dns", "dns-search", "dns-option",
    "memory", "cpus", "volume", "stop-timeout", "entrypoint", "user", "stop-signal", "ulimit", "cap-add",
})
LONGEST_LINE = 64 * 1024


class Wrong(Exception):
    """Docker does not understand, or refuses; the message is what it says."""


@dataclass
class Words:
    """A command's options, by name without dashes, and its other words."""

    options: dict[str, list[str]] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def one(self, name: str, missing: str = "") -> str:
        """Return the last value of an option."""
        return self.options.get(name, [missing])[-1]

    def all(self, name: str) -> list[str]:
        """Return every value of an option."""
        return self.options.get(name, [])


def parse_run(words: tuple[str, ...]) -> Words:
    """Read what follows `docker run`: options end at the image."""
    found = Words()
    left = list(words)
    while left and left[0].startswith("-"):
        name, equals, value = left.pop(0).removeprefix("--").partition("=")
        if name not in FLAGS | KNOWN:
            raise Wrong(f"unknown flag: --{name}")
        if name not in FLAGS and not equals:
            value = left.pop(0)
        found.options.setdefault(name, []).append(value)
    found.others = tuple(left)
    return found


def parse(words: tuple[str, ...], values: frozenset[str]) -> Words:
    """Read any other command: options named in `values` take the next word, and may stand anywhere."""
    found = Words()
    left, others = list(words), []
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            others.append(word)
            continue
        name = word.lstrip("-")
        found.options.setdefault(name, []).append(left.pop(0) if name in values else "")
    found.others = tuple(others)
    return found


def environment(words: Words, environ: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return a container's variables as Docker's client makes them: the env files, then `--env` over them."""
    found: dict[bytes, bytes] = {}
    for path in words.all("env-file"):
        with open(path, "rb") as file:
            for line in file.read().removeprefix(b"\xef\xbb\xbf").splitlines():
                _take(line, found, environ)
    for pair in words.all("env"):
        name, equals, value = pair.encode(errors="surrogateescape").partition(b"=")
        if equals or name in environ:
            found[name] = value if equals else environ[name]
    return found


def _take(line: bytes, found: dict[bytes, bytes], environ: dict[bytes, bytes]) -> None:
    """Read one line as docker/cli's kvfile.go does."""
    if len(line) >= LONGEST_LINE:
        raise Wrong("bufio.Scanner: token too long")
    if line.decode(errors="replace").encode() != line:
        raise Wrong("env file contains invalid utf8 bytes")
    line = line.lstrip(b" \t")
    if not line or line.startswith(b"#"):
        return
    name, equals, value = line.partition(b"=")
    if not name or set(name) & set(b" \t\n"):
        raise Wrong(f"variable '{name.decode()}' contains whitespaces")
    if equals or name in environ:
        found[name] = value if equals else environ[name]
