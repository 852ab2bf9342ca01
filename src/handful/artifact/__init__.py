"""Plan → script, source → image, release → folder."""
