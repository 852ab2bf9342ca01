from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_poll import until

if TYPE_CHECKING:
    from script_machine import Machine


def kept(machine: Machine) -> list[str]:
    """Return the releases whose folders are there."""
    return sorted(folder.name for folder in (machine.app() / "releases").iterdir())


def test_as_many_releases_stay_as_keep_says(ready: Machine) -> None:
    """Three are kept, the present one among them; the folders of the others are gone."""
    made = [ready.deployed(ready.make(counter, deploy={"keep": 3})) for counter in range(1, 6)]
    assert kept(ready) == [each.id for each in made[2:]]
    assert (ready.app() / "released").read_text().split() == [each.id for each in made[2:]]


def test_the_order_of_use_counts_and_not_the_number(ready: Machine) -> None:
    """After going back to the first, the second is the one that is longest out of use."""
    first, second, third = (ready.deployed(ready.make(counter, deploy={"keep": 3})) for counter in (1, 2, 3))
    ready.deployed(first)
    fourth = ready.deployed(ready.make(4, deploy={"keep": 3}))
    assert (ready.app() / "released").read_text().split() == [third.id, first.id, fourth.id]
    assert second.id not in kept(ready)


def test_images_go_with_their_last_release(ready: Machine) -> None:
    """An image that no kept release names is removed, at the latest when its last instance has drained."""
    for counter in (1, 2, 3):
        ready.deployed(ready.make(counter, deploy={"keep": 1}))
    until(lambda: not {"web:1", "web:2"} & ready.docker.images.keys())
    assert "web:3" in ready.docker.images


def test_an_image_that_another_release_names_stays(ready: Machine) -> None:
    """Two releases of one image differ in their env: the image stays while one of them is kept."""
    ready.deployed(ready.make(1, deploy={"keep": 1}))
    second = ready.make(1, deploy={"keep": 1}, env={"COLOUR": "blue"})
    ready.deployed(second)
    until(lambda: ready.names() == ["shop.web-2"])
    assert kept(ready) == [second.id]
    assert "web:1" in ready.docker.images
    assert ready.tap.lines("docker image rm") == []


def test_an_image_that_another_app_names_stays(ready: Machine) -> None:
    """A worker made from the web's image keeps it."""
    worker = ready.make(1, Behaviour(port=None), app="worker", port=None, health=None)
    web = ready.make(1, deploy={"keep": 1})
    run = web.files["run_app.bash"].replace(b"image=web:1\n", b"image=worker:1\n")
    web.files["run_app.bash"] = run
    ready.docker.images["worker:1"].port = 8000
    ready.deployed(web)
    ready.docker.images["worker:1"].port = None
    ready.deployed(worker)
    ready.deployed(ready.make(2, deploy={"keep": 1}))
    until(lambda: ready.names() == ["shop.web-2"])
    assert "worker:1" in ready.docker.images


def test_what_never_came_into_use_goes(ready: Machine) -> None:
    """A folder that a dead upload left is removed by the next deploy that ends well."""
    ready.deployed(ready.make(1))
    left = ready.app() / "releases" / "0007-abcdef.new"
    left.mkdir()
    second = ready.deployed(ready.make(2))
    assert not left.exists()
    assert second.id in kept(ready)
