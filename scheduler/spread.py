"""The machine of one host among several that run one tree together: still pure, letters in, letters out.

A state lives in the host in which it was created, unless it was given away before its first step (`give`). Its
parent's host then keeps a record in its place (`stub_machine`, `moving`). What is here is the rest: the letters of an
edge, ends below a state that reach across hosts, and the death of a host. Every decision about the tree as a whole (it
is over, it is deadlocked) is the coordinator's.

The rules:

- Letters between two hosts are read in the order in which they were written. A state's messages lie before the letter
  that it has ended, so its error comes after all of them.
- A failure is with exactly one host at a time: it goes home with the letter of the end, and if nobody is there to
  receive it any more, it is reported there.
- *Ends below a state* (`end_below`) come through the coordinator, to all hosts in the same order among themselves and
  among the comings and goings of hosts. A state from below may still be on its way then, in a letter that was written
  before its writer had heard. So each host remembers, for each other one, the ends which that has not heard of, until
  it has said behind all such letters that it has (`PASSED`); until then it takes in nobody from below out of there.
- The death of a host (`peer_gone`) is taken in after its last letter. Its states that have begun end with a failure of
  kind "crashed"; states whose parents lived there are orphans. One that was cancelled there, from here, may not have
  heard: all below it ends all the same.
- What is asked of the coordinator must be out before any letter that is written after it. Otherwise a host could die
  between the two, and others know that a state has ended for a limit, while those below it live.

`sent` and `received` count letters for the coordinator, by host; `asks` counts what it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from . import letters
from .edges import ArrivalBox, box_of, window_of
from .events import Cancelled, Deadlocked
from .idle_report import Report
from .instructions import ReportDeadlock, ReportExcess, ReportFailure
from .letters import Kind, LetterError
from .limits import Excess, Limits
from .moving import MovingMachine, SpecFormat
from .peer import Peer
from .protocol import (
    Failure,
    InboxHasMail,
    InboxHasRoom,
    OutboxHasRoom,
    StateId,
)
from .tree import Phase, State, Tree, descendants

_READY, _WAITING, _ELSEWHERE, _ENDED = Phase.READY, Phase.WAITING, Phase.ELSEWHERE, Phase.ENDED


class SpreadMachine(MovingMachine):
    """All the states of one tree that live in one host."""

    __slots__ = ("_excess_told", "_is_deadlocked", "commands")

    def __init__(self, locate: Callable[[State], str], host: int, specs: SpecFormat) -> None:
        """`host`: see `StubMachine`."""
        super().__init__(locate, host, specs)
        self.commands = 0
        """Commands of the coordinator that were carried out. The shell counts."""
        self._excess_told = False
        self._is_deadlocked = False

    # --- the tree ------------------------------------------------------------------------------------------------

    def create_root(self, spec: object, limits: Limits) -> StateId:
        root = super().create_root(spec, limits)
        self.tree, self._limits = self.trees[root], limits
        return root

    def join_tree(self, root: StateId, limits: Limits) -> None:
        """Take part in the tree of `root`, which lives in another host."""
        self.tree = self.trees[root] = Tree(root, limits)
        self._limits = limits

    def end_tree(self) -> None:
        """The coordinator has found that the tree is over."""
        tree = self.tree
        if tree is not None:
            tree.outcome = tree.outcome or (Deadlocked() if self._is_deadlocked else Cancelled())
            self._end_tree(tree)

    def report_waits(self) -> None:
        """Announce all who wait here: there is a deadlock."""
        self._is_deadlocked = True
        tree = self.tree
        if tree is not None:
            waits = tuple(self._blocked(state) for state in tree.states.values() if state.phase is _WAITING)
            self.instructions.append(ReportDeadlock(tree.root, waits))

    def report(self) -> Report | None:
        """For the coordinator: None while anything can happen here without a letter, a command or an end of time."""
        tree = self.tree
        if tree is not None and tree.busy:
            return None
        return Report(
            {number: peer.sent for number, peer in self.peers.items()},
            {number: peer.received for number, peer in self.peers.items()},
            self.commands,
            self.asks,
            tree is not None and tree.timed > 0,
        )

    @property
    def activity(self) -> int:
        """Changes with whatever comes from other hosts or goes there. May be read without the lock."""
        letters = sum(peer.sent + peer.received for peer in tuple(self.peers.values()))
        return letters + self.commands + self.asks

    def exceed_tree(self, tree: Tree, excess: Excess) -> None:
        if tree.root in self.states:
            super().exceed_tree(tree, excess)
        elif not self._excess_told:
            self._excess_told = True
            self._ask(ReportExcess(tree.root, excess))

    # --- hosts ---------------------------------------------------------------------------------------------------

    def peer_joined(self, host: int) -> None:
        """There is one more host."""
        self.peers[host] = Peer(host)

    def peer_gone(self, host: int, failure_of: Callable[[StateId, str], Failure]) -> None:
        """A host has died, and its last letter was read.

        `failure_of` is the failure with which a state, of this script, that had begun there has ended.
        """
        peer = self.peers.pop(host, None)
        if peer is None:
            return
        for waiter in peer.waiters:
            self._go_on(waiter)
        for state_id in [state for state, home in self._untold.items() if home == host]:
            del self._untold[state_id]
        for parent in [parent for parent in self._abroad.values() if parent.host == host]:
            del self._abroad[parent.id]  # as an ancestor it goes on: there may be an end below it
            self._guests -= len(parent.children)
            for child in tuple(parent.children.values()):
                if self._orphan(child):
                    self._retire(child)
            parent.children.clear()
        for stub in [stub for stub in self.stubs.values() if stub.host == host]:
            self._lost(stub, failure_of)

    def _lost(self, stub: State, failure_of: Callable[[StateId, str], Failure]) -> None:
        """The host of a state that was given away has died."""
        window = window_of(stub.inbox)
        if window.is_closed:
            if window.kept is None:
                self._ask_for_end_below(stub.id)
            self._stub_ended(stub, None)
        elif window.kept is not None:
            self._take_back(stub, window)
        else:
            self._stub_ended(stub, failure_of(stub.id, str(stub.spec)))

    # --- letters -------------------------------------------------------------------------------------------------

    def arrived(self, host: int, letter: bytes | memoryview) -> None:
        """A letter from `host`. LetterError when no honest host can have written it: that host is to be ended."""
        peer = self.peers.get(host)
        if peer is None:
            return
        peer.received += 1
        kind, state_id, body = letters.read(letter)
        if kind is Kind.PASSED:
            peer.passed(state_id)
        elif self.tree is None:
            return
        elif kind is Kind.MOVED:
            self._moved(host, self.tree, state_id, letters.read_move(body))
        elif kind in _FROM_CHILD:
            stub = self.stubs.get(state_id)
            if stub is None:
                self._of_nobody(self.tree, kind, state_id, body)
            elif stub.host != host:
                raise LetterError(f"host {host} wrote of state {state_id}, which is in host {stub.host}")
            elif kind not in _BEFORE_STARTED and window_of(stub.inbox).kept is not None:
                raise LetterError(f"host {host} wrote {kind.name} of state {state_id}, which has not begun")
            else:
                _FROM_CHILD[kind](self, stub, body)
        else:
            state = self.states.get(state_id)
            if state is None or state.phase is _ENDED:
                return
            if not isinstance(state.inbox, ArrivalBox) or state.inbox.peer != host or state.phase is _ELSEWHERE:
                raise LetterError(f"host {host} wrote to state {state_id}, which is none of its own")
            _FROM_PARENT[kind](self, state, body)

    def _of_nobody(self, tree: Tree, kind: Kind, state_id: StateId, body: bytes) -> None:
        """The parent let go of the state before this letter came. A failure in it is with us now."""
        failure = letters.read_failure(body) if kind is Kind.ENDED else None
        if failure is not None:
            tree.unreceived_errors += 1
            self.instructions.append(ReportFailure(failure, state_id, tree.root))

    def _child_started(self, stub: State, _body: bytes) -> None:
        window = window_of(stub.inbox)
        if window.kept is None:
            raise LetterError(f"state {stub.id} has started twice")
        window.release()
        stub.spec = self._specs.script(stub.spec)  # all that is needed from now on
        stub.tree.memory -= stub.heap
        stub.heap = 0
        if stub.parent is None and not window.is_closed:
            self._forget_stub(stub)

    def _child_sent(self, stub: State, payload: bytes) -> None:
        parent = stub.parent
        if parent is None:
            return
        if not stub.outbox.put(payload):
            raise LetterError(f"state {stub.id} has sent more than its outbox holds")
        self._check_memory(stub.tree)
        if parent.phase is _WAITING and stub.awaited is parent.condition:
            self._wake(parent)

    def _child_took(self, stub: State, body: bytes) -> None:
        window = window_of(stub.inbox)
        window.taken(letters.read_number(body))
        parent = stub.parent
        if parent is None or not isinstance(parent.condition, InboxHasRoom):
            return
        if parent.condition.child == stub.id and window.fits(parent.condition.size):
            self._wake(parent)

    def _child_asked(self, stub: State, _body: bytes) -> None:
        box_of(stub.outbox).asked()

    def _child_ended(self, stub: State, body: bytes) -> None:
        self._stub_ended(stub, letters.read_failure(body))

    def _stub_ended(self, stub: State, failure: Failure | None) -> None:
        parent, stub.parent = stub.parent, None
        self._stop(stub)
        stub.inbox.clear()
        if failure is not None:
            stub.failure = failure
            stub.tree.memory += len(failure.value)
        if parent is None:
            self._discard(stub)
        else:
            self._tell_parent(parent, stub)

    def _parent_sent(self, state: State, payload: bytes) -> None:
        if not state.inbox.put(payload):
            raise LetterError(f"state {state.id} was sent more than its inbox holds")
        self._check_memory(state.tree)
        if state.phase is _WAITING and type(state.condition) is InboxHasMail:
            self._wake(state)

    def _parent_took(self, state: State, body: bytes) -> None:
        window = window_of(state.outbox)
        size = letters.read_number(body)
        if state.parent is None:
            return
        window.taken(size)
        if isinstance(state.condition, OutboxHasRoom) and window.fits(state.condition.size):
            self._wake(state)

    def _parent_asked(self, state: State, _body: bytes) -> None:
        box_of(state.inbox).asked()

    def _parent_let_go(self, state: State, _body: bytes) -> None:
        parent = state.parent
        if parent is None:
            raise LetterError(f"state {state.id} was orphaned twice")
        self._unlink(parent, state)
        if self._orphan(state):
            self._retire(state)

    def _parent_cancelled(self, state: State, _body: bytes) -> None:
        super().cancel(state.id)

    # --- ends below a state --------------------------------------------------------------------------------------

    def end_below(self, top: StateId) -> None:
        """By the coordinator's command, which all hosts get in the same order: everybody below `top` ends."""
        self._ending_below.discard(top)
        state = self.states.get(top)
        lives_here = state is not None and state.phase is not _ENDED and state.phase is not _ELSEWHERE
        if self.tree is not None and not lives_here:  # no honest host asks for that
            for descendant in descendants(self.tree, top):
                self._strip(descendant)
                self._forget(descendant)
        for peer in self.peers.values():
            peer.end_below(top)


_FROM_CHILD: Final[Mapping[Kind, Callable[[SpreadMachine, State, bytes], None]]] = {
    Kind.STARTED: SpreadMachine._child_started,
    Kind.MESSAGE: SpreadMachine._child_sent,
    Kind.INBOX_TAKEN: SpreadMachine._child_took,
    Kind.OUTBOX_ASKED: SpreadMachine._child_asked,
    Kind.ENDED: SpreadMachine._child_ended,
}

_BEFORE_STARTED: Final = frozenset({Kind.STARTED, Kind.ENDED})
"""What may be written of a state that has not begun."""

_FROM_PARENT: Final[Mapping[Kind, Callable[[SpreadMachine, State, bytes], None]]] = {
    Kind.SENT: SpreadMachine._parent_sent,
    Kind.OUTBOX_TAKEN: SpreadMachine._parent_took,
    Kind.INBOX_ASKED: SpreadMachine._parent_asked,
    Kind.ORPHANED: SpreadMachine._parent_let_go,
    Kind.CANCELLED: SpreadMachine._parent_cancelled,
}
