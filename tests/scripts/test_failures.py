from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from script_containers import Behaviour
from script_poll import until
from script_tap import Answer
from script_whole import two_apps, wholly_in

if TYPE_CHECKING:
    from script_machine import Machine, Made, Said


def refuse(machine: Machine, made: Made) -> Said:
    """Deploy a release that must fail, and check that it leaves nothing and changes nothing."""
    before = (machine.current(), machine.slots(), machine.ready(), machine.names(running=True, restart="unless-stopped"))
    said = machine.deploy(made)
    assert said.outcome == "failed", said
    assert before == (
        machine.current(), machine.slots(), machine.ready(), machine.names(running=True, restart="unless-stopped")
    )
    assert machine.instances(labels={"handful.release": made.id}) == []
    assert not (machine.app() / "deploying").exists()
    assert not (machine.app() / "releases" / made.id).exists()
    return said


@pytest.fixture
def serving(ready: Machine) -> Machine:
    """Give a machine on which a first release serves."""
    ready.deployed(ready.make(1))
    return ready


def test_a_container_that_exits_at_once(serving: Machine) -> None:
    """The message holds the exit code, the detail the last lines it wrote, and the old release is untouched."""
    said = refuse(serving, serving.make(2, Behaviour(exits=3, says="starting\nno database at db:5432\n")))
    assert said.failed["text"] == "web-2 ended with exit code 3"
    assert said.failed["detail"] == "starting\nno database at db:5432"
    assert said.failed["advice"] == "The old release still serves."
    assert said.failed["app"] == "web"


def test_of_many_lines_the_last_ten_are_told(serving: Machine) -> None:
    """A container that wrote much is told by its end."""
    says = "".join(f"line {number}\n" for number in range(1, 31))
    said = refuse(serving, serving.make(2, Behaviour(exits=1, says=says)))
    assert said.failed["detail"].splitlines() == [f"line {number}" for number in range(21, 31)]


def test_a_container_killed_for_its_memory(serving: Machine) -> None:
    """137 with Docker's own mark means: out of memory, and the message says so."""
    said = refuse(serving, serving.make(2, Behaviour(exits=137)))
    assert said.failed["text"] == "web-2 ended with exit code 137 (killed: out of memory)"


def test_health_that_answers_404(serving: Machine) -> None:
    """The message holds the request and the status, the detail the start of the body."""
    made = serving.make(2, Behaviour(answers={"/up": (404, "no such page: /up")}), health=_health(within="1s"))
    said = refuse(serving, made)
    assert said.failed["text"] == "web-2 did not become healthy in 1.00 s (GET /up → 404)"
    assert said.failed["detail"].startswith("no such page: /up\n--- last lines of web-2:")


def test_the_request_of_the_health_check(serving: Machine) -> None:
    """Host and headers are sent as the file says; a redirect counts as healthy."""
    asked = Behaviour(answers={"/up": (302, "")})
    serving.deployed(serving.make(2, asked, health={**_health(), "host": "shop.test", "headers": {"X-Probe": "a  b"}}))
    heard = next(head for head in asked.heard if "User-Agent: handful" in head)
    assert "Host: shop.test" in heard
    assert "X-Probe: a  b" in heard


def test_an_app_that_never_listens(serving: Machine) -> None:
    """Nothing listens on the port: the message says so."""
    made = serving.make(2, Behaviour(port=None, says="I am a worker\n"), health=_health(within="1s"))
    said = refuse(serving, made)
    assert said.failed["text"] == "web-2 did not become healthy in 1.00 s (nothing listens on port 8000)"
    assert said.failed["detail"].endswith("--- last lines of web-2:\nI am a worker")


def test_an_app_that_listens_elsewhere(serving: Machine) -> None:
    """What does listen inside the container is told: the wrong port is found by reading."""
    said = refuse(serving, serving.make(2, Behaviour(port=5000), health=_health(within="1s")))
    assert "it listens on: " in said.failed["detail"]
    assert "10.211.0.3:5000 " in said.failed["detail"]


def test_an_app_that_listens_on_its_loopback_only(serving: Machine) -> None:
    """The commonest mistake in containers gets its own sentence."""
    said = refuse(serving, serving.make(2, Behaviour(on="127.0.0.1"), health=_health(within="1s")))
    assert "127.0.0.1 is reached from inside the container only: listen on 0.0.0.0" in said.failed["detail"]


