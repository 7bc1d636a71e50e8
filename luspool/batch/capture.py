"""What one item says while it runs: kept up to a cap, and written to files where that is asked for."""

from __future__ import annotations

from ..audience import Audience
from ..errors import UsageError
from ..run import no_record
from ..scheduler import wire
from ..scheduler.connection import HostProtocolError
from ..scheduler.warm import Ending, OverdueError
from .engine import CancelledError, Task
from .logs import TaskLog
from .outcome import FAILURE_MOST, Outcome, Source, Status, status_of
from .results import ResultFiles


class Capture(Audience):
    """Listens to the program of a task, and makes an `Outcome` of it."""

    def __init__(self, task: Task, cap: int, results: str | None, log: TaskLog | None = None) -> None:
        """Of each stream `cap` bytes are kept; all of it goes to the task's files in the directory `results`. What is
        recorded goes to `log`, which `close` closes."""
        super().__init__(task.request.path, task.limits, task.stdin, lambda: None, log.take if log else no_record)
        self.notices: list[str] = []
        self._log = log
        self._cap = cap
        self._sizes = {1: 0, 2: 0}
        self._files = None if results is None else ResultFiles(results, task.number)

    def write(self, stream: int, data: bytes) -> None:
        self._sizes[stream] += len(data)
        if sum(self._sizes.values()) > self._limits.tree.output:
            raise HostProtocolError("the process that runs the scripts wrote more than it may")
        kept = self._streams[stream]
        kept += data[: max(0, self._cap - len(kept))]
        if self._files is not None:
            self._files.write(stream, data)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def failed(self, failure: wire.Failed) -> None:
        if failure.kind == "usage":  # it holds for all of the batch
            raise UsageError(failure.message)
        super().failed(failure)

    def outcome(self, ending: Ending) -> Outcome:
        """Once the program is over, however that came."""
        used = ending.used
        if isinstance(ending.death, CancelledError):
            return self._cancelled(ending)
        if ending.ended is not None:
            result = self.result(ending.ended)
            status = status_of(result.kind, result.status)
            if self._log is not None:
                self._log.finish(result.status)
        elif isinstance(ending.death, OverdueError):
            result, status = self.overdue(), Status.TIMEOUT
        else:
            assert ending.death is not None  # noqa: S101  for the type checker
            result, status = self.died(ending.death), Status.CRASHED
        return Outcome(
            status,
            result.status,
            ending.nanoseconds,
            used.cpu if used else 0,
            used.memory if used else 0,
            result.stdout,
            result.stderr,
            self._sizes[1],
            self._sizes[2],
            (result.failure or "")[:FAILURE_MOST],
            tuple(Source(one.path, one.digest) for one in ending.sources) if used and used.has_all else None,
            is_lasting=result.kind == "load",
            audit=self._log_name(),
            kind=result.kind,
        )

    def _cancelled(self, ending: Ending) -> Outcome:
        streams = {stream: bytes(kept) for stream, kept in self._streams.items()}
        return Outcome(
            Status.CANCELLED,
            0,
            ending.nanoseconds,
            stdout=streams[1],
            stderr=streams[2],
            stdout_size=self._sizes[1],
            stderr_size=self._sizes[2],
            failure=str(ending.death),
            audit=self._log_name(),
            kind="cancelled",
        )

    def close(self) -> None:
        """Close the files. Repeatable."""
        if self._files is not None:
            self._files.close()
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def _log_name(self) -> str:
        return self._log.file_name if self._log else ""
