"""What is the agent of a machine told of a stack: as a file that it reads, stacks/STACK/agent.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handful.config.model import Config

DAY = 86400.0


def agent_text(config: Config, machine: str) -> str:
    """Return the file's content: the machine's name and private address, and how the stack's logs are kept.

    Days and bytes; levels as {APP: {LEVEL: [words, …]}}.
    """
    logs, private = config.logs, config.machines[machine].private or ""
    levels = {app: {level: list(words) for level, words in each.items()} for app, each in logs.levels.items()}
    told = {
        "machine": machine, "private": private, "days": logs.keep / DAY, "bytes": logs.max_size, "levels": levels,
    }
    return json.dumps(told, ensure_ascii=False)
