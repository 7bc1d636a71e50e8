"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# No test asserts a time: what an example takes is the machine's affair, which may be busy with something else.
settings.register_profile("luspool", deadline=None)
settings.load_profile("luspool")
