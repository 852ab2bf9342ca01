"""What does an editor need to know to help with handful.yml?"""

from __future__ import annotations

from typing import Any

from handful.config.model import Config

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# The maps of a schema whose keys are names of the user's, not words of JSON Schema.
NAMED = frozenset({"properties", "patternProperties", "$defs"})


def schema() -> dict[str, Any]:
    """Return the JSON Schema of handful.yml, made from the model: what the model takes, and its defaults.

    It knows single values, not how they fit together (`check`).
    """
    return {"$schema": DRAFT, "title": "handful.yml", **_tidy(Config.model_json_schema())}


def _tidy(part: dict[str, Any]) -> dict[str, Any]:
    """Take out pydantic's made-up titles and empty defaults, and close the maps whose keys have a pattern."""
    tidy: dict[str, Any] = {}
    for key, value in part.items():
        if key in NAMED:
            tidy[key] = {name: _tidy(each) for name, each in value.items()}
        elif key == "title" or (key == "default" and (value is None or isinstance(value, dict | list))):
            continue
        elif isinstance(value, list):
            tidy[key] = [_tidy(each) if isinstance(each, dict) else each for each in value]
        else:
            tidy[key] = _tidy(value) if isinstance(value, dict) else value
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
        tidy.pop("propertyNames", None)
    return tidy
