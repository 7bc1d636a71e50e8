"""Lua's own compiler: a text to bytecode, or what is wrong with the text. Nothing of the text is run.

It takes quadratic time for some texts: a chain of `and` or `elseif` of a megabyte takes most of a minute, in one call
of C. What takes it long is always one of many small pieces, so a long text is given piece by piece, and asking before
each whether to go on is enough.

An interpreter costs as much as compiling a few hundred lines, so those that were used for short texts are used again.
They keep nothing of a text but what their collector has not taken yet, and no text can find out what that is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from lupa import lua55

from .faults import Stop

_AT_ONCE: Final = 8 * 1024
"""Bytes of a text that is not taken apart: it takes some milliseconds at worst."""
_KEPT_AFTER: Final = 64 * 1024
"""Bytes of a text after which an interpreter is dropped, with the memory that it has taken. Guessed."""
_KEPT: Final = 16
"""Interpreters that are kept at most, of 30 KB each: as many threads as usually compile at a time."""

_COMPILER: Final = b"""
local load, dump, sub, error = load, string.dump, string.sub, error

-- A piece takes a tenth of a second at most (measured).
local function pieces(text, is_stopped)
  local at, size = 1, 1024
  return function()
    if is_stopped() then error("stopped") end
    at = at + size
    return sub(text, at - size, at - 1)
  end
end

return function(text, name, strip, is_stopped)
  local chunk, problem = load(is_stopped and pieces(text, is_stopped) or text, name, "t")
  if not chunk then return nil, problem end
  return dump(chunk, strip)
end
"""

_idle: Final[deque[Callable[..., Any]]] = deque(maxlen=_KEPT)


class CompileError(Exception):
    """Lua's own compiler refused the text; `message` is what it said."""

    def __init__(self, message: bytes) -> None:
        super().__init__(message.decode("utf-8", "replace"))
        self.message = message


def compile_lua(text: bytes, name: bytes, stop: Stop, *, strip: bool = False) -> bytes:
    """The bytecode of a text, without its names and lines if `strip`. CompileError, and `TranslationStoppedError` soon
    after `stop` is requested. From any thread: each has an interpreter to itself, so that no text waits for another.
    """
    try:
        compiler = _idle.pop()
    except IndexError:
        compiler = _new_compiler()
    answer = compiler(text, name, strip, None if len(text) <= _AT_ONCE else lambda: stop.requested)
    if len(text) <= _KEPT_AFTER:
        _idle.append(compiler)
    stop.check()
    if isinstance(answer, bytes):
        return answer
    raise CompileError(answer[1])


def _new_compiler() -> Callable[..., Any]:
    lua = lua55.LuaRuntime(encoding=None, register_eval=False, register_builtins=False, unpack_returned_tuples=False)
    compiler: Callable[..., Any] = lua.execute(_COMPILER)
    return compiler
