"""The audit log of one run, a file: `run --audit`. docs/auditing.md describes it, record_lines.py writes its lines.

The log is complete or the run fails: what can't be written ends it. Only a run that is cut off leaves one without its
last line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from ..output_file import OutputFile, Purpose
from ..scheduler import wire
from .record_lines import LogHeader, LogLines

_RUN_BYTES: Final = 8
_PURPOSE: Final = Purpose("audit log", "--audit", "all that it does is to be recorded")


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
        self._file = OutputFile(name, _PURPOSE, inputs, interruptible)
        self._lines = LogLines(run or new_run(), header)
        try:
            self._file.write(self._lines.header())
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def file_name(self) -> str:
        return self._file.name

    def close(self) -> None:
        """Close the file. Once."""
        self._file.close()

    def take(self, record: wire.Record) -> None:
        """Write what a host has sent. `wire.WireError` where no host sends that."""
        self._file.write(self._lines.of(record))

    def finish(self, status: int) -> None:
        """The run is over, with this exit status: write the last line."""
        self._file.write(self._lines.footer(status))

    def summary(self) -> str:
        """What is in it, in words."""
        counts = self._lines.decisions
        parts = ", ".join(f"{counts[word]} {word}" for word in ("allowed", "observed", "denied") if counts[word])
        states = "1 state" if self._lines.states == 1 else f"{self._lines.states} states"
        decisions = "1 decision" if counts.total() == 1 else f"{counts.total()} decisions"
        return f"{self._file.name} has {decisions} about {states}" + (f": {parts}" if parts else "")


def new_run() -> str:
    """A name for a run, which no other has."""
    return os.urandom(_RUN_BYTES).hex()


def is_run(name: str) -> bool:
    """Whether `new_run` could have given it."""
    return len(name) == 2 * _RUN_BYTES and set(name) <= set("0123456789abcdef")
