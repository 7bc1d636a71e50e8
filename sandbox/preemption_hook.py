"""The portable mechanism: a count hook that looks at the clock, set at a state's birth, inherited by its coroutines.

The hook may only yield. An error raised in it would jump over the frames of ctypes and of Python and leave Python's
lock behind; so where Lua can't yield, a slice is not ended. The yield needs no jump: Lua makes it after the hook has
returned. A stop needs an error all the same: the hook puts `lua_error` itself in its own place, so that Lua raises it
before each further instruction, with no frame of Python's in between. lua/portable.lua has the other half.

Memory is bounded by lupa's allocator. It may only refuse what Lua asks for by itself: an error in the middle of a
host call would again jump over Python. So the script's limit is a little lower than the allocator's, and no host call
begins or answers while what is between the two, and the answer, would not fit.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import lupa.lua55

from .calls import HostCalls, Scalar
from .operations import Operation
from .sheet import Describe, Sheet

_FIRST: Final = 1_000
_MOST: Final = 100_000
"""Instructions between two looks at the clock: the fewest, and the most. The most are 1 to 5 ms of ordinary code; fewer
cost more (measured: at 10,000 loops are 2.6 times slower than without, at 100,000 and more 2.2 times), but an
instruction may be the call of a function in C that takes long."""
_LONG: Final = 8_000_000
"""Nanoseconds of processor time between two looks that are too many."""
_ROOM: Final = 64 << 10
"""Bytes that are kept free for host calls: the library's own work around one and Lua's stack, without the answer."""
_LOW_PRIORITY: Final = 10
"""Niceness, as in native/preempt.c."""
_MASK_COUNT: Final = 8
_COLLECT: Final = 2
_NOBODY: Final = bytearray(1)
_FUNCTIONS: Final = 100
"""Functions looked at for a position, from the innermost outwards; as native/position.c does."""
_FAILED, _STOPPED, _OUT_OF_MEMORY = 3, 4, 5  # of preemption.StepEnd, which imports this module


class _Function(ctypes.Structure):
    """`lua_Debug` of Lua 5.5, and room behind it in case that another build has more."""

    _fields_ = (
        ("event", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("name_kind", ctypes.c_char_p),
        ("kind", ctypes.c_char_p),
        ("source", ctypes.c_char_p),
        ("source_length", ctypes.c_size_t),
        ("line", ctypes.c_int),
        ("defined", ctypes.c_int * 2),
        ("counts", ctypes.c_ubyte * 5),
        ("transfer", ctypes.c_int * 2),
        ("short_source", ctypes.c_char * 60),
        ("frame", ctypes.c_void_p),
        ("beyond", ctypes.c_ubyte * 128),
    )


# PyDLL: the calls made in the hook are so short that letting go of Python's lock for them costs more than they do.
_lua: Final = ctypes.PyDLL(lupa.lua55.__file__)
_Hook: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_lua.lua_isyieldable.argtypes = [ctypes.c_void_p]
_lua.lua_yieldk.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p]
_lua.lua_sethook.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
_lua.lua_gethookcount.argtypes = [ctypes.c_void_p]
_lua.lua_getstack.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Function)]
_lua.lua_getinfo.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Function)]
_raise: Final = ctypes.cast(_lua.lua_error, ctypes.c_void_p)
"""As a hook: an error, whose value is whatever lies on top of the stack. Nobody gets to see it."""
# A collection of a large heap takes long, so for this one Python's lock is let go.
_collect: Final = ctypes.CDLL(lupa.lua55.__file__).lua_gc
_collect.argtypes = [ctypes.c_void_p, ctypes.c_int]


class _Thread(threading.local):
    """What the hook needs to know of the step that its thread is in."""

    stepper: CountingStepper | None = None


_thread: Final = _Thread()


def _look(co: int, _event: int) -> None:
    stepper = _thread.stepper
    if stepper is None:
        return
    if stepper.is_ending():
        stepper.note(co)
        _lua.lua_sethook(co, _raise, _MASK_COUNT, 1)
        return
    stepper.pace(co)
    if stepper.is_over() and _lua.lua_isyieldable(co):
        stepper.note(co)
        _lua.lua_yieldk(co, 0, 0, None)


_hook: Final = _Hook(_look)
"""Made once, while the process may still have executable memory."""


def _position(co: int) -> bytes:
    """The line of the innermost function of the script's on the coroutine; "" if there is none near."""
    function = _Function()
    for level in range(_FUNCTIONS):
        if not _lua.lua_getstack(co, level, function):
            break
        # The guarded library's functions have no source.
        if _lua.lua_getinfo(co, b"Sl", function) and function.line > 0 and function.source != b"=?":
            source: bytes = function.source
            return b"%b:%d" % (source[1:] if source.startswith(b"@") else function.short_source, function.line)
    return b""


