"""What a host shows of its states to somebody who looks: how many there are of each kind, and those that matter most.

Whoever looks at 100,000 states must not stop them for long. So under the lock they are only listed; they are counted
and sorted without it, by numbers each of which may change meanwhile; and only of the few that are shown is everything
read, under the lock again. What is shown is thus true state by state, and the counts are those of about that time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .dispatcher import Dispatcher, locate
from .protocol import StateId
from .tree import Phase, State

if TYPE_CHECKING:
    from .executor import Executor

SHOWN: Final = 50
"""How many states are shown that have most of something: of processor time, of memory, of messages."""
_LIVING: Final = (Phase.READY, Phase.RUNNING, Phase.WAITING)


class StateSight(Struct, frozen=True):
    """One state. `parent` is 0 for the root, and where there is none any more. `cpu` is nanoseconds, the rest bytes."""

    state: StateId
    parent: int
    script: str
    """"" for one that has not begun."""
    phase: Phase
    waits_for: str
    """The name of the class of its condition; "" unless it waits."""
    awaited: tuple[StateId, ...]
    """Who could end the wait."""
    location: str
    """Where it waits."""
    cpu: int
    memory: int
    inbox: int
    outbox: int


class Sight(Struct, frozen=True):
    """One host. `ready` has also those that have not begun. Of the whole tree here: as in `StateSight`."""

    states: int
    running: int
    ready: int
    waiting: int
    memory: int
    cpu: int
    output: int
    shown: tuple[StateSight, ...]


def look(dispatcher: Dispatcher) -> Sight:
    """From any thread that does not hold the dispatcher's lock."""
    with dispatcher.lock:
        records = tuple(dispatcher.machine.states.values())
        trees = tuple(dispatcher.machine.trees.values())
        steps = _steps(dispatcher.executors)
    living = [state for state in records if state.phase in _LIVING]
    phases = Counter(state.phase for state in living)

    def cpu(state: State) -> int:
        return state.cpu + steps.get(state, 0)

    chosen = dict.fromkeys(steps)
    for key in (cpu, _memory, _mail):
        chosen.update(dict.fromkeys(nlargest(SHOWN, living, key)))
    with dispatcher.lock:
        shown = tuple(_shown(dispatcher, state, cpu(state)) for state in chosen if state.phase in _LIVING)
    return Sight(
        len(living),
        phases[Phase.RUNNING],
        phases[Phase.READY],
        phases[Phase.WAITING],
        sum(max(0, tree.memory) for tree in trees),
        sum(tree.cpu for tree in trees) + sum(steps.values()),
        sum(tree.output for tree in trees),
        shown,
    )


def _steps(executors: Iterable[Executor]) -> dict[State, int]:
    """The states that are inside a step, and what this has taken so far of processor time. Dispatcher's lock held."""
    now, steps = time.monotonic_ns(), {}
    for executor in executors:
        state = executor.stepping
        if state is not None:
            # It may just have ended; without the lock none begins, so it is a step of this state in any case.
            steps[state] = max(0, executor.meter.running(executor.thread, now))
    return steps


def _memory(state: State) -> int:
    return state.heap


def _mail(state: State) -> int:
    return state.inbox.used + state.outbox.used


def _shown(dispatcher: Dispatcher, state: State, cpu: int) -> StateSight:
    """Dispatcher's lock held."""
    condition, runnable = state.condition, state.runnable
    return StateSight(
        state.id,
        0 if state.parent is None else state.parent.id,
        "" if runnable is None else runnable.script(),
        state.phase,
        "" if condition is None else type(condition).__name__,
        () if condition is None else dispatcher.machine.awaited(state),
        locate(state) if state.phase is Phase.WAITING else "",
        cpu,
        state.heap,
        state.inbox.used,
        state.outbox.used,
    )
