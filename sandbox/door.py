"""The host's side of the door: what a script's library functions ask for, decided and done here.

One `Door` per state, called by the parts in lua/ alone. Arguments and results are None, booleans, numbers and bytes.
The answer False means "failed": the text is fetched by LAST_ERROR, so no exception ever crosses into Lua. Any bug
here ends the state as luspool's own fault, never the host.

What cannot be done at once is answered with None (or True, for input), after `condition` has been set to what to wait
for: the Lua side then gives the thread back and asks again when it is resumed.

The calls themselves are in `calls_workers`, `calls_code`, `calls_files` and so on: each has a table from the
operation to a function of the door and the call's arguments.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from ..scheduler.faults import described
from ..scheduler.limits import StateLimits
from ..scheduler.protocol import Condition, Exited, Failure, Outcome, Port, Returned, StateId
from .calls import DeniedError, RefusedError, Scalar, decode, encode
from .calls_code import CODE_CALLS
from .calls_files import FILE_CALLS
from .calls_fs import FS_CALLS
from .calls_functions import FUNCTION_CALLS
from .calls_text import TEXT_CALLS
from .calls_workers import WORKER_CALLS
from .compiler import lazy_part
from .console import Console
from .open_files import OpenFile
from .operations import Operation
from .preemption import Stepper, mechanism
from .program import Program
from .recorder import Recorder
from .rights import Rights
from .shared import Shared
from .sheet import PortableSheet
from .syntax import Stop

_REMEMBERED_BYTES: Final = 4096
"""Bytes of each, from its end: a script chooses how long the names are that it is denied."""
_REMEMBERED_DENIALS: Final = 16
"""Texts of denials that a state remembers, to tell an uncaught denial from any other error."""

_ENTRY_BYTES: Final = 1024
"""What a file, directory or link counts that a state has made, so that empty ones are bounded too. Guessed."""


class Door:
    """One state's host calls. Used by one thread at a time, only while the state is being stepped."""

    __slots__ = (
        "_denials",
        "_last",
        "ahead",
        "condition",
        "console",
        "delivery",
        "fault",
        "files",
        "helpers",
        "limits",
        "outcome",
        "port",
        "prepared",
        "program",
        "recorder",
        "rights",
        "shared",
        "stepper",
        "stop",
        "where",
        "worker_limits",
    )

    def __init__(self, program: Program, port: Port, shared: Shared) -> None:
        self.program = program
        self.port = port
        self.shared = shared
        self.limits = port.limits()
        self.console = Console(port, self.limits.memory)
        self.stop = Stop()
        """Requested when the state is to end."""
        self.worker_limits: StateLimits | None = None
        """What workers get that are created from now on; None: the state's own."""
        self.recorder: Recorder | None = None
        """What the state leaves for the audit log, if there is one."""
        self.where = b"?"
        """The script's position in the call that is being answered, where the library says it (lua/audited.lua)."""
        if program.audit:
            new_sheet = mechanism().new_sheet or partial(PortableSheet, position=lambda: self.where)
            is_worker = program.creator != 0
            self.recorder = Recorder(port.record, new_sheet, program.audit, program.pledges, is_worker=is_worker)
        self.rights = Rights(program.pledges, program.audit, self.recorder)
        self.files: dict[int, OpenFile] = {}
        self.stepper: Stepper | None = None
        """What runs the state, once that has begun."""
        self.delivery: tuple[bytes | None, ...] = ()
        """What the last `receive` brought, until it is fetched."""
        self.ahead = 0
        """Bytes of a job's messages whose acceptance nobody has waited for."""
        self.prepared: Program | None = None
        """A worker between the check of its creator's rights and the copy of its arguments."""
        self.helpers: bytes | None = None
        """The run-time helpers of the last translation."""
        self.condition: Condition | None = None
        """What the state waits for, when it waits."""
        self.outcome: Outcome | None = None
        """How the state ended, once it has said so."""
        self.fault: str | None = None
        """The Python traceback of a bug in a host call."""
        self._last: RefusedError | DeniedError | None = None
        self._denials: deque[bytes] | None = None

    def __call__(self, operation: int, *arguments: Scalar) -> Scalar:
        """Answer one host call. Never raises."""
        try:
            if self.stepper is not None and self.stepper.has_gathered:
                self.send_gathered()  # what the state asks for now comes after it, and may take long
            return _CALLS[operation](self, *arguments)
        except (RefusedError, DeniedError) as error:
            self._last = error
        except OSError as error:
            self._last = RefusedError(error.strerror or str(error), error.errno or errno.EIO)
        except Exception as error:  # whatever it is must not become a Lua value
            self.fault = described(error)
            self._last = RefusedError("internal error of luspool")
        return False

    def is_ending(self) -> bool:
        """Whether the state has said how it ends, or is to be stopped."""
        return self.stop.requested or self.outcome is not None or self.fault is not None

    def send_gathered(self) -> None:
        """Send what was gathered: before any other call, or where none comes soon, and when the step has ended.

        Never raises.
        """
        stepper = self.stepper
        if stepper is None:
            return
        try:
            gathered = stepper.gathered()
            if gathered is None:
                return
            to, bundle = gathered
            room = self.port.send(to, bundle) if to else self.port.message(bundle)
            if room is None:
                self.fault = "what was gathered is more than there was room for"
            else:
                stepper.sent(to, room)
        except Exception as error:  # whatever it is must not become a Lua value
            self.fault = described(error)

    def has_room(self, to: StateId, size: int) -> bool:
        """Whether `transmit` would take a message of so many bytes. Never raises."""
        return self(Operation.HAS_ROOM, to, size) is True

    def transmit(self, to: StateId, payload: bytes) -> bool:
        """Send a message to the parent (0) or a child; False where it is not taken. Never raises."""
        room = self(Operation.SEND, to, payload) if to else self(Operation.MESSAGE, payload)
        if room is None or room is False or self.stepper is None:
            return False
        self.stepper.sent(to, int(room))
        return True

    def brought(self, payload: bytes) -> Scalar:
        """A message for the state that asks for one, as it is to be told of it."""
        return payload if self.stepper is None else self.stepper.bring(payload)

    def hold(self, file: OpenFile) -> int:
        """Keep an open file; gives the number that the state knows it by. The first are standard input and outputs."""
        number = max(self.files, default=2) + 1
        self.files[number] = file
        return number

    def count_entry(self) -> None:
        """A file, directory or link was made: it takes room on the disk, even if it is empty."""
        self.port.claim_output(_ENTRY_BYTES)

    def flush(self) -> None:
        """Send and write what is held back."""
        if self.console.held is not None:
            self.console.flush()
        for file in self.files.values():
            file.flush_later()
        if self.recorder is not None:
            self.recorder.flush()

    def remember_denial(self, text: bytes) -> None:
        """Keep a denial's text, so that the state's end can be told apart as a denial if nobody catches it."""
        if self._denials is None:
            self._denials = deque(maxlen=_REMEMBERED_DENIALS)
        self._denials.append(text[-_REMEMBERED_BYTES:])

    def close(self) -> None:
        """Give back what the state holds."""
        for file in self.files.values():
            with suppress(OSError):  # a full disk: there is nobody left to be told
                file.close()
        self.files = {}
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            recorder.ended(self.port.ending())

    def last_error(self, where: bytes | None = None) -> bytes:
        """The text of the failure of the last call that failed; with the script's position in it, if that is given."""
        last = self._last
        if isinstance(last, DeniedError):
            text = encode(last.decision.message(self.program.path, decode(where or b"?")))
            self.remember_denial(text)
            return text
        text = encode(last.text) if last else b"?"
        return text if where is None else where + b": " + text

    def last_errno(self) -> int | None:
        """The operating system's number for it, where it was its doing."""
        return self._last.number if isinstance(self._last, RefusedError) else None

    def failed(self, value: bytes, text: bytes, trace: bytes) -> None:
        """The script ended with an error: in the codec's form, for people, and its traceback."""
        if self.outcome is None:
            # The message may have a position or more before the denial's own text.
            denied = any(text.endswith(denial) for denial in self._denials or ())
            kind = "denied" if denied else "error"
            self.outcome = Failure(kind, value, decode(text), decode(trace), self.program.path)


def _returned(door: Door) -> None:
    if door.outcome is None:
        door.outcome = Returned()


def _exit(door: Door, status: int) -> None:
    if door.outcome is None:  # a to-be-closed variable's metamethod may call it again on the way out
        door.outcome = Exited(status)


def _part(_: Door, name: bytes) -> bytes:
    return lazy_part(name.decode())


def _asking(door: Door, where: bytes, operation: int, *arguments: Scalar) -> Scalar:
    """Any call that asks for permissions, from a library that says where (lua/audited.lua)."""
    door.where = where
    return _CALLS[operation](door, *arguments)


_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.LAST_ERROR: Door.last_error,
    Operation.LAST_ERRNO: Door.last_errno,
    Operation.PART: _part,
    Operation.RETURNED: _returned,
    Operation.FAILED: Door.failed,
    Operation.EXIT: _exit,
    Operation.ASKING: _asking,
    **WORKER_CALLS,
    **CODE_CALLS,
    **FILE_CALLS,
    **FS_CALLS,
    **FUNCTION_CALLS,
    **TEXT_CALLS,
}
"""Every operation's function."""
