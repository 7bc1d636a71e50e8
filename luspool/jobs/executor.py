"""Scripts by `concurrent.futures`: `submit` and `map` of an executor run a script with arguments, on a runtime's jobs.

Futures are those of the standard library in all that can be seen: one that waits can be cancelled and never runs, one
that runs can't; callbacks are called, and whoever waits for several of them is woken.

Actors: the thread of the crew, which says that a job has begun or ended (a watcher, with the lock of the job held, so
it does no more than note it), and a thread of the executor's own, which sets results, and in which callbacks run: a
slow one keeps other results of this executor from being set, and nothing else. The thread is there for as long as there
are futures that are not done, so an executor that nobody shuts down leaves nothing.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from typing import Any

from msgspec.structs import replace

from ..audience import RunResult
from ..errors import JobError, LuspoolError
from ..runtime import Runtime
from ..sandbox import codec
from ..scheduler.limits import Limits
from .core import JobCore, JobStatus


class ScriptExecutor(Executor):
    """Runs scripts of one runtime, all with the same pledges and limits.

    `submit(script, *arguments)` gives a future of the `RunResult`, with what the script has sent as its `messages`;
    what is no good end is its exception (`JobError`, whose result has the messages too). `map(script, *iterables)`
    gives the results in order, as that of any executor.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        pledges: Iterable[str] = (),
        allow: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """The runtime stays the caller's: it is to be closed after the executor. The rest as of `Runtime.submit`."""
        self._runtime = runtime
        self._pledges, self._allow, self._limits = tuple(pledges), tuple(allow), limits
        self._lock = threading.Lock()
        self._closed = False
        self._futures: set[_JobFuture] = set()
        """Those that are not done. Under the lock, with the thread."""
        self._thread: threading.Thread | None = None
        """The last one; it ends with the last of them."""
        self._changed: queue.SimpleQueue[_JobFuture] = queue.SimpleQueue()
        """Futures of which something has changed."""

    def submit(  # type: ignore[override]  # a script is no function
        self, script: str | os.PathLike[str], /, *arguments: codec.Value, source: str | bytes | None = None
    ) -> Future[RunResult]:
        """Run a script with these arguments. `source` as of `Runtime.submit`, whose errors these are.

        RuntimeError after `shutdown`.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            job = self._runtime.submit(
                script, *arguments, source=source, pledges=self._pledges, allow=self._allow, limits=self._limits
            )
            if not self._futures:
                thread = threading.Thread(target=self._work, name="luspool-futures", daemon=True)
                thread.start()
                self._thread = thread
            future = _JobFuture(job._core, self._changed)
            self._futures.add(future)
        future.watch()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; cancel what has not begun, if that is asked for; and wait until all is done."""
        with self._lock:
            self._closed = True
            waiting = tuple(self._futures) if cancel_futures else ()
            thread = self._thread
        for future in waiting:
            future.cancel()
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _work(self) -> None:
        while True:
            future = self._changed.get()
            if not future.look():
                continue
            with self._lock:
                self._futures.discard(future)
                if not self._futures:
                    return


class _JobFuture(Future[RunResult]):
    """The future of one job."""

    def __init__(self, core: JobCore, changed: queue.SimpleQueue[Any]) -> None:
        super().__init__()
        self._core = core
        self._changed = changed
        self._seen = JobStatus.QUEUED
        """What `_note` has told of. Under the job's lock."""
        self._is_set = False

    def watch(self) -> None:
        """From now on."""
        with self._core.changed:
            self._core.gather(1)
            self._core.watch(self._note)
            self._note()

    def cancel(self) -> bool:
        """As any future's: False once it runs."""
        return super().cancel() if self._core.withdraw() else self.cancelled()

    def look(self) -> bool:
        """Bring it up to date with its job. True, once: it is done. For the executor's thread."""
        status = self._core.status
        if status is JobStatus.RUNNING and not self.running():
            self.set_running_or_notify_cancel()
        if status is not JobStatus.ENDED or self._is_set:
            return False
        self._is_set = True
        if self._core.is_withdrawn:
            super().cancel()  # whoever withdraws it may not have come to it yet
            self.set_running_or_notify_cancel()
            return True
        try:
            self.set_result(self._job_result())
        except LuspoolError as error:
            self.set_exception(error)
        return True

    def _job_result(self) -> RunResult:
        core = self._core
        messages = []
        while (payload := core.until(core.take, None)) is not None:
            messages.append(core.decode(payload))
        ended = core.until(core.ended, None)
        if isinstance(ended, JobError):
            raise type(ended)(replace(ended.result, messages=tuple(messages)))
        if isinstance(ended, LuspoolError):
            raise ended
        return replace(ended, messages=tuple(messages))

    def _note(self) -> None:
        if self._core.status is not self._seen:
            self._seen = self._core.status
            self._changed.put(self)
