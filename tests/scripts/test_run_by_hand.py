from __future__ import annotations

from typing import TYPE_CHECKING

from script_containers import Behaviour
from script_poll import until
from script_traffic import Traffic

from handful.artifact.script import contract, run_app

if TYPE_CHECKING:
    from script_machine import Machine


def test_from_an_empty_machine_to_serving(ready: Machine) -> None:
    """run_app.bash alone brings a release up, behind the proxy, on its service address."""
    made = ready.make()
    said = ready.bash(f"bash {ready.place(made)}")
    assert said.code == 0, said
    assert ready.get() == f"200 {made.id} web-1"


def test_a_person_reads_plain_lines(ready: Machine) -> None:
    """By hand there is no JSON: each line says what happened."""
    made = ready.make()
    said = ready.bash(f"bash {ready.place(made)}")
    assert said.out == ""
    lines = said.err.splitlines()
    assert "web-1 started at 10.211.0.2" in lines
    assert f"web runs {made.id}" in lines


def test_a_person_reads_why_it_failed(ready: Machine) -> None:
    """By hand too, a failure says what happened, the last lines that matter, and what holds now."""
    made = ready.make(behaviour=Behaviour(exits=3, says="no database\n"))
    said = ready.bash(f"bash {ready.place(made)}")
    assert said.code != 0
    assert "web-1 ended with exit code 3\nno database\n" in said.err


def test_what_serves_comes_back_after_a_reboot(ready: Machine) -> None:
    """Once it has run, an instance is promoted: Docker starts it at each boot, at the address the proxy knows."""
    made = ready.make()
    assert ready.bash(f"bash {ready.place(made)}").code == 0
    ready.docker.reboot()
    until(lambda: ready.answer() == f"200 {made.id} web-1")


def test_by_hand_leaves_no_journal(ready: Machine) -> None:
    """A switch that has ended leaves nothing for the next run to put right."""
    made = ready.make()
    assert ready.bash(f"bash {ready.place(made)}").code == 0
    assert not (ready.app() / "deploying").exists()
    assert ready.current() == made.id
    assert (ready.app() / "released").read_text() == f"{made.id}\n"


def test_by_hand_takes_over_from_the_release_before(ready: Machine) -> None:
    """A second release takes the first one's place by hand as well, and no request is lost."""
    old, new = ready.make(1), ready.make(2)
    ready.deployed(old)
    script = ready.place(new)
    with Traffic(ready) as traffic:
        assert ready.bash(f"bash {script}").code == 0
        ready.docker.gone("shop.web-1")
    assert traffic.failures == []
    assert ready.get() == f"200 {new.id} web-2"


def test_as_many_instances_as_the_machine_was_given(ready: Machine) -> None:
    """The count is the machine's, not the release's: the same folder starts three when three were asked for."""
    made = ready.make(instances=3)
    assert ready.bash(f"bash {ready.place(made)}").code == 0
    assert ready.names() == ["shop.web-1", "shop.web-2", "shop.web-3"]
    assert ready.ready() == ["10.211.0.2", "10.211.0.3", "10.211.0.4"]


def test_an_app_without_a_port_needs_no_proxy(ready: Machine) -> None:
    """A worker gets no service address, no slots and no number; it must have run for a second."""
    made = ready.make(app="worker", port=None, health=None, behaviour=Behaviour(port=None))
    said = ready.bash(f"bash {ready.place(made)}")
    assert said.code == 0, said
    assert ready.names("worker", running=True, restart="unless-stopped") == ["shop.worker-1"]
    assert not ready.fragment("worker").exists()


def test_an_app_on_the_host_network_is_checked_on_the_loopback(ready: Machine) -> None:
    """It has the machine's own addresses, and handful's proxy is not before it."""
    made = ready.make(network="host", port=8123, behaviour=Behaviour(port=8123, answers={"/up": (200, "ok")}))
    said = ready.bash(f"bash {ready.place(made)}")
    assert said.code == 0, said
    assert ready.get(address="127.0.0.1", port=8123) == f"200 {made.id} web-1"
    assert not ready.fragment().exists()


def test_labels_say_what_a_container_is(ready: Machine) -> None:
    """Stack, app, release and instance are labels, so that nobody reads names."""
    made = ready.deployed(ready.make())
    (container,) = ready.instances()
    assert container.labels == {
        "handful.stack": "shop", "handful.app": "web", "handful.release": made.id, "handful.instance": "web-1"
    }


def test_containers_have_the_name_server_and_the_search_domain(ready: Machine) -> None:
    """`db:5432` works inside as in compose: names are looked up in the stack's own domain."""
    ready.deployed(ready.make())
    (container,) = ready.instances()
    assert container.options["dns"] == ["10.210.255.53"]
    assert container.options["dns-search"] == ["shop.internal"]


def test_limits_volumes_files_and_options_reach_docker(ready: Machine) -> None:
    """What the file asks for stands in the `docker run`, the volume under the stack's name."""
    (ready.folder / "project" / "app.conf").write_text("colour = blue\n")
    made = ready.deployed(ready.make(
        memory="64m", cpus=0.5, volumes={"data": "/data"}, files={"app.conf": "/etc/app.conf"},
        options=["--ulimit=nofile=1024"], deploy={"strategy": "rolling"},
    ))
    (container,) = ready.instances()
    folder = ready.app() / "releases" / made.id
    assert container.options["volume"] == ["shop.data:/data", f"{folder}/files/etc_app.conf:/etc/app.conf:ro"]
    assert container.options["cpus"] == ["0.5"]
    assert container.options["ulimit"] == ["nofile=1024"]
    assert (folder / "files" / "etc_app.conf").read_text() == "colour = blue\n"


def test_a_command_keeps_its_words(ready: Machine) -> None:
    """Spaces, quotes, dollars and stars in a command are the app's, not bash's."""
    words = ("serve", "two words", "it's", "$HOME", "*", "", "--flag=\n")
    ready.deployed(ready.make(command=list(words)))
    (container,) = ready.instances()
    assert container.command == words


def test_a_word_it_does_not_know_is_refused(machine: Machine) -> None:
    """`run_app.bash stop` does not start anything: it says how it is called."""
    script = machine.folder / "run_app.bash"
    script.write_text(run_app(machine.make().release))
    said = machine.bash(f"bash {script} stop")
    assert said.code != 0
    assert "usage: bash run_app.bash" in said.err
    assert machine.docker.containers == {}


def test_the_planner_gives_every_value_that_it_needs(machine: Machine) -> None:
    """The second line of run_app.bash and the settings of a release agree."""
    assert contract("run_app").keys() <= machine.make().release.settings.keys()
