"""A state's port where its host is traced: notes what the state creates, sends and receives.

Messages of an edge are numbered at both ends, each by itself. Since none is lost, doubled or overtaken on its way,
both ends give it the same number, in whichever hosts they are; so nothing has to travel with it. No room is
told of, so that each message goes by itself, when it is sent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .announcer import Announcer
from .limits import StateLimits
from .port import StatePort
from .protocol import Delivered, StateId, Thrown
from .trace import Trace
from .trace_rows import Kind, Row
from .tree import State

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

_DEAD_MOST: Final = 64
"""Of children that are counted, so many may be gone before they are looked for."""


class TracedPort(StatePort):
    """As `StatePort`, or as the class that comes next after this one."""

    __slots__ = ("_heard_children", "_heard_parent", "_told_children", "_told_parent", "_trace")

    def __init__(self, dispatcher: Dispatcher, announcer: Announcer, state: State, trace: Trace) -> None:
        super().__init__(dispatcher, announcer, state)
        self._trace = trace
        self._told_parent = self._heard_parent = 0
        self._told_children: dict[StateId, int] = {}
        self._heard_children: dict[StateId, int] = {}

    def create(self, spec: object, size: int, limits: StateLimits) -> StateId:
        at = time.monotonic_ns()
        child = super().create(spec, size, limits)
        self._note(Kind.CREATED, at, child)
        return child

    def message(self, payload: bytes) -> int | None:
        at, parent = time.monotonic_ns(), self._state.parent
        room = super().message(payload)
        if room is not None and parent is not None:  # even if all that waited for this one has ended by now
            self._told_parent += 1
            self._note(Kind.TOLD_PARENT, at, self._state.id, self._told_parent)
        return room and 0

    def send(self, child: StateId, payload: bytes) -> int | None:
        at = time.monotonic_ns()
        room = super().send(child, payload)
        if room is not None:
            self._note(Kind.TOLD_CHILD, at, child, self._count(self._told_children, child))
        return room and 0

    def receive(self, children: Sequence[StateId]) -> Delivered | Thrown | None:
        received = super().receive(children)
        if isinstance(received, Delivered):
            at = time.monotonic_ns()
            for child, payload in zip(children, received.messages, strict=True):
                if payload is not None:
                    self._note(Kind.HEARD_CHILD, at, child, self._count(self._heard_children, child))
        return received

    def peek(self) -> bytes | None:
        payload = super().peek()
        if payload is not None:
            self._note_of_parent()
        return payload

    def brought(self, child: StateId | None) -> bytes | None:
        payload = super().brought(child)
        if payload is not None and child is not None:
            self._note(Kind.HEARD_CHILD, time.monotonic_ns(), child, self._count(self._heard_children, child))
        elif payload is not None:
            self._note_of_parent()
        return payload

    def _note_of_parent(self) -> None:
        self._heard_parent += 1
        self._note(Kind.HEARD_PARENT, time.monotonic_ns(), self._state.id, self._heard_parent)

    def _note(self, kind: Kind, at: int, child: StateId, number: int = 0) -> None:
        trace = self._trace
        trace.add(Row(kind, at, self._state.id, trace.thread, child, number))
        if trace.is_full:
            self._outside(self._announcer.say, trace.send)

    def _count(self, counts: dict[StateId, int], child: StateId) -> int:
        """The number of the next message. Of children that are gone, no more are kept than there are others."""
        counts[child] = number = counts.get(child, 0) + 1
        if number == 1 and len(counts) > 2 * len(self._state.children) + _DEAD_MOST:
            with self._lock:
                for gone in counts.keys() - self._state.children.keys():
                    del counts[gone]
        return number
