"""One worker state: an interpreter with the guarded library, run step by step.

Flow of a step: Python calls the state's `Stepper`, which resumes the script's main coroutine; the script runs, with
the interpreter lock released, and calls the host through the `Door`; it comes back when it has ended, must wait, or has
used up its slice. A state that waits is data: the runtime, the coroutine inside it, and the condition that the door has
noted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from ..scheduler.limits import Excess
from ..scheduler.protocol import (
    ChildrenHaveMail,
    Ended,
    Failure,
    InboxHasMail,
    Port,
    Preempted,
    Slice,
    StateId,
    StepResult,
    Waiting,
)
from ..scheduler.units import UNLIMITED
from . import codec
from .calls import decode, encode
from .compiler import Chunk, compile_script, new_interpreter
from .door import Door
from .preemption import StepEnd, Stepper, mechanism
from .program import NO_ARGUMENTS, Program
from .shared import Shared
from .syntax import Stop, SyntaxFault, TranslationStoppedError

if TYPE_CHECKING:
    from .sources import SourceLog

_PREEMPTED: Final = Preempted()
_WAITING_FOR_PARENT: Final = Waiting(InboxHasMail(), takes=True)
_WAITING_END, _PREEMPTED_END = (
    StepEnd.WAITING,
    StepEnd.PREEMPTED,
)  # a member's attribute lookup costs, and each step has these


class Sandbox:
    """The factory of a host's states. Thread-safe. See `Shared` for the parameters."""

    def __init__(self, environment: Mapping[str, str] | None = None, directory: str | None = None) -> None:
        self._shared = Shared(environment or {}, directory or os.getcwd())

    def for_program(self, environment: Mapping[str, str], sources: SourceLog) -> Sandbox:
        """One for the states of another program: of this one it has the directory and what was compiled."""
        other = Sandbox.__new__(Sandbox)
        other._shared = Shared(environment, self._shared.directory, self._shared.chunks, sources)
        return other

    def new_state(self, program: object, port: Port) -> State:
        """A state that runs this `Program` when it is first stepped."""
        if not isinstance(program, Program):
            raise TypeError(f"a Program is needed, not {type(program).__name__}")
        return State(program, port, self._shared)


