"""What the machine tells its shell to announce: a closed set of records."""

from __future__ import annotations

from msgspec import Struct

from .events import TreeOutcome, TreeResult
from .limits import Excess
from .protocol import Condition, Failure, Runnable, StateId


class ReportFailure(Struct, frozen=True):
    """Nobody will receive this failure: show it. `state == root` for the root's own."""

    failure: Failure
    state: StateId
    root: StateId


class Blocked(Struct, frozen=True):
    """A live state of a deadlocked tree, and which states could have ended its wait."""

    state: StateId
    condition: Condition
    awaited: tuple[StateId, ...]
    runnable: Runnable | None


class ReportDeadlock(Struct, frozen=True):
    """Nothing in the tree can ever happen again. Its states are in `closable` by now: ask for locations first."""

    root: StateId
    blocked: tuple[Blocked, ...]


class ReportTreeEnd(Struct, frozen=True):
    """The tree is over; nothing more will be said about it."""

    root: StateId
    result: TreeResult


class AskForInput(Struct, frozen=True):
    """A state waits for standard input, and no earlier ask is still unanswered."""


class StartCall(Struct, frozen=True):
    """A state calls a function of the host's owner."""

    call: int
    name: str
    payload: bytes


class ReportRootEnd(Struct, frozen=True):
    """The root of a tree on several hosts has ended; the tree has not."""

    root: StateId
    outcome: TreeOutcome


class ReportExcess(Struct, frozen=True):
    """A tree on several hosts has used more than it may: its root is to end for that, wherever it is."""

    root: StateId
    excess: Excess


class AskForEndBelow(Struct, frozen=True):
    """This state has ended, and all below it is to end, some of which may be in other hosts."""

    state: StateId


Instruction = (
    ReportFailure
    | ReportDeadlock
    | ReportTreeEnd
    | AskForInput
    | StartCall
    | ReportRootEnd
    | ReportExcess
    | AskForEndBelow
)
