from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine

IDLE = Behaviour(port=None)


def place(machine: Machine, name: str, address: str) -> None:
    """Put a container of someone's into the stack's network."""
    machine.docker.images["other"] = IDLE
    said = machine.bash(f"docker run --detach --name {name} --network handful-shop --ip {address} other")
    assert said.code == 0, said


def test_addresses_are_taken_in_turn(ready: Machine) -> None:
    """Each deploy goes on after the last address, so that one is not used again while connections remember it."""
    for counter in range(1, 5):
        ready.deployed(ready.make(counter))
    assert [each.address for each in ready.instances(running=True)][-1] == "10.211.0.5"


def test_after_the_last_comes_the_first(ready: Machine) -> None:
    """191 is the last below Docker's automatic range; .1 is the gateway's."""
    made = ready.make()
    ready.place(made)
    (ready.root / "stacks" / "shop" / "last_address").write_text("191\n")
    ready.deployed(made)
    assert [each.address for each in ready.instances()] == ["10.211.0.2"]


def test_an_address_in_use_is_skipped(ready: Machine) -> None:
    """Someone's container has the next address: the one after it is taken."""
    made = ready.make()
    ready.place(made)
    place(ready, "other", "10.211.0.2")
    ready.deployed(made)
    assert [each.address for each in ready.instances()] == ["10.211.0.3"]


def test_the_address_of_a_stopped_container_is_skipped(ready: Machine) -> None:
    """A stopped container does not keep its address, and wants it back when it starts."""
    made = ready.make()
    ready.place(made)
    place(ready, "other", "10.211.0.2")
    assert ready.bash("docker stop -t 0 other").code == 0
    ready.deployed(made)
    assert [each.address for each in ready.instances()] == ["10.211.0.3"]


def test_all_addresses_in_use(ready: Machine) -> None:
    """It says which network is full, and where to look."""
    ready.deployed(ready.make(1))
    taken = ready.instances()[0]
    for number in range(3, 192):
        name = f"other-{number}"
        ready.docker.containers[name] = type(taken)(
            name, f"{1000 + number:064x}", "web:1", IDLE, {}, {}, (), {}, "handful-shop", f"10.211.0.{number}"
        )
    said = ready.deploy(ready.make(2))
    assert said.outcome == "failed"
    assert said.failed["text"] == "all addresses of the network handful-shop are in use"
    assert said.failed["advice"] == "See: docker network inspect handful-shop"


def test_names_are_the_lowest_that_are_free(ready: Machine) -> None:
    """web-1 while there is none; web-2 beside it; then web-1 again."""
    ready.deployed(ready.make(1))
    for counter, name in ((2, "web-2"), (3, "web-1")):
        made = ready.deployed(ready.make(counter))
        wholly_in(ready, made)
        assert ready.names() == [f"shop.{name}"]


def test_names_are_compared_whole(ready: Machine) -> None:
    """An app web-1 with an instance web-1-1 takes no name from web."""
    other = Behaviour(port=9000, answers={"/up": (200, "ok")})
    ready.deployed(ready.make(1, other, app="web-1", number=2, port=9000))
    ready.deployed(ready.make(1))
    assert ready.names("web") == ["shop.web-1"]
    assert ready.names("web-1") == ["shop.web-1-1"]


def test_stacks_have_networks_of_their_own(ready: Machine) -> None:
    """The second stack gets the next range, and the same app may have the same address number there."""
    ready.deployed(ready.make(1))
    ready.deployed(ready.make(1, stack="blog", number=2))
    assert ready.docker.networks == {"handful-shop": "10.211.0.0/24", "handful-blog": "10.211.1.0/24"}
    assert [each.address for each in ready.instances(stack="blog")] == ["10.211.1.2"]


def test_a_network_that_is_gone_is_told(ready: Machine) -> None:
    """Someone removed the stack's network: by hand, run_app.bash says what makes it."""
    made = ready.make()
    script = ready.place(made)
    ready.docker.networks.clear()
    said = ready.bash(f"bash {script}")
    assert said.code != 0
    assert "the network handful-shop is not on this machine" in said.err
    assert "Run handful deploy, which makes it." in said.err


def test_ensure_network_keeps_automatic_addresses_apart(ready: Machine) -> None:
    """Docker's own addresses come from the last quarter; the gateway is named, or it would land in there."""
    assert ready.alone("ensure_network", stack="shop").code == 0
    (line,) = ready.tap.lines("docker network create")
    assert "--subnet 10.211.0.0/24 --gateway 10.211.0.1 --ip-range 10.211.0.192/26 handful-shop" in line


def test_ensure_network_skips_what_the_machine_uses_otherwise(ready: Machine) -> None:
    """A route of the host's own into 10.211.0.0/24 is as good as a network there."""
    ready.inside("ip", "route", "add", "10.211.0.0/24", "dev", "lo")
    assert ready.alone("ensure_network", stack="shop").code == 0
    assert ready.docker.networks == {"handful-shop": "10.211.1.0/24"}


def test_ensure_network_says_when_none_is_left(ready: Machine) -> None:
    """256 stacks on one machine are too many."""
    ready.docker.networks = {f"n{number}": f"10.211.{number}.0/24" for number in range(256)}
    said = ready.alone("ensure_network", stack="shop")
    assert said.failed["text"] == "no free network for shop in 10.211.0.0/16"