def test_a_server_that_speaks_something_else(serving: Machine) -> None:
    """What is no HTTP answer is told as it came."""
    made = serving.make(2, Behaviour(raw="-ERR unknown command\r\n"), health=_health(within="1s"))
    said = refuse(serving, made)
    assert "(GET /up → -ERR unknown command" in said.failed["text"]


def test_a_health_command_that_fails(serving: Machine) -> None:
    """The message holds the command and its exit code, the detail what it said, be it short."""
    made = serving.make(
        2, Behaviour(commands={("pg_isready", "-q"): (2, "no response\n")}),
        health={"command": ["pg_isready", "-q"], "every": "0.1s", "within": "1s"},
    )
    said = refuse(serving, made)
    assert said.failed["text"] == "web-2 did not become healthy in 1.00 s (pg_isready -q → exit code 2)"
    assert said.failed["detail"].startswith("no response\n")


def test_a_health_command_that_says_much(serving: Machine) -> None:
    """Of a long answer the end is told."""
    made = serving.make(
        2, Behaviour(commands={("check",): (1, "x" * 1000 + "the end")}),
        health={"command": ["check"], "every": "0.1s", "within": "1s"},
    )
    detail = refuse(serving, made).failed["detail"].splitlines()[0]
    assert detail == "x" * 293 + "the end"


def test_an_app_that_becomes_healthy_late(serving: Machine) -> None:
    """It may answer 503 for a while: the deploy waits and then goes on."""
    behaviour = Behaviour(answers={"/up": (503, "warming up")})
    made = serving.make(2, behaviour)
    running = serving.begin_deploy(made)
    until(lambda: behaviour.heard)
    assert serving.current() != made.id
    behaviour.answers["/up"] = (200, "ok")
    assert running.end().outcome == "done"


def test_one_of_two_instances_fails(ready: Machine) -> None:
    """Both must be healthy: when one is not, both go."""
    ready.deployed(ready.make(1, instances=2))
    made = ready.make(2, instances=2)
    fault = ready.docker.faults
    fault["run --detach --name shop.web-4 "] = Answer(err="no space left on device\n", status=125)
    said = refuse(ready, made)
    assert said.failed["text"] == "web-4 could not be started"
    assert said.failed["detail"] == "no space left on device"


def test_an_image_that_is_not_there(serving: Machine) -> None:
    """It says which, and that a deploy brings it."""
    made = serving.make(2)
    del serving.docker.images[made.image]
    said = refuse(serving, made)
    assert said.failed["text"] == "the image web:2 of web is not on this machine"
    assert said.failed["advice"] == "Run handful deploy web: it brings the image back."


def test_a_first_release_that_fails_leaves_nothing(ready: Machine) -> None:
    """No container, no folder, no number, no name, no part of the proxy's configuration."""
    said = ready.deploy(ready.make(1, Behaviour(exits=1)))
    assert said.outcome == "failed"
    assert ready.instances() == []
    assert not ready.app().exists()
    assert not (ready.root / "names" / "shop").exists()
    assert ready.hosts.read_text() == "127.0.0.1 localhost\n"
    assert not ready.fragment().exists()


def test_an_option_that_docker_does_not_know(serving: Machine) -> None:
    """What Docker says of the user's own options is passed on."""
    said = refuse(serving, serving.make(2, options=["--frobnicate"]))
    assert said.failed["text"] == "web-2 could not be started"
    assert "unknown flag: --frobnicate" in said.failed["detail"]


def test_a_release_command_that_fails(serving: Machine) -> None:
    """It runs once, in the new image, before anything starts; when it fails, nothing has changed."""
    made = serving.make(
        2, Behaviour(commands={("migrate", "--all"): (4, "column is missing\n")}), release_command=["migrate", "--all"]
    )
    said = serving.deploy(made, commands=["web"])
    assert said.outcome == "failed"
    assert said.failed["text"] == "the release command of web failed"
    assert said.failed["detail"] == "column is missing"
    assert serving.tap.lines("docker run --detach --name shop.web-2") == []
    assert serving.docker.containers.keys() == {"handful-proxy", "handful-names", "shop.web-1"}


def test_a_release_command_runs_in_the_releases_own_environment(serving: Machine) -> None:
    """It gets the new release's variables and image, and its container is removed."""
    made = serving.make(2, release_command=["migrate"], env={"DATABASE": "db"})
    assert serving.deploy(made, commands=["web"]).outcome == "done"
    (line,) = serving.tap.lines("docker run --rm")
    assert line.endswith(f"{made.image} migrate")
    assert f"--env-file {serving.app() / 'releases' / made.id / 'env'}" in line