class State:
    """A `Runnable` (see the scheduler's protocol). One thread at a time; which one may change between steps."""

    __slots__ = (
        "_awaited",
        "_chunk",
        "_door",
        "_free",
        "_program",
        "_runtime",
        "_shared",
        "_stepper",
        "_waiting_at",
        "_waiting_for",
        "_waits",
        "_worker",
    )

    def __init__(self, program: Program, port: Port, shared: Shared) -> None:
        self._program = program
        self._shared = shared
        self._door = Door(program, port, shared)
        self._worker = port.has_parent()
        self._runtime: Any = None
        self._stepper: Stepper | None = None
        self._waits = False
        self._awaited: StateId | None = None
        """Whose mail (the parent's: 0) is to be brought to the next step, if there is any."""
        self._waiting_for: tuple[StateId, Waiting] | None = None
        """The last wait for a child's mail, which is mostly the next one too."""
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
            self._door.stepper = started
            if self._door.stop.requested:  # `stop` may have come before there was anything to stop
                started.stop()
        door, awaited = self._door, self._awaited
        mail = None if awaited is None else door.port.brought(awaited or None)
        end = self._stepper.step(time.nanoseconds, time.wanted, mail)
        self._waits = end == _WAITING_END
        self._awaited = None
        door.send_gathered()
        if end == _PREEMPTED_END and door.outcome is None and door.fault is None:
            if door.recorder is not None:
                door.recorder.flush()
            return _PREEMPTED
        door.flush()  # half a line is held while its state runs, no longer: a waiting state may end as it is
        if door.fault is not None:
            return Ended(self._failure("internal", "internal error of luspool in a host call", door.fault))
        if door.outcome is not None:
            return Ended(door.outcome)
        if end == _WAITING_END:
            self._awaited = awaited = self._stepper.awaited
            if awaited == 0:
                return _WAITING_FOR_PARENT
            if awaited is not None:
                return self._waiting_for_mail(awaited)
            if door.condition is not None:
                return Waiting(door.condition)
        return Ended(self._ended_by(end))

    def _waiting_for_mail(self, child: StateId) -> Waiting:
        if self._waiting_for is None or self._waiting_for[0] != child:
            self._waiting_for = child, Waiting(ChildrenHaveMail((child,)), takes=True)
        return self._waiting_for[1]

    def script(self) -> str:
        return self._program.path

    def location(self) -> str:
        """Where the state waits, or where its step was ended: `script:line`, or the script alone."""
        where = b""
        if self._waits:
            where = self._waiting_at()
        elif self._stepper is not None:
            where = self._stepper.where()
        return decode(where) or self._program.path

    def memory(self) -> int:
        """Bytes of the heap, or of what it is to be made from."""
        return self._program.size if self._stepper is None else self._stepper.used

    def close(self) -> None:
        """Free the interpreter. A large heap is collected from inside first, where the interpreter lock is not held."""
        if self._runtime is not None:
            self._free()
            if self._stepper is not None:
                self._door.stepper = None
                self._stepper.close()
            self._stepper = self._waiting_at = self._free = None
            self._runtime = None
        self._chunk = None
        self._door.close()

    def stop(self) -> None:
        """End the state within some milliseconds, in its step or at the next. From any thread."""
        # In this order: the other side has set the stepper when it looks at this.
        self._door.stop.requested = True
        if (stepper := self._stepper) is not None:
            stepper.stop()

    def step_back(self) -> None:
        """Let the thread of the step that goes on do so at a low priority. From any thread."""
        if (stepper := self._stepper) is not None:
            stepper.step_back()

    def _start(self) -> Stepper | Failure:
        program = self._program
        if self._door.recorder is not None:
            self._door.recorder.began(program.creator, program.path)
        if program.source is None:
            return self._failure(program.problem_kind, program.problem or f"cannot read {program.path}")
        limits = self._door.limits
        if len(program.source) > limits.source:
            return self._failure("source", f"{program.path}: {Excess('source', limits.source, len(program.source))}")
        try:
            chunk = self._shared.chunks.get(
                program.source, program.path, strict_globals=program.strict_globals, stop=self._door.stop
            )
        except SyntaxFault as fault:
            return self._failure("load", str(fault))
        except TranslationStoppedError:
            return self._failure("stopped", "the state was stopped")
        self._chunk = chunk
        way = mechanism()
        calls = way.calls(self._door)
        self._runtime, start, drive, self._waiting_at, self._free = new_interpreter(
            calls,
            is_worker=self._worker,
            is_job=program.is_job,
            is_audited=self._door.recorder is not None,
            native=way.library,
            message_limit=limits.message,
            memory_limit=limits.memory,
        )
        # A state that is given nothing need not load the codec for it, and may never need it at all.
        arguments = program.arguments if program.arguments != NO_ARGUMENTS else None
        handle = start(self._runtime.compile(chunk.bytecode, mode="B"), chunk.helpers, arguments)
        # What was needed to begin is not held for as long as the state lives.
        self._program = self._door.program = replace(program, source=None, arguments=b"")
        return way.stepper(self._runtime, handle, drive, calls, limits.memory if limits.memory != UNLIMITED else 0)

    def _ended_by(self, end: int) -> Failure:
        """Why the script came to an end that it has not said itself."""
        assert self._stepper is not None  # noqa: S101 - it has just made a step
        if end == StepEnd.FAILED:
            return self._failure("error", self._stepper.problem().decode("utf-8", "replace"))
        if end == StepEnd.STOPPED:
            return self._failure("stopped", "the state was stopped")
        if end == StepEnd.OUT_OF_MEMORY:
            limit = self._door.limits.memory
            return self._failure("memory", f"{self.location()}: {Excess('memory', limit, limit)}")
        return self._failure("internal", "a state stopped without saying why")

    def _failure(self, kind: str, message: str, trace: str = "") -> Failure:
        return Failure(kind, codec.encode(encode(message)), message, trace, self._program.path)


def check(source: bytes, path: str, *, strict_globals: bool = False, stop: Stop | None = None) -> None:
    """Say what is wrong with a source, as running it would: raises `SyntaxFault`. Nothing of it is run.

    `TranslationStoppedError` soon after `stop` is requested.
    """
    compile_script(source, path, strict_globals=strict_globals, stop=stop)
