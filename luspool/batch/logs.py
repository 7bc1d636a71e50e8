"""The audit logs of items: a file for each try, named after its run, so that no later one takes its place."""

from __future__ import annotations

import os
from contextlib import nullcontext

from .. import __version__
from ..audit.record import AuditLog, new_run
from ..audit.record_lines import LogHeader
from ..errors import CannotWriteError, UsageError
from ..source import working_directory
from .engine import Task


def open_log(directory: str, task: Task) -> AuditLog:
    """The log of a try that begins now, in `directory`/number. CannotWriteError."""
    run, request = new_run(), task.request
    header = LogHeader(
        luspool=__version__,
        script=request.path,
        arguments=len(request.arguments),
        directory=working_directory(),
        observes=False,
        pledges=request.pledge_set(),
        shadow=None,
    )
    folder = os.path.join(directory, str(task.number))
    try:
        os.makedirs(folder, exist_ok=True)
        return AuditLog(os.path.join(folder, f"{run}.jsonl"), header, (), nullcontext(), run)
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
