"""One of the M threads of a host: takes the state whose turn it is, steps it, tells how the step ended."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .announcer import Announcer, FaultHandler
from .dispatcher import Dispatcher
from .faults import described
from .meter import CpuMeter
from .protocol import Ended, Failure, Port, Runnable, StepResult
from .tree import Phase, State

Factory = Callable[[object, Port], Runnable]


class Executor:
    """The body of one executor thread. What it shares with others it shares through the dispatcher, except that
    `stepping`, `meter` and the thread's identifiers are read by the timekeeper, which may also replace it.
    """

    __slots__ = (
        "_announcer",
        "_dispatcher",
        "_factory",
        "_on_fault",
        "is_replaced",
        "meter",
        "number",
        "stepping",
        "thread",
        "told_at",
    )

    def __init__(self, dispatcher: Dispatcher, announcer: Announcer, factory: Factory, on_fault: FaultHandler) -> None:
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._factory = factory
        self._on_fault = on_fault
        self.meter = CpuMeter()
        self.number = len(dispatcher.executors)
        """Its place on the board. One that replaces another may share the place of a third."""
        self.stepping: State | None = None
        """The state inside its step, None between steps."""
        self.thread = 0
        """The executor's thread, by its `threading.get_ident`."""
        self.is_replaced = False
        """Another has taken its place: it leaves when its step is over. Written under the lock."""
        self.told_at = 0
        """When the step began of which the trace, if there is one, has told that it goes on. Under the lock."""

    def run(self) -> None:
        """Work until the host stops and everything is closed, or until the end of a step in which it was replaced."""
        dispatcher, board, trace = self._dispatcher, self._dispatcher.board, self._dispatcher.trace
        self.thread = threading.get_ident()
        state: State | None = None
        result: StepResult | None = None
        cpu = heap = 0
        if trace is not None:
            with dispatcher.lock:
                trace.enter()
        while True:
            # One stay under the lock ends a step and finds the next.
            with dispatcher.lock:
                if state is not None and result is not None:
                    if trace is not None:
                        trace.stepped(self, state, result)
                    dispatcher.finish(state, result, cpu, heap)
                published = dispatcher.publish()
                if self.is_replaced:
                    dispatcher.executors.remove(self)
                    if trace is not None:
                        trace.leave()
                    dispatcher.wake()
                    break
                # Nobody may sleep on an announcement: it is made first, and then there is another look for work.
                if not published and not dispatcher.wait_for_work():
                    return
                corpse, state = dispatcher.take_work()
            dispatcher.flush()
            self._announcer.announce()
            if corpse is not None:
                self._close(corpse)
            if trace is not None and trace.is_full:
                self._announcer.say(trace.send)
            if state is not None:
                self.meter.start()
                self.stepping = state
                result, heap = self._step(state)
                self.stepping = None
                if board is not None:
                    board.leave(self.number)
                cpu = self.meter.stop()
        dispatcher.flush()
        self._announcer.announce()

    def _step(self, state: State) -> tuple[StepResult, int]:
        """How it ended, and what the state holds now.

        Any exception, SystemExit too, is luspool's own fault: it ends the state that met it, and not the thread.
        """
        try:
            dispatcher, runnable = self._dispatcher, state.runnable
            if runnable is None:
                instead = dispatcher.before_first_step(state)
                if instead is not None:
                    return instead, state.heap
                script = dispatcher.script_of(state)
                runnable = self._factory(state.spec, dispatcher.port(state))
                state.runnable, state.spec = runnable, script
                if dispatcher.trace is not None:
                    dispatcher.trace.began(state)
                if state.phase is Phase.ENDED or state.excess is not None:
                    runnable.stop()  # whoever ended it may have come before it was there to be stopped
            if dispatcher.board is not None:
                dispatcher.board.enter(self.number, str(state.spec))
            return runnable.step(dispatcher.slice), runnable.memory()
        except BaseException as error:
            return Ended(internal_failure(error)), 0

    def _close(self, corpse: State) -> None:
        try:
            close(corpse)
        except Exception as fault:
            self._on_fault(fault)


def close(state: State) -> None:
    """Close a state that was taken from the machine's `closable`."""
    runnable, state.runnable, state.spec = state.runnable, None, None
    if runnable is not None:
        runnable.close()


def internal_failure(error: BaseException) -> Failure:
    """A fault of luspool itself, which no script can cause: the Python traceback is for the log."""
    return Failure("internal", b"", f"internal error: {error!r}", described(error), "")
