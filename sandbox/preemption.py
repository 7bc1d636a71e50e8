"""How a state's step is bounded: by a signal to its thread (native/preempt.c), or by a hook that counts instructions.

The first costs nothing until it is needed, ends slices to the millisecond, stops any loop and bounds memory; it needs
the compiled module. The second works wherever ctypes does, but makes loops 2 to 3 times slower, and knows an error of
memory by its text alone.

`LUSPOOL_PREEMPTION=signal|hook` chooses; by default the first is taken where it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any, Final, Protocol

import lupa.lua55

from ..scheduler.protocol import StateId
from .calls import HostCalls, Scalar
from .sheet import Describe, Sheet

VARIABLE: Final = "LUSPOOL_PREEMPTION"


class StepEnd(IntEnum):
    """Why a step came back. Known by these numbers to native/preempt.h and lua/coroutines.lua."""

    FINISHED = 0
    WAITING = 1
    PREEMPTED = 2
    FAILED = 3
    """Ended by an error outside its own protection; `Stepper.problem` has the message."""
    STOPPED = 4
    OUT_OF_MEMORY = 5


class Stepper(Protocol):
    """Runs one started state. One thread at a time, but for `stop` and `step_back`; after a step that ended the state,
    only `close`."""

    def step(self, nanoseconds: int, wanted: bytearray, mail: bytes | None = None, /) -> int:
        """Run until something of `StepEnd` is the case; with 0 nanoseconds, without ever being PREEMPTED.

        A slice that is over ends only once `wanted[0]` is not 0. While `wanted[1]`, if there is one, is not 0, messages
        may wait for the end of the step, or for a millisecond. `wanted` is read without a lock and keeps its size.
        `mail` is one message of whoever was `awaited`, all that there was of it; None: the state is to ask.
        """

    def stop(self) -> None:
        """End the state within some milliseconds: this step, or else the next, gives STOPPED. From any thread."""

    def step_back(self) -> None:
        """Give the thread of the step that goes on a low priority, for good, within some milliseconds. From any thread;
        nothing where no step goes on."""

    def bring(self, mail: bytes, /) -> int | bytes:
        """Lay out a message for the state that is being stepped.

        Gives what it is to be told: that there is one, or the message itself. From inside the step.
        """

    @property
    def awaited(self) -> StateId | None:
        """Whose mail a WAITING step has ended to wait for (the parent's: 0), where it has said so."""

    @property
    def has_gathered(self) -> bool:
        """Whether messages of the state wait to be sent together, in a *bundle* (docs/messages.md)."""

    def gathered(self) -> tuple[StateId, bytes] | None:
        """Who is to get the bundle (the parent: 0), and the bundle, which is forgotten here by that. None: no bundle.

        For the thread of the step: in it, and at its end. `sent` is to follow.
        """

    def sent(self, to: StateId, room: int, /) -> None:
        """What was gathered has been sent, and there is so much room after it."""

    def problem(self) -> bytes:
        """What a FAILED step died of."""

    def where(self) -> bytes:
        """The script's position where the last step was PREEMPTED or ended from outside; "" where that isn't known."""

    @property
    def used(self) -> int:
        """Bytes of the state's heap, and of what was brought and not yet read. Between steps."""

    def close(self) -> None:
        """Let go of the interpreter. Only between steps; twice is harmless."""


class Mechanism(Protocol):
    """One way to bound steps, for all states of the process."""

    name: str
    library: bytes | None
    """The path of the native module that boot.lua loads, if there is one."""

    new_sheet: Callable[[Describe], Sheet] | None
    """Makes what keeps a state's decisions, and finds out where the script is. None: lua/audited.lua has to say so."""

    def calls(self, door: HostCalls) -> Callable[..., Scalar]:
        """What a new state's library is to call: the door, or something in front of it."""

    def stepper(self, runtime: Any, handle: Any, drive: Any, calls: Any, memory: int) -> Stepper:  # noqa: ANN401 - lupa has no types
        """For a state that boot.lua's `start` has given `handle`, in an interpreter `runtime` with boot.lua's `drive`.

        `calls` is what was given by the function of this name; `memory` is the limit in bytes, 0 for none.
        """


class _Signal:
    """A signal to the executing thread arms a hook on the coroutine that runs."""

    name = "signal"

    def __init__(self) -> None:
        from . import _preempt  # noqa: PLC0415 - where it was not compiled, that is seen here and nowhere else

        _preempt.bind(lupa.lua55.__file__)
        self.library: bytes | None = os.fsencode(_preempt.__file__)
        self.new_sheet: Callable[[Describe], Sheet] | None = _preempt.Sheet
        self._stepper = _preempt.Stepper

    def calls(self, door: HostCalls) -> Callable[..., Scalar]:
        return door

    def stepper(self, runtime: Any, handle: Any, _drive: Any, calls: Any, memory: int) -> Stepper:  # noqa: ANN401
        return self._stepper(handle, runtime, memory, calls)


def choose(wish: str) -> Mechanism:
    """The mechanism wished for, or with "" the best one there is. ValueError, ImportError where it can't be had."""
    if wish not in ("", "signal", "hook"):
        raise ValueError(f"{VARIABLE} is {wish!r}; it can be 'signal', 'hook', or not set")
    if wish != "hook":
        try:
            return _Signal()
        except ImportError:
            if wish == "signal":
                raise
    from .preemption_hook import CountingHook  # noqa: PLC0415 - loads ctypes, which is not needed otherwise

    return CountingHook()


@cache
def mechanism() -> Mechanism:
    """The mechanism of this process, chosen at the first call. ValueError, ImportError where the wish can't be met.

    Call it before the process gives up the right to make executable memory, which the portable hook needs.
    """
    return choose(os.environ.get(VARIABLE, ""))
