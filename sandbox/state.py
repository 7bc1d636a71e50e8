"""One worker state: an interpreter with the guarded library, run step by step.

Flow of a step: Python calls the state's `Stepper`, which resumes the script's main coroutine; the script runs, with
the interpreter lock released, and calls the host through the `Door`; it comes back when it has ended, must wait, or has
used up its slice. A state that waits is data: the runtime, the coroutine inside it, and the condition that the door has
noted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from ..scheduler.protocol import Ended, Failure, Port, Preempted, Slice, StepResult, Waiting
from . import codec
from .calls import encode
from .compiler import Chunk, compile_script, new_interpreter
from .door import Door
from .preemption import StepEnd, Stepper, mechanism
from .program import Program
from .shared import Shared
from .syntax import SyntaxFault

_NO_ARGUMENTS: Final = codec.encode()
_PREEMPTED: Final = Preempted()
_WAITING_END, _PREEMPTED_END = (
    StepEnd.WAITING,
    StepEnd.PREEMPTED,
)  # a member's attribute lookup costs, and each step has these


class Sandbox:
    """The factory of a host's states. Thread-safe. See `Shared` for the parameters."""

    def __init__(self, environment: Mapping[str, str] | None = None, directory: str | None = None) -> None:
        self._shared = Shared(environment or {}, directory or os.getcwd())

    def new_state(self, program: object, port: Port) -> State:
        """A state that runs this `Program` when it is first stepped."""
        if not isinstance(program, Program):
            raise TypeError(f"a Program is needed, not {type(program).__name__}")
        return State(program, port, self._shared)


class State:
    """A `Runnable` (see the scheduler's protocol). One thread at a time; which one may change between steps."""

    __slots__ = ("_chunk", "_door", "_free", "_program", "_runtime", "_shared", "_stepper", "_waiting_at", "_worker")

    def __init__(self, program: Program, port: Port, shared: Shared) -> None:
        self._program = program
        self._shared = shared
        self._door = Door(program, port, shared)
        self._worker = port.has_parent()
        self._runtime: Any = None
        self._stepper: Stepper | None = None
        self._waiting_at: Any = None
        self._free: Any = None
        self._chunk: Chunk | None = None  # its bytecode is used in place: it must live as long as the runtime

    def step(self, time: Slice, /) -> StepResult:
        """Run until the script ends, must wait, or should give way. Never raises for what a script does."""
        if self._stepper is None:
            started = self._start()
            if isinstance(started, Failure):
                return Ended(started)
            self._stepper = started
        end = self._stepper.step(time.nanoseconds, time.wanted)
        door = self._door
        if end == _PREEMPTED_END and door.outcome is None and door.fault is None:
            return _PREEMPTED
        door.console.flush()  # half a line is held while its state runs, no longer: a waiting state may end as it is
        if door.fault is not None:
            return Ended(self._failure("internal", "internal error of luspool in a host call", door.fault))
        if door.outcome is not None:
            return Ended(door.outcome)
        if end == _WAITING_END and door.condition is not None:
            return Waiting(door.condition)
        return Ended(self._ended_by(end))

    def location(self) -> str:
        """Where the state waits, as `script:line`."""
        if self._waiting_at is None:
            return self._program.path
        where: bytes = self._waiting_at()
        return where.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        """Free the interpreter. A large heap is collected from inside first, where the interpreter lock is not held."""
        if self._runtime is not None:
            self._free()
            if self._stepper is not None:
                self._stepper.close()
            self._stepper = self._waiting_at = self._free = None
            self._runtime = None
        self._chunk = None
        self._door.close()

    def stop(self) -> None:
        """End the started state within some milliseconds, in its step or at the next. From any thread."""
        if (stepper := self._stepper) is not None:
            stepper.stop()

    def _start(self) -> Stepper | Failure:
        program = self._program
        if program.source is None:
            return self._failure("load", program.problem or f"cannot read {program.path}")
        try:
            chunk = self._shared.chunks.get(program.source, program.path, strict_globals=program.strict_globals)
        except SyntaxFault as fault:
            return self._failure("load", str(fault))
        self._chunk = chunk
        way = mechanism()
        self._runtime, start, drive, self._waiting_at, self._free = new_interpreter(
            self._door, is_worker=self._worker, native=way.library
        )
        # A state that is given nothing need not load the codec for it, and may never need it at all.
        arguments = program.arguments if program.arguments != _NO_ARGUMENTS else None
        handle = start(self._runtime.compile(chunk.bytecode, mode="B"), chunk.helpers, arguments)
        return way.stepper(self._runtime, handle, drive, self._shared.memory)

    def _ended_by(self, end: int) -> Failure:
        """Why the script came to an end that it has not said itself."""
        assert self._stepper is not None  # noqa: S101 - it has just made a step
        if end == StepEnd.FAILED:
            return self._failure("error", self._stepper.problem().decode("utf-8", "replace"))
        if end == StepEnd.STOPPED:
            return self._failure("stopped", "the state was stopped")
        if end == StepEnd.OUT_OF_MEMORY:
            return self._failure("memory", f"the state needs more than its {self._shared.memory} bytes of memory")
        return self._failure("internal", "a state stopped without saying why")

    def _failure(self, kind: str, message: str, trace: str = "") -> Failure:
        return Failure(kind, codec.encode(encode(message)), message, trace, self._program.path)


def check(source: bytes, path: str, *, strict_globals: bool = False) -> None:
    """Say what is wrong with a source, as running it would: raises `SyntaxFault`. Nothing of it is run."""
    compile_script(source, path, strict_globals=strict_globals)
