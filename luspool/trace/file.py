"""The trace of one run, a file: `run --trace`. docs/tracing.md describes it, events.py makes what is in it.

It is an array of JSON, an event on each line. One that is cut off lacks the end of the array, which those who read such
traces do without.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Final, Self

from ..errors import CannotWriteError
from ..output_file import OutputFile, Purpose
from ..scheduler import wire
from .events import TraceEvents

_PURPOSE: Final = Purpose("trace", "--trace", "it is to be traced")


class TraceFile:
    """A context manager, which closes the file; for one thread. Of the methods each may raise CannotWriteError.

    As `supervisor.Traced` it takes what hosts tell.
    """

    def __init__(
        self,
        name: str,
        facts: Mapping[str, Any],
        inputs: Iterable[str],
        interruptible: AbstractContextManager[object],
        *,
        are_apart: bool = False,
    ) -> None:
        """Opens the file `name`, replacing what is there, and writes its beginning: what is said of the run.

        `inputs` and `interruptible`: see `OutputFile`. `are_apart`: see `TraceEvents`. UsageError.
        """
        self._file = OutputFile(name, _PURPOSE, inputs, interruptible)
        self._events = TraceEvents(time.monotonic_ns(), are_apart=are_apart)
        self._process = os.getpid()
        self._is_over = False
        """Nothing more is to be written: its end was, or something could not be."""
        try:
            first, *others = self._events.header(self._process, facts)
            self._write(f"[\n{first}")
            self._add(others)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Without `finish`, something has ended the run from outside: the trace is brought to its end all the same,
        where that can't make us wait."""
        if self._file.is_regular and not self._is_over:
            with suppress(CannotWriteError):  # there is a reason already for which the run has failed
                self._end({"status": None})
        self._file.close()

    def take(self, host: int, process: int, trace: wire.Trace) -> None:
        """Write what a host has sent. `wire.WireError` where no host sends that."""
        events: list[str] = []
        try:
            for event in self._events.of(host, process, trace, time.monotonic_ns()):
                events.append(event)
        finally:
            self._add(events)

    def died(self, process: int) -> None:
        """A host is dead."""
        self._add(self._events.died(process, time.monotonic_ns()))

    def item(self, host: int, process: int, name: str, span: tuple[int, int], facts: Mapping[str, Any]) -> None:
        """See `TraceEvents.item`."""
        self._add(self._events.item(host, process, name, span, facts))

    def finish(self, status: int) -> None:
        """The run is over, with this exit status: write the end."""
        self._end({"status": status})

    def _end(self, facts: Mapping[str, Any]) -> None:
        self._add(self._events.footer(self._process, facts, time.monotonic_ns()))
        self._write("\n]\n")
        self._is_over = True

    def _add(self, events: Iterable[str]) -> None:
        text = "".join(f",\n{event}" for event in events)
        if text:
            self._write(text)

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except BaseException:
            self._is_over = True
            raise
