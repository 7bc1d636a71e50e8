"""The audit log of one run, a file: `run --audit`. docs/auditing.md describes it, record_lines.py writes its lines.

The log is complete or the run fails: what can't be written ends it. Only a run that is cut off leaves one without its
last line.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType

from ..errors import CannotWriteError, UsageError
from ..scheduler import wire
from .record_lines import LogHeader, LogLines


class AuditLog:
    """A context manager, which closes the file; for one thread. Of the methods each may raise CannotWriteError."""

    def __init__(
        self,
        name: str,
        header: LogHeader,
        inputs: Iterable[str],
        interruptible: AbstractContextManager[object],
        run: str | None = None,
    ) -> None:
        """Opens the file `name`, replacing what is there, and writes the first line.

        `inputs` are files that it must not be. `interruptible` is entered around each call that may block. `run` is
        what `new_run` gave. UsageError when it is one of `inputs`, or can't be opened.
        """
        self.name = name
        self._interruptible = interruptible
        self._fd = _opened(name, tuple(inputs))
        self._lines = LogLines(run or new_run(), header)
        try:
            self._write(self._lines.header())
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Once."""
        os.close(self._fd)

    def take(self, record: wire.Record) -> None:
        """Write what a host has sent. `wire.WireError` where no host sends that."""
        self._write(self._lines.of(record))

    def finish(self, status: int) -> None:
        """The run is over, with this exit status: write the last line."""
        self._write(self._lines.footer(status))

    def summary(self) -> str:
        """What is in it, in words."""
        counts = self._lines.decisions
        parts = ", ".join(f"{counts[word]} {word}" for word in ("allowed", "observed", "denied") if counts[word])
        states = "1 state" if self._lines.states == 1 else f"{self._lines.states} states"
        decisions = "1 decision" if counts.total() == 1 else f"{counts.total()} decisions"
        return f"{self.name} has {decisions} about {states}" + (f": {parts}" if parts else "")

    def _write(self, text: str) -> None:
        rest = memoryview(text.encode())
        while rest:
            try:
                with self._interruptible:
                    rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # a pipe or terminal that somebody else has made so
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                with self._interruptible:
                    writable.poll()
            except OSError as error:
                why = "nobody reads it any more" if error.errno == errno.EPIPE else error.strerror
                advice = "the run was ended, since all that it does is to be recorded"
                raise CannotWriteError(f"cannot write the audit log {self.name}: {why} ({advice})") from error


def new_run() -> str:
    """A name for a run, which no other has."""
    return os.urandom(8).hex()


def _opened(name: str, inputs: tuple[str, ...]) -> int:
    try:
        for path in inputs:
            if os.path.exists(name) and os.path.exists(path) and os.path.samefile(name, path):
                raise UsageError(f"the audit log {name} would replace {path} (name another file with --audit)")
        # Not to wait for somebody who reads a pipe: without one it can't be opened.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, 0o666)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno == errno.ENXIO and _is_pipe(name):
            reason = "nobody reads this pipe"
        raise UsageError(f"cannot write the audit log {name or repr(name)}: {reason}") from error
    os.set_blocking(fd, True)
    return fd


def _is_pipe(name: str) -> bool:
    return stat.S_ISFIFO(os.stat(name).st_mode)
