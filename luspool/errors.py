"""What can go wrong in front of and around the scripts, and the exit status of each.

    LuspoolError                125  luspool's own fault, or the machine's
    ├── UsageError                2  the command line, or a caller, asks for something that does not exist
    ├── CannotLoadError         126  a script is there but can't be run
    │   └── NotFoundError       127  there is no such script
    ├── ClosedError             125  the runtime was closed before or while a script ran
    ├── HostFailedError         125  the process that ran a script failed
    ├── JobError                     a job has come to no good end; its result says the rest
    │   ├── ScriptError           1  an error that the script, or a worker of it, did not catch
    │   ├── PermissionDeniedError 77  a denial that it did not catch
    │   ├── ScriptLoadError     126  its text is no Lus
    │   ├── LimitError          123  it has exceeded a limit
    │   │   ├── TimeLimitError  124  of processor time, or of time
    │   │   └── MemoryLimitError 137
    │   ├── DeadlockError        70  all its states wait, and none can ever go on
    │   ├── CrashedError        125  the process that ran it has died; also a HostFailedError
    │   └── JobCancelledError   130  it was cancelled
    ├── EndOfMessagesError           a job that came to a good end has sent no further message
    ├── OverdueError            124  the program's time was over, and its host did not end it
    ├── OutputClosedError       141  the reader of our output has gone (`| head`): as if SIGPIPE had ended us
    └── CannotWriteError        125  output, an audit log or a trace can't be written (a full disk)
    Interrupted               128+n  not an error: the signal n asks for the end

Every message is for people: what happened, where, and the next step. Lower layers' errors are translated to these at
one border each (`source`, `run`, `streams`, `runtime`); whatever else arrives at `cli.main` is a bug of luspool.

All can be pickled. `JobError` and what is below it carry the `RunResult` of the job; their text is its `failure`, with
the tracebacks of the scripts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .audience import RunResult

OK = 0
SCRIPT_ERROR = 1
USAGE = 2
DEADLOCK = 70
DENIED = 77
LIMIT = 123
"""A limit was exceeded, but for those that have a status of their own."""
TIME_LIMIT = 124
"""As `timeout` has it."""
MEMORY_LIMIT = 137
"""As a shell shows the end of a process that the system killed for want of memory."""
INTERNAL = 125
CANNOT_LOAD = 126
NOT_FOUND = 127
SIGNALLED = 128
"""Added to the number of a signal, as shells do."""
CANCELLED = SIGNALLED + 2
"""As if by Ctrl-C."""


class LuspoolError(Exception):
    """Base of all errors with a message for the user. See the module for the tree."""

    exit_status: ClassVar[int] = INTERNAL


class UsageError(LuspoolError):
    exit_status = USAGE


class ClosedError(LuspoolError):
    pass


class HostFailedError(LuspoolError):
    pass


class JobError(LuspoolError):
    """A job has come to no good end."""

    exit_status = SCRIPT_ERROR

    def __init__(self, result: RunResult) -> None:
        super().__init__(result)
        self.result = result
        """All that is known of it."""

    def __str__(self) -> str:
        return self.result.failure or f"ended: {self.result.kind}"


class ScriptError(JobError):
    pass


class PermissionDeniedError(JobError):
    exit_status = DENIED


class ScriptLoadError(JobError):
    exit_status = CANNOT_LOAD


class LimitError(JobError):
    exit_status = LIMIT


class TimeLimitError(LimitError):
    exit_status = TIME_LIMIT


class MemoryLimitError(LimitError):
    exit_status = MEMORY_LIMIT


class DeadlockError(JobError):
    exit_status = DEADLOCK


class CrashedError(JobError, HostFailedError):
    exit_status = INTERNAL


class JobCancelledError(JobError):
    exit_status = CANCELLED


class EndOfMessagesError(LuspoolError):
    pass


class CannotLoadError(LuspoolError):
    exit_status = CANNOT_LOAD


class NotFoundError(CannotLoadError):
    exit_status = NOT_FOUND


class OverdueError(LuspoolError):
    exit_status = TIME_LIMIT


class OutputClosedError(LuspoolError):
    """Says nothing: the message is for debugging only."""

    exit_status = SIGNALLED + 13  # SIGPIPE


class CannotWriteError(LuspoolError):
    exit_status = INTERNAL


class Interrupted(BaseException):
    """A signal asked for the end of the program. Like KeyboardInterrupt, nothing that catches errors may stop it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_status = SIGNALLED + signal_number


def is_debugging() -> bool:
    """Whether the user asked for the details of luspool's own faults."""
    return os.environ.get("LUSPOOL_DEBUG", "") not in {"", "0"}
