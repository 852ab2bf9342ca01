from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_whole import wholly_in

from handful.plan.model import Step

if TYPE_CHECKING:
    from script_machine import Machine, Said

HOSTS = "127.0.0.1 localhost\n"


def place(machine: Machine, app: str, number: str, stack: str = "shop") -> Said:
    """Write an app's number down, as the first step of a deploy does."""
    step = Step("place_app", {"stack": stack, "app": app, "number": number, "instances": "2", "keep": "5"})
    return machine.begin([step], stack=stack).end()


def test_number_instances_and_keep_are_files(machine: Machine) -> None:
    """A person reads them with cat."""
    assert place(machine, "web", "258").outcome == "done"
    told = {name: (machine.app() / name).read_text() for name in ("number", "instances", "keep")}
    assert told == {"number": "258\n", "instances": "2\n", "keep": "5\n"}


def test_names_follow_for_containers_and_for_the_machine(machine: Machine) -> None:
    """The name server's file and /etc/hosts get the same line: the number is the last two bytes of the address."""
    place(machine, "web", "258")
    assert (machine.root / "names" / "shop").read_text() == "10.210.1.2 web.shop.internal\n"
    assert machine.hosts.read_text() == (
        f"{HOSTS}# handful: shop\n10.210.1.2 web.shop.internal\n# handful: shop end\n"
    )


def test_the_name_server_can_read_its_file(machine: Machine) -> None:
    """Dnsmasq runs as a user of its own."""
    place(machine, "web", "1")
    assert (machine.root / "names" / "shop").stat().st_mode & 0o777 == 0o644


def test_two_stacks_have_a_block_each(machine: Machine) -> None:
    """What is written for one leaves the other's lines, and the user's, as they are."""
    machine.hosts.write_text(f"{HOSTS}10.0.0.9 printer # my own\n")
    place(machine, "web", "1", "shop")
    place(machine, "web", "2", "shop-stage")
    place(machine, "api", "3", "shop")
    assert machine.hosts.read_text() == (
        f"{HOSTS}10.0.0.9 printer # my own\n"
        "# handful: shop-stage\n10.210.0.2 web.shop-stage.internal\n# handful: shop-stage end\n"
        "# handful: shop\n10.210.0.3 api.shop.internal\n10.210.0.1 web.shop.internal\n# handful: shop end\n"
    )


def test_a_number_that_was_taken_in_the_meantime(machine: Machine) -> None:
    """Two plans gave one number: the second is told who has it, and leaves nothing."""
    place(machine, "web", "7", "blog")
    said = place(machine, "api", "7")
    assert said.outcome == "failed"
    assert said.failed["text"] == "number 7 of api was taken by blog/apps/web/number in the meantime"
    assert said.failed["advice"] == "Try again."
    assert not machine.app("api").exists()


def test_an_app_keeps_its_own_number(machine: Machine) -> None:
    """The same number again is no conflict with itself."""
    place(machine, "web", "7")
    assert place(machine, "web", "7").outcome == "done"


def test_an_app_that_loses_its_port_loses_its_name(machine: Machine) -> None:
    """Without a number there is no service address; the stack's last name takes the block with it."""
    place(machine, "web", "7")
    assert place(machine, "web", "").outcome == "done"
    assert machine.hosts.read_text() == HOSTS
    assert not (machine.root / "names" / "shop").exists()
    assert not (machine.app() / "number").exists()


def test_nothing_is_written_when_nothing_changed(machine: Machine) -> None:
    """/etc/hosts is not touched by each deploy."""
    place(machine, "web", "7")
    before = machine.hosts.stat().st_mtime_ns
    place(machine, "web", "7")
    assert machine.hosts.stat().st_mtime_ns == before


def test_hosts_that_fell_behind_are_put_right(machine: Machine) -> None:
    """A run that died between the two files, or a person's editor: the next deploy writes the block again."""
    place(machine, "web", "7")
    machine.hosts.write_text(HOSTS)
    place(machine, "web", "7")
    assert "10.210.0.7 web.shop.internal\n" in machine.hosts.read_text()


def test_hosts_keep_their_file(machine: Machine) -> None:
    """/etc/hosts may be a mount: it is written in place, never renamed."""
    before = machine.hosts.stat().st_ino
    place(machine, "web", "7")
    assert machine.hosts.stat().st_ino == before


def test_the_way_back_of_a_first_deploy_takes_the_names_away(ready: Machine) -> None:
    """An app that never ran has no name."""
    ready.deployed(ready.make(1))
    failing = ready.make(1, Behaviour(exits=1), app="api", number=2, port=9000)
    assert ready.deploy(failing).outcome == "failed"
    assert (ready.root / "names" / "shop").read_text() == "10.210.0.1 web.shop.internal\n"
    assert "api.shop.internal" not in ready.hosts.read_text()


def test_hosts_on_a_full_disk_are_not_lost(machine: Machine) -> None:
    """No room for the new block: what stood in /etc/hosts stands there still, and the deploy says why it failed."""
    folder = machine.folder / "full"
    folder.mkdir()
    machine.inside("mount", "-t", "tmpfs", "-o", "size=8k", "none", str(folder))
    inside = machine.namespace.path(str(folder))
    mine = HOSTS + "# my own lines\n" * 200
    (inside / "hosts").write_text(mine)
    (inside / "filler").write_text("y" * 4096)
    machine.env["HANDFUL_HOSTS"] = str(folder / "hosts")
    for number in range(40):
        app = machine.app(f"a-rather-long-name-for-an-app-{number}")
        app.mkdir(parents=True)
        (app / "number").write_text(f"{number + 9}\n")
    said = place(machine, "web", "7")
    assert said.outcome == "failed"
    assert said.failed["text"] == f"{folder}/hosts could not be written"
    assert (inside / "hosts").read_text() == mine


def test_of_two_stacks_the_second_leaves_the_firsts_block_where_it_is(machine: Machine) -> None:
    """A block that is right stays, wherever it stands: deploys in turn do not rewrite the file."""
    place(machine, "web", "1", "shop")
    place(machine, "web", "2", "blog")
    before = machine.hosts.stat().st_mtime_ns
    place(machine, "web", "1", "shop")
    assert machine.hosts.stat().st_mtime_ns == before


def test_a_deploy_that_fails_gives_the_placing_back(ready: Machine) -> None:
    """Number, count and names are what they were before: the old release goes on being found."""
    old = ready.deployed(ready.make(1))
    names = (ready.root / "names" / "shop").read_text()
    worker = ready.make(2, Behaviour(exits=1), port=None, health=None, instances=3)
    assert ready.deploy(worker).outcome == "failed"
    assert (ready.app() / "number").read_text() == "1\n"
    assert (ready.app() / "instances").read_text() == "1\n"
    assert (ready.root / "names" / "shop").read_text() == names
    wholly_in(ready, old)


def test_a_first_deploy_that_fails_leaves_nothing_but_history(ready: Machine) -> None:
    """No network, no address, no name, no folder of the app."""
    assert ready.deploy(ready.make(1, Behaviour(exits=1))).outcome == "failed"
    assert ready.docker.networks == {}
    assert ready.docker.containers.keys() == {"handful-proxy", "handful-names"}
    assert list((ready.root / "names").iterdir()) == []
    left = {path.name for path in (ready.root / "stacks" / "shop").iterdir()} - {"lock", "history.jsonl", "apps"}
    assert left == set()
    assert list((ready.root / "stacks" / "shop" / "apps").iterdir()) == []
