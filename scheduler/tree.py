"""What the machine keeps about one state and about one tree. Written by the machine alone."""

from __future__ import annotations

from enum import Enum

from .edges import Window
from .events import Deadlocked, TreeOutcome
from .limits import Excess, Limits, StateLimits, Usage
from .mailbox import Mailbox
from .protocol import Condition, Failure, Runnable, StateId


class Phase(Enum):
    """Where a state is in its life."""

    READY = "ready"
    """In one of the two queues."""
    RUNNING = "running"
    """Inside `step`, on one executor."""
    WAITING = "waiting"
    """For its condition, which does not hold."""
    ELSEWHERE = "elsewhere"
    """In another host (see `spread`): a child that went there, or an ancestor of one that came from there."""
    ENDED = "ended"
    """Will have no further step. One that was cancelled while it ran may still be inside its last."""


class State:
    """One state. Its record outlives it for as long as its parent may still ask for what it left."""

    __slots__ = (
        "ancestor",
        "awaited",
        "awaited_alive",
        "brought",
        "children",
        "condition",
        "cpu",
        "depth",
        "ending",
        "excess",
        "failure",
        "heap",
        "host",
        "id",
        "inbox",
        "is_outside",
        "limits",
        "outbox",
        "parent",
        "phase",
        "runnable",
        "spec",
        "stop_asked_at",
        "stop_cpu",
        "takes",
        "tree",
    )

    def __init__(self, state_id: StateId, tree: Tree, parent: State | None, spec: object, limits: StateLimits) -> None:
        self.id = state_id
        self.tree = tree
        self.spec = spec
        """What the state is made from at its first step: an unstarted state is no more than this. The shell's own."""
        self.runnable: Runnable | None = None
        """What runs the state, from its first step until it is closed. The shell's own: the machine never looks."""
        self.parent = parent
        """Who may receive from this state and send to it; None at the root, after the parent's end or release, and
        after the state's own end."""
        self.ancestor = parent
        """The creator, or a nearer guess at the closest ancestor that still lives (`closest_ancestor`)."""
        self.children: dict[StateId, State] = {}
        """The children that this state may name, in order of creation: those that live, and those that ended and
        left something to receive. Any other child is simply dead, and takes no memory."""
        self.inbox: Mailbox | Window = Mailbox(tree.limits.mailbox, tree)
        self.outbox: Mailbox | Window = Mailbox(tree.limits.mailbox, tree)
        self.host = 0
        """Where a state that is ELSEWHERE lives."""
        self.limits = limits
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.cpu = 0
        """Nanoseconds of processor time of the steps that are over."""
        self.heap = 0
        """Bytes that the state held after its last step, or its spec before the first; part of `Tree.memory`."""
        self.excess: Excess | None = None
        """What a RUNNING state will end for when its step returns, whatever the step gives."""
        self.stop_asked_at = 0
        """The monotonic nanosecond at which the present step was told to stop; 0: it was not. The shell's own."""
        self.stop_cpu = -1
        """What that step had taken of processor time when the timekeeper first saw it after that; -1 before."""
        self.is_outside = False
        """Its step is inside a callback of the host's owner, which may take as long as it likes. The shell's own."""
        self.failure: Failure | None = None
        """The error that ended the state, until it is received or reported: comes after all of `outbox`."""
        self.ending = ""
        """How the state ended, if that was by its own doing; see `Port.ending`."""
        self.phase = Phase.READY
        self.condition: Condition | None = None
        """What a WAITING state waits for; None in every other phase."""
        self.takes: Condition | None = None
        """The last condition it waited for, if its mail may be taken for it when its turn comes."""
        self.brought: bytes | None = None
        """What was taken for the step that is about to begin; its port call, without a lock, takes it from here."""
        self.awaited_alive = 0
        """While waiting for children: how many of those named live."""
        self.awaited: Condition | None = None
        """The last condition of the parent that named this state. It is awaited now exactly when the parent's
        present condition is this very object: so nothing has to be unmarked when the parent's wait is over, and a
        message finds out in O(1) however many children the parent waits for."""

    @property
    def is_root(self) -> bool:
        """Whether no state created this one."""
        return self.id == self.tree.root

    @property
    def is_timed(self) -> bool:
        """Whether its wall time is less than its root's, so that its parent may live to hear that it is over."""
        return self.limits.time < self.tree.time_of_root

    @property
    def has_mail(self) -> bool:
        """Whether there is something for the parent to receive."""
        return self.outbox.used > 0 or self.failure is not None


class Tree:
    """One root and all the states below it, until the tree is over."""

    __slots__ = (
        "busy",
        "cpu",
        "elsewhere",
        "limits",
        "memory",
        "outcome",
        "output",
        "peak",
        "root",
        "states",
        "time_of_root",
        "timed",
        "unreceived_errors",
    )

    def __init__(self, root: StateId, limits: Limits) -> None:
        self.root = root
        self.limits = limits.tree
        self.time_of_root = limits.state.time
        self.cpu = 0
        """Nanoseconds of processor time of all steps that are over."""
        self.memory = 0
        """Bytes of all that is queued, errors and calls too, and of the heaps as of each state's last step."""
        self.peak = 0
        """The most that `memory` has been where it was looked at."""
        self.output = 0
        """Bytes written to standard output and errors, and to files."""
        self.elsewhere = Usage()
        """What other hosts have used for this tree, as far as is known: counts on top of the four above."""
        self.states: dict[StateId, State] = {}
        """Every record of the tree, in order of creation."""
        self.busy = 0
        """How many states can still change something by themselves: ready, running, or waiting for input or a reply.
        With none left, nothing in the tree will ever happen again, unless somebody's time comes."""
        self.timed = 0
        """How many living states have less wall time than their root: their end is something that will happen."""
        self.outcome: TreeOutcome | None = None
        """How the root ended, or what ended the tree before that."""
        self.unreceived_errors = 0


def closest_ancestor(state: State) -> State | None:
    """The closest living ancestor, None when there is none. Shortens the chain for the next question."""
    ancestor = state.ancestor
    while ancestor is not None and ancestor.phase is Phase.ENDED:
        ancestor = ancestor.ancestor
    state.ancestor = ancestor
    return ancestor


def ending_of(state: State) -> str:
    """How a state has ended, once it has; see `Port.ending`."""
    if state.ending:
        return state.ending
    return "deadlock" if isinstance(state.tree.outcome, Deadlocked) else "cancelled"


def descendants(tree: Tree, top: StateId) -> list[State]:
    """Everybody in `tree` below the state `top`, also beneath descendants that have ended; not `top` itself."""
    family = {top}
    below = []
    for state in tree.states.values():  # ancestors come before those below them
        path = []
        ancestor = closest_ancestor(state)
        while ancestor is not None and ancestor.phase is Phase.ELSEWHERE and ancestor.id not in family:
            path.append(ancestor.id)
            ancestor = closest_ancestor(ancestor)
        if ancestor is not None and ancestor.id in family and state.id != top:  # a lying host may put it below itself
            family.update(path)
            family.add(state.id)
            below.append(state)
    return below
