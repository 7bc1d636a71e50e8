"""What a host notes of its scheduling while it is traced, and the thread that sends it.

The machine stays as it is. Its queues say what it decides, so those that tell of the end of a wait and of a state are
replaced by queues which note what is put into them; executors note their steps, and ports, which are others then too
(`traced_port`), what their states create and send. Where nothing is traced none of this is there, but for some looks at
`Dispatcher.trace` between two steps.

Actors: executors and callers of the machine, which add rows; the tracer, a thread, which sends what there is every
tenth of a second, and tells of steps that go on for long: so the trace has them, too, if the process is killed.

Order: rows lie in a deque, into which every thread puts at one end without a lock; they are taken out by whoever
announces them, one at a time. So the rows of one thread keep their order, and so do those that are added under the
dispatcher's lock: a state's wait, the end of it, its end.

Back-pressure: an executor that finds `is_full` sends rows itself, and waits there, like one that writes. Nobody else
waits: what is added under the lock is bounded by what executors do.

Off duty: a tracer that finds nothing to send, and no executor at work, sleeps until it `_is_wanted`. Whoever adds a row
or begins a step looks afterwards whether it `_dozes`, which it sets before it looks for rows and steps the last time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from .events import HostEvents
from .protocol import Ended, Failure, Preempted, StepResult, Waiting
from .trace_rows import ROWS, Kind, Row, pack_rows
from .tree import Phase, State, ending_of

if TYPE_CHECKING:
    from .executor import Executor
    from .machine import Machine

_FULL: Final = 4 * ROWS
"""Rows that wait to be sent, from which on those who add some have to see to that. Guessed."""
_EVERY: Final = 0.1
"""Seconds. What a killed host may lose, and how long a step lasts before the trace tells that it goes on. Guessed."""


class Trace:
    """The rows of one host. Any thread may call anything, but for what says otherwise."""

    __slots__ = ("_dozes", "_free", "_is_wanted", "_last", "_rows", "_stopping", "_threads")

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._threads: dict[int, int] = {}
        """The numbers of executors, by `threading.get_ident`. Changed under the dispatcher's lock."""
        self._free: list[int] = []
        """Numbers, below the last one given, that nobody has any more; a heap. Likewise."""
        self._last = 0
        self._is_wanted = threading.Event()
        self._dozes = False
        self._stopping = False

    @property
    def is_full(self) -> bool:
        """Whether an executor should `send` before it goes on."""
        return len(self._rows) >= _FULL

    def add(self, row: Row) -> None:
        """One row more."""
        self._rows.append(row)
        if self._dozes:
            self._is_wanted.set()

    def send(self, events: HostEvents) -> None:
        """Send all that there is by now; by one thread at a time."""
        left = len(self._rows)
        while left > 0:
            some = [self._rows.popleft() for _ in range(min(left, ROWS))]
            left -= len(some)
            events.traced(*pack_rows(some))

    # --- executors and their states ------------------------------------------------------------------------------

    def enter(self) -> None:
        """The calling thread is an executor from now on. Dispatcher's lock held."""
        self._last += not self._free
        self._threads[threading.get_ident()] = heappop(self._free) if self._free else self._last

    def leave(self) -> None:
        """The calling thread has made its last step. Dispatcher's lock held."""
        heappush(self._free, self._threads.pop(threading.get_ident()))

    @property
    def thread(self) -> int:
        """The number of the calling thread, an executor's."""
        return self._threads[threading.get_ident()]

    def began(self, state: State) -> None:
        """`state` was made, in its first step on the calling thread."""
        assert state.runnable is not None  # noqa: S101  for the type checker
        self.add(Row(Kind.BEGAN, time.monotonic_ns(), state.id, self.thread, text=state.runnable.script()))

    def stepping(self) -> None:
        """A step is about to begin. Dispatcher's lock held."""
        if self._dozes:
            self._is_wanted.set()

    def stepped(self, executor: Executor, state: State, result: StepResult) -> None:
        """The step of `executor`, the calling thread, has ended. Dispatcher's lock held, and the machine not told."""
        if state.runnable is None:  # it has not begun
            return
        thread, started_at, ended_at = self.thread, executor.meter.started_at, executor.meter.stopped_at
        match result:
            case Waiting(condition):
                how = type(condition).__name__
            case Preempted():
                how = Preempted.__name__
            case Ended(Failure(kind, _, message)):
                how = kind
                self._rows.append(Row(Kind.FAILED, ended_at, state.id, thread, text=kind, detail=message))
            case Ended(outcome):
                how = type(outcome).__name__.lower()
        if executor.told_at == started_at:
            self._rows.append(Row(Kind.STOPPED, ended_at, state.id, thread, detail=how))
        else:
            took, script = ended_at - started_at, state.runnable.script()
            self._rows.append(Row(Kind.RAN, started_at, state.id, thread, 0, took, script, how))
        if isinstance(result, Waiting) and state.phase is not Phase.ENDED:
            self._rows.append(Row(Kind.WAITS, ended_at, state.id, text=how))
        if self._dozes:
            self._is_wanted.set()

    # --- what the machine decides --------------------------------------------------------------------------------

    def observe(self, machine: Machine) -> None:
        """Note what this machine decides from now on. Before it has any states."""
        machine.woken = _NotedQueue(self._ready)
        machine.closable = _NotedQueue(self._ended)

    def _ready(self, state: State) -> None:
        if state.runnable is not None:
            self.add(Row(Kind.READY, time.monotonic_ns(), state.id))

    def _ended(self, state: State) -> None:
        if state.runnable is not None:
            self.add(Row(Kind.ENDED, time.monotonic_ns(), state.id, text=ending_of(state)))

    # --- the tracer ----------------------------------------------------------------------------------------------

    def run(self, look: Callable[[], bool], say: Callable[[Callable[[HostEvents], None]], None]) -> None:
        """The body of the tracer. `look` calls `look_at`, and gives what that gives; `say` announces."""
        while not self._stopping:
            self._dozes = True
            if not look() and not self._rows:
                self._is_wanted.wait()
            self._dozes = False
            self._is_wanted.clear()
            if not self._stopping:
                self._is_wanted.wait(_EVERY)  # nobody sets it meanwhile but `stop`, or who has just seen it doze
            say(self.send)

    def stop(self) -> None:
        """Have the tracer end."""
        self._stopping = True
        self._is_wanted.set()

    def look_at(self, machine: Machine, executors: list[Executor], *, is_at_work: bool) -> bool:
        """Note how many states there are, and which steps have gone on for long. Dispatcher's lock held.

        False, and nothing noted, if no executor `is_at_work` and none was since the rows were sent.
        """
        if not is_at_work and not self._rows:
            return False
        now = time.monotonic_ns()
        for executor in executors:
            state, started_at = executor.stepping, executor.meter.started_at
            if state is None or state.runnable is None or executor.told_at == started_at:
                continue
            # It can't begin another step without the lock; but it may have been just about to end this one.
            if executor.stepping is state and now - started_at > _EVERY * 1e9:
                executor.told_at = started_at
                thread, script = self._threads[executor.thread], state.runnable.script()
                self._rows.append(Row(Kind.RUNS, started_at, state.id, thread, text=script))
        memory = sum(tree.memory for tree in machine.trees.values())
        ready = len(machine.run_queue) + len(machine.woken)
        for name, number in (("states", len(machine.states)), ("ready", ready), ("memory", memory)):
            self._rows.append(Row(Kind.COUNTED, now, text=name, number=max(0, number)))
        return True


class _NotedQueue(deque[State]):
    """A queue of a machine, of which is noted what is put into it."""

    __slots__ = ("_note",)

    def __init__(self, note: Callable[[State], None]) -> None:
        super().__init__()
        self._note = note

    def append(self, state: State) -> None:
        self._note(state)
        super().append(state)
