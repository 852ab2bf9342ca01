"""Every error a user can meet; each knows its exit code and what to do next.

HandfulError                 1   something went wrong on a machine, in a build or in a deploy
├── UsageError               2   the command line asks for something that cannot be
│   └── ConfigError          2   handful.yml (or an overlay) has problems; holds all of them
├── CommandFailed            1   a program on this computer ended with an error
├── BuildFailed              1   an image could not be built, pulled or found
├── NoRegistry               1   this computer cannot have a registry that its engine reaches
├── NoTunnel                 1   a machine's sshd makes no tunnel to this computer
├── MachineError             1   a machine cannot be used
│   ├── Unreachable          1   ssh could not connect
│   │   └── LoginRefused     1   the machine answers and does not let this user in
│   ├── NoDocker             1   no Docker there, or one that is too old
│   └── ObserveFailed        1   the machine did not tell its facts
├── SecretsError             1   secrets cannot be read, or must not be used as they are
├── PlanRefused              1   the plan would make two things collide, or cannot be carried out
├── Locked                   1   another deploy is at work
├── DeployFailed             1   a machine did not take the new release
│   └── ConnectionLost       1   nobody knows yet how it ended there
├── DifferencesFound         3   `plan --check` found differences
└── Interrupted            130   the user, or the line, cut it short
"""

from __future__ import annotations


class HandfulError(Exception):
    """What happened and where (`message`), what to do next (`advice`), and what was seen (`detail`)."""

    code = 1

    def __init__(self, message: str, *, advice: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.detail = detail

    def __str__(self) -> str:
        """The message, the last lines that matter, and the advice, one below the other."""
        return "\n".join(part for part in (self.message, self.detail, self.advice) if part)


class UsageError(HandfulError):
    """The command line asks for something that cannot be."""

    code = 2


class ConfigError(UsageError):
    """All problems of a config at once; `problems` are lines `file:line:column: sentence`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CommandFailed(HandfulError):
    """A program on this computer ended with an error; `status` is its exit status."""

    def __init__(self, message: str, *, status: int, advice: str = "", detail: str = "") -> None:
        super().__init__(message, advice=advice, detail=detail)
        self.status = status


class BuildFailed(HandfulError):
    """An image could not be built, pulled or found."""


class NoRegistry(HandfulError):
    """There can be no registry on this computer that its engine reaches: images travel whole."""


class NoTunnel(HandfulError):
    """A machine's sshd makes no tunnel to this computer: images travel whole."""


class MachineError(HandfulError):
    """A machine cannot be used."""


class Unreachable(MachineError):
    """The ssh program could not connect or log in; the detail is ssh's own words."""


class LoginRefused(Unreachable):
    """A machine answers and does not let this user in."""


class NoDocker(MachineError):
    """No Docker there, or one that is too old."""


class ObserveFailed(MachineError):
    """The machine did not tell its facts."""


class SecretsError(HandfulError):
    """Secrets cannot be read or written, or must not be used as they are."""


class PlanRefused(HandfulError):
    """The plan would make two things collide, or cannot be carried out on these machines."""


class Locked(HandfulError):
    """Another deploy is at work."""


class DeployFailed(HandfulError):
    """A machine did not take the new release; the old one still serves."""


class ConnectionLost(DeployFailed):
    """The connection to a machine broke while it was at work: it decides by itself."""


class DifferencesFound(HandfulError):
    """`plan --check` found differences."""

    code = 3


class Interrupted(HandfulError):
    """The user, or the line, cut it short."""

    code = 130
