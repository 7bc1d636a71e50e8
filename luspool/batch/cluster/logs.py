"""The audit logs of tasks on a cluster: a station makes their lines and sends them, the command keeps them.

The lines go along with a station's reports, in pieces, from the first one on: so neither side ever has a whole log in
memory, and a station needs no files. The command puts them aside until their task is done, and only then makes a log of
them: whatever becomes of a station, or of the command, no half of a log is left. A log without its last line is that of
a try that has its result all the same: its process has died, or it was ended together with the batch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from typing import Final

from msgspec import Struct

from ...audit.record import new_run
from ...audit.record_lines import LogLines
from ...errors import CannotWriteError
from ...scheduler import wire
from ..engine import Done, Task
from ..logs import log_file, log_header, open_log
from .aside import Aside
from .letters import LogPiece

_ASIDE: Final = ".unfinished"
"""In the directory of the logs."""


class LogsToSend:
    """At a station: what was recorded since its last report. For one thread."""

    def __init__(self, many: int, tell: Callable[[], None]) -> None:
        """Once there are `many` bytes, `tell` is called with each further one."""
        self._many = many
        self._tell = tell
        self._size = 0
        self._pieces: dict[int, tuple[str, list[str]]] = {}
        """By task: the run, and its lines."""

    @property
    def are_many(self) -> bool:
        """Whether they should not wait for more."""
        return self._size >= self._many

    def open(self, task: Task) -> _LogToSend:
        """The log of a try that begins now."""
        return _LogToSend(task, self)

    def add(self, number: int, run: str, lines: str) -> None:
        """More lines, in ASCII, of the log of a task."""
        self._pieces.setdefault(number, (run, []))[1].append(lines)
        self._size += len(lines)
        if self.are_many:
            self._tell()

    def take(self) -> tuple[LogPiece, ...]:
        """All that there is to send."""
        pieces, self._pieces, self._size = self._pieces, {}, 0
        return tuple(LogPiece(number, run, "".join(lines).encode()) for number, (run, lines) in pieces.items())


class _LogToSend:
    """See `TaskLog`."""

    file_name = ""

    def __init__(self, task: Task, logs: LogsToSend) -> None:
        self._number = task.number
        self._run = new_run()
        self._lines = LogLines(self._run, log_header(task))
        self._logs = logs
        self._add(self._lines.header())

    def take(self, record: wire.Record) -> None:
        self._add(self._lines.of(record))

    def finish(self, status: int) -> None:
        self._add(self._lines.footer(status))

    def close(self) -> None:
        """It was never open."""

    def _add(self, lines: str) -> None:
        self._logs.add(self._number, self._run, lines)


class _Draft(Struct, frozen=True):
    station: int
    run: str
    path: str


class Drafts:
    """At the command: logs of tasks that are not done yet. For one thread; to be closed. CannotWriteError."""

    def __init__(self, directory: str) -> None:
        """They become files in `directory`."""
        self._directory = directory
        self._tasks: dict[int, Task] = {}
        """Those that are not done."""
        self._drafts: dict[int, _Draft] = {}
        """Of these, by number."""
        try:
            self._aside = Aside(os.path.join(directory, _ASIDE))
        except OSError as error:
            raise _cannot_write(error) from error

    def expect(self, task: Task) -> None:
        """Its log may come."""
        self._tasks[task.number] = task

    def add(self, station: int, piece: LogPiece) -> None:
        """A station has sent more of a log, or the beginning of another one."""
        draft = self._drafts.get(piece.number)
        if draft is None or (draft.station, draft.run) != (station, piece.run):
            self._drop(piece.number)
            draft = _Draft(station, piece.run, os.path.join(self._aside.path, str(piece.number)))
            self._drafts[piece.number] = draft
        try:
            with open(draft.path, "ab") as file:
                file.write(piece.lines)
        except OSError as error:
            raise _cannot_write(error) from error

    def lose(self, station: int, done: Collection[int]) -> None:
        """A station is gone, and with it the tries of all of its tasks that are not among those that are done."""
        for number in [number for number, draft in self._drafts.items() if draft.station == station]:
            if number not in done:
                self._drop(number)

    def settle(self, done: Done) -> str:
        """A task is done: the file of its log; "": it was not begun, and has none."""
        task = self._tasks.pop(done.number)
        draft = self._drafts.get(done.number)
        if done.outcome is None:
            self._drop(done.number)
            return ""
        if draft is None:  # nobody has heard of it but for its end: its log begins, and no more
            log = open_log(self._directory, task)
            log.close()
            return log.file_name
        try:
            path = log_file(self._directory, done.number, draft.run)
            os.rename(draft.path, path)
        except OSError as error:
            raise _cannot_write(error) from error
        del self._drafts[done.number]
        return path

    def close(self) -> None:
        """Remove what has not become a log. Repeatable."""
        self._drafts.clear()
        self._aside.close()

    def _drop(self, number: int) -> None:
        draft = self._drafts.pop(number, None)
        if draft is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft.path)


def _cannot_write(error: OSError) -> CannotWriteError:
    return CannotWriteError(f"cannot write to {error.filename}: {error.strerror}")
