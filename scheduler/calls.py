"""The calls of functions that the host's owner carries out: which are out, what came of them, what they take of memory.

A part of the machine: pure, and under the same lock. A call counts in the memory of its tree from its beginning, with
its arguments, until its owner has replied and the state has taken the reply. That holds also for a call whose state
has ended, or has begun another: the owner still has it then, and a script that makes calls and ends for ever is stopped
by the limit of its tree rather than by what the owner can hold.
"""

from __future__ import annotations

from .protocol import CALL_OVERHEAD, CallResult, StateId
from .tree import State, Tree


class Call:
    """One call. `state` is None once nobody will take the reply, `result` None until it has come."""

    __slots__ = ("id", "result", "size", "state", "tree")

    def __init__(self, call_id: int, state: State, size: int) -> None:
        self.id = call_id
        self.tree: Tree = state.tree
        self.state: State | None = state
        self.result: CallResult | None = None
        self.size = size
        """Bytes that it counts in the memory of its tree."""


class Calls:
    """All calls of one machine. `of_state` has at most one of each living state, `unanswered` also abandoned ones."""

    __slots__ = ("last_id", "of_state", "unanswered")

    def __init__(self) -> None:
        self.last_id = 0
        self.unanswered: dict[int, Call] = {}
        self.of_state: dict[StateId, Call] = {}

    def begin(self, state: State, size: int) -> int:
        """A new call of `state` with `size` bytes of arguments: its number, from 1 upwards, never used again.

        A call that `state` has made before is abandoned: it has given up waiting for it.
        """
        self.abandon(state)
        self.last_id += 1
        call = Call(self.last_id, state, size + CALL_OVERHEAD)
        self.unanswered[call.id] = self.of_state[state.id] = call
        call.tree.memory += call.size
        return call.id

    def answer(self, call_id: int, result: CallResult) -> State | None:
        """The reply has come: the state that is to take it. None: nobody is, or there is no such call (any more)."""
        call = self.unanswered.pop(call_id, None)
        if call is None:
            return None
        call.tree.memory -= call.size
        if call.state is not None:
            call.result = result
            call.size = len(result.payload) + CALL_OVERHEAD
            call.tree.memory += call.size
        return call.state

    def take(self, state: State, call_id: int) -> CallResult | None:
        """The reply to a call of `state`, once; None while it has not come."""
        call = self.of_state.get(state.id)
        if call is None or call.id != call_id or call.result is None:
            return None
        self.abandon(state)
        return call.result

    def is_settled(self, state: State, call_id: int) -> bool:
        """Whether `state` has nothing to wait for: the reply has come, or it has no such call."""
        call = self.of_state.get(state.id)
        return call is None or call.id != call_id or call.result is not None

    def abandon(self, state: State) -> None:
        """Nobody will take the reply to what `state` has called, if it has."""
        call = self.of_state.pop(state.id, None)
        if call is not None:
            call.state = None
            if call.result is not None:
                call.tree.memory -= call.size
