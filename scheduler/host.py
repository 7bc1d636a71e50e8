"""One process's worth of scheduling: the pure machine, a lock, M executor threads, and one that keeps the time.

Actors
    Executors (`executor`), M threads. Each takes the state at the head of the run queue, steps it without any lock,
    and says how the step ended. A waiting state occupies no thread.
    The timekeeper (`timekeeper`), one thread: ends what has exceeded a time limit, and tells of steps that do not end.
    The tracer (`trace`), one thread, where the host is traced: sends what was noted.
    Port calls (`port`): made by the state that an executor is stepping, on that thread.
    Callers from outside: the thread that feeds `create_root`, `input_arrived`, `input_ended`, `replied`, `cancel`,
    `shutdown`.

Locks, taken in this order and never the other way round
    `Announcer._speaking`   held during one callback of `HostEvents`. Only tried, never waited for, except by `write`,
                            `record` and the sending of a trace.
    `Dispatcher.lock`       guards the machine, the input buffer and the counters. Of what is foreign there run under it
                            `Runnable.location` of states that are in no step, `Runnable.script`, `Runnable.stop` and
                            `Runnable.step_back`, and the `SpecFormat`. None of them waits for anything.

Who writes and who reads
    Machine, Tree, State    under `Dispatcher.lock`, with these exceptions. `State.runnable` and `State.spec` belong to
                            the executor that has taken the state, to step it or to close it. `State.phase` is read by
                            `Announcer.write` without the lock (below). `State.brought` is written when the state is
                            taken, and its port call takes it from there. `State.excess` and `State.phase` are read by
                            the executor that steps it. `State.id` and `tree.root` never change.
    Slice.wanted            under `Dispatcher.lock`; read by steps, also in their signal handler.
    Executor.stepping, .meter   the executor, without a lock; read by the timekeeper (see `Timekeeper._check`).
    State.is_outside        its port call, without a lock; read by the timekeeper.
    Executor.is_replaced    the timekeeper, under `Dispatcher.lock`.
    `Host._threads`         the thread that calls `start`; the timekeeper, under `Dispatcher.lock`.
    `Host._fault`           whoever meets the first fault, under `Dispatcher.lock`; read by anybody, afterwards.

Flow of a message
    The sender's port call queues it under the lock; if that makes the receiver ready, it goes to the woken, and one
    sleeping executor is notified, unless one is on its way already or it is kept for the sender's own (`handoff`). The
    sender goes on within its step. When the receiver's turn comes, the one message that it waits for is taken for it,
    under the lock (`Machine.take_ready`); of all else waking hands nothing over: the receiver, resumed, asks again.

Ending a step
    A state that is cancelled or exceeds a limit while it is inside its step is told to stop, under the lock, by whoever
    ended it; the step returns some milliseconds later. If it does not (`protocol.GRACE`), the state is inside one call
    that can't be stopped, and the timekeeper tells the owner (`HostEvents.stuck`), who has to end the process.

A step that can be stopped but not preempted
    A state inside a frame that Lua can't suspend keeps its executor. While others wait, the timekeeper leaves that
    thread to the operating system, at a lower priority, and starts another executor in its place; it ends when its step
    is over.

Shutdown
    1. `stopping` is set and every tree cancelled, in one stay under the lock: nothing can become ready any more.
    2. All executors are woken. Steps are told to stop; their results are ignored.
    3. Executors close all closable states, including, each after its step, the one it was stepping; then they end.
    4. `shutdown` joins them until its time is over. One that is stuck in a step is left behind: only the end of the
       process ends it, and what it steps stays open.

Races, case by case
    A condition comes true while its state is on the way from the refused call to the wait: the machine looks at the
    condition when the wait is registered, under the same lock.
    A state is cancelled while it is stepped: it is ENDED at once, its port calls fall flat, and it becomes closable
    only when the step returns, so it is closed once and never while it runs.
    Two executors have something to announce: announcements are lined up under the dispatcher's lock, in the order of
    the decisions, and spoken by one of them.
    A cancelled state writes while the end of its tree is announced: a write looks at `phase` while it holds
    `_speaking`. Either the write comes first, or the phase, set before the end was lined up, is seen to be ENDED.
    A state is ended while its executor makes its runnable: the one looks whether there is a runnable after it has ended
    the state, the other whether the state has ended after it has set the runnable. One of them calls `stop`.
    An executor finds no work while another state becomes ready: going to sleep and notifying both hold the lock.
    A tree is over while a step of it still runs: the host is vacated when the last executor has closed what is left and
    finds no work, while all others sleep. One that was just notified does not count as asleep; it gets there itself.
    A callback raises: nobody is there to hear more. The first exception is kept as `fault`, and the host stops.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .announcer import Announcement, Announcer
from .dispatcher import Dispatcher
from .events import HostEvents
from .executor import Executor, Factory, close, internal_failure
from .limits import Limits
from .protocol import DEFAULT_SLICE_NANOSECONDS, CallResult, StateId
from .sight import Sight, look
from .timekeeper import Timekeeper
from .trace import Trace


class HostStoppedError(RuntimeError):
    """The host is shutting down, or has been shut down, and takes no new trees."""


class Host:
    """M threads that run any number of states, and one that keeps the time. Thread-safe."""

    def __init__(
        self,
        threads: int,
        factory: Factory,
        events: HostEvents,
        slice_nanoseconds: int = DEFAULT_SLICE_NANOSECONDS,
        *,
        renews: bool = False,
    ) -> None:
        """A state that runs for longer than `slice_nanoseconds` gives way to others (0: it never does).

        `renews`: for one tree after another, the next one after `HostEvents.vacated`. It finds a host as a new one is:
        the same numbers, no input, clocks at the beginning.

        `factory` makes the runnable of a state at its first step, on an executor, from the spec and its port.

        An exception of `factory`, or of `Runnable.step`, ends that state with a failure of kind "internal" and an empty
        `value`. One of `Runnable.close` or `events` is a fault of the whole host (see `fault`).
        """
        if threads < 1:
            raise ValueError(f"a host needs at least one thread, not {threads}")
        self._announcer = Announcer(events, self._failed)
        self._renews = renews
        self._dispatcher = self._new_dispatcher(slice_nanoseconds)
        self._factory = factory
        timekeeper = Timekeeper(self._dispatcher, self._announcer, lambda: self._new_executor().start())
        self._threads = [threading.Thread(target=self._run, args=(timekeeper.run,), name="timekeeper", daemon=True)]
        for _ in range(threads):
            self._new_executor()
        self._fault: BaseException | None = None

    @property
    def fault(self) -> BaseException | None:
        """The exception that made the host stop by itself, as after `shutdown`; None while there was none."""
        return self._fault

    def trace(self) -> None:
        """Tell of all that happens, by `HostEvents.traced`. Before `start`, and before there is any tree."""
        dispatcher = self._dispatcher
        trace = dispatcher.trace = Trace()
        trace.observe(dispatcher.machine)

        def look_at() -> bool:
            with dispatcher.lock:
                is_at_work = dispatcher.idle + dispatcher.waking < len(dispatcher.executors)
                return trace.look_at(dispatcher.machine, dispatcher.executors, is_at_work=is_at_work)

        def body() -> None:
            trace.run(look_at, self._announcer.say)

        self._threads.append(threading.Thread(target=self._run, args=(body,), name="tracer", daemon=True))

    def look(self) -> Sight:
        """What there is in the host now. From any thread; takes some time where there are many states."""
        return look(self._dispatcher)

    def start(self) -> None:
        """Start the threads. Once."""
        for thread in self._threads:
            thread.start()

    def create_root(self, spec: object, limits: Limits) -> StateId:
        """Start a tree from `spec`, within `limits`; its end is announced by `HostEvents.tree_ended`.

        Raises `HostStoppedError`.
        """
        dispatcher = self._dispatcher
        with dispatcher.lock:
            if dispatcher.stopping:
                raise HostStoppedError("the host takes no new trees: it is shutting down")
            return dispatcher.create_root(spec, limits)

    def input_arrived(self, data: bytes) -> None:
        """Bytes for standard input, usually the answer to `HostEvents.want_input`; any chunk of 1 byte or more."""
        with self._dispatcher.lock:
            if self._dispatcher.is_vacant:
                return
            self._dispatcher.input.arrived(data)
            self._dispatcher.machine.input_arrived()
            self._dispatcher.wake()

    def input_ended(self) -> None:
        """Standard input is at its end."""
        with self._dispatcher.lock:
            if self._dispatcher.is_vacant:
                return
            self._dispatcher.input.end()
            self._dispatcher.machine.input_arrived(end=True)
            self._dispatcher.wake()

    def replied(self, call: int, ok: bool, payload: bytes) -> None:
        """The answer to `HostEvents.called` (see `protocol.CallResult`). Nothing if nobody waits for it any more."""
        with self._dispatcher.lock:
            self._dispatcher.machine.replied(call, CallResult(ok, payload))
            self._dispatcher.publish()
            self._dispatcher.wake()
        self._announcer.announce()

    def cancel(self, root: StateId) -> None:
        """End the tree of `root` at once, without running its states any further; nothing if it is over."""
        with self._dispatcher.lock:
            self._dispatcher.machine.cancel(root)
            self._dispatcher.publish()
            self._dispatcher.wake()
        self._dispatcher.flush()
        self._announcer.announce()

    def shutdown(self, timeout: float) -> bool:
        """Cancel everything and wait up to `timeout` seconds for the executors to end. Repeatable.

        True when no thread is left and every state is closed; False when an executor is still inside a step or a
        callback, which may be the one that calls this.
        """
        deadline = time.monotonic() + timeout
        self._stop()
        with self._dispatcher.lock:
            threads = self._threads  # from here on nobody is replaced any more
        for thread in threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        if (trace := self._dispatcher.trace) is not None:
            with self._dispatcher.lock:
                self._announcer.append(trace.send)
            self._announcer.announce()
        if any(thread.is_alive() for thread in threads):
            return False
        with self._dispatcher.lock:  # a host that was never started has states too
            corpses = tuple(self._dispatcher.machine.closable)
            self._dispatcher.machine.closable.clear()
        for corpse in corpses:
            close(corpse)
        return True

    def _new_dispatcher(self, slice_nanoseconds: int) -> Dispatcher:
        return Dispatcher(self._announcer, slice_nanoseconds, renews=self._renews)

    def _new_executor(self) -> threading.Thread:
        """One more, whose thread is still to be started. Lock held, or nobody else is there yet."""
        executor = Executor(self._dispatcher, self._announcer, self._factory, self._failed)
        self._dispatcher.executors.append(executor)
        thread = threading.Thread(target=self._run, args=(executor.run,), name="executor", daemon=True)
        self._threads = [one for one in self._threads if one.ident is None or one.is_alive()]
        self._threads.append(thread)
        return thread

    def _run(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as fault:
            self._failed(fault)  # a bug in this room: the host must not go on with a thread less

    def _stop(self) -> None:
        with self._dispatcher.lock:
            self._dispatcher.stop()
            self._dispatcher.publish()
            if self._dispatcher.trace is not None:
                self._dispatcher.trace.stop()
        self._announcer.announce()

    def _failed(self, fault: BaseException) -> None:
        """Keep the first fault, tell every tree that it ends by no fault of its own, and stop."""
        dispatcher = self._dispatcher
        with dispatcher.lock:
            if self._fault is None:
                self._fault = fault
            for root in dispatcher.machine.trees:
                self._announcer.append(_fault_report(fault, root))
        self._stop()


def _fault_report(fault: BaseException, root: StateId) -> Announcement:
    failure = internal_failure(fault)
    return lambda events: events.failed(failure, root, root)
