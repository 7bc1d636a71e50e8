"""Lua's own compiler, given a text piece by piece so that it can be stopped in between.

It takes quadratic time for some texts: a chain of `and` or `elseif` of a megabyte takes most of a minute, in one call
of C. What takes it long is always one of many small pieces, so asking before each is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .faults import Stop

PIECES: Final = b"""
local function pieces(text, is_stopped)
  local at, size = 1, 1024
  return function()
    if is_stopped() then error("stopped") end
    at = at + size
    return string.sub(text, at - size, at - 1)
  end
end
"""
"""In Lua: `pieces(text, is_stopped)` is a reader for `load`. A piece takes a tenth of a second at most (measured)."""


def asking(stop: Stop) -> Callable[[], bool]:
    """`is_stopped` of `PIECES`."""
    return lambda: stop.requested
