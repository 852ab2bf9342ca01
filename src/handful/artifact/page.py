"""What do users see while an app is away for maintenance?

The proxy keeps the page in a map, and control characters do not pass it (tried, HAProxy 2.6 and 3.0): it is one line.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

from handful.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from handful.config.model import App

# The proxy's command line holds 16 KiB, and base64 makes four of three.
LONGEST = 8192
KEPT = re.compile(r"(<(pre|textarea)\b.*?</\2>)", re.DOTALL | re.IGNORECASE)
DEFAULT = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="30"><title>Back soon</title>
<style>body { font: 18px/1.5 system-ui, sans-serif; max-width: 32em; margin: 20vh auto; padding: 0 1em }</style>
<h1>Back soon</h1><p>We are working on this site. It will be back in a moment.</p></html>"""


def maintenance_page(app: App, folder: Path) -> str:
    """Return an app's page in base64: its own from the project's folder, or handful's. Raises UsageError."""
    if app.maintenance is None:
        return _encoded(DEFAULT)
    try:
        text = (folder / app.maintenance).read_text(encoding="utf-8")
    except ValueError as wrong:
        raise UsageError(f"{app.maintenance} is not text in UTF-8") from wrong
    if "<script" in text.lower():
        advice = "It is sent as one line, which changes what scripts mean."
        raise UsageError(f"{app.maintenance} holds a script: a maintenance page is HTML and CSS", advice=advice)
    if not text.strip():
        raise UsageError(f"{app.maintenance} is empty")
    encoded = _encoded(text)
    if len(encoded) * 3 > LONGEST * 4:
        raise UsageError(f"{app.maintenance} has more than {LONGEST} bytes, which is the most for a maintenance page")
    return encoded


def _encoded(text: str) -> str:
    """Put HTML on one line: outside of preformatted text, a line break means no more than a space."""
    parts = KEPT.split(text)
    # The second group of the pattern, the tag's name, is every third part.
    parts[::3] = [re.sub(r"[\x00-\x1f\x7f]+", " ", each) for each in parts[::3]]
    parts[1::3] = [re.sub(r"\r?\n", "&#10;", each).replace("\t", "&#9;") for each in parts[1::3]]
    del parts[2::3]
    return b64encode("".join(parts).encode()).decode()
