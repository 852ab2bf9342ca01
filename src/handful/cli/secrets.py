"""`handful secrets`: values that are kept encrypted beside the code."""

from __future__ import annotations

import contextlib
import getpass
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handful.cli.common import json_option, load_config, open_store
from handful.errors import HandfulError, SecretsError, UsageError

if TYPE_CHECKING:
    from handful.config.model import Config
    from handful.secrets.store import Store

KINDS = ("password", "key", "rsa", "ed25519")


@click.group("secrets", context_settings={"help_option_names": ["-h", "--help"]})
def secrets_command() -> None:
    """Keep secrets encrypted beside the code, in the format of sops.

    The file is secrets/default.yml, or secrets/ENV.yml with environments. Who can read it stands in .sops.yaml.
    """


@secrets_command.command("init")
def init() -> None:
    """Make what is missing: a key of your own, a rule for who can read, and an encrypted file."""
    from handful.secrets.age import make_identity
    from handful.secrets.recipients import Recipient

    store = open_store(load_config())
    found = store.keyring.identities()
    own = next((each.public for each in found if each.public), "")
    if not own:
        path = store.keyring.default_file()
        if path.exists():
            message = f"{path} is there and holds no key that handful can use"
            raise SecretsError(message, advice="Name another file in SOPS_AGE_KEY_FILE.")
        own = make_identity(path)
        store.keyring.forget()
        click.echo(f"{path}: your key. Keep a copy where you keep passwords: without it, what it opens is lost")
    for path in store.init(Recipient(own, f"{getpass.getuser()}@{socket.gethostname()}")):
        click.echo(f"{path}: written")
    click.echo(f"You are {own}. Go on: {store.hint('set NAME')}")


@secrets_command.command("set")
@click.argument("name")
@click.argument("rest", nargs=-1, metavar="")
@click.option("--from-file", "source", type=click.Path(path_type=Path), help="Take the value from a file.")
@click.option("--generate", type=click.Choice(KINDS), help="Make a value that only machines need to know.")
@click.option("--replace", is_flag=True, help="With --generate: also where there is a value already.")
def set_(name: str, rest: tuple[str, ...], source: Path | None, generate: str | None, *, replace: bool) -> None:
    """Set a secret; its value is asked for, or read from standard input. It is never an argument."""
    from handful.secrets.names import check_name

    if rest:
        advice = f"It stands in your shell's history now: take it out there. Then: handful secrets set {name}"
        raise UsageError("a value is no argument: others see the command lines of a computer", advice=advice)
    check_name(name)
    if source and generate:
        raise UsageError("--from-file and --generate exclude each other")
    store = open_store(load_config())
    if generate and not replace and name in store.names():
        raise UsageError(f"{name} is set already", advice="Another value in its place: add --replace")
    changed = store.set(name, _value(name, source, generate))
    if changed:
        click.echo(f"{name} is set in {store.name}. Deploy what is given it: handful deploy")
    else:
        click.echo(f"{name} has that value already")


def _value(name: str, source: Path | None, generate: str | None) -> str:
    from handful.secrets.generate import KINDS as MAKERS
    from handful.secrets.vault import one_line

    if generate:
        return MAKERS[generate]()
    if source is None and sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    try:
        data = source.read_bytes() if source else sys.stdin.buffer.read()
        return one_line(data.decode())
    except UnicodeDecodeError:
        message = f"the value of {name} is not text in UTF-8"
        raise UsageError(message, advice="Encode it, for example with base64.") from None
    except OSError as wrong:
        raise UsageError(f"{source} could not be read: {wrong.strerror}") from wrong


@secrets_command.command("get")
@click.argument("name")
def get(name: str) -> None:
    """Write a secret's value to standard output."""
    store = open_store(load_config())
    values = store.values()
    if name not in values:
        raise UsageError(f"{store.name} has no {name}", advice=f"What it has: {store.hint('list')}")
    click.echo(values[name], nl=sys.stdout.isatty())


