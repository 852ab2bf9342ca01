from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from script_containers import Behaviour
from script_poll import until
from script_slow import Slow
from script_traffic import Traffic
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine, Said


def remove(machine: Machine, app: str = "web", stack: str = "shop") -> Said:
    """Remove an app."""
    return machine.alone("remove_app", stack=stack, app=app, stop_timeout="1")


def stop(machine: Machine, app: str = "web") -> Said:
    """Stop an app."""
    return machine.alone("stop_app", stack="shop", app=app, stop_timeout="1")


def test_remove_leaves_nothing(ready: Machine) -> None:
    """Containers, releases, images, traffic, routes, names, network: all of the stack's only app is gone."""
    ready.deployed(ready.make(1, domains=["shop.test"]))
    ready.deployed(ready.make(2, domains=["shop.test"]))
    assert remove(ready).code == 0
    assert ready.docker.containers.keys() == {"handful-proxy", "handful-names"}
    assert not {"web:1", "web:2"} & ready.docker.images.keys()
    assert not ready.app().exists()
    assert not ready.fragment().exists()
    assert (ready.root / "proxy" / "conf" / "routes.map").read_text() == ""
    assert ready.hosts.read_text() == "127.0.0.1 localhost\n"
    assert list((ready.root / "names").iterdir()) == []
    assert ready.docker.networks == {}
    assert "shop.web" not in ready.proxy_says("show servers state")


def test_remove_answers_who_is_under_way(ready: Machine) -> None:
    """As long as drain_timeout says; nobody new comes meanwhile."""
    made = ready.deployed(ready.make(1, drain_timeout="15s"))
    slow, said = Slow(ready), []
    removing = threading.Thread(target=lambda: said.append(remove(ready)))
    removing.start()
    until(lambda: "shop.web" not in ready.proxy_says("show servers state"))
    assert slow.finish() == f"200 {made.id} web-1"
    removing.join()
    assert said[0].code == 0
    assert ready.names(running=True) == []


def test_remove_keeps_volumes_and_says_so(ready: Machine) -> None:
    """No `docker volume rm`, ever."""
    ready.deployed(ready.make(1, volumes={"data": "/data"}))
    said = remove(ready)
    assert said.events[-1]["text"] == "web is removed; its volumes are kept"
    assert ready.tap.lines("docker volume") == []


def test_remove_leaves_other_apps_alone(ready: Machine) -> None:
    """An app of the same name in another stack, one with a longer name: both serve, without a lost request."""
    other = Behaviour(port=9000, answers={"/up": (200, "ok")})
    ready.deployed(ready.make(1, other, app="web-1", number=2, port=9000), ready.make(1))
    blog = ready.deployed(ready.make(1, stack="blog", number=3))
    with Traffic(ready, address="10.210.0.3") as traffic:
        assert remove(ready).code == 0
    assert traffic.failures == []
    assert ready.names("web-1", running=True) == ["shop.web-1-1"]
    assert ready.get(address="10.210.0.3") == f"200 {blog.id} web-1"
    assert "handful-shop" in ready.docker.networks


def test_remove_keeps_an_image_that_another_stack_uses(ready: Machine) -> None:
    """Both stacks run web:1."""
    ready.deployed(ready.make(1))
    ready.deployed(ready.make(1, stack="blog", number=2))
    assert remove(ready).code == 0
    assert "web:1" in ready.docker.images


def test_remove_of_an_app_that_is_not_there(ready: Machine) -> None:
    """Twice is as good as once."""
    ready.deployed(ready.make(1))
    assert remove(ready).code == 0
    assert remove(ready).code == 0


def test_remove_on_a_machine_without_a_proxy(machine: Machine) -> None:
    """An app that was only placed goes as well."""
    machine.app().mkdir(parents=True)
    assert remove(machine).code == 0
    assert not machine.app().exists()


def test_a_stopped_app_has_no_instance_and_no_slot(ready: Machine) -> None:
    """Its containers are stopped and stay stopped at a reboot; the proxy checks none of their addresses."""
    ready.deployed(ready.make(1, instances=2))
    assert stop(ready).code == 0
    assert ready.names(running=True) == []
    assert {each.restart for each in ready.instances()} == {"no"}
    assert ready.slots() == {}
    assert ready.ready() == []
    assert (ready.app() / "stopped").exists()


def test_a_stopped_app_keeps_its_release_and_its_address(ready: Machine) -> None:
    """503 at the service address: the app is known, and nothing serves it."""
    made = ready.deployed(ready.make(1))
    stop(ready)
    assert ready.current() == made.id
    assert ready.get().startswith("503 ")


def test_a_stopped_app_starts_again(ready: Machine) -> None:
    """Running its release again brings it back, and nothing of the stopped instances is left."""
    made = ready.deployed(ready.make(1))
    stop(ready)
    until(lambda: ready.names(running=True) == [])
    ready.deployed(made)
    wholly_in(ready, made)
    assert not (ready.app() / "stopped").exists()


def test_stop_of_an_app_without_a_port(ready: Machine) -> None:
    """A worker has no slots to free."""
    ready.deployed(ready.make(1, Behaviour(port=None), app="worker", port=None, health=None))
    assert stop(ready, "worker").code == 0
    assert ready.names("worker", running=True) == []


@pytest.mark.parametrize("moment", ["run --detach", "update --restart unless-stopped"], ids=["started", "switched"])
def test_stop_after_an_interrupted_deploy_lasts(ready: Machine, moment: str) -> None:
    """What the dead deploy left is put right first; nothing remains that would start the app again."""
    ready.deployed(ready.make(1))
    gate = ready.tap.gate(moment)
    running = ready.begin_deploy(ready.make(2))
    gate.wait()
    running.kill("KILL")
    running.end()
    gate.open()
    assert stop(ready).code == 0
    assert not (ready.app() / "deploying").exists()
    until(lambda: ready.names(running=True) == [])
    assert {each.restart for each in ready.instances()} == {"no"}