@pytest.mark.parametrize("name", ["before_start", "after_start"])
def test_a_side_script_that_fails(serving: Machine, name: str) -> None:
    """A script of the user's on the machine's side stops the deploy, with its last lines."""
    (serving.folder / "project" / "hook.bash").write_text("echo preparing\necho 'disk not mounted' >&2\nexit 1\n")
    said = refuse(serving, serving.make(2, **{name: "hook.bash"}))
    assert said.failed["text"] == f"{name} of web failed"
    assert said.failed["detail"] == "preparing\ndisk not mounted"


def test_side_scripts_know_what_they_are_for(serving: Machine) -> None:
    """Stack, app and release are in their environment; before_start runs before the container, after_start after."""
    heard = serving.folder / "heard"
    for name in ("before", "after"):
        (serving.folder / "project" / f"{name}.bash").write_text(
            f'echo "{name} $HANDFUL_STACK $HANDFUL_APP $HANDFUL_RELEASE" >>{heard}\n'
        )
    seen: list[Any] = []
    serving.tap.watchers.append(lambda call: seen.append(heard.exists()) if "run --detach" in call.line else None)
    made = serving.deployed(serving.make(2, before_start="before.bash", after_start="after.bash"))
    assert seen == [True]
    assert heard.read_text() == f"before shop web {made.id}\nafter shop web {made.id}\n"


def test_a_proxy_that_refuses_its_configuration(serving: Machine) -> None:
    """Another's broken file in the folder: the reload is refused with HAProxy's words, and the old release serves."""
    broken = serving.root / "proxy" / "conf" / "60-broken.cfg"
    broken.write_text("frontend broken\n  nonsense\n")
    made = serving.make(2, timeouts={"response": "9s"})
    said = serving.deploy(made)
    assert said.outcome == "failed"
    assert said.failed["text"] == "the proxy refuses its new configuration"
    assert "unknown keyword 'nonsense'" in said.failed["detail"]
    assert serving.current() != made.id
    assert serving.get().startswith("200 0001")
    until(lambda: serving.names(running=True) == ["shop.web-1"])


def test_a_service_address_that_a_program_of_the_host_holds(ready: Machine) -> None:
    """The configuration is right, and yet the new worker cannot bind: that is a failure, not a reload."""
    with ready.namespace.socket() as taken:
        taken.bind(("10.210.0.1", 8000))
        taken.listen()
        said = ready.deploy(ready.make(1))
    assert said.outcome == "failed"
    assert said.failed["text"] == "the proxy could not take its new configuration"
    assert "10.210.0.1:8000" in said.failed["detail"]
    assert not ready.fragment().exists()


def _health(**keys: str) -> dict[str, Any]:
    return {"path": "/up", "every": "0.1s", "within": "8s", **keys}


def test_an_instance_that_ends_after_it_was_healthy(ready: Machine) -> None:
    """Nobody restarts it before the switch is finished: the deploy fails, and the old release serves."""
    old = ready.deployed(ready.make(1))
    gate = ready.tap.gate("update --restart unless-stopped")
    running = ready.begin_deploy(ready.make(2))
    gate.wait()
    (new,) = ready.instances(name="shop.web-2")
    ready.docker.end(new, 3)
    gate.open()
    said = running.end()
    assert said.outcome == "failed"
    assert said.failed["text"] == "web-2 ended with exit code 3"
    wholly_in(ready, old)


@pytest.mark.parametrize("refused", [False, True])
def test_an_app_that_ends_before_the_other_is_promoted_takes_both_back(ready: Machine, *, refused: bool) -> None:
    """Nothing final has happened to the first app when the second one's instance turns out to have ended.

    `refused`: the first one's dies just when it is told not to start again; Docker refuses that (seen in chaos), and
    it goes all the same.
    """
    web, api = two_apps(ready, 1)
    ready.deployed(web, api)
    gate = ready.tap.gate("update --restart unless-stopped shop.api-2")
    running = ready.begin_deploy(*two_apps(ready, 2))
    gate.wait()
    if refused:
        ready.docker.faults["update --restart no"] = Answer(status=1, err="Cannot update container: runc did not terminate\n")
    ready.docker.end(ready.instances("api", name="shop.api-2")[0], 3)
    gate.open()
    assert running.end().outcome == "failed"
    wholly_in(ready, web)
    wholly_in(ready, api)
