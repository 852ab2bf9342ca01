"""handful.yml as text → a typed model, with every problem named at its line."""
