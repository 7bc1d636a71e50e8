"""The wall of the operating system around a host process: the one that a program asks for, and what is missing of it.

Only a host imports this.
"""

from __future__ import annotations

from typing import Final

from .errors import UsageError
from .permissions import PledgeSet
from .sandbox.wall import Layer, Mode, Wall, WallError, prepare
from .scheduler.limits import TreeLimits
from .scheduler.units import UNLIMITED

_DATA: Final = 1 << 30
_DATA_PER_THREAD: Final = 64 << 20
"""Bytes of private memory beyond what states may have: Python and its modules, copies on their way; each thread's
stack and heap. Generous, for a host that runs out of it dies: states meet their own limits before."""


def put_up(wish: str, pledges: PledgeSet, limits: TreeLimits, threads: int) -> str:
    """Put the wall up around this process, which has one thread, for a program under these pledges and limits.

    `wish`: see `Request`. Everything that is read from files outside of the pledges must have been read. Gives what
    the user has to know, "" for nothing. UsageError where the wish can't be met; the process has to end then.
    """
    if wish == Mode.OFF.value:
        return ""
    prepare()
    data = 0 if limits.memory == UNLIMITED else 2 * limits.memory + _DATA + threads * _DATA_PER_THREAD
    try:
        layers = Wall.around(pledges, data_bytes=data).put_up(Mode(wish or Mode.BEST_EFFORT.value))
    except WallError as error:
        raise UsageError(str(error)) from error
    return "" if wish else _missing(layers)


def _missing(layers: tuple[Layer, ...]) -> str:
    missing = "; ".join(f"{layer.name}: {layer.detail}" for layer in layers if not layer.present)
    if not missing:
        return ""
    return f"the wall of the operating system around scripts is incomplete: {missing} (--wall strict makes it an error)"
