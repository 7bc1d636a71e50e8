"""The portable mechanism: a count hook that looks at the clock, set at a state's birth, inherited by its coroutines.

The hook may only yield. An error raised in it would jump over the frames of ctypes and of Python and leave Python's
lock behind; so where Lua can't yield, a state runs on. The yield needs no jump: Lua makes it after the hook has
returned.
"""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Any, Final

import lupa.lua55

_INSTRUCTIONS: Final = 100_000
"""Between two looks at the clock: 1 to 5 ms. Fewer cost more, more make slices longer. Measured: at 10,000 loops are
2.6 times slower than without, at 100,000 and more 2.2 times."""
_MASK_COUNT: Final = 8
_PREEMPTED, _FAILED, _STOPPED = 2, 3, 4  # of preemption.StepEnd, which imports this module

# PyDLL: the calls made in the hook are so short that letting go of Python's lock for them costs more than they do.
_lua: Final = ctypes.PyDLL(lupa.lua55.__file__)
_lua.lua_isyieldable.argtypes = [ctypes.c_void_p]
_lua.lua_yieldk.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p]
_Hook: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_lua.lua_sethook.argtypes = [ctypes.c_void_p, _Hook, ctypes.c_int, ctypes.c_int]


class _Thread(threading.local):
    """What the hook needs to know of the step that its thread is in."""

    stepper: CountingStepper | None = None


_thread: Final = _Thread()


def _look(co: int, _event: int) -> None:
    stepper = _thread.stepper
    if stepper is not None and stepper.is_over() and _lua.lua_isyieldable(co):
        _lua.lua_yieldk(co, 0, 0, None)


_hook: Final = _Hook(_look)
"""Made once, while the process may still have executable memory."""


class CountingStepper:
    """A `Stepper`; its contract is in `preemption`."""

    __slots__ = ("_deadline", "_drive", "_problem", "_stopped", "_wanted")

    def __init__(self, drive: Any) -> None:  # noqa: ANN401 - lupa has no types
        self._drive = drive
        self._problem = b""
        self._stopped = False
        self._deadline: int | None = None
        self._wanted = bytearray(1)

    def is_over(self) -> bool:
        """Whether the step that is going on should end."""
        if self._stopped:
            return True
        return self._deadline is not None and self._wanted[0] != 0 and time.monotonic_ns() >= self._deadline

    def step(self, nanoseconds: int, wanted: bytearray, /) -> int:
        if self._stopped:
            return _STOPPED
        self._wanted = wanted
        self._deadline = time.monotonic_ns() + nanoseconds if nanoseconds else None
        _thread.stepper = self
        try:
            end = self._drive()
        finally:
            _thread.stepper = None
        if isinstance(end, bytes):
            self._problem = end
            return _FAILED
        return _STOPPED if self._stopped and end == _PREEMPTED else int(end)

    def stop(self) -> None:
        self._stopped = True

    def problem(self) -> bytes:
        return self._problem

    def close(self) -> None:
        self._drive = None


class CountingHook:
    """A `Mechanism`; its contract is in `preemption`."""

    name = "hook"
    library: bytes | None = None

    def stepper(self, _runtime: Any, handle: Any, drive: Any, _memory: int) -> CountingStepper:  # noqa: ANN401
        _lua.lua_sethook(int(handle, 16), _hook, _MASK_COUNT, _INSTRUCTIONS)
        return CountingStepper(drive)
