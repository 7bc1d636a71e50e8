"""The thread that runs the jobs of a runtime, on the lanes of a `LocalEngine`.

Actors: the thread, which alone touches the engine; others, which hand it jobs (`submit`), have jobs ended (`cancel`) or
end it (`close`, `retire`). It is started with the first job, and waits in one blocking call for all that may happen.

What is shared: what stands below `_lock`, under it. Whoever changes it rings the bell, an eventfd that the engine waits
for among others.

Order: jobs begin in the order in which they came, as far as their rights allow (see `LocalEngine`).

Faults: what makes the engine give up (no process can be started, say) ends the jobs that it has with that error; the
next ones get a new engine. Whatever happens, the thread ends each job that it was given.

Shutdown: 1. `close` sets `_closing` and rings. 2. The thread ends the engine, and with it all hosts; every job that has
not ended does, with a ClosedError. 3. `close` waits for the thread, and for a while for functions that still run. A
runtime that is forgotten without being closed retires its crew: it runs what it has, and ends. All that are left when
the interpreter exits are closed then (the thread is a daemon: it would keep nobody from exiting). If the process is
killed, the hosts see that by themselves.

Forks: a child has the descriptors and not the thread. It gives back the former, and its jobs are of no use there.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from ..audit.record import AuditLog
from ..batch.engine import Task
from ..batch.local import LocalEngine, LocalOptions
from ..batch.outcome import Outcome
from ..errors import ClosedError, HostFailedError, LuspoolError
from ..functions import FunctionPool
from ..onlooker import open_onlooker, program_name, task_facts
from ..scheduler.callees import Callees
from .core import JobCore, JobStatus

if TYPE_CHECKING:
    from ..top.server import TopServer

FUNCTIONS_GRACE_SECONDS: Final = 1.0
"""How long a run that is over, or a crew, waits for functions that still run: who called them may have been ended."""

_CREWS: Final[set[Crew]] = set()
"""All whose thread has not ended."""


class Crew:
    """Runs jobs. Thread-safe."""

    def __init__(self, options: LocalOptions) -> None:
        """How, but for the `callees`, which are the jobs, and their logs."""
        self._options = replace(options, callees=self._start_job, log_of=self._open_log)
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        """Written under the lock."""
        self._in_hand: dict[int, JobCore] = {}
        """What the engine has, by number. For the thread alone, as are the next three."""
        self._engine: LocalEngine | None = None
        self._onlooker: TopServer | None = None
        """Of the engine."""
        self._lingering: list[FunctionPool] = []
        """Of jobs that are over, with functions that are not; others may look once the thread has ended."""
        # The collector may call `retire` in any thread, within any of the blocks that hold the lock.
        self._lock = threading.RLock()
        self._bell = -1
        self._coming: deque[JobCore] = deque()
        self._to_end: list[JobCore] = []
        self._closing = self._retired = False

    def submit(self, job: JobCore) -> None:
        """Run it, after those before it. ClosedError, HostFailedError."""
        if os.getpid() != self._pid:
            raise ClosedError(
                "this luspool.Runtime belongs to the process that this one was forked from; make another one"
            )
        with self._lock:
            if self._closing:
                raise ClosedError("this luspool.Runtime is closed; make another one")
            if self._thread is None:
                self._begin()
            self._coming.append(job)
            os.eventfd_write(self._bell, 1)

    def cancel(self, job: JobCore) -> None:
        """End it, soon. Nothing if it is over."""
        with self._lock:
            if self._thread is not None and not self._closing:
                self._to_end.append(job)
                os.eventfd_write(self._bell, 1)

    def retire(self) -> None:
        """End when all is done: no more jobs will come. Never waits."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._retired = True
            if self._thread is not None and not self._closing:
                os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """End everything, and wait until nothing is left. Repeatable."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            thread = self._thread
            if thread is not None and not self._closing:
                os.eventfd_write(self._bell, 1)
            self._closing = True
        if thread is None or thread is threading.current_thread():
            return
        thread.join()
        deadline = time.monotonic() + FUNCTIONS_GRACE_SECONDS
        for pool in self._lingering:
            pool.close(max(0.0, deadline - time.monotonic()))

    def abandon(self) -> None:
        """In a child that was forked: give back what came along, and touch nothing that is the parent's."""
        if self._bell >= 0:
            os.close(self._bell)
        if self._engine is not None:
            self._engine.abandon()
        for job in self._in_hand.values():
            job.abandon()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Lock held."""
        thread = threading.Thread(target=self._work, name="luspool-jobs", daemon=True)
        try:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            thread.start()
        except (OSError, RuntimeError) as error:  # the system has no more of them
            if self._bell >= 0:
                os.close(self._bell)
                self._bell = -1
            raise HostFailedError(f"no jobs can be run: {error}") from error
        self._thread = thread
        _CREWS.add(self)

    def _work(self) -> None:
        try:
            while True:
                try:
                    if not self._take_news():
                        break
                    self._turn()
                except (LuspoolError, OSError) as error:
                    self._give_up(error if isinstance(error, LuspoolError) else HostFailedError(str(error)))
                except Exception as error:
                    # A bug of ours. Nobody may wait for ever because of it.
                    self._give_up(HostFailedError(f"luspool has failed: {type(error).__name__}: {error}"))
        finally:
            with self._lock:
                self._closing = True
                left = [*self._in_hand.values(), *self._coming]
                os.close(self._bell)
                self._bell = -1
            self._close_engine()
            for job in left:
                self._end(job, ClosedError("the luspool.Runtime of this job was closed"))
            _CREWS.discard(self)

    def _take_news(self) -> bool:
        """Take in what others want. False when it is time to go."""
        with self._lock:
            with suppress(BlockingIOError):  # nobody has rung
                os.eventfd_read(self._bell)
            if self._closing or (self._retired and not self._coming and not self._in_hand):
                return False
            to_end, self._to_end = self._to_end, []
        for job in to_end:
            if self._engine is not None and job.task.number in self._in_hand:
                self._engine.cancel_one(job.task.number)
        return True

    def _turn(self) -> None:
        """Hand on what has come, wait, and take in what has ended."""
        job = self._next()
        if self._engine is None:
            if job is None:
                self._wait_for_news()
                return
            self._onlooker = open_onlooker(self._facts)
            self._engine = LocalEngine(replace(self._options, onlooker=self._onlooker), self._bell, self._notice)
        while job is not None:
            self._engine.submit(job.task)
            job = self._next()
        for done in self._engine.wait(None):
            # What was not begun has been ended by who did not want it any more.
            end = done.fault or done.outcome or ClosedError("this job was not begun")
            self._end(self._in_hand.pop(done.number), end)

    def _wait_for_news(self) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        poll.poll()

    def _next(self) -> JobCore | None:
        """The next job that the engine has room for; it is in hand now."""
        if self._engine is not None and not self._engine.has_room:
            return None
        with self._lock:
            while self._coming:
                job = self._coming.popleft()
                if job.status is not JobStatus.ENDED:  # withdrawn
                    self._in_hand[job.task.number] = job
                    return job
            return None

    def _start_job(self, number: int) -> Callees | None:
        job = self._in_hand[number]
        return job if job.start() else None

    def _open_log(self, task: Task) -> AuditLog | None:
        return self._in_hand[task.number].open_log()

    def _end(self, job: JobCore, outcome: Outcome | LuspoolError) -> None:
        pool = job.end(outcome)
        self._lingering = [one for one in self._lingering if not one.close(0)]
        if pool is not None:
            self._lingering.append(pool)

    def _give_up(self, error: LuspoolError) -> None:
        self._close_engine()
        jobs, self._in_hand = self._in_hand, {}
        for job in jobs.values():
            self._end(job, error)

    def _close_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
        onlooker, self._onlooker = self._onlooker, None
        if onlooker is not None:
            onlooker.close()

    def _facts(self) -> dict[str, Any]:
        """For who looks: what runs, and how much waits."""
        assert self._engine is not None  # noqa: S101  for the type checker: it serves who looks
        processes = self._engine.processes()
        running = [
            task_facts(number, self._in_hand[number].task.request.path, seconds, processes[number])
            for number, seconds in self._engine.running()
        ]
        with self._lock:
            waiting = len(self._in_hand) - len(running) + len(self._coming)
        return {"script": program_name(), "jobs": {"running": len(running), "waiting": waiting}, "running": running}

    def _notice(self, text: str) -> None:
        for job in self._in_hand.values():
            job.notice(text)


@atexit.register
def _close_all() -> None:
    for crew in tuple(_CREWS):
        crew.close()


def _abandon_all() -> None:
    for crew in tuple(_CREWS):
        crew.abandon()
    _CREWS.clear()  # a child of this child is not to do it again


os.register_at_fork(after_in_child=_abandon_all)
