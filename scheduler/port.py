"""A state's side of a host: each call is one operation of the machine under the dispatcher's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from .announcer import Announcer
from .limits import Excess, StateLimits
from .protocol import CallResult, Condition, Delivered, StateId, Thrown
from .tree import Phase, State, ending_of

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

_KEPT: Final = 16
"""One part in so many of a heap is for what a receiver keeps of long payloads, one of each sender. It may come to a few
times that: senders hear of it when they send, and may have been fewer then."""


class StatePort:
    """The `Port` of one state; its contract is there. Calls of a cancelled state are harmless and without effect."""

    __slots__ = ("_announcer", "_dispatcher", "_lock", "_machine", "_state")

    def __init__(self, dispatcher: Dispatcher, announcer: Announcer, state: State) -> None:
        self._dispatcher = dispatcher
        self._lock = dispatcher.lock
        self._machine = dispatcher.machine
        self._announcer = announcer
        self._state = state

    def limits(self) -> StateLimits:
        return self._state.limits

    def create(self, spec: object, size: int, limits: StateLimits) -> StateId:
        with self._lock:
            child = self._machine.create(self._state, spec, size, limits)
            self._dispatcher.wake(in_step=True)
        return child

    def cancel(self, child: StateId) -> None:
        with self._lock:
            self._machine.cancel_child(self._state, child)
            published = self._dispatcher.publish()
            self._dispatcher.wake()
        if published:
            self._outside(self._announcer.announce)

    def exceed(self, excess: Excess) -> None:
        with self._lock:
            self._machine.exceed(self._state, excess)
            self._dispatcher.wake()

    def message(self, payload: bytes) -> int | None:
        with self._lock:
            room = self._machine.message(self._state, payload)
            if self._machine.woken or self._machine.stoppable:
                self._dispatcher.wake(in_step=True)
            return room and min(room, self._share())

    def send(self, child: StateId, payload: bytes) -> int | None:
        with self._lock:
            room = self._machine.send(self._state, child, payload)
            if self._machine.woken or self._machine.stoppable:
                self._dispatcher.wake(in_step=True)
            receiver = self._state.children.get(child)
            return room and min(room, receiver.limits.memory // _KEPT if receiver else 0)

    def holds(self, condition: Condition) -> bool:
        with self._lock:
            return self._machine.holds(self._state, condition)

    def _share(self) -> int:
        """What one of all states may use at once of the heap of one that may hear them all."""
        state = self._state
        states = len(state.tree.states) + state.tree.elsewhere.states
        return state.limits.memory // (_KEPT * states or 1)  # a parent's limit is no less

    def receive(self, children: Sequence[StateId]) -> Delivered | Thrown | None:
        with self._lock:
            received = self._machine.receive(self._state, children)
            if self._machine.woken:
                self._dispatcher.wake(in_step=True)
        return received

    def peek(self) -> bytes | None:
        with self._lock:
            payload = self._machine.peek(self._state)
            if self._machine.woken:
                self._dispatcher.wake(in_step=True)
        return payload

    def brought(self, child: StateId | None) -> bytes | None:
        del child
        payload, self._state.brought = self._state.brought, None
        return payload

    def is_running(self, child: StateId) -> bool:
        with self._lock:
            return self._machine.is_running(self._state, child)

    def release(self, children: Sequence[StateId]) -> None:
        with self._lock:
            self._machine.release(self._state, children)
            published = self._dispatcher.publish()
            self._dispatcher.wake()
        if published:
            self._outside(self._announcer.announce)

    def call(self, name: str, payload: bytes) -> int:
        with self._lock:
            call = self._machine.call(self._state, name, payload)
            self._dispatcher.publish()
            self._dispatcher.wake()
        self._outside(self._announcer.announce)
        return call

    def take_reply(self, call: int) -> CallResult | None:
        with self._lock:
            return self._machine.calls.take(self._state, call)

    def has_parent(self) -> bool:
        return not self._state.is_root

    def write(self, stream: int, data: bytes) -> None:
        allowed = self.claim_output(len(data))
        self._outside(self._announcer.write, self._state, stream, data[:allowed])

    def claim_output(self, size: int) -> int:
        with self._lock:
            allowed = self._machine.wrote(self._state, size)
            if self._machine.stoppable:
                self._dispatcher.wake()
        return allowed

    def identity(self) -> StateId:
        return self._state.id

    def record(self, rows: bytes) -> None:
        self._outside(self._announcer.record, self._state.id, rows)

    def ending(self) -> str:
        return ending_of(self._state)

    def _outside(self, call: Callable[..., None], *arguments: object) -> None:
        """Make a call that may come to the host's owner: how long that takes is no fault of the state."""
        state = self._state
        state.is_outside = True
        call(*arguments)
        if state.stop_asked_at:
            with self._lock:  # what the timekeeper has said of it lies in the far future, and stays
                state.stop_asked_at = max(state.stop_asked_at, time.monotonic_ns())
        state.is_outside = False

    def input_seen(self) -> int:
        with self._lock:
            return self._machine.input_seen

    def read_input(self, size: int | None) -> bytes | None:
        with self._lock:
            if self._state.phase is Phase.ENDED:
                return b""  # what it would take is somebody else's
            return self._dispatcher.input.read(size)