@secrets_command.command("remove")
@click.argument("names", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Take secrets out of the file."""
    store = open_store(load_config())
    store.remove(names)
    verb = "is" if len(names) == 1 else "are"
    click.echo(f"{', '.join(names)} {verb} no longer in {store.name}; git has the earlier file")


@secrets_command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show the names of secrets, and who is given them. It takes no key."""
    from handful.report.table import table
    from handful.secrets.names import FINGERPRINTS

    loaded = load_config()
    store, config = open_store(loaded), loaded.config
    there = [name for name in store.names() if name != FINGERPRINTS]
    uses: dict[str, list[str]] = {name: [] for name in there}
    for app, each in config.apps.items():
        for use in each.given:
            uses.setdefault(use.secret, []).append(f"{app} ({use.env or use.file})" if use.env != use.secret else app)
        for secret in each.build.secrets if each.build else ():
            uses.setdefault(secret, []).append(f"the build of {app}")
    origins = {name: store.name if name in there else _origin(config, name) for name in uses}
    if as_json:
        told = {name: {"from": origins[name], "given": given} for name, given in uses.items()}
        click.echo(json.dumps(told, indent=2))
        return
    rows = [(name, origins[name], ", ".join(given) or "nobody") for name, given in sorted(uses.items())]
    click.echo(table(("NAME", "FROM", "GIVEN TO"), rows) if rows else f"{store.name} holds no secret yet")


def _origin(config: Config, name: str) -> str:
    settings = config.secrets
    elsewhere = name in settings.names or settings.command is not None or settings.environment
    return "elsewhere" if elsewhere else "not set"


@secrets_command.command("edit")
def edit_() -> None:
    """Open the secrets in your editor ($SOPS_EDITOR, $VISUAL, $EDITOR), and encrypt them again."""
    import os

    from handful.secrets.edit import edit

    store = open_store(load_config())

    def again(sentence: str) -> bool:
        click.echo(sentence, err=True)
        return sys.stdin.isatty() and click.confirm("Go on editing? Else your changes are gone", default=True, err=True)

    click.echo(f"{store.name} is saved" if edit(store, os.environ, again) else "nothing was changed")


@secrets_command.group("recipients", invoke_without_command=True)
@click.pass_context
def recipients(ctx: click.Context) -> None:
    """Show who can read the secrets; `add` and `remove` change it."""
    if ctx.invoked_subcommand is not None:
        return
    store = open_store(load_config())
    own = {each.public for each in store.keyring.identities()}
    for each in store.readers().recipients:
        click.echo(f"{each.key}  {each.name}".rstrip() + ("  (you)" if each.key in own else ""))


@recipients.command("add")
@click.argument("key")
@click.option("--name", default="", help="Who it is: a comment in .sops.yaml.")
def add(key: str, name: str) -> None:
    """Let one more public key (age1… or ssh-…) read the secrets of this environment."""
    from handful.secrets.age import recipient
    from handful.secrets.recipients import Recipient
    from handful.secrets.store import write

    recipient(key)
    store = open_store(load_config())
    readers = store.readers()
    if key in {each.key for each in readers.recipients}:
        raise UsageError(f"{key} can read {store.name} already")
    text = readers.with_(Recipient(key, " ".join(name.split())))
    store.share([*(each.key for each in readers.recipients), key])
    write(readers.path, text)
    click.echo(f"{name or key} can read {store.name} from now on. Commit {readers.path.name} and {store.name}")
    for other, listed, reads in _every(store, key):
        if listed and not reads:
            click.echo(f"The list is that of {other.name}, too: {other.hint('rotate')}")


@recipients.command("remove")
@click.argument("who")
def remove_recipient(who: str) -> None:
    """Take a public key, or the name behind it, off the list; everything is encrypted anew."""
    from handful.secrets.store import write

    store = open_store(load_config())
    readers = store.readers()
    found = [each for each in readers.recipients if who in {each.key, each.name}]
    if len(found) != 1:
        raise UsageError(f"{who} is no recipient of {store.name}", advice=f"Who is: {store.hint('recipients')}")
    if len(readers.recipients) == 1:
        raise UsageError(f"{who} is the only one who can read {store.name}")
    text = readers.without(found[0].key)
    _rotate(store, [each.key for each in readers.recipients if each != found[0]])
    write(readers.path, text)
    key = found[0].key
    for other, listed, reads in _every(store, key):
        if listed:
            click.echo(f"{other.name} is still for {key}: {other.hint(f'recipients remove {key}')}")
        elif reads:
            click.echo(f"{key} can still read {other.name}: {other.hint('rotate')}")


def _every(store: Store, key: str) -> list[tuple[Store, bool, bool]]:
    """Return the files of all environments, each with whether a key is on its list, and whether it can read it now."""
    from dataclasses import replace

    found = []
    for path in sorted(path for ending in ("yml", "yaml", "env") for path in store.path.parent.glob(f"*.{ending}")):
        other = replace(store, path=path)
        # Those that no rule fits, or only sops can read, are nobody's here.
        with contextlib.suppress(SecretsError):
            listed = key in {each.key for each in other.readers().recipients}
            found.append((other, listed, key in other.present()))
    return found


@secrets_command.command("rotate")
def rotate() -> None:
    """Encrypt everything anew for the recipients of now, and say what those who went have seen."""
    store = open_store(load_config())
    _rotate(store, [each.key for each in store.readers().recipients])


def _rotate(store: Store, wanted: list[str]) -> None:
    from handful.secrets.names import FINGERPRINTS

    gone = store.rotate(wanted)
    click.echo(f"{store.name} is encrypted anew, for {len(store.present())} recipients")
    names = sorted(name for name in store.names() if name != FINGERPRINTS)
    for key in gone:
        click.echo(f"{key} could read these until now, and can in all earlier versions. Change them at their source:")
        click.echo("\n".join(f"  {name}" for name in names))


@secrets_command.command("check")
@json_option
def check_(*, as_json: bool) -> None:
    """Look for what is wrong; it takes no key, so CI can do it."""
    from dataclasses import asdict

    from handful.secrets.check import check

    loaded = load_config()
    found = check(loaded.config, open_store(loaded))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    for each in () if as_json else found:
        click.echo(f"{each.where}: {each.sentence}" + ("" if each.trouble else " (only a hint)"))
    troubles = sum(each.trouble for each in found)
    if troubles:
        raise HandfulError(f"{troubles} {'thing is' if troubles == 1 else 'things are'} wrong with the secrets")
    if not as_json:
        click.echo("the secrets are in order")
