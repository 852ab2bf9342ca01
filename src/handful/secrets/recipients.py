"""For whom is a file encrypted? `.sops.yaml` says it, which sops and its editor plug-ins read, too.

Source: config/config.go of getsops/sops 3.13.2.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from handful.errors import SecretsError
from handful.secrets.rules import BY_COMMENT, BY_PATH
from handful.secrets.text import CONFLICT, spliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = ".sops.yaml"
OTHERS = ("kms", "pgp", "gcp_kms", "hckms", "azure_keyvault", "hc_vault_transit_uri", "hc_vault")
# How sops writes a list of recipients that every version of it reads, one to a line.
RULE = """\
  - path_regex: ^{path}$
    key_groups:
      - age:
          - {line}
"""


@dataclass(frozen=True)
class Recipient:
    """A public key, and the name that stands behind it as a comment."""

    key: str
    name: str = ""

    @property
    def line(self) -> str:
        """As it is written in a list."""
        return f"{self.key}  # {self.name}" if self.name else self.key


@dataclass(frozen=True)
class Readers:
    """The rule for one file: its recipients, and the text and the node that they were read from.

    `number`: which one it is; `rule`: what it says of which values are encrypted, as metadata has it.
    """

    path: Path
    text: str
    recipients: tuple[Recipient, ...]
    node: Any
    number: int
    rule: Mapping[str, object]

    def with_(self, recipient: Recipient) -> str:
        """Return the text of the file with one more recipient. Raises SecretsError where it cannot be put."""
        return self._proven(self._with(recipient), [*(each.key for each in self.recipients), recipient.key])

    def without(self, key: str) -> str:
        """Return the text of the file without a recipient. Raises SecretsError where it cannot be taken out."""
        return self._proven(self._without(key), [each.key for each in self.recipients if each.key != key])

    def _proven(self, text: str, keys: list[str]) -> str:
        """Return the text when it says what it is to say, and all else is as it was."""
        try:
            made = _readers(list(_rules(text, self.path))[self.number], self.path, text)
            fits = [each.key for each in made.recipients] == keys and not _has_anchors(self.text)
        except (SecretsError, IndexError, yaml.YAMLError):
            fits = False
        if not fits:
            advice = "Change its list of recipients yourself, then: handful secrets rotate"
            raise SecretsError(f"{self.path} is written in a way that handful does not change", advice=advice)
        return text

    def _with(self, recipient: Recipient) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return self._as_words((*self.recipients, recipient))
        last = self.node.value[-1]
        if self.node.flow_style:
            return spliced(self.text, [(last.end_mark.index, last.end_mark.index, f", {recipient.key}")])
        at = self.text.find("\n", last.end_mark.index) + 1 or len(self.text)
        before = "" if self.text[:at].endswith("\n") else "\n"
        return spliced(self.text, [(at, at, f"{before}{' ' * self.node.start_mark.column}- {recipient.line}\n")])

    def _without(self, key: str) -> str:
        left = tuple(each for each in self.recipients if each.key != key)
        if isinstance(self.node, yaml.ScalarNode):
            return self._as_words(left)
        node = next((each for each in self.node.value if each.value == key), self.node)
        if self.node.flow_style:
            made = ", ".join(each.key for each in left)
            return spliced(self.text, [(self.node.start_mark.index, self.node.end_mark.index, f"[{made}]")])
        start = self.text.rfind("\n", 0, node.start_mark.index) + 1
        end = self.text.find("\n", node.end_mark.index) + 1 or len(self.text)
        return self.text[:start] + self.text[end:]

    def _as_words(self, recipients: tuple[Recipient, ...]) -> str:
        made = ",".join(each.key for each in recipients)
        end = "\n" if self.text[: self.node.end_mark.index].endswith("\n") else ""
        return spliced(self.text, [(self.node.start_mark.index, self.node.end_mark.index, f'"{made}"{end}')])


def readers_of(file: Path) -> Readers | None:
    """Return the first rule that fits a file, from the `.sops.yaml` next to it or above; None when there is none.

    Raises SecretsError for a rule that only sops can follow.
    """
    path = next((folder / NAME for folder in file.parents if (folder / NAME).is_file()), None)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    inner = file.relative_to(path.parent).as_posix()
    for number, rule in enumerate(_rules(text, path)):
        pattern = rule.get("path_regex")
        try:
            fits = pattern is None or re.search(pattern.value, inner)
        except re.error as wrong:
            raise SecretsError(f"{path}: a path_regex is no regular expression: {wrong}") from wrong
        if fits:
            return _readers(rule, path, text, number)
    return None


def with_rule(folder: Path, file: Path, recipient: Recipient) -> tuple[Path, str]:
    """Return where `.sops.yaml` is, or is to be, and its text with a rule for one more file, before the others."""
    path = next((each / NAME for each in file.parents if (each / NAME).is_file()), folder / NAME)
    text = path.read_text(encoding="utf-8") if path.exists() else "creation_rules:\n"
    inner = re.escape(file.relative_to(path.parent).as_posix()).replace("\\-", "-")
    rule = RULE.format(path=inner, line=recipient.line)
    rules = _map(_root(text, path)).get("creation_rules")
    if rules is None:
        text = text if not text or text.endswith("\n") else f"{text}\n"
        return path, f"{text}creation_rules:\n{rule}"
    if isinstance(rules, yaml.SequenceNode) and not rules.flow_style:
        # As far in as those that are there.
        rule = textwrap.indent(textwrap.dedent(rule), " " * rules.start_mark.column)
        at = text.rfind("\n", 0, rules.start_mark.index) + 1
        return path, text[:at] + rule + text[at:]
    if rules.value:
        raise SecretsError(f"{path}: handful adds no rule in braces", advice=f"Add it yourself:\n{rule}")
    at = text.find("\n", rules.end_mark.index) + 1 or len(text)
    start = text.rfind("\n", 0, rules.start_mark.index) + 1
    return path, f"{text[:start]}creation_rules:\n{rule}{text[at:]}"


def _has_anchors(text: str) -> bool:
    return any(getattr(event, "anchor", None) for event in yaml.parse(text, Loader=yaml.SafeLoader))


def _root(text: str, path: Path) -> Any:  # noqa: ANN401  # a node of YAML
    if CONFLICT.search(text):
        raise SecretsError(f"{path} holds the marks of a merge conflict", advice="Settle it in git first.")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as wrong:
        raise SecretsError(f"{path} is no YAML", detail=str(wrong)) from wrong


def _rules(text: str, path: Path) -> Iterator[dict[str, Any]]:
    rules = _map(_root(text, path)).get("creation_rules")
    for rule in rules.value if isinstance(rules, yaml.SequenceNode) else ():
        yield _map(rule)


def _map(node: Any) -> dict[str, Any]:  # noqa: ANN401  # a node of YAML
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _readers(rule: dict[str, Any], path: Path, text: str, number: int = 0) -> Readers:
    groups = rule["key_groups"].value if "key_groups" in rule else []
    keys = _map(groups[0]) if groups else rule
    if len(groups) > 1 or "shamir_threshold" in rule or any(name in keys for name in (*OTHERS, "merge")):
        advice = "handful encrypts for age alone. sops does the rest, where it is installed: sops updatekeys FILE"
        message = f"{path}: the rule asks for other keys than those of age, or for several groups"
        raise SecretsError(message, advice=advice)
    node = keys.get("age")
    if node is None:
        raise SecretsError(f"{path}: the rule has no recipients (age)")
    if isinstance(node, yaml.ScalarNode):
        found = tuple(Recipient(word.strip()) for word in node.value.split(",") if word.strip())
    else:
        told = [(each.value.split(","), _name(text, each.end_mark.index)) for each in node.value]
        found = tuple(Recipient(word.strip(), name) for words, name in told for word in words)
    said = {name: rule[name].value for name in (*BY_PATH, *BY_COMMENT) if name in rule}
    if "mac_only_encrypted" in rule:
        said["mac_only_encrypted"] = rule["mac_only_encrypted"].value == "true"
    return Readers(path, text, found, node, number, said)


def _name(text: str, at: int) -> str:
    """Return the comment behind a recipient."""
    found = re.match(r"[ \t,\"']*#[ \t]*([^\n]*)", text[at:])
    return found[1].strip() if found else ""
