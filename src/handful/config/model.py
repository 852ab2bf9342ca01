"""What can be written in handful.yml, and what does each key mean?

Frozen pydantic models; the JSON Schema is made from them. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from handful.config.docker import DockerPackages
from handful.config.images import Build, Images, Registry, SameImage
from handful.config.logs import Logs
from handful.config.network import Network
from handful.config.part import Part
from handful.config.provider import Provider
from handful.config.secrets import SecretName, Secrets, SecretUse
from handful.config.values import (
    LOGIN,
    MACHINE_ADDRESS,
    ROUTE_PATH,
    URL_PATH,
    Address,
    Choice,
    Count,
    Domain,
    Duration,
    Name,
    OpenPort,
    Package,
    Port,
    Reference,
    Size,
    Target,
    Text,
    Wait,
    When,
    Whole,
    Word,
    Words,
)

GIGABYTE = 1024**3


class Machine(Part):
    """A machine: one that exists (`address`), or one that the provider makes."""

    address: Annotated[str, Field(pattern=MACHINE_ADDRESS)] | None = None
    """Where ssh finds it: an IP address, or a host name that your ssh knows."""
    private: Address | None = None
    """Its IPv4 address in the machines' own network: machines that have one share their apps. A lab gives it."""
    size: Word | None = None
    """How large the provider makes it, in the provider's words; else as `provider` says."""
    volumes: dict[Name, Size] = {}
    """Disks of their own, as NAME: 40g; volumes of its apps lie on the one of their name, else on `data`."""
    fixed_address: Choice = False
    """Whether the public address that the provider gives it stays when the machine is made anew."""
    open: tuple[OpenPort, ...] = ()
    """Further ports that are open to the world, like 25 or 53/udp; ssh is, and 80 and 443 are on edges."""

    @property
    def gigabytes(self) -> dict[str, int]:
        """Its volumes, as providers count them."""
        return {name: size // GIGABYTE for name, size in self.volumes.items()}


class Ssh(Part):
    """How to log in; everything else comes from the user's own ~/.ssh/config."""

    user: Annotated[str, Field(pattern=LOGIN)] | None = None
    """Who logs in: root, or a user with password-less sudo; your ssh config says it when this does not."""
    port: Port | None = None
    """The port of sshd; your ssh config says it when this does not."""


class Health(Part):
    """How an instance shows that it is ready: one of `path`, `command` and `tcp`."""

    path: Annotated[str, Field(pattern=URL_PATH)] | None = None
    """Asked for with GET on the app's port; an answer of 200 to 399 is healthy."""
    host: Domain | None = None
    """The Host header of that request; the app's first domain unless told, and `localhost` without domains."""
    headers: dict[str, Text] = {}
    """Further headers of that request."""
    command: Words | None = None
    """Run inside the instance; exit code 0 is healthy."""
    tcp: Literal[True] | None = None
    """Healthy as soon as the port takes connections; what is checked when nothing is written."""
    every: Wait = 1.0
    """The pause between two checks, of a new instance and later on by the proxy."""
    within: Wait = 60.0
    """How long a new instance has, from its start, until it is healthy; longer is a failed deploy."""

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
    """Runs in the project's folder before anything is built or sent; when it fails, nothing has changed."""
    after_deploy: Words | None = None
    """Runs in the project's folder when all machines have the new release."""


class Timeouts(Part):
    """How long the proxy waits: for the start of an answer, and on a quiet connection."""

    response: Wait = 60.0
    """How long the app may be silent while it answers a request; then the proxy answers 504."""
    idle: Wait = 3600.0
    """How long a websocket or a tcp connection may be silent."""


class Deploy(Part):
    """How a new release takes over."""

    strategy: Literal["rolling", "all", "recreate"] | None = None
    """`rolling`: machine after machine; `all`: healthy everywhere, then all switch; `recreate`: old ones stop first."""
    batch: Annotated[Whole, Field(ge=1)] = 1
    """How many machines are at work at the same time, unless the strategy is `all`."""
    keep: Annotated[Whole, Field(ge=1, le=100)] = 5
    """How many releases stay on each machine, the present one included."""


class App(Part):
    """One app: what runs, where, and how it is reached."""

    build: Build | None = None
    """Build the image from source; an app has either this or `image`."""
    image: Reference | SameImage | None = None
    """A reference like postgres:17, looked up once, or `{app: NAME}`: the image of another app."""
    machines: tuple[Name, ...] | None = None
    """Where it runs; must be written when there is more than one machine."""
    instances: Count | dict[When, Count] = 1
    """How many containers of it run on each of its machines; or by the hour: {default: 2, "Mon-Fri 8:00-18:00": 4}."""
    port: Port | None = None
    """What it listens on inside its container; also its port at APP.STACK.internal."""
    protocol: Literal["http", "tcp"] = "http"
    """`tcp`: connections are passed through as they are; for databases and the like."""
    domains: tuple[Domain, ...] = ()
    """Host names for which the proxy on port 80 leads here."""
    path: Annotated[str, Field(pattern=ROUTE_PATH)] = "/"
    """Which part of its domains it takes; the longest path of all apps wins."""
    redirects: dict[Domain, Domain] = {}
    """Host names that lead on to one of the app's domains, as FROM: TO; path and query stay."""
    sticky: Choice = False
    """Keep a user on the instance that answered first, by a cookie, for as long as it serves."""
    prefer_local: Choice = False
    """Ask other machines only while no instance on this one can answer."""
    proxy_protocol: Choice = False
    """Tell a tcp app who connects, by the PROXY protocol (version 2): it must be set up to expect that."""
    maintenance: str | None = None
    """An HTML file that the public gets while `handful maintenance on` is in force; handful has one of its own."""
    health: Health = Health()
    """How an instance shows that it is ready."""
    memory: Size | None = None
    """The most memory that each instance may have; Docker kills one that takes more."""
    cpus: Annotated[float, Field(strict=True, gt=0)] | None = None
    """How many processors' worth of time each instance may take."""
    env: dict[str, Text] = {}
    """Environment variables of this app; they come over those of the whole file."""
    secrets: tuple[SecretName | SecretUse, ...] = ()
    """Secrets it is given: NAME, a variable of that name; {secret: NAME, env: OTHER} or {secret: NAME, file: /PATH}."""
    files: dict[str, Target] = {}
    """Files of the project that are mounted read-only, as SOURCE: /path/in/the/container."""
    volumes: dict[Name, Target] = {}
    """Data that outlives releases, as NAME: /path/in/the/container."""
    command: Words | None = None
    """What runs instead of the image's own command."""
    release_command: Words | None = None
    """Runs once per deploy in the new image, on the app's first machine, before any traffic moves."""
    needs: tuple[Name, ...] = ()
    """Apps that are deployed before this one; on other machines, when these have `private` addresses."""
    before_start: str | None = None
    """A bash file that runs on the machine before new instances start."""
    after_start: str | None = None
    """A bash file that runs on the machine when the new instances are healthy, before traffic moves."""
    hooks: Hooks = Hooks()
    """Programs on your computer, around a deploy of this app."""
    stop_timeout: Duration = 10.0
    """How long an instance has to end after SIGTERM; then it is killed."""
    drain_timeout: Duration = 30.0
    """How long old instances may finish their requests after the switch."""
    timeouts: Timeouts = Timeouts()
    """How long the proxy waits."""
    network: Literal["stack", "host"] = "stack"
    """`host`: no network of its own, and nothing in front; one instance, stopped before it starts anew."""
    deploy: Deploy = Deploy()
    """How a new release takes over, and how many are kept."""
    options: tuple[Text, ...] = ()
    """Further words for `docker run`."""

    @property
    def given(self) -> tuple[SecretUse, ...]:
        """The secrets it is given; a name alone is an environment variable of that name."""
        return tuple(each if isinstance(each, SecretUse) else SecretUse(secret=each, env=each) for each in self.secrets)

    @property
    def usual(self) -> int:
        """How many instances there are when no hours are in force."""
        return self.instances if isinstance(self.instances, int) else self.instances.get("default", 1)

    @property
    def most(self) -> int:
        """How many instances there can be."""
        return self.instances if isinstance(self.instances, int) else max(self.instances.values(), default=1)

    @property
    def strategy(self) -> str:
        """As the file says; else `recreate` for an app that cannot run twice at once."""
        alone = bool(self.volumes) or self.network == "host"
        return self.deploy.strategy or ("recreate" if alone else "rolling")


class Config(Part):
    """A whole handful.yml with its overlay."""

    project: Name
    """What all of this is called; with the environment's name behind it, it is the stack."""
    machines: dict[Name, Machine] = {}
    """The machines, by names of your choice."""
    provider: Provider | None = None
    """Who makes the machines that have no address."""
    network: Network | None = None
    """The machines' own network; without it, what `private` says is there already."""
    edge: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The machines that take public traffic; unless told, each app's own machines do for its domains."""
    docker: DockerPackages | None = None
    """Where Docker comes from on machines that have none; unless told, from their distribution."""
    packages: tuple[Package, ...] = ()
    """Further packages of the distribution that every machine is to have."""
    ssh: Ssh = Ssh()
    """How to log in to the machines that have an address."""
    env: dict[str, Text] = {}
    """Environment variables of every app."""
    secrets: Secrets = Secrets()
    """Where the values of secrets come from."""
    apps: dict[Name, App] = {}
    """What runs, by names of your choice."""
    logs: Logs = Logs()
    """How the agent keeps what containers say."""
    images: Images = Images()
    """The system's own parts on each machine."""
    registry: Registry | None = None
    """A registry of your own; without one, images travel over ssh."""
