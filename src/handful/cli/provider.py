"""Whose are the machines that have no address?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from handful.cli.common import lab_state, open_vault
from handful.errors import MachineError, UsageError

if TYPE_CHECKING:
    from handful.config.load import Loaded
    from handful.provider.border import Provider
    from handful.provider.cloud import Wanted


def provider_of(loaded: Loaded) -> Provider | None:
    """Return who makes the machines of a file; None when nobody does. Nothing is asked yet."""
    provider = loaded.config.provider
    if provider is None:
        return None
    if provider.name == "lab":
        from handful.provider.lab_provider import LabProvider

        return LabProvider(loaded.stack, lab_state(), provider.image)
    from handful.provider.machines import folder_of

    wanted, token, folder = _wanted(loaded), _token(loaded), folder_of(lab_state(), loaded.stack)
    # Their variables are those of the vendors' own programs.
    if provider.name == "digitalocean":
        from handful.provider import digitalocean

        endpoint = os.environ.get("DIGITALOCEAN_API_URL", digitalocean.ENDPOINT)
        return digitalocean.DigitalOcean(wanted, token, folder, endpoint=endpoint)
    try:
        from handful.provider import hetzner
    except ImportError as missing:
        message = f"for machines at Hetzner, handful needs what is not installed: {missing.name}"
        raise UsageError(message, advice='Install it with: pip install "handful[hetzner]"') from None
    endpoint = os.environ.get("HCLOUD_ENDPOINT", hetzner.ENDPOINT)
    return hetzner.Hetzner(wanted, token, folder, endpoint=endpoint)


def _token(loaded: Loaded) -> str:
    from handful.secrets.vault import wanted

    provider = loaded.config.provider
    if provider is None or provider.token is None:
        raise UsageError("the provider's token is missing: provider: {token: {secret: NAME}}")
    name = provider.token.secret
    return open_vault(loaded, dict(os.environ)).values(wanted([("provider", name)]))[name]


def _wanted(loaded: Loaded) -> Wanted:
    from handful.machine.keys import public_keys
    from handful.plan.order import edges_of
    from handful.provider.cloud import SSH_PORT, Spec, Wanted

    config, provider = loaded.config, loaded.config.provider
    keys = public_keys(Path.home())
    if not keys:
        message = "there is no public key to let you in on new machines: neither the ssh agent nor ~/.ssh has one"
        raise MachineError(message, advice="Make one: ssh-keygen -t ed25519")
    machines = {
        name: Spec(each.size or (provider and provider.size) or "", (provider and provider.region) or "",
                   provider.image if provider else "", each.private or "")
        for name, each in config.machines.items() if each.address is None
    }
    edges = {edge for name, app in config.apps.items() if app.domains for edge in edges_of(name, config)}
    ports = {config.ssh.port or SSH_PORT, *((80, 443) if edges else ())}
    own = {each.removesuffix("/tcp") for machine in config.machines.values() for each in machine.open}
    ports |= {int(each) for each in own if each.isdecimal()}
    range_ = config.network.range if config.network else "10.114.0.0/24"
    return Wanted(loaded.stack, machines, range_, tuple(sorted(ports)), keys)
