"""Whether somebody may look at what runs here, by `luspool top`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from . import __version__

if TYPE_CHECKING:  # only who has a program to look at waits for it
    from .top.server import TopServer

_VARIABLE: Final = "LUSPOOL_TOP"


def open_onlooker(facts: Callable[[], Mapping[str, Any]]) -> TopServer | None:
    """Whoever may look. `facts` tells what is known of the program besides its hosts (docs/tracing.md), `script` at
    least, whenever somebody does. None where nobody can, or is to. To be closed."""
    if os.environ.get(_VARIABLE, "1") in {"", "0"}:
        return None
    from .top.server import TopServer  # noqa: PLC0415  it is imported while hosts get ready

    try:
        return TopServer(lambda: {"luspool": __version__, **facts()})
    except OSError:
        return None  # a system without such names, or without a descriptor left: no reason not to run


def task_facts(number: int, script: str, seconds: float, process: int | None) -> dict[str, Any]:
    """What is told of an item or a job that has run for so long, in this process (None: not on this machine)."""
    return {"number": number, "script": script, "running_for": round(seconds * 1e9), "process": process}


def program_name() -> str:
    """What people call the program that embeds us."""
    return os.path.basename(sys.argv[0] if sys.argv else "") or "python"
