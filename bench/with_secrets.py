"""What do secrets cost? `by_hand_s` is handful's own time without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.secrets import file as sops
from handful.secrets.age import Keyring, sealed
from harness.fleet import of_lab
from harness.pairs import Limit, Pairs, Result, in_pairs

if TYPE_CHECKING:
    from harness.site import Site

RUNS = 7
GIVEN, MANY = 20, 500
WHEN = "2026-01-31T12:00:00Z"
APP = {"build": {"context": "."}, "port": 8000, "health": {"path": "/up"}}


def measure(site: Site) -> list[Result]:
    """Deploy a change of an app with 20 secrets, and of one without; list and read a file of 500."""
    site.have(1)
    site.environ["SOPS_AGE_KEY_FILE"] = str(site.folder.parent / "age-keys.txt")
    names = [f"SECRET_{number}" for number in range(GIVEN)]
    bare, given = (of_lab(site, name, ("m1",), **APP) for name in ("bare", "given"))
    given.handful("secrets", "init")
    keyring = Keyring(site.environ, site.folder)
    path = given.folder / "secrets" / "default.yml"

    def fill(numbers: range) -> None:
        before = sops.opened(path.read_text(), lambda keys: keyring.open(keys, path.name), path.name)
        key = sops.data_key()
        readers = [each.public for each in keyring.identities() if each.public]
        text = before.text
        for number in numbers:
            text += f"SECRET_{number}: value {number} of some length, as tokens have\n"
        path.write_text(sops.sealed(text, sops.new_key(sealed(key, readers), key), path.name, WHEN))

    fill(range(GIVEN))
    given.app["secrets"] = names

    def with_secrets(_: int) -> float:
        given.change()
        return given.handful("deploy")

    def without(_: int) -> float:
        bare.change()
        return bare.handful("deploy")

    deploys = in_pairs(with_secrets, without, site.say)
    more = Result("secrets-deploy", deploys)
    added = more.median_s - more.by_hand_s
    results = [Result("secrets-deploy", deploys, (Limit("added by 20 secrets", added, 0.2, " s"),), {"added_s": added})]
    fill(range(GIVEN, MANY))
    for name, words, most in (("list", ("list",), 0.3), ("500", ("get", "SECRET_1"), 1.0)):
        taken = [given.handful("secrets", *words) for _ in range(RUNS + 1)][1:]
        result = Result(f"secrets-{name}", Pairs(taken, taken))
        results.append(Result(result.name, result.pairs, (Limit("takes", result.median_s, most, " s"),)))
    return results
