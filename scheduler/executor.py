"""One of the M threads of a host: takes the state whose turn it is, steps it, tells how the step ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from .announcer import Announcer, FaultHandler
from .dispatcher import Dispatcher
from .port import StatePort
from .protocol import Ended, Failure, Port, Runnable, StepResult
from .tree import State

Factory = Callable[[object, Port], Runnable]


class Executor:
    """The body of an executor thread. What it shares with others it shares through the dispatcher."""

    __slots__ = ("_announcer", "_dispatcher", "_factory", "_on_fault")

    def __init__(self, dispatcher: Dispatcher, announcer: Announcer, factory: Factory, on_fault: FaultHandler) -> None:
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._factory = factory
        self._on_fault = on_fault

    def run(self) -> None:
        """Work until the host stops and everything is closed."""
        dispatcher = self._dispatcher
        state: State | None = None
        result: StepResult | None = None
        while True:
            # One stay under the lock ends a step and finds the next.
            with dispatcher.lock:
                if state is not None and result is not None:
                    dispatcher.finish(state, result)
                published = dispatcher.publish()
                # Nobody may sleep on an announcement: it is made first, and then there is another look for work.
                if not published and not dispatcher.wait_for_work():
                    return
                corpse, state = dispatcher.take_work()
            if published:
                self._announcer.announce()
            if corpse is not None:
                self._close(corpse)
            if state is not None:
                result = self._step(state)

    def _step(self, state: State) -> StepResult:
        """Any exception, SystemExit too, is luspool's own fault: it ends the state that met it, and not the thread."""
        try:
            runnable = state.runnable
            if runnable is None:
                runnable = self._factory(state.spec, StatePort(self._dispatcher, self._announcer, state))
                state.runnable, state.spec = runnable, None
            return runnable.step(self._dispatcher.slice)
        except BaseException as error:
            return Ended(internal_failure(error))

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
    return Failure("internal", b"", f"internal error: {error!r}", "".join(traceback.format_exception(error)), "")
