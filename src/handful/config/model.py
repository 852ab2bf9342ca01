"""What can be written in handful.yml, and what does each key mean?

Frozen pydantic models; the JSON Schema is made from them. Durations are seconds, sizes are bytes.
A key of the agreed config that is not built yet is in LATER, and is refused with its sentence.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from handful.config.values import (
    LOGIN,
    MACHINE_ADDRESS,
    ROUTE_PATH,
    URL_PATH,
    Address,
    Domain,
    Duration,
    Name,
    Port,
    Reference,
    Size,
    Target,
    Text,
    Wait,
    Whole,
    Words,
)

# Keys of the agreed shape whose capability does not exist yet → the sentence that refuses them.
# `*` stands for any one name.
LATER = {
    "network": "handful does not join machines in a private network yet",
    "packages": "handful does not install packages on machines yet",
    "edge": "separate edge machines do not exist yet: an app with domains is served by the machines it runs on",
    "secrets": "secrets do not exist yet",
    "logs": "handful does not keep logs yet: `handful logs` reads what Docker has",
    "registry": "a registry of your own is not supported yet: images travel over ssh",
    "images.agent": "the agent does not exist yet",
    "machines.*.size": "handful does not create machines at a provider yet",
    "machines.*.volumes": "handful does not create volumes at a provider yet",
    "provider.region": "handful does not create machines at a provider yet",
    "provider.size": "handful does not create machines at a provider yet",
    "provider.token": "handful does not create machines at a provider yet",
    "apps.*.secrets": "secrets do not exist yet",
    "apps.*.redirects": "redirects do not exist yet",
    "apps.*.sticky": "sticky sessions do not exist yet",
    "apps.*.deploy.batch": "batches do not exist yet: machines follow one another",
    "apps.*.build.target": "build targets do not exist yet",
    "apps.*.build.args": "build arguments do not exist yet",
    "apps.*.build.secrets": "build secrets do not exist yet",
    "apps.*.build.platform": "building for another platform does not exist yet",
    "apps.*.build.on": "building on a machine does not exist yet",
}


class Part(BaseModel):
    """A map of handful.yml: its keys are fixed, its values cannot be changed after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(Part):
    """A machine: one that exists (`address`), or one that the provider makes."""

    address: Annotated[str, Field(pattern=MACHINE_ADDRESS)] | None = None
    private: Address | None = None


class Provider(Part):
    """Who makes the machines that have no address."""

    name: Literal["lab"]
    image: Literal["debian-13", "debian-12"] = "debian-13"


class Ssh(Part):
    """How to log in; everything else comes from the user's own ~/.ssh/config."""

    user: Annotated[str, Field(pattern=LOGIN)] | None = None
    port: Port | None = None


class Build(Part):
    """An image built from source."""

    context: str = "."
    dockerfile: str = "Dockerfile"


class SameImage(Part):
    """The image of another app of this file."""

    app: Name


class Health(Part):
    """How an instance shows that it is ready: one of `path`, `command` and `tcp`."""

    path: Annotated[str, Field(pattern=URL_PATH)] | None = None
    host: Domain | None = None
    headers: dict[str, Text] = {}
    command: Words | None = None
    tcp: Literal[True] | None = None
    every: Wait = 1.0
    within: Wait = 60.0

    @model_validator(mode="after")
    def one_way(self) -> Health:
        """Refuse two ways at once, and headers without a path."""
        ways = [way for way in ("path", "command", "tcp") if getattr(self, way) is not None]
        if len(ways) > 1:
            message = f"write one of path, command and tcp, not {' and '.join(ways)}"
            raise ValueError(message)
        if self.path is None and (self.host or self.headers):
            message = "host and headers belong to a health check by path"
            raise ValueError(message)
        return self


class Hooks(Part):
    """Programs on the operator's computer."""

    before_deploy: Words | None = None
    after_deploy: Words | None = None


class Timeouts(Part):
    """How long the proxy waits: for the start of an answer, and on a quiet connection."""

    response: Wait = 60.0
    idle: Wait = 3600.0


class Deploy(Part):
    """How a new release takes over."""

    strategy: Literal["rolling", "recreate"] | None = None
    keep: Annotated[Whole, Field(ge=1, le=100)] = 5


class App(Part):
    """One app: what runs, where, and how it is reached."""

    build: Build | None = None
    image: Reference | SameImage | None = None
    machines: tuple[Name, ...] | None = None
    instances: Annotated[Whole, Field(ge=1, le=50)] = 1
    port: Port | None = None
    protocol: Literal["http", "tcp"] = "http"
    domains: tuple[Domain, ...] = ()
    path: Annotated[str, Field(pattern=ROUTE_PATH)] = "/"
    health: Health = Health()
    memory: Size | None = None
    cpus: Annotated[float, Field(strict=True, gt=0)] | None = None
    env: dict[str, Text] = {}
    files: dict[str, Target] = {}
    volumes: dict[Name, Target] = {}
    command: Words | None = None
    release_command: Words | None = None
    needs: tuple[Name, ...] = ()
    before_start: str | None = None
    after_start: str | None = None
    hooks: Hooks = Hooks()
    stop_timeout: Duration = 10.0
    drain_timeout: Duration = 30.0
    timeouts: Timeouts = Timeouts()
    network: Literal["stack", "host"] = "stack"
    deploy: Deploy = Deploy()
    options: tuple[Text, ...] = ()

    @property
    def strategy(self) -> str:
        """`recreate` for an app that cannot run twice at once, unless the file says otherwise."""
        alone = bool(self.volumes) or self.network == "host"
        return self.deploy.strategy or ("recreate" if alone else "rolling")


class Images(Part):
    """The system's own parts: an image reference, or null for one made from the distribution's package."""

    proxy: Reference | None = "haproxy:3.2"
    dns: Reference | None = None


class Config(Part):
    """A whole handful.yml with its overlay."""

    project: Name
    machines: dict[Name, Machine] = {}
    provider: Provider | None = None
    ssh: Ssh = Ssh()
    env: dict[str, Text] = {}
    apps: dict[Name, App] = {}
    images: Images = Images()
