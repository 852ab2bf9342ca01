"""How is an app reached: its number, its service address, and what the proxy must know of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.errors import PlanRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handful.config.model import App
    from handful.facts.model import Facts, StackState

RANGE = "10.210.0.0/16"
NAMES_ADDRESS = "10.210.255.53"
NAMES_NUMBER = 255 * 256 + 53
# An app's front is at port 20000 and its number, below the ports that Linux gives to connections that go out.
FIRST_FRONT = 20_000
LAST_NUMBER = 32_767 - FIRST_FRONT
# To instances, and from machine to machine: so the client's address is told on the whole way.
PROXY_PROTOCOL = ("backend default-server send-proxy-v2 check-send-proxy", "bind accept-proxy")


def service_address(number: int) -> str:
    """Return the address on which every machine of the stack serves the app with this number."""
    return f"10.210.{number // 256}.{number % 256}"


def numbers(stack: str, apps: Mapping[str, Iterable[str]], facts: Mapping[str, Facts]) -> dict[str, int]:
    """Give each app its number: the one it has on any machine, else the lowest that is free on all of them.

    `apps` maps an app to the machines it is placed on or reached from. Raises PlanRefused when a number cannot be had
    there.
    """
    held = {
        (machine, stack_name, app): number
        for machine, here in facts.items()
        for stack_name, found in here.stacks.items()
        for app, number in _numbers_of(found).items()
    }
    taken = set(held.values())
    given: dict[str, int] = {}
    for app, machines in apps.items():
        number = next((n for (_, *whose), n in held.items() if whose == [stack, app]), None)
        if number is not None:
            _check_number(number, stack, app, set(machines), held)
        else:
            number = next((n for n in range(1, LAST_NUMBER + 1) if n not in taken), None)
        if number is None:
            message = f"no number is free for {app}: all {LAST_NUMBER} of {RANGE} are taken"
            raise PlanRefused(message)
        given[app] = number
        taken.add(number)
    return given


def _numbers_of(stack: StackState) -> dict[str, int]:
    """Return the numbers of a stack's apps on a machine: of those that it has, and of those that it reaches."""
    reached = {app: int(text.split(maxsplit=2)[1]) for app, text in stack.reach.items()}
    return reached | {app: state.number for app, state in stack.apps.items() if state.number is not None}


def _check_number(
    number: int, stack: str, app: str, machines: set[str], held: Mapping[tuple[str, str, str], int]
) -> None:
    """Refuse a number that another stack was given on a machine where this one was not yet."""
    for (machine, other_stack, other_app), other in held.items():
        if other == number and machine in machines and (other_stack, other_app) != (stack, app):
            message = (
                f"{app} has the service address {service_address(number)}, which is taken on {machine} "
                f"by {other_app} of the stack {other_stack}"
            )
            raise PlanRefused(message, advice=f"`handful remove {app}` and another deploy give it a new one.")


def proxy_lines(name: str, app: App) -> list[str]:
    """Return what the proxy must know of an app, without addresses: lines `frontend …`, `backend …`, and others.

    `bind …` is said of an app's front, `peers …` of each other machine that runs it, `sticky …` names a cookie.
    """
    if app.port is None or app.network == "host":
        return []
    idle = _milliseconds(app.timeouts.idle)
    lines = _tcp(app, idle) if app.protocol == "tcp" else _http(name, app, idle)
    # Other machines are asked only while nobody here can answer.
    return [*lines, "peers backup"] if app.prefer_local else lines


def _tcp(app: App, idle: str) -> list[str]:
    return [
        "frontend mode tcp",
        f"frontend timeout client {idle}",
        "backend mode tcp",
        f"backend timeout server {idle}",
        *_checks(app),
        *(PROXY_PROTOCOL if app.proxy_protocol else ()),
    ]


def _http(name: str, app: App, idle: str) -> list[str]:
    response = _milliseconds(app.timeouts.response)
    return [
        "frontend mode http",
        f"frontend timeout client {response}",
        "backend mode http",
        "backend balance roundrobin",
        "backend # A failed connection is tried elsewhere; anything else only where asking twice does no harm.",
        "backend http-request disable-l7-retry if !{ method GET HEAD OPTIONS }",
        f"backend timeout server {response}",
        f"backend timeout tunnel {idle}",
        *_checks(app),
        *(line for host, target in sorted(app.redirects.items()) for line in _redirect(host, target)),
        *((f"sticky handful-{name}",) if app.sticky else ()),
    ]


def quoted(value: str) -> str:
    """Return `value` as one word of an HAProxy configuration: strong quotes, as in a shell."""
    return "'" + value.replace("'", "'\\''") + "'"


def _checks(app: App) -> list[str]:
    every = f"backend default-server check inter {_milliseconds(app.health.every)} fall 3 rise 1"
    lines = ["backend option allbackups", every]
    if app.health.path is None:
        return lines
    headers = {"Host": app.health.host or (app.domains[0] if app.domains else "localhost"), **app.health.headers}
    sent = " ".join(f"hdr {quoted(name)} {quoted(value.replace('%', '%%'))}" for name, value in headers.items())
    return [
        *lines,
        "backend option httpchk",
        f"backend http-check send meth GET uri {quoted(app.health.path)} ver HTTP/1.1 {sent}",
        "backend http-check expect status 200-399",
    ]


def _redirect(host: str, target: str) -> list[str]:
    """Keep path and query, and https for who came by it; 308: a POST stays one."""
    asked = f"{{ hdr(host),host_only,lower -m str {host} }}"
    secure = "{ req.hdr(X-Forwarded-Proto) -m str https }"
    return [
        f"backend http-request redirect code 308 location https://{target}%[pathq] if {asked} {secure}",
        f"backend http-request redirect code 308 location http://{target}%[pathq] if {asked}",
    ]


def _milliseconds(value: float) -> str:
    return f"{round(value * 1000)}ms"
