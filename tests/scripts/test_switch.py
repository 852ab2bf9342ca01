from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_poll import until
from script_traffic import Traffic
from script_whole import wholly_in

if TYPE_CHECKING:
    from script_machine import Machine
    from script_tap import Call


def test_no_request_is_lost(ready: Machine) -> None:
    """The second release takes over from the first under traffic; each request is answered, by one or the other."""
    old = ready.deployed(ready.make(1))
    with Traffic(ready) as traffic:
        new = ready.deployed(ready.make(2))
        ready.docker.gone("shop.web-1")
    assert traffic.failures == []
    assert traffic.answers.keys() == {f"{old.id} web-1", f"{new.id} web-2"}


def test_the_switch_reloads_nothing(ready: Machine) -> None:
    """Another release of a known app goes through the runtime API: the worker that served before serves on."""
    ready.deployed(ready.make(1))
    before = ready.proxy_says("show proc", "master")
    ready.deployed(ready.make(2))
    assert ready.proxy_says("show proc", "master").split()[12:14] == before.split()[12:14]


@pytest.mark.parametrize("keys", [{}, {"timeouts": {"response": "9s"}}, {"domains": ["shop.test"]}, {"instances": 3}])
def test_a_reboot_at_any_moment_comes_back_serving(ready: Machine, keys: dict[str, object]) -> None:
    """Whenever a program is called, the fragment names an instance that Docker would start again.

    A new release alone, one that needs a reload, one that brings the first domain, one with more instances.
    """
    ready.deployed(ready.make(1))
    wrong = []

    def look(call: Call) -> None:
        named = ready.slots().keys()
        if not any(each.after_reboot and each.address in named for each in ready.instances()):
            wrong.append(call.line)

    ready.tap.watchers.append(look)
    ready.deployed(ready.make(2, **keys))
    ready.docker.gone("shop.web-1")
    assert wrong == []


def test_the_proxy_has_a_ready_instance_at_every_moment(ready: Machine) -> None:
    """Whenever a program is called, the running proxy has at least one instance to send requests to."""
    ready.deployed(ready.make(1))
    wrong = []
    ready.tap.watchers.append(lambda call: None if ready.ready() else wrong.append(call.line))
    ready.deployed(ready.make(2))
    assert wrong == []


@pytest.mark.parametrize("moment", ["mv -T -- ", "perl", "ln -sfn", "docker update --restart unless-stopped"])
def test_a_reboot_in_the_middle_of_the_switch_serves(ready: Machine, moment: str) -> None:
    """The machine loses power during a switch: after the boot the proxy answers, without handful."""
    ready.deployed(ready.make(1))
    gate = ready.tap.gate("update --restart unless-stopped")
    if not moment.startswith("docker"):
        switching = ready.tap.gate("show servers state")
        running = ready.begin_deploy(ready.make(2))
        switching.wait()
        gate = ready.tap.gate(moment)
        switching.open()
    else:
        running = ready.begin_deploy(ready.make(2))
    gate.wait()
    running.kill("KILL")
    ready.docker.reboot()
    until(lambda: ready.answer().startswith("200 "))


def test_the_fragment_ends_with_the_new_active_and_the_old_free(ready: Machine) -> None:
    """After the drain, the file holds what the running proxy holds: one active slot."""
    ready.deployed(ready.make(1))
    ready.deployed(ready.make(2))
    until(lambda: ready.slots() == {"10.211.0.3": "active"})
    assert ready.ready() == ["10.211.0.3"]


def test_new_instances_join_before_old_ones_drain(ready: Machine) -> None:
    """The proxy counts on the new instance before it is told to drain the old one, in two commands."""
    ready.deployed(ready.make(1))
    ready.tap.calls.clear()
    ready.deployed(ready.make(2))
    joined = next(n for n, line in enumerate(ready.tap.lines()) if "state ready" in line)
    asked = next(n for n, line in enumerate(ready.tap.lines()) if "show servers state" in line and n > joined)
    drained = next(n for n, line in enumerate(ready.tap.lines()) if "state drain" in line)
    assert joined < asked < drained


def test_current_is_renamed_before_restart_policies_change(ready: Machine) -> None:
    """The rename of `current` is the commit point: Docker's policies are derived from it."""
    ready.deployed(ready.make(1))
    ready.tap.calls.clear()
    ready.deployed(ready.make(2))
    lines = ready.tap.lines()
    renamed = next(n for n, line in enumerate(lines) if line.startswith("mv") and line.endswith("/web/current"))
    assert all(n > renamed for n, line in enumerate(lines) if "update --restart" in line)


