"""handful.yml as text → a typed model, with every problem named at its line."""

import os

# pydantic would read the metadata of every installed package, to look for plugins: 40 ms of each command.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
