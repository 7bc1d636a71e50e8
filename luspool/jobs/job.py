"""A job, for threads."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from ..audience import RunResult
from ..errors import EndOfMessagesError, LuspoolError
from ..sandbox import codec
from .core import JobCore, JobStatus


class Job:
    """A script that `Runtime.submit` was given. Thread-safe. As a context manager it is cancelled at the end.

    A timeout is in seconds, None: for as long as it takes. When it is over there is a TimeoutError, which says what the
    job waits for, and nothing else has happened. A job whose runtime is closed before its end fails with ClosedError.
    """

    def __init__(self, core: JobCore) -> None:
        """Not for users."""
        self._core = core

    def __repr__(self) -> str:
        return f"<luspool.Job {self.name!r} {self.status}>"

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[codec.Value]:
        """Its messages, until it has ended; then what it has failed with, as an error, if it has."""
        return self

    def __next__(self) -> codec.Value:
        try:
            return self.receive()
        except EndOfMessagesError:
            raise StopIteration from None

    @property
    def name(self) -> str:
        """Of the script."""
        return self._core.task.request.path

    @property
    def status(self) -> JobStatus:
        """How far it is."""
        return self._core.status

    @property
    def audit(self) -> str | None:
        """The path of its audit log, if it is to have one: complete once the job has ended."""
        return self._core.audit.file if self._core.audit is not None else None

    def receive(self, timeout: float | None = None) -> codec.Value:
        """The next value that the script has sent by `worker.message`. Each arrives once, in order.

        After the last one, what the job has failed with (JobError), or EndOfMessagesError.
        """
        payload = self._core.until(self._core.take, timeout)
        self._core.warn()
        if payload is None:
            raise self._core.after_last_message()
        return self._core.decode(payload)

    def send(self, value: codec.Value, timeout: float | None = None) -> bool:
        """Send the script a copy of a value, for its `worker.peek`. False: it has ended, and nobody will get it.

        Waits while there is no room. UsageError for what can't be copied.
        """
        payload = self._core.encode(value)
        return self._core.until(lambda: self._core.put(payload), timeout)

    def send_eof(self) -> None:
        """Send nothing more: a script that has taken all and asks for another value ends there. Repeatable."""
        self._core.send_eof()

    def result(self, timeout: float | None = None) -> RunResult:
        """What has become of it, once it has ended well. JobError if it has not.

        Messages need not have been received, and can be afterwards.
        """
        ended = self._ended(timeout)
        if isinstance(ended, LuspoolError):
            raise ended
        return ended

    def exception(self, timeout: float | None = None) -> LuspoolError | None:
        """What `result` would raise, once it has ended."""
        ended = self._ended(timeout)
        return ended if isinstance(ended, LuspoolError) else None

    def cancel(self) -> None:
        """End it, soon, whatever it does. What it has sent can be received. Nothing if it has ended."""
        self._core.cancel()

    def _ended(self, timeout: float | None) -> RunResult | LuspoolError:
        core = self._core
        core.check_process()
        with core.gathering():
            ended: RunResult | LuspoolError = core.until(core.ended, timeout)
        core.warn()
        return ended