class CountingStepper:
    """A `Stepper`; its contract is in `preemption`."""

    __slots__ = (
        "_alarm",
        "_calls",
        "_co",
        "_deadline",
        "_drive",
        "_end",
        "_instructions",
        "_limit",
        "_looked",
        "_problem",
        "_runtime",
        "_steps_back",
        "_wanted",
        "_where",
    )

    def __init__(self, runtime: Any, handle: bytes, drive: Any, calls: MeteredCalls, memory: int) -> None:  # noqa: ANN401
        self._runtime = runtime
        self._co = int(handle, 16)
        self._drive = drive
        self._calls = calls
        self._limit = memory
        self._alarm = memory // 2
        self._end = 0
        self._problem = self._where = b""
        self._deadline: int | None = None
        self._wanted = _NOBODY
        calls.stepper = self
        self._instructions = _FIRST
        self._looked = 0
        self._steps_back = False
        _lua.lua_sethook(self._co, _hook, _MASK_COUNT, _FIRST)

    def is_ending(self) -> bool:
        """Whether the script may do nothing any more."""
        return self._end != 0

    def is_over(self) -> bool:
        """Whether the slice is at its end, and the thread wanted."""
        return self._deadline is not None and self._wanted[0] != 0 and time.monotonic_ns() >= self._deadline

    def pace(self, co: int) -> None:
        """Choose after how many instructions the coroutine is looked at again; collect what is halfway to the limit."""
        if self._alarm and self.used > self._alarm:
            self.collect()
        if self._steps_back:
            self._steps_back = False
            os.setpriority(os.PRIO_PROCESS, 0, _LOW_PRIORITY)  # the calling thread's own
        now = time.thread_time_ns()
        took, self._looked = now - self._looked, now
        if took > _LONG:
            self._instructions = _FIRST
        elif self._instructions < _MOST and took < _LONG // 10:
            self._instructions = min(_MOST, self._instructions * 4)
        if _lua.lua_gethookcount(co) != self._instructions:
            # This goes through all that the coroutine has called: with a full stack it takes some 15 ms.
            _lua.lua_sethook(co, _hook, _MASK_COUNT, self._instructions)
            self._looked = time.thread_time_ns()

    def note(self, co: int) -> None:
        """The step is being ended in this coroutine. The first position is the one that counts."""
        self._where = self._where or _position(co)

    def out_of_memory(self, where: bytes = b"") -> None:
        """The state's memory is used up: it ends, and gets some more to do so."""
        self._end = self._end or _OUT_OF_MEMORY
        self._where = self._where or where
        self._bound(self.used + _ROOM)

    def collect(self) -> None:
        """Collect garbage; Lua does it too late, since it hardly counts large strings, and may fail for want of it."""
        _collect(self._co, _COLLECT)
        left = self._limit - self.used
        self._alarm = self.used + left // 2 if left > self._limit // 8 else self._limit + _ROOM

    def has_room(self, size: int = 0) -> bool:
        """Whether so many bytes more are within the limit; if not, the state ends. Only for the thread that steps."""
        if not self._limit or self.used + size <= self._limit:
            return True
        if not self.is_ending():
            self.collect()
            if self.used + size <= self._limit:
                return True
            self.out_of_memory()
        return False

    def make_room(self, size: Scalar) -> None:
        """Collect garbage, if a string of so many bytes would not fit otherwise."""
        if self._limit and isinstance(size, float) and self.used + size > self._limit:
            self.collect()

    def step(self, nanoseconds: int, wanted: bytearray, mail: bytes | None = None, /) -> int:
        del mail  # none is brought: no step says what it waits for
        if self._end or not self.has_room():
            return self._end
        self._wanted = wanted
        self._steps_back = False  # it was meant for the thread of another step
        self._looked = time.thread_time_ns()
        self._deadline = time.monotonic_ns() + nanoseconds if nanoseconds else None
        self._where = b""
        self._bound(self._limit + _ROOM if self._limit else 0)
        _thread.stepper = self
        try:
            end = self._drive()
        except lupa.lua55.LuaError as error:  # thrown where it is called from: only memory can be short there
            end = str(error).encode("utf-8", "replace")
        finally:
            _thread.stepper = None
            self._bound(0)  # what is called between steps must not fail
        if isinstance(end, bytes):
            self._problem = end
            if end.endswith(b"not enough memory"):
                self._end = self._end or _OUT_OF_MEMORY
            end = _FAILED
        return self._end or int(end)

    def stop(self) -> None:
        self._end = self._end or _STOPPED

    def step_back(self) -> None:
        self._steps_back = True

    @property
    def used(self) -> int:
        return 0 if self._runtime is None else int(self._runtime.get_memory_used(total=True))

    awaited = None
    """The state asks its host, who notes what it waits for."""
    has_gathered = False
    """Each message goes by itself."""

    def bring(self, mail: bytes, /) -> bytes:
        return mail

    def gathered(self) -> None:
        return None

    def sent(self, to: int, room: int, /) -> None:
        pass

    def problem(self) -> bytes:
        return self._problem

    def where(self) -> bytes:
        return self._where

    def close(self) -> None:
        self._calls.stepper = self._drive = self._runtime = None

    def _bound(self, size: int) -> None:
        """Let the allocator refuse what goes beyond; 0: nothing."""
        self._runtime.set_max_memory(size, total=True)


