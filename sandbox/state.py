"""One worker state: an interpreter with the guarded library, run step by step.

Flow of a step: Python calls lua/boot.lua's `drive`, which resumes the script's main coroutine; the script runs, with
the interpreter lock released, and calls the host through the `Door`; it comes back when it has ended or must wait. A
state that waits is data: the runtime, the coroutine inside it, and the condition that the door has noted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from ..scheduler.protocol import Ended, Failure, Port, StepResult, Waiting
from . import codec
from .calls import encode
from .compiler import Chunk, compile_script, new_interpreter
from .door import Door
from .program import Program
from .shared import Shared
from .syntax import SyntaxFault

_NO_ARGUMENTS: Final = codec.encode()


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

    __slots__ = ("_chunk", "_door", "_drive", "_free", "_program", "_runtime", "_shared", "_waiting_at", "_worker")

    def __init__(self, program: Program, port: Port, shared: Shared) -> None:
        self._program = program
        self._shared = shared
        self._door = Door(program, port, shared)
        self._worker = port.has_parent()
        self._runtime: Any = None
        self._drive: Any = None
        self._waiting_at: Any = None
        self._free: Any = None
        self._chunk: Chunk | None = None  # its bytecode is used in place: it must live as long as the runtime

    def step(self) -> StepResult:
        """Run until the script ends or must wait. Never raises for what a script does."""
        if self._drive is None:
            failure = self._start()
            if failure is not None:
                return Ended(failure)
        waits = self._drive()
        door = self._door
        door.console.flush()  # half a line is held while its state runs, no longer: a waiting state may end as it is
        if door.fault is not None:
            return Ended(self._failure("internal", "internal error of luspool in a host call", door.fault))
        if door.outcome is not None:
            return Ended(door.outcome)
        if waits is True and door.condition is not None:
            return Waiting(door.condition)
        if isinstance(waits, bytes):
            return Ended(self._failure("error", waits.decode("utf-8", "replace")))
        return Ended(self._failure("internal", "a state stopped without saying why"))

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
            self._drive = self._waiting_at = self._free = None
            self._runtime = None
        self._chunk = None
        self._door.close()

    def _start(self) -> Failure | None:
        program = self._program
        if program.source is None:
            return self._failure("load", program.problem or f"cannot read {program.path}")
        try:
            chunk = self._shared.chunks.get(program.source, program.path, strict_globals=program.strict_globals)
        except SyntaxFault as fault:
            return self._failure("load", str(fault))
        self._chunk = chunk
        self._runtime, start, self._drive, self._waiting_at, self._free = new_interpreter(
            self._door, is_worker=self._worker
        )
        # A state that is given nothing need not load the codec for it, and may never need it at all.
        arguments = program.arguments if program.arguments != _NO_ARGUMENTS else None
        start(self._runtime.compile(chunk.bytecode, mode="B"), chunk.helpers, arguments)
        return None

    def _failure(self, kind: str, message: str, trace: str = "") -> Failure:
        return Failure(kind, codec.encode(encode(message)), message, trace, self._program.path)


def check(source: bytes, path: str, *, strict_globals: bool = False) -> None:
    """Say what is wrong with a source, as running it would: raises `SyntaxFault`. Nothing of it is run."""
    compile_script(source, path, strict_globals=strict_globals)
