"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# On a busy computer any example may take long once: how long code takes is a matter of bench/.
settings.register_profile("handful", deadline=None)
settings.load_profile("handful")
