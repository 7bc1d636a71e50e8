"""The same for asyncio: a runtime and its jobs, whose waits are awaited and hold no thread.

A task that is cancelled while it waits stops waiting, and nothing is lost: a message is taken in the moment in which
the task goes on with it, or not at all. The job goes on, since others may have it; `AsyncRuntime.run`, whose job nobody
else has, and `async with job` end it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

from ..audience import RunResult
from ..errors import EndOfMessagesError, LuspoolError
from ..functions import Function
from ..runtime import Runtime
from ..sandbox import codec
from ..scheduler.limits import Limits
from .core import JobCore, JobStatus

Value = TypeVar("Value")


class AsyncRuntime:
    """A `Runtime` for asyncio. An asynchronous context manager; may be used from any event loop."""

    def __init__(self, functions: Mapping[str, Function] | None = None, **options: Any) -> None:  # noqa: ANN401
        """As `Runtime`."""
        self._runtime = Runtime(functions, **options)

    async def __aenter__(self) -> AsyncRuntime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Runtime.close`. Cancelled, it goes on."""
        await asyncio.shield(asyncio.to_thread(self._runtime.close))

    def submit(  # noqa: PLR0913  as there
        self,
        script: str | os.PathLike[str],
        *arguments: codec.Value,
        source: str | bytes | None = None,
        pledges: Iterable[str] = (),
        allow: Iterable[str] = (),
        limits: Limits | None = None,
        stdin: bytes = b"",
        strict_globals: bool = False,
        audit: str | os.PathLike[str] | None = None,
    ) -> AsyncJob:
        """As `Runtime.submit`; reads the script's file, if it has one, at once."""
        job = self._runtime.submit(
            script,
            *arguments,
            source=source,
            pledges=pledges,
            allow=allow,
            limits=limits,
            stdin=stdin,
            strict_globals=strict_globals,
            audit=audit,
        )
        return AsyncJob(job._core)

    async def run(self, script: str | os.PathLike[str], *arguments: codec.Value, **options: Any) -> RunResult:  # noqa: ANN401
        """`submit` it, drop what it sends, and give its `result`. Cancelled, it cancels the job."""
        async with self.submit(script, *arguments, **options) as job:
            return await job.result()


class AsyncJob:
    """A `Job` for asyncio, with the same methods: those that may wait are to be awaited. `asyncio.timeout` bounds them.

    As an asynchronous context manager it is cancelled at the end.
    """

    def __init__(self, core: JobCore) -> None:
        """Not for users."""
        self._core = core

    def __repr__(self) -> str:
        return f"<luspool.AsyncJob {self.name!r} {self.status}>"

    async def __aenter__(self) -> AsyncJob:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __aiter__(self) -> AsyncJob:
        """As iterating over a `Job`."""
        return self

    async def __anext__(self) -> codec.Value:
        try:
            return await self.receive()
        except EndOfMessagesError:
            raise StopAsyncIteration from None

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
        """As `Job.audit`."""
        return self._core.audit.file if self._core.audit is not None else None

    async def receive(self) -> codec.Value:
        """As `Job.receive`."""
        payload = await _until(self._core, self._core.take)
        self._core.warn()
        if payload is None:
            raise self._core.after_last_message()
        return self._core.decode(payload)

    async def send(self, value: codec.Value) -> bool:
        """As `Job.send`."""
        payload = self._core.encode(value)
        return await _until(self._core, lambda: self._core.put(payload))

    def send_eof(self) -> None:
        """As `Job.send_eof`."""
        self._core.send_eof()

    async def result(self) -> RunResult:
        """As `Job.result`."""
        ended = await self._ended()
        if isinstance(ended, LuspoolError):
            raise ended
        return ended

    async def exception(self) -> LuspoolError | None:
        """As `Job.exception`."""
        ended = await self._ended()
        return ended if isinstance(ended, LuspoolError) else None

    def cancel(self) -> None:
        """As `Job.cancel`."""
        self._core.cancel()

    async def _ended(self) -> RunResult | LuspoolError:
        self._core.check_process()
        with self._core.gathering():
            ended = await _until(self._core, self._core.ended)
        self._core.warn()
        return ended


async def _until(core: JobCore, attempt: Callable[[], tuple[Value] | None]) -> Value:
    """As `JobCore.until`."""
    core.check_process()
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody waits any more
            loop.call_soon_threadsafe(changed.set)

    with core.changed:
        core.watch(wake)
    try:
        while True:
            with core.changed:
                got = attempt()
            if got is not None:
                return got[0]
            await changed.wait()
            changed.clear()
    finally:
        with core.changed:
            core.unwatch(wake)
