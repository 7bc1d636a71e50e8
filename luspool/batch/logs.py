"""The audit logs of items: a file for each try, named after its run, so that no later one takes its place."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Protocol

from .. import __version__
from ..audit.record import AuditLog, new_run
from ..audit.record_lines import LogHeader
from ..errors import CannotWriteError, UsageError
from ..scheduler import wire
from ..source import working_directory
from .engine import Task


class TaskLog(Protocol):
    """Where goes what is recorded of one try: an `AuditLog`, or what becomes one elsewhere."""

    @property
    def file_name(self) -> str:
        """Its file; "": it has none here."""

    def take(self, record: wire.Record) -> None:
        """As of `AuditLog`, and so are the others."""

    def finish(self, status: int) -> None: ...

    def close(self) -> None: ...


def log_header(task: Task) -> LogHeader:
    """What the first line of its log says."""
    request = task.request
    return LogHeader(
        luspool=__version__,
        script=request.path,
        arguments=len(request.arguments),
        directory=working_directory(),
        observes=False,
        pledges=request.pledge_set(),
        shadow=None,
    )


def log_file(directory: str, number: int, run: str) -> str:
    """The file of the log of a try, in a folder of its task, which is there then. OSError."""
    folder = os.path.join(directory, str(number))
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"{run}.jsonl")


def open_log(directory: str, task: Task) -> AuditLog:
    """The log of a try that begins now. CannotWriteError."""
    run = new_run()
    try:
        return AuditLog(log_file(directory, task.number, run), log_header(task), (), nullcontext(), run)
    except OSError as error:
        raise CannotWriteError(f"cannot write to {error.filename}: {error.strerror}") from error
    except UsageError as error:  # which for the log of one run would be the command line's fault
        raise CannotWriteError(str(error)) from error


def make_directory(path: str) -> str:
    """The absolute path of a directory for logs, which is made if it is not there. UsageError."""
    path = os.path.abspath(path)
    try:
        os.makedirs(path, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot keep audit logs in {path}: {reason}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"cannot keep audit logs in {path}: no right to write there")
    return path
