"""A job as everybody shares it who has to do with it: its mailboxes, the calls of its script, and how far it is.

Actors: any number of threads that receive, send, wait or cancel (the faces: `job`, `aio`, `executor`), and the thread
of the `Crew`, which starts it, takes the calls of its script (see `Callees`) and ends it. All that they share lies
under one lock, `changed`; it is held for no longer than a step of `Mail` takes, and values are encoded and decoded
outside of it, by whose they are.

Life: QUEUED, RUNNING, ENDED, in this order; RUNNING may be left out. Who ends a job that is queued (`cancel`, under the
lock) decides that it never begins: `start` then says no. One that runs is ended by the crew alone.

Waiting: a thread waits for the condition; others have a function called after each change (`watch`), which may do
nothing but wake them: it is called with the lock held, from any thread.

A process that is forked has the jobs of its parent's, and no crew: whatever is asked of them there is a ClosedError.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from ..audience import RunResult
from ..audit.record import AuditLog
from ..batch.engine import Task
from ..batch.outcome import Outcome
from ..errors import (
    CannotWriteError,
    ClosedError,
    CrashedError,
    DeadlockError,
    EndOfMessagesError,
    HostFailedError,
    JobCancelledError,
    JobError,
    LimitError,
    LuspoolError,
    MemoryLimitError,
    PermissionDeniedError,
    ScriptError,
    ScriptLoadError,
    TimeLimitError,
    UsageError,
)
from ..functions import Function, FunctionPool, Replies
from ..permissions import PledgeSet
from ..sandbox import CodecError, CopyError, codec
from ..scheduler import wire
from ..scheduler.limits import MEASURES
from ..scheduler.protocol import MESSAGE_CALL, PEEK_CALL, REPLY_LIMIT
from .mail import Mail

Value = TypeVar("Value")


class JobStatus(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    """It waits for its turn."""
    RUNNING = "running"
    ENDED = "ended"
    """Its messages may still be received."""


class AuditFile(Struct, frozen=True):
    """The audit log of a job."""

    file: str
    open: Callable[[], AuditLog]
    """CannotWriteError, UsageError."""


class Functions(Struct, frozen=True):
    """What the scripts of a runtime may call."""

    by_name: Mapping[str, Function]
    threads: int


_GOOD_ENDS: Final = frozenset({"returned", "exited"})

_ERRORS: Final[Mapping[str, type[JobError]]] = {
    **dict.fromkeys(MEASURES, LimitError),
    "cpu": TimeLimitError,
    "time": TimeLimitError,
    "memory": MemoryLimitError,
    "denied": PermissionDeniedError,
    "load": ScriptLoadError,
    "deadlock": DeadlockError,
    "crashed": CrashedError,
    "internal": CrashedError,  # a fault of ours
    "cancelled": JobCancelledError,
}
"""By the kind of an end that is no good one, where it is no `ScriptError`."""


class JobCore:
    """One job. Thread-safe; the methods below `the crew's side` are for its thread alone."""

    def __init__(
        self,
        task: Task,
        pledges: PledgeSet,
        functions: Functions,
        cancel: Callable[[JobCore], None],
        audit: AuditFile | None = None,
    ) -> None:
        """`cancel` has the crew end it, soon."""
        self.task = task
        self.audit = audit
        self.changed = threading.Condition()
        self.status = JobStatus.QUEUED
        """Written under the lock."""
        self.is_withdrawn = False
        """It was cancelled before it began. Written under the lock, before its end."""
        self.notices: list[str] = []
        """What its owner has to know of how it is run, until somebody is told. Under the lock."""
        self._pledges = pledges
        self._functions = functions
        self._cancel_soon = cancel
        self._pid = os.getpid()
        self._watchers: list[Callable[[], None]] = []
        self._mail = Mail(task.limits.tree.mailbox, task.limits.tree.output)
        self._result: RunResult | None = None
        self._fault: LuspoolError | None = None
        """Why it was not run, or not to its end, where that is no doing of its own."""
        self._replies: Replies | None = None
        self._pool: FunctionPool | None = None

    # --- waiting -------------------------------------------------------------------------------------------------

    def until(self, attempt: Callable[[], tuple[Value] | None], timeout: float | None) -> Value:
        """What `attempt` gives, once that is something. It is called with the lock held. TimeoutError."""
        self.check_process()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while (got := attempt()) is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and not left > 0:  # nor of a NaN
                    raise TimeoutError(f"{self.task.request.path}: not in {timeout:g} s; {self.waits_for()}")
                self.changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
        return got[0]

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each change, until `unwatch`. With the lock held."""
        self._watchers.append(wake)

    def unwatch(self, wake: Callable[[], None]) -> None:
        """With the lock held."""
        self._watchers.remove(wake)

    def waits_for(self) -> str:
        """For people. With the lock held."""
        if self.status is not JobStatus.RUNNING:
            return f"it is {self.status}"
        if self._mail.waits_for_room:
            return "it waits until its messages are received"
        return "it waits for a message (send, send_eof)" if self._mail.waits_for_mail else "it is running"

    def check_process(self) -> None:
        """ClosedError in a process that was forked from the job's own."""
        if os.getpid() != self._pid:
            raise ClosedError("this job belongs to the process that this one was forked from")

    # --- attempts, with the lock held: None is for what would have to wait ---------------------------------------

    def take(self) -> tuple[bytes | None] | None:
        """The next message that the script has sent; None: there will be no more."""
        payload = self._mail.take()
        if payload is not None:
            self._settle()
            return (payload,)
        return (None,) if self.status is JobStatus.ENDED else None

    def put(self, payload: bytes) -> tuple[bool] | None:
        """Send it a message. False: it is over."""
        if self.status is JobStatus.ENDED:
            return (False,)
        if self._mail.is_sent:
            raise UsageError("send after send_eof")
        if not self._mail.put(payload):
            return None
        self._settle()
        return (True,)

    def ended(self) -> tuple[RunResult | LuspoolError] | None:
        """What has become of it. Of errors a new one each time, since who raises one writes into it."""
        if self.status is not JobStatus.ENDED:
            return None
        if self._fault is not None:
            return (type(self._fault)(*self._fault.args),)
        assert self._result is not None  # noqa: S101  for the type checker: `_end` has set one of them
        kind = self._result.kind
        return (self._result if kind in _GOOD_ENDS else _ERRORS.get(kind, ScriptError)(self._result),)

    # --- any thread ----------------------------------------------------------------------------------------------

    def encode(self, value: codec.Value) -> bytes:
        """A message to the script. UsageError: it can't be copied."""
        limits = codec.Limits(min(self.task.limits.state.message, REPLY_LIMIT))
        try:
            return codec.encode(value, what="message", limits=limits)
        except CopyError as error:
            raise UsageError(f"cannot send this to {self.task.request.path}: {error}") from error

    def decode(self, payload: bytes) -> codec.Value:
        """A message of the script, whose process may have made it up: HostFailedError, and the job is ended."""
        try:
            (value,) = codec.decode(payload)
        except (CodecError, ValueError) as error:
            self.cancel()
            path = self.task.request.path
            raise HostFailedError(f"the process that runs {path} has sent what is no message: {error}") from error
        return value

    def after_last_message(self) -> LuspoolError:
        """What there is instead of a message, once it has ended."""
        ended = self.until(self.ended, None)
        if isinstance(ended, LuspoolError):
            return ended
        return EndOfMessagesError(f"{self.task.request.path} has ended, and all its messages are received")

    def send_eof(self) -> None:
        """There will be no further message to it. Repeatable."""
        self.check_process()
        with self.changed:
            self._mail.send_eof()
            self._settle()

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Whoever waits here waits for its end alone: meanwhile there is room for all that it sends."""
        with self.changed:
            self.gather(1)
        try:
            yield
        finally:
            with self.changed:
                self.gather(-1)

    def gather(self, change: int) -> None:
        """One more (1) or less (-1) waits so. With the lock held."""
        self._mail.gather(change)
        self._settle()

    def withdraw(self) -> bool:
        """End it if it is queued. True if so."""
        self.check_process()
        with self.changed:
            if self.status is not JobStatus.QUEUED:
                return False
            self.is_withdrawn = True
            self._end(RunResult("cancelled", JobCancelledError.exit_status, b"", b"", "it was cancelled"), None)
        self._cancel_soon(self)  # it takes room in a queue
        return True

    def cancel(self) -> None:
        """End it. Nothing if it has ended."""
        if not self.withdraw() and self.status is JobStatus.RUNNING:
            self._cancel_soon(self)

    def warn(self) -> None:
        """Tell its owner what there is to tell, once."""
        with self.changed:
            notices, self.notices = self.notices, []
        for text in notices:
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    # --- the crew's side -----------------------------------------------------------------------------------------

    def start(self) -> bool:
        """It begins. False: it has ended already."""
        with self.changed:
            if self.status is not JobStatus.QUEUED:
                return False
            try:
                self._replies = Replies()
            except OSError as error:
                self._end(None, HostFailedError(f"cannot run {self.task.request.path}: {error}"))
                return False
            self._pool = FunctionPool(
                self._functions.by_name,
                self._pledges,
                self._functions.threads,
                self.task.limits.state.message,
                self._replies,
            )
            self.status = JobStatus.RUNNING
            self._settle()
        return True

    def open_log(self) -> AuditLog | None:
        """Its audit log, if it has one. CannotWriteError."""
        try:
            return None if self.audit is None else self.audit.open()
        except UsageError as error:  # as the one who submits can't be told any more
            raise CannotWriteError(str(error)) from error

    def fileno(self) -> int | None:
        """See `scheduler.callees.Callees`, also for the next two."""
        return self._replies.fileno() if self._replies is not None else None

    def begin(self, call: wire.Call) -> None:
        """CallError: it sends more than it may."""
        if call.name not in {MESSAGE_CALL, PEEK_CALL}:
            if self._pool is not None:
                self._pool.begin(call)
            return
        with self.changed:
            if call.name == MESSAGE_CALL:
                self._mail.post(call.call, call.payload)
            else:
                self._mail.peek(call.call)
            self._settle()

    def take_reply(self) -> wire.Reply | None:
        return self._pool.take_reply() if self._pool is not None else None

    def end(self, outcome: Outcome | LuspoolError) -> FunctionPool | None:
        """It is over, if it is not. Functions of its may still run in the pool that this gives; nothing waits for
        its descriptor any more."""
        with self.changed:
            if self.status is not JobStatus.ENDED:
                if isinstance(outcome, LuspoolError):
                    self._end(None, outcome)
                else:
                    self._end(_result(outcome), None)
        pool, self._pool = self._pool, None
        return pool if pool is not None and not pool.close(0) else None

    def notice(self, text: str) -> None:
        """Its owner has to know this of how it is run."""
        with self.changed:
            self.notices.append(text)

    def abandon(self) -> None:
        """In a child that was forked, of whose threads none is inside of it: give its descriptor back."""
        if self._replies is not None and self.status is JobStatus.RUNNING:
            os.close(self._replies.fileno())

    def _end(self, result: RunResult | None, fault: LuspoolError | None) -> None:
        self._result, self._fault = result, fault
        self.status = JobStatus.ENDED
        self._mail.end()
        self._settle()

    def _settle(self) -> None:
        """After each change: send what the script waits for, and let all look who wait. With the lock held."""
        replies = self._mail.replies
        if replies and self._replies is not None:
            for call, payload in replies:
                self._replies.put(wire.Reply(call, ok=True, payload=payload))
            replies.clear()
        self.changed.notify_all()
        for wake in tuple(self._watchers):
            wake()


def _result(outcome: Outcome) -> RunResult:
    status = JobCancelledError.exit_status if outcome.kind == "cancelled" else outcome.exit_status
    return RunResult(outcome.kind, status, outcome.stdout, outcome.stderr, outcome.failure or None)
