"""What became of an item: one word, and what people and programs want to know beside it. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

from .. import errors


class Status(StrEnum):
    """How an item has ended. Each has exactly one."""

    COMPLETED = "completed"
    """To its end, with status 0."""
    FAILED = "failed"
    """An error, a status other than 0, a script that can't be loaded, or a limit that has no word of its own."""
    DENIED = "denied"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DEADLOCK = "deadlock"
    CRASHED = "crashed"
    """The process that ran it has died, as often as it was tried."""
    QUARANTINED = "quarantined"
    """It is not run any more: too many processes have died of its script."""
    CANCELLED = "cancelled"
    """It was ended together with the batch."""


_STATUSES: Final = {
    "returned": Status.COMPLETED,
    "denied": Status.DENIED,
    "cpu": Status.TIMEOUT,
    "time": Status.TIMEOUT,
    "memory": Status.MEMORY,
    "deadlock": Status.DEADLOCK,
}
"""By the kind of a run's end (see `RunResult.kind`), where it is not FAILED."""

FAILURE_MOST: Final = 16 * 1024
"""Characters of a failure's text that are kept. Some screens full."""
_CAUSE_MOST: Final = 160


class Source(Struct, frozen=True):
    """A file that a script has loaded code from: the SHA-256 digest of its content, b"" where it was not there."""

    path: str
    digest: bytes


class Outcome(Struct, frozen=True):
    """How one try of an item has ended. Times are nanoseconds, sizes bytes."""

    status: Status
    exit_status: int
    """What `luspool run` would have exited with."""
    wall: int = 0
    cpu: int = 0
    memory: int = 0
    """The most that was seen at the end of a step, or when a message was queued."""
    stdout: bytes = b""
    """Of what it wrote, as much from the beginning as is kept."""
    stderr: bytes = b""
    stdout_size: int = 0
    """Of all that it wrote."""
    stderr_size: int = 0
    failure: str = ""
    """What went wrong, for people, with tracebacks."""
    sources: tuple[Source, ...] | None = ()
    """None: not all of them are known."""
    is_lasting: bool = False
    """It would be the same the next time."""
    audit: str = ""
    """The file of its audit log, if it has one."""
    kind: str = ""
    """The same as `status`, in the words of `RunResult.kind`; "" where it was never run."""


def status_of(kind: str, exit_status: int) -> Status:
    """The word for a run that has ended with this kind and status."""
    if kind == "exited":
        return Status.COMPLETED if exit_status == errors.OK else Status.FAILED
    return _STATUSES.get(kind, Status.FAILED)


def failed(exit_status: int, failure: str, *, status: Status = Status.FAILED) -> Outcome:
    """Of an item that was never run."""
    return Outcome(status, exit_status, failure=failure[:FAILURE_MOST], is_lasting=True)


_POSITION: Final = re.compile(r"^[^\n:]{1,300}:\d+(?::\d+)?: ")
_MEASURED: Final = re.compile(r"(limit exceeded: ).*, (.* allowed)")
"""How much it was differs from one to the next."""


def cause_of(outcome: Outcome, script: str) -> str:
    """What items that failed alike have in common: the first line of what is said about it, without its place."""
    line = outcome.failure.partition("\n")[0].removeprefix(f"{script}: ")
    if outcome.status is Status.DENIED:
        line = line.partition(f" in {script} at ")[0]  # what follows is where, and how to grant it
    line = _MEASURED.sub(r"\1\2", _POSITION.sub("", line))
    return (line or f"exit status {outcome.exit_status}")[:_CAUSE_MOST]
