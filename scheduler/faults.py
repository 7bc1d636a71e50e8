"""Faults of luspool itself, said for its log."""

from __future__ import annotations

from types import TracebackType
from typing import Final

_FRAMES: Final = 50
"""Innermost ones that are shown."""


def described(error: BaseException) -> str:
    """What `traceback` says of an error, but for the lines of source: a host can't read them behind its wall, and
    without that module, and what it needs to show them, a host starts in a twentieth less time.
    """
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return "\nThen came:\n\n".join(_one(cause) for cause in reversed(causes))


def _one(error: BaseException) -> str:
    frames: list[str] = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_qualname}\n')
        trace = trace.tb_next
    kind = type(error).__qualname__
    return f"Traceback (most recent call last):\n{''.join(frames[-_FRAMES:])}{kind}: {error}\n"
