"""The border to the world: text in, lines out; it has never heard of a plan."""
