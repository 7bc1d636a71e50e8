"""What the machine tells its shell to announce: a closed set of records."""

from __future__ import annotations

from dataclasses import dataclass

from .events import TreeOutcome, TreeResult
from .limits import Excess
from .protocol import Condition, Failure, Runnable, StateId


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Nobody will receive this failure: show it. `state == root` for the root's own."""

    failure: Failure
    state: StateId
    root: StateId


@dataclass(frozen=True, slots=True)
class Blocked:
    """A live state of a deadlocked tree, and which states could have ended its wait."""

    state: StateId
    condition: Condition
    awaited: tuple[StateId, ...]
    runnable: Runnable | None


@dataclass(frozen=True, slots=True)
class ReportDeadlock:
    """Nothing in the tree can ever happen again. Its states are in `closable` by now: ask for locations first."""

    root: StateId
    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, slots=True)
class ReportTreeEnd:
    """The tree is over; nothing more will be said about it."""

    root: StateId
    result: TreeResult


@dataclass(frozen=True, slots=True)
class AskForInput:
    """A state waits for standard input, and no earlier ask is still unanswered."""


@dataclass(frozen=True, slots=True)
class StartCall:
    """A state calls a function of the host's owner."""

    call: int
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ReportRootEnd:
    """The root of a tree on several hosts has ended; the tree has not."""

    root: StateId
    outcome: TreeOutcome


@dataclass(frozen=True, slots=True)
class ReportExcess:
    """A tree on several hosts has used more than it may: its root is to end for that, wherever it is."""

    root: StateId
    excess: Excess


@dataclass(frozen=True, slots=True)
class AskForEndBelow:
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
