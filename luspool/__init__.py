"""luspool: run many untrusted Lus scripts at once, and say afterwards what each of them did.

The public names are imported when they are first used: the command needs none of them, and people wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .audience import RunResult
    from .errors import (
        CannotLoadError,
        CannotWriteError,
        ClosedError,
        CrashedError,
        DeadlockError,
        EndOfMessagesError,
        HostFailedError,
        JobCancelledError,
        JobError,
        LimitError,
        LuspoolError,
        MemoryLimitError,
        NotFoundError,
        PermissionDeniedError,
        ScriptError,
        ScriptLoadError,
        TimeLimitError,
        UsageError,
    )
    from .jobs.aio import AsyncJob, AsyncRuntime
    from .jobs.core import JobStatus
    from .jobs.executor import ScriptExecutor
    from .jobs.job import Job
    from .runtime import Runtime
    from .sandbox.codec import Entries, EnumValue
    from .scheduler.limits import Limits, StateLimits, TreeLimits

__version__ = "0.1.0"

__all__ = [
    "AsyncJob",
    "AsyncRuntime",
    "CannotLoadError",
    "CannotWriteError",
    "ClosedError",
    "CrashedError",
    "DeadlockError",
    "EndOfMessagesError",
    "Entries",
    "EnumValue",
    "HostFailedError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobStatus",
    "LimitError",
    "Limits",
    "LuspoolError",
    "MemoryLimitError",
    "NotFoundError",
    "PermissionDeniedError",
    "RunResult",
    "Runtime",
    "ScriptError",
    "ScriptExecutor",
    "ScriptLoadError",
    "StateLimits",
    "TimeLimitError",
    "TreeLimits",
    "UsageError",
]

_HOMES = {
    "AsyncJob": ".jobs.aio",
    "AsyncRuntime": ".jobs.aio",
    "Entries": ".sandbox.codec",
    "EnumValue": ".sandbox.codec",
    "Job": ".jobs.job",
    "JobStatus": ".jobs.core",
    "Limits": ".scheduler.limits",
    "RunResult": ".audience",
    "Runtime": ".runtime",
    "ScriptExecutor": ".jobs.executor",
    "StateLimits": ".scheduler.limits",
    "TreeLimits": ".scheduler.limits",
}
"""By public name: its module, where that is not `errors`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  not needed by the command

    value: object = getattr(import_module(_HOMES.get(name, ".errors"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
