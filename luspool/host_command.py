"""How a process of our own is executed."""

from __future__ import annotations

import os
import sys
from typing import Final

_PASSED: Final = frozenset({"GLIBC_TUNABLES", "LANG", "LD_LIBRARY_PATH", "TZ", "TZDIR"})
_PASSED_BEGINNINGS: Final = ("LC_", "LUSPOOL_", "MALLOC_")

_HEAP: Final = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
"""For glibc's malloc. By itself it gives the pages of a long message back with each copy that is freed, and has the
kernel make new ones for the next: half of the time of such a message. What is kept at the end of a heap goes back
after every 64 MB of closed states (`give_back` in sandbox/native/memory.c)."""


def host_command() -> list[str]:
    """How to execute a host process."""
    # Importing makes next to no garbage: the collector comes back when all is there (`host_process.main`). Where there
    # are typing_extensions, msgspec takes what Python 3.11 has itself from them, and they load a great deal.
    code = (
        "import gc, sys; gc.disable(); sys.path[:] = sys.argv[1:]; sys.modules['typing_extensions'] = None; "
        "from luspool.host_process import main; main()"
    )
    return python_command(code)


def host_environment() -> dict[str, str]:
    """The environment of a host process: of ours only what Python and we ourselves may need there.

    A script that has broken out of its interpreter finds no secret there. What scripts may read comes with the program.
    """
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_BEGINNINGS)
    }
    return _HEAP | passed


def python_command(code: str) -> list[str]:
    """How to have `code` executed by the same Python, which finds in its arguments where this one looks for modules.

    `-I` and `-S` keep the working directory, the environment and start-up files out of it; the latter alone halves
    the time to start. This package's own folder comes last, for installations that `sys.path` does not show.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", code, *sys.path, home]
