"""What is wrong with secrets, as far as it can be told without any private key, in CI too?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handful.errors import SecretsError
from handful.secrets import file as sops
from handful.secrets.names import FINGERPRINTS
from handful.secrets.plain import looks
from handful.secrets.recipients import readers_of
from handful.secrets.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from handful.config.model import Config
    from handful.secrets.store import Store


@dataclass(frozen=True)
class Wrong:
    """A sentence about a place; one that is no `trouble` is only worth a look."""

    where: str
    sentence: str
    trouble: bool = True


def check(config: Config, store: Store) -> list[Wrong]:
    """Return all that is wrong with the secrets of one environment."""
    needed: dict[str, str] = {}
    for name, app in config.apps.items():
        needed |= dict.fromkeys((use.secret for use in app.given), f"app {name}")
        needed |= dict.fromkeys(app.build.secrets if app.build else (), f"the build of {name}")
    if config.registry and config.registry.password:
        needed[config.registry.password.secret] = "the registry"
    return [*_file(store), *_names(config, store, needed), *_plain(config, store.folder)]


def _file(store: Store) -> Iterator[Wrong]:
    if not store.path.exists():
        return
    try:
        document = sops.parse(store.text(), store.name, comments=False)
        present = [key for key, _ in sops.sealed_keys(document.metadata, store.name)]
        for name in sops.plain_leaves(document, rule_of(document.metadata or {}, store.name)):
            yield Wrong(store.name, f"{name} is not encrypted")
        readers = readers_of(store.path)
    except SecretsError as wrong:
        yield Wrong(store.name, wrong.message.removeprefix(f"{store.name} ").removeprefix(f"{store.name}: "))
        return
    if readers is None:
        yield Wrong(store.name, "no rule of a .sops.yaml says who can read it")
        return
    names = {each.key: each.name for each in readers.recipients}
    for key in present:
        if key not in names:
            yield Wrong(store.name, f"{key} can read it and is not in {readers.path.name}: {store.hint('rotate')}")
    for key, name in names.items():
        if key not in present:
            sentence = f"{name or key} is in {readers.path.name} and cannot read it: {store.hint('rotate')}"
            yield Wrong(store.name, sentence)


def _names(config: Config, store: Store, needed: Mapping[str, str]) -> Iterator[Wrong]:
    try:
        there = set(store.names()) if store.path.exists() else set()
    except SecretsError:
        return
    elsewhere = set(config.secrets.names)
    others = config.secrets.command is not None or config.secrets.environment
    for name, who in needed.items():
        if name not in there | elsewhere and not others:
            yield Wrong(store.name, f"{name} is not set, and {who} is to be given it: {store.hint(f'set {name}')}")
    for name in sorted(there - set(needed) - {FINGERPRINTS}):
        yield Wrong(store.name, f"{name} is set, and nobody is given it", trouble=False)


def _plain(config: Config, folder: Path) -> Iterator[Wrong]:
    builds = [app.build for app in config.apps.values() if app.build is not None]
    files = [folder / "handful.yml", *sorted(folder.glob("environments/*.yml"))]
    files += [folder / build.context / build.dockerfile for build in builds]
    for path in dict.fromkeys(files):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for line, kind in looks(text, as_yaml=path.suffix == ".yml"):
            where = f"{path.relative_to(folder).as_posix()}:{line}" if path.is_relative_to(folder) else f"{path}:{line}"
            yield Wrong(where, f"this looks like {kind}: keep it as a secret, or write `# not a secret` behind it")
