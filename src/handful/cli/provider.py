"""Whose are the machines that have no address?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from handful.cli.common import lab_state, open_vault
from handful.errors import UsageError

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

        volumes = {name: tuple(each.volumes) for name, each in loaded.config.machines.items() if each.volumes}
        return LabProvider(loaded.stack, lab_state(), provider.image, volumes)
    from handful.provider.machines import folder_of

    make = {"hetzner": _hetzner, "digitalocean": _digitalocean, "aws": _aws}[provider.name]
    return make(loaded, _wanted(loaded), folder_of(lab_state(), loaded.stack))


# Their variables are those of the vendors' own programs.
def _digitalocean(loaded: Loaded, wanted: Wanted, folder: Path) -> Provider:
    from handful.provider.digitalocean import DigitalOcean
    from handful.provider.digitalocean_api import ENDPOINT

    endpoint = os.environ.get("DIGITALOCEAN_API_URL", ENDPOINT)
    return DigitalOcean(wanted, _token(loaded), folder, endpoint=endpoint)


def _hetzner(loaded: Loaded, wanted: Wanted, folder: Path) -> Provider:
    try:
        from handful.provider import hetzner
    except ImportError as missing:
        raise _not_installed("Hetzner", "hetzner", missing) from None
    endpoint = os.environ.get("HCLOUD_ENDPOINT", hetzner.ENDPOINT)
    return hetzner.Hetzner(wanted, _token(loaded), folder, endpoint=endpoint)


def _aws(loaded: Loaded, wanted: Wanted, folder: Path) -> Provider:
    try:
        from handful.provider import aws
    except ImportError as missing:
        raise _not_installed("AWS", "aws", missing) from None
    provider = loaded.config.provider
    return aws.Aws(wanted, (provider and provider.region) or "", folder)


def _not_installed(vendor: str, extra: str, missing: ImportError) -> UsageError:
    message = f"for machines at {vendor}, handful needs what is not installed: {missing.name}"
    return UsageError(message, advice=f'Install it with: pip install "handful[{extra}]"')


def _token(loaded: Loaded) -> str:
    from handful.secrets.vault import wanted

    provider = loaded.config.provider
    if provider is None or provider.token is None:
        raise UsageError("the provider's token is missing: provider: {token: {secret: NAME}}")
    name = provider.token.secret
    return open_vault(loaded, dict(os.environ)).values(wanted([("provider", name)]))[name]


def _wanted(loaded: Loaded) -> Wanted:
    from handful.machine.keys import public_keys
    from handful.plan.firewall import provider_ports
    from handful.provider.cloud import USUAL_RANGE, Spec, Wanted

    config, provider = loaded.config, loaded.config.provider
    machines = {
        name: Spec(
            each.size or (provider and provider.size) or "", (provider and provider.region) or "",
            provider.image if provider else "", each.private or "",
            each.gigabytes, each.fixed_address,
        )
        for name, each in config.machines.items() if each.address is None
    }
    # DigitalOcean has one for each of its networks, and theirs must not overlap.
    usual = "" if provider and provider.name == "digitalocean" else USUAL_RANGE
    range_ = config.network.range if config.network else usual
    return Wanted(loaded.stack, machines, range_, provider_ports(config), public_keys(Path.home()))
