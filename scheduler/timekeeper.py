"""The thread that ends what has had its time: wall time, processor time, and the grace of steps that were told to stop.

It also sees to it that M executors work for those who share: one whose state holds it beyond its slice (Lua can't
suspend every frame) is replaced by another thread, for as long as that lasts.

It sleeps until the next deadline; only while an executor is at work, for it may be inside a step that goes on for as
long as the script likes, does it look at the clocks every `_POLL`, or more often while work may be kept for an
executor (`handoff`). So a host that waits costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .announcer import Announcer
from .dispatcher import Dispatcher
from .executor import Executor
from .handoff import LOOK_EVERY
from .limits import Excess
from .protocol import GRACE, WAITING_GRACE, Failure, StateId
from .tree import State

_POLL: Final = 50_000_000
"""Nanoseconds. How late an excess may be noticed; a look takes about 20 microseconds."""

_HELD: Final = 100_000_000
"""Nanoseconds after which a state that others wait for holds its executor. Guessed: ten slices."""
_MOST_EXECUTORS: Final = 600
"""Replaced ones included; some more than the command line's `--threads`. Beyond, who holds an executor holds it."""
_NEVER: Final = 1 << 62


class Timekeeper:
    """The body of the thread, of which a host has one. Everything it does, it does under the dispatcher's lock."""

    __slots__ = ("_announcer", "_dispatcher", "_replace")

    def __init__(self, dispatcher: Dispatcher, announcer: Announcer, replace: Callable[[], None]) -> None:
        """`replace` starts one more executor; it is called with the dispatcher's lock held."""
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._replace = replace

    def run(self) -> None:
        """Keep time until the host stops."""
        dispatcher = self._dispatcher
        while True:
            with dispatcher.lock:
                if dispatcher.stopping:
                    return
                published = self._look(time.monotonic_ns())
                if not published:
                    self._sleep()
            dispatcher.flush()
            if published:
                self._announcer.announce()

    def _look(self, now: int) -> bool:
        """End what has had its time; True if there is something to announce."""
        dispatcher = self._dispatcher
        for name in dispatcher.deadlines.take(now):
            self._end(name)
        stuck = False
        for executor in tuple(dispatcher.executors):
            state = executor.stepping
            if state is not None:
                stuck |= self._check(executor, state, now)
        published = dispatcher.publish()
        dispatcher.look()
        return published or stuck

    def _end(self, name: StateId) -> None:
        """The wall time of a state, or of the tree of the root `-name`, is over."""
        machine = self._dispatcher.machine
        if name > 0:
            state = machine.states.get(name)
            if state is not None:
                machine.exceed(state, Excess("time", state.limits.time, state.limits.time))
        else:
            tree = machine.trees.get(StateId(-name))
            if tree is not None:
                machine.exceed_tree(tree, Excess("time", tree.limits.time, tree.limits.time, is_of_tree=True))

    def _check(self, executor: Executor, state: State, now: int) -> bool:
        """Look at a step that goes on; True if it is stuck.

        The executor takes no lock to begin a step and to end it. If this one is still the same after the look, what was
        seen is its own; and if not, it can't have taken long. Nothing of it has been charged yet: that needs the lock.
        """
        started_at = executor.meter.started_at
        cpu = executor.meter.running(executor.thread, now)
        if executor.stepping is not state or executor.meter.started_at != started_at:
            return False
        machine, tree = self._dispatcher.machine, state.tree
        if state.stop_asked_at:
            return self._is_stuck(state, now, cpu)
        if state.cpu + cpu > state.limits.cpu:
            machine.exceed(state, Excess("cpu", state.limits.cpu, state.cpu + cpu))
        elif (used := tree.cpu + tree.elsewhere.cpu + cpu) > tree.limits.cpu:
            machine.exceed_tree(tree, Excess("cpu", tree.limits.cpu, used, is_of_tree=True))
        elif now - started_at > _HELD and self._dispatcher.slice.wanted[0] and not state.is_outside:
            self._let_go(executor, state)
        return False

    def _let_go(self, executor: Executor, state: State) -> None:
        """Replace an executor that is held by a state which does not give way."""
        dispatcher = self._dispatcher
        if executor.is_replaced or not dispatcher.slice.nanoseconds or len(dispatcher.executors) >= _MOST_EXECUTORS:
            return
        executor.is_replaced = True
        if state.runnable is not None:  # its own thread does it: no other may, behind a wall
            state.runnable.step_back()
        self._replace()

    def _is_stuck(self, state: State, now: int, cpu: int) -> bool:
        if state.stop_cpu < 0:
            state.stop_cpu = cpu
        late = now - state.stop_asked_at
        if state.is_outside or (cpu - state.stop_cpu < GRACE and late < WAITING_GRACE):
            return False
        state.stop_asked_at, state.stop_cpu = _NEVER, _NEVER  # say it once
        excess = state.excess
        kind, why = ("cancelled", "it was cancelled") if excess is None else (excess.kind, str(excess))
        script = "" if self._dispatcher.board is None else str(state.spec)
        failure = Failure(kind, b"", why, "", script)
        root = state.tree.root
        self._announcer.append(lambda events: events.stuck(failure, state.id, root))
        return True

    def _sleep(self) -> None:
        """Until there may be something to see. An executor that neither sleeps nor is just waking is at work."""
        dispatcher = self._dispatcher
        now = time.monotonic_ns()
        due = dispatcher.deadlines.next()
        dispatcher.timekeeper_dozes = dispatcher.idle + dispatcher.waking == len(dispatcher.executors)
        if not dispatcher.timekeeper_dozes:
            soon = now + (LOOK_EVERY if dispatcher.handoff.is_on else _POLL)
            due = soon if due is None else min(due, soon)
        dispatcher.timekeeper_looks_at = _NEVER if due is None else due
        dispatcher.timekeeper_is_wanted.wait(None if due is None else max(0, due - now) / 1e9)
        dispatcher.timekeeper_dozes = False
        dispatcher.timekeeper_looks_at = 0
