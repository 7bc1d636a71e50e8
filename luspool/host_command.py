"""How a host process is executed."""

from __future__ import annotations

import os
import sys


def host_command() -> list[str]:
    """How to execute a host process: by the same Python, which looks for modules where this one did and nowhere else.

    `-I` and `-S` keep the working directory, the environment and start-up files out of it; the latter alone halves
    the time to start. This package's own folder comes last, for installations that `sys.path` does not show.
    """
    # Importing makes next to no garbage: the collector comes back when all is there (`host_process.main`).
    code = "import gc, sys; gc.disable(); sys.path[:] = sys.argv[1:]; from luspool.host_process import main; main()"
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", code, *sys.path, home]
