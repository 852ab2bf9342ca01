"""How does observe.bash's JSON document become Facts?"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from handful.errors import ObserveFailed
from handful.facts.model import AppState, Container, Facts, Listener, Slot, StackState
from handful.facts.told import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1
# A folder that is not named like a release was left behind by a copy that was cut short.
RELEASE = re.compile(r"\d+-[0-9a-f]+")
# The columns that are read of `ss -Hltnp`, and of HAProxy's `show servers state`.
SS_COLUMNS = 4
SLOT_COLUMNS = 7


def parse(machine: str, text: str) -> Facts:
    """Turn observe.bash's document into Facts; the skew is 0 until somebody compares the clocks.

    Raises ObserveFailed when the text is not such a document.
    """
    try:
        told = json.loads(text)
        if told["format"] != FORMAT:
            message = f"{machine} told facts of format {told['format']}, this handful reads {FORMAT}"
            raise ObserveFailed(message)
        return _facts(machine, told)
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        message = f"{machine} did not tell its facts"
        raise ObserveFailed(
            message, detail=f"{type(wrong).__name__}: {wrong}\n{text[:300]}",
            advice=f"See: handful ssh {machine}",
        ) from wrong


def _sizes(told: Mapping[str, Any]) -> dict[str, int]:
    """Of several disks, the one that is full first."""
    disk, memory = min(told["disks"], key=lambda each: each["free"]), told["memory"]
    return {
        "memory_total": memory["total"], "memory_free": memory["free"], "disk_total": disk["total"],
        "disk_free": disk["free"],
    }


def _facts(machine: str, told: Mapping[str, Any]) -> Facts:
    return Facts(
        machine=machine,
        whole=told["whole"],
        hostname=told["hostname"],
        os=told["os"],
        architecture=told["architecture"],
        clock=told["clock"],
        local=(told["weekday"], told["minute"]),
        cpus=told["cpus"],
        load=told["load"],
        **_sizes(told),
        docker=told["docker"],
        docker_trouble=told["docker_trouble"],
        prepared=document(told["prepared"]),
        volumes=frozenset(told["volumes"].split()),
        parts=document(told["machine"]),
        containers=tuple(_container(each) for each in told["containers"]),
        images=tuple(line.split(" ", 1)[1] for line in told["images"] if " " in line),
        listening=tuple(_listeners(told["listening"])),
        addresses=tuple(line.split("/")[0] for line in told["addresses"]),
        service_range_local=told["service_range_local"],
        slots=tuple(_slots(told["slots"])),
        proxy_files={name: text or "" for name, text in told["proxy"].items()},
        stacks={name: _stack(each) for name, each in told["stacks"].items()},
        drift={name: tuple(lines) for name, lines in told["drift"].items() if lines},
    )


def _container(told: Mapping[str, Any]) -> Container:
    labels = told["labels"] or {}
    networks = told["networks"] or {}
    address = next((each.get("IPAddress") or "" for each in networks.values()), "")
    return Container(
        name=told["name"].removeprefix("/"),
        image=told["image"],
        running=told["running"],
        stack=labels.get("handful.stack", ""),
        app=labels.get("handful.app", ""),
        release=labels.get("handful.release", ""),
        instance=labels.get("handful.instance", ""),
        part=labels.get("handful.part", ""),
        exit_code=told["exit_code"],
        started=told["started"],
        restarts=told["restarts"],
        restart=told["restart"],
        address=address,
        memory=told["memory"],
        cpus=told["cpus"],
    )


def _listeners(lines: Iterable[str]) -> Iterable[Listener]:
    """Read `ss -Hltnp`: State Recv-Q Send-Q Local:Port Peer:Port users:((name,pid=…,fd=…))."""
    for line in lines:
        words = line.split()
        if len(words) < SS_COLUMNS:
            continue
        address, _, port = words[3].rpartition(":")
        process = re.search(r'\(\("([^"]+)"', line)
        if port.isdecimal():
            yield Listener(address.split("%")[0], int(port), process[1] if process else "a process")


def _slots(lines: Iterable[str]) -> Iterable[Slot]:
    """Read HAProxy's `show servers state`: be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …

    Admin state 0 is ready, and so is 4: it only remembers that the slot was free when the proxy started.
    """
    for line in lines:
        words = line.split()
        if len(words) >= SLOT_COLUMNS and words[0].isdigit():
            yield Slot(words[1], words[3], words[4], up=words[5] == "2", ready=words[6] in {"0", "4"})


def _stack(told: Mapping[str, Any]) -> StackState:
    return StackState(
        holder="" if told["holder"] is None else told["holder"].strip() or "somebody who did not write down a name",
        history=tuple(entry for entry in map(document, told["history"]) if isinstance(entry.get("deploy"), int)),
        apps={name: _app(each) for name, each in told["apps"].items()},
        reach={name: text.rstrip("\n") for name, text in told["reach"].items()},
        opened=(told["opened"] or "").rstrip("\n"),
        peers=(told["peers"] or "").rstrip("\n"),
        agent=(told.get("agent") or "").rstrip("\n"),
    )


def _scaled(text: str) -> tuple[int, float] | None:
    """Read COUNT UNTIL."""
    found = re.fullmatch(r"(\d+) (\d+)\n?", text)
    return (int(found[1]), float(found[2])) if found else None


def _app(told: Mapping[str, Any]) -> AppState:
    releases = {name: document(text) for name, text in told["releases"].items()}
    return AppState(
        number=told["number"],
        instances=told["instances"],
        scaled=_scaled(told["scaled"] or ""),
        hours=(told["hours"] or "").strip(),
        current=told["current"],
        stopped=told["stopped"],
        deploying=(told["deploying"] or "").strip().removeprefix("releases/"),
        released=tuple(told["released"]),
        releases={name: read for name, read in releases.items() if read and RELEASE.fullmatch(name)},
    )
