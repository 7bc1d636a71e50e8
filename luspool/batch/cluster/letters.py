"""What crosses between the command and a station: records as bytes (`scheduler.records`), which can execute nothing.

Ray itself would pickle objects, and so tie both sides to one version of every class. What a station says is checked
here as far as it can be known to be wrong, so that a station that is confused, or a script that has reached it, can
spoil no more than the outcomes of the tasks that it was given. (Who has taken over a machine of a Ray cluster has other
ways, see docs/security.md.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from ...audit.record import is_run
from ...request import Request
from ...scheduler import wire
from ...scheduler.limits import Limits, StateLimits, TreeLimits
from ...scheduler.records import RecordError, pack, unpack
from ..engine import Done, Task
from ..outcome import FAILURE_MOST, Outcome, Source, Status

_DIGEST: Final = 32
_RUNNING: Final = struct.Struct(">qq")
_STATUSES: Final = frozenset(Status)


class LetterError(ValueError):
    """A station has said something that it can't have meant."""


class Orders(Struct, frozen=True):
    """To a station, before anything else: how it is to run tasks (see `LocalOptions`), and in which directory."""

    directory: str
    lanes: int
    threads: int
    slice_nanoseconds: int
    tasks_per_host: int
    output_kept: int
    variables: tuple[str, ...]
    """Names and values, in turn, of luspool's own settings."""
    is_audited: bool = False
    """Whether reports have audit logs."""
    gives_ahead: bool = True

    def pack(self) -> bytes:
        return pack(self)

    @classmethod
    def unpack(cls, data: bytes) -> Orders:
        return unpack(cls, data)


class LogPiece(Struct, frozen=True):
    """Some lines of the audit log of a task, those that follow what was reported before."""

    number: int
    run: str
    """Names the try (`new_run`)."""
    lines: bytes


class Report(Struct, frozen=True):
    """From a station, at the end of each exchange."""

    done: tuple[Done, ...]
    running: tuple[tuple[int, float], ...]
    """As of `Engine.running`."""
    spent: float
    """Seconds that the exchange took there."""
    notices: tuple[str, ...] = ()
    problem: str = ""
    """Why it can't go on, for people; what it had is lost."""
    is_usage: bool = False
    """That problem is of all stations."""
    logs: tuple[LogPiece, ...] = ()
    """Of the tasks that run, and the rest of those that are done; of each task one at most."""


class _Task(Struct, frozen=True):
    number: int
    request: bytes
    state_limits: bytes
    tree_limits: bytes
    stdin: bytes


class _Done(Struct, frozen=True):
    number: int
    has_begun: bool
    status: str
    exit_status: int
    wall: int
    cpu: int
    memory: int
    stdout: bytes
    stderr: bytes
    stdout_size: int
    stderr_size: int
    failure: str
    has_sources: bool
    sources: tuple[bytes, ...]
    is_lasting: bool


class _Report(Struct, frozen=True):
    done: tuple[bytes, ...]
    running: bytes
    spent: int
    notices: tuple[str, ...]
    problem: str
    is_usage: bool
    logs: tuple[bytes, ...]


class _Tasks(Struct, frozen=True):
    tasks: tuple[bytes, ...]


def pack_tasks(tasks: Iterable[Task]) -> bytes:
    """Tasks on their way to a station."""
    return pack(_Tasks(tuple(pack(_packed_task(task)) for task in tasks)))


def unpack_tasks(data: bytes) -> list[Task]:
    """What `pack_tasks` made. RecordError when it is not."""
    return [_task(unpack(_Task, one)) for one in unpack(_Tasks, data).tasks]


def pack_report(report: Report) -> bytes:
    """A report on its way to the command."""
    running = b"".join(_RUNNING.pack(number, int(seconds * 1e9)) for number, seconds in report.running)
    done = tuple(pack(_packed_done(one)) for one in report.done)
    logs = tuple(map(pack, report.logs))
    spent = int(report.spent * 1e9)
    return pack(_Report(done, running, spent, report.notices, report.problem, report.is_usage, logs))


