"""How do machines become one private network? Pure: from the file and what machines told to each one's part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.plan.model import Step

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from handful.config.model import Config
    from handful.facts.survey import Survey

DEVICE = "handful"
PORT = 51_820
PACKAGES = ("wireguard-tools",)
# In the place of the kernel's, where it has none.
IN_USERSPACE = "wireguard-go"


def is_joined(config: Config) -> bool:
    """Whether handful itself joins the machines."""
    if config.network is None or config.network.join == "none":
        return False
    return config.network.join == "wireguard" or any(each.address is not None for each in config.machines.values())


def packages(survey: Survey) -> tuple[str, ...]:
    """Return what a machine needs for it."""
    return PACKAGES if survey.kernel_wireguard else (*PACKAGES, IN_USERSPACE)


def part_of(config: Config, machine: str, surveys: Mapping[str, Survey], hosts: Mapping[str, str]) -> str:
    """Return a machine's part, as wireguard.bash reads it; `hosts` are where the others find each machine.

    One that is away keeps its line, so that nobody loses it; one that never told its key comes in with the next try.
    """
    before = {line.split()[-1]: line for line in surveys[machine].peers.splitlines() if line.startswith("peer ")}
    length = config.network.range.partition("/")[2] if config.network else "24"
    lines = [f"address {config.machines[machine].private}/{length}"]
    for name, each in config.machines.items():
        key = surveys[name].wireguard_key if name in surveys else ""
        if name != machine and key:
            lines.append(f"peer {key} {hosts[name]}:{PORT} {each.private}")
        elif name != machine and str(each.private) in before:
            lines.append(before[str(each.private)])
    return "\n".join(lines)


def join(stack: str, survey: Survey, part: str, script: str) -> Step | None:
    """Return the step that makes a machine's part so; None when it is. `script` is the text of wireguard.bash."""
    same = survey.files.get("/var/lib/handful/wireguard.bash", "").rstrip("\n") == script
    if survey.wireguard_up and survey.peers == part and same:
        return None
    own, *others = (line.split() for line in part.splitlines())
    says = f"private network: {own[1]}, with {', '.join(peer[3] for peer in others) or 'nobody yet'}"
    return Step("prepare_network", {"says": says, "stack": stack, "part": part, "script": script})


def follows(config: Config, part: str, there: Collection[str]) -> bool:
    """Whether a machine's part (see wireguard.bash, "" for none) names the machines of the file and no other.

    Of machines that are not `there` now nothing is known yet.
    """
    if not is_joined(config):
        return not part
    present = {line.split()[-1].partition("/")[0] for line in part.splitlines()}
    private = {name: str(each.private) for name, each in config.machines.items()}
    return {private[name] for name in there} <= present <= set(private.values())