def test_a_changed_timeout_reloads_without_a_lost_request(ready: Machine) -> None:
    """What the runtime API cannot change reloads the proxy, and the traffic goes on."""
    ready.deployed(ready.make(1))
    before = ready.proxy_says("show proc", "master")
    with Traffic(ready) as traffic:
        new = ready.deployed(ready.make(2, timeouts={"response": "7s"}))
        ready.docker.gone("shop.web-1")
    assert traffic.failures == []
    assert ready.proxy_says("show proc", "master") != before
    assert "timeout server 7000ms" in ready.fragment().read_text()
    assert ready.get() == f"200 {new.id} web-2"


def test_many_switches_in_a_row_lose_nothing(ready: Machine) -> None:
    """Five deploys, each while the one before still drains: nothing is lost and one instance is left."""
    ready.deployed(ready.make(1))
    with Traffic(ready) as traffic:
        for counter in range(2, 7):
            last = ready.deployed(ready.make(counter))
        until(lambda: len(ready.instances()) == 1)
    assert traffic.failures == []
    assert ready.get().startswith(f"200 {last.id} ")


def test_two_apps_switch_together(ready: Machine) -> None:
    """No app is final before all have switched: both `switch` before either `finish`."""
    web, api = ready.make(1), ready.make(1, app="api", number=2, port=9000, behaviour=None)
    ready.docker.images[api.image].port = 9000
    ready.deployed(web, api)
    assert ready.get() == f"200 {web.id} web-1"
    assert ready.get(address="10.210.0.2", port=9000) == f"200 {api.id} api-1"
    lines = ready.tap.lines()
    renames = [n for n, line in enumerate(lines) if line.startswith("mv") and line.endswith("/current")]
    assert all(n > max(renames) for n, line in enumerate(lines) if "update --restart unless-stopped" in line)


def test_a_proxy_that_crashes_after_a_reload_is_started_again(ready: Machine) -> None:
    """Docker forgets a restart policy when it is asked to send a signal (tried, 20.10): a reload does not ask it."""
    ready.deployed(ready.make(1))
    proxy = ready.docker.containers["handful-proxy"]
    assert proxy.work
    proxy.work.signal("KILL")  # type: ignore[union-attr]  # the proxy is a process
    # Its worker outlives it by a moment.
    until(lambda: proxy.restarts == 1)
    until(lambda: ready.answer().startswith("200 "))


def test_a_service_address_refuses_another_stacks_containers(ready: Machine) -> None:
    """Service addresses are the machine's own, so Docker's isolation of networks does not cover them: the proxy does."""
    made = ready.deployed(ready.make(1))
    assert ready.get(origin="10.211.0.99") == f"200 {made.id} web-1"
    with pytest.raises(ConnectionError):
        assert ready.get(origin="10.211.7.9") == "", "refused"
        raise ConnectionRefusedError



def test_a_late_failure_of_a_check_does_not_take_a_new_instance_down(ready: Machine) -> None:
    """A slot comes back with its whole health: one failed check, of the address before it say, is not enough."""
    ready.deployed(ready.make(1))
    ready.deployed(ready.make(2))
    lines = [line for line in ready.tap.lines("state ready") if "shop.web/" in line]
    assert lines
    assert all(line.index("state ready") < line.index("health up") for line in lines)
    servers = [line.split() for line in ready.proxy_says("show servers state shop.web").splitlines() if "10.211.0.3" in line]
    # Column 13: the check's health, from 0 to rise + fall - 1.
    assert [each[12] for each in servers] == ["3"]


def test_what_drained_is_not_checked_while_it_stops(ready: Machine) -> None:
    """Its slot rests before it is stopped, and is free after it is gone."""
    ready.deployed(ready.make(1))
    wholly_in(ready, ready.deployed(ready.make(2)))
    lines = ready.tap.lines()
    resting = next(n for n, line in enumerate(lines) if line.endswith("shop.web/s1 state maint"))
    assert resting < next(n for n, line in enumerate(lines) if "docker stop" in line)


@pytest.mark.parametrize("deploys", [1, 3])
def test_a_connection_that_idles_since_a_reload_is_served(ready: Machine, deploys: int) -> None:
    """It is still the old worker's, which knows of no other instances than its own: these stay until it has gone.

    However many deploys there have been since: only requests that are under way are ended by the third.
    """
    ready.deployed(ready.make(1))
    request = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
    with ready.connect("10.210.0.1", 8000) as idle:
        idle.sendall(request)
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        ready.deployed(ready.make(2, timeouts={"response": "9s"}))
        for counter in range(3, 3 + deploys):
            last = ready.deployed(ready.make(counter, timeouts={"response": "9s"}))
        seen = len(ready.tap.lines("show proc"))
        until(lambda: len(ready.tap.lines("show proc")) > seen + 12, "nothing drains")
        idle.sendall(request)
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
    wholly_in(ready, last)