def unpack_report(data: object, output_most: int) -> Report:
    """What a station has said, of which the output of a stream has so many bytes at most. LetterError."""
    if not isinstance(data, bytes):
        raise LetterError(f"a {type(data).__name__} instead of a report")
    try:
        packed = unpack(_Report, data)
        done = tuple(_done(unpack(_Done, one), output_most) for one in packed.done)
        logs = tuple(_log_piece(unpack(LogPiece, one)) for one in packed.logs)
    except RecordError as error:
        raise LetterError(str(error)) from error
    if len(packed.running) % _RUNNING.size or packed.spent < 0:
        raise LetterError("a time that is none")
    running = tuple((number, nanoseconds / 1e9) for number, nanoseconds in _RUNNING.iter_unpack(packed.running))
    return Report(done, running, packed.spent / 1e9, packed.notices, packed.problem, packed.is_usage, logs)


def _packed_task(task: Task) -> _Task:
    limits = task.limits
    return _Task(task.number, task.request.pack(), pack(limits.state), pack(limits.tree), task.stdin)


def _task(packed: _Task) -> Task:
    limits = Limits(unpack(StateLimits, packed.state_limits), unpack(TreeLimits, packed.tree_limits))
    return Task(packed.number, Request.unpack(packed.request), limits, packed.stdin)


def _packed_done(done: Done) -> _Done:
    outcome = done.outcome
    has_begun = outcome is not None
    outcome = outcome or Outcome(Status.CANCELLED, 0)
    return _Done(
        done.number,
        has_begun,
        outcome.status,
        outcome.exit_status,
        outcome.wall,
        outcome.cpu,
        outcome.memory,
        outcome.stdout,
        outcome.stderr,
        outcome.stdout_size,
        outcome.stderr_size,
        outcome.failure,
        outcome.sources is not None,
        tuple(pack(wire.SourceRecord(one.path, one.digest)) for one in outcome.sources or ()),
        outcome.is_lasting,
    )


def _done(packed: _Done, output_most: int) -> Done:
    if not packed.has_begun:
        return Done(packed.number, None)
    numbers = (packed.exit_status, packed.wall, packed.cpu, packed.memory)
    streams = ((packed.stdout, packed.stdout_size), (packed.stderr, packed.stderr_size))
    if packed.status not in _STATUSES or min(numbers) < 0 or len(packed.failure) > FAILURE_MOST:
        raise LetterError(f"the outcome of task {packed.number} is none")
    if any(not len(kept) <= size or len(kept) > output_most for kept, size in streams):
        raise LetterError(f"the output of task {packed.number} is not what it can be")
    outcome = Outcome(
        Status(packed.status),
        packed.exit_status,
        packed.wall,
        packed.cpu,
        packed.memory,
        packed.stdout,
        packed.stderr,
        packed.stdout_size,
        packed.stderr_size,
        packed.failure,
        _sources(packed) if packed.has_sources else None,
        packed.is_lasting,
    )
    return Done(packed.number, outcome)


def _log_piece(piece: LogPiece) -> LogPiece:
    if not is_run(piece.run) or not piece.lines.isascii():
        raise LetterError(f"the audit log of task {piece.number} is none")
    return piece


def _sources(packed: _Done) -> tuple[Source, ...]:
    if len(packed.sources) > wire.SOURCES_LIMIT:
        raise LetterError(f"task {packed.number} has loaded {len(packed.sources)} files")
    records = [unpack(wire.SourceRecord, one) for one in packed.sources]
    if any(len(one.digest) not in (0, _DIGEST) for one in records):
        raise LetterError(f"task {packed.number} has loaded a file whose digest is none")
    return tuple(Source(one.path, one.digest) for one in records)