class MeteredCalls:
    """A state's door, for a state without the native module. One thread at a time."""

    __slots__ = ("_door", "stepper")

    def __init__(self, door: HostCalls) -> None:
        self._door = door
        self.stepper: CountingStepper | None = None

    def __call__(self, operation: int, *arguments: Scalar) -> Scalar:
        stepper = self.stepper
        if stepper is None:
            return self._door(operation, *arguments)
        if operation == Operation.OUT_OF_MEMORY:
            where = arguments[0]
            stepper.out_of_memory(where if isinstance(where, bytes) and where != b"?" else b"")
            return None
        if operation == Operation.MAKE_ROOM:
            stepper.make_room(arguments[0])
            return None
        if operation == Operation.STOPPING:
            return stepper.is_ending() or self._door.is_ending()
        if not stepper.has_room() or stepper.is_ending():
            return False
        answer = self._door(operation, *arguments)
        if isinstance(answer, bytes) and not stepper.has_room(len(answer)):
            return False
        return answer


class CountingHook:
    """A `Mechanism`; its contract is in `preemption`."""

    name = "hook"
    library: bytes | None = None
    new_sheet: Callable[[Describe], Sheet] | None = None

    def calls(self, door: HostCalls) -> MeteredCalls:
        return MeteredCalls(door)

    def stepper(self, runtime: Any, handle: Any, drive: Any, calls: Any, memory: int) -> CountingStepper:  # noqa: ANN401
        return CountingStepper(runtime, handle, drive, calls, memory)
