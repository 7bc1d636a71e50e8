"""A machine whose states have relatives in other hosts: those are records here, and most rules hold as ever.

Of a state that was given away, its parent's host keeps a *stub*: a record in phase ELSEWHERE whose outbox is filled by
letters and whose inbox is a window onto the real one. In the state's new host its parent is such a record too. Here is
what the rules of `Machine` need besides, and nothing that reads a letter: see `spread`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import letters
from .edges import Window, window_of
from .instructions import AskForEndBelow, ReportExcess, ReportRootEnd
from .letters import HOST_BITS, Kind, host_of
from .limits import Limits
from .machine import Machine
from .mailbox import Mailbox
from .peer import Peer
from .protocol import Condition, InboxHasRoom, LetterIsOut, NotAChildError, OutboxHasRoom, Outcome, StateId
from .tree import Phase, State, Tree

_WAITING, _ELSEWHERE, _ENDED = Phase.WAITING, Phase.ELSEWHERE, Phase.ENDED


class StubMachine(Machine):
    """The states of one tree that live in one host, and records of others. `SpreadMachine` is what is used."""

    __slots__ = (
        "_abroad",
        "_ending_below",
        "_guests",
        "_limits",
        "_spread_from",
        "_untold",
        "asks",
        "host",
        "peers",
        "stubs",
        "tree",
    )

    def __init__(self, locate: Callable[[State], str], host: int) -> None:
        """`host` is this host's number, from 1 upwards, which no other host of the tree has or has had."""
        super().__init__(locate)
        self.host: Final = host
        self.last_id = host << HOST_BITS
        self.peers: dict[int, Peer] = {}
        """The other hosts, by number."""
        self.tree: Tree | None = None
        """The tree, until it is over here."""
        self.stubs: dict[StateId, State] = {}
        """Records of states that were given away."""
        self.asks = 0
        """Questions ever put to the coordinator."""
        self._limits = Limits()
        self._abroad: dict[StateId, State] = {}
        """Parents in other hosts of states that live here. Never stubs: a stub may end before those below it do."""
        self._guests = 0
        """States that live here and have a parent elsewhere."""
        self._untold: dict[StateId, int] = {}
        """States that came from other hosts and have not begun, and from where."""
        self._spread_from: set[StateId] = set()
        """States here below which somebody was given away."""
        self._ending_below: set[StateId] = set()
        """States that have ended here with all below them, of which the other hosts will hear by a command."""

    def cancel(self, state_id: StateId) -> None:
        stub = self.stubs.get(state_id)
        if stub is None:
            super().cancel(state_id)
        elif not window_of(stub.inbox).is_closed:
            window_of(stub.inbox).close()
            self._post(stub.host, letters.write(Kind.CANCELLED, state_id))

    def is_running(self, asker: State, child_id: StateId) -> bool:
        stub = self.stubs.get(child_id)
        return super().is_running(asker, child_id) and (stub is None or not window_of(stub.inbox).is_closed)

    def _end_descendants(self, state: State) -> None:
        super()._end_descendants(state)
        if state.id in self._spread_from:
            self._ask_for_end_below(state.id)

    def _ask_for_end_below(self, top: StateId) -> None:
        self._ending_below.add(top)
        self._ask(AskForEndBelow(top))

    # --- where the rules of one host need more -------------------------------------------------------------------

    def holds(self, state: State, condition: Condition) -> bool:
        if isinstance(condition, LetterIsOut):
            peer = self.peers.get(condition.host)
            return peer is None or peer.published >= condition.number
        return super().holds(state, condition)

    def _wait(self, state: State, condition: Condition) -> None:
        if isinstance(condition, LetterIsOut) and not self.holds(state, condition):
            state.phase, state.condition = _WAITING, condition
            self.peers[condition.host].waiters.append(state)
            return
        super()._wait(state, condition)
        if state.phase is not _WAITING:
            return
        window = self._awaited_window(state, condition)
        if window is not None:
            window.ask()

    def _wake(self, state: State) -> None:
        window = self._awaited_window(state, state.condition)
        if window is not None:
            window.answered()
        super()._wake(state)

    def _awaited_window(self, state: State, condition: Condition | None) -> Window | None:
        """The window whose room the condition is about: there, somebody in another host has to be asked."""
        if isinstance(condition, OutboxHasRoom):
            return state.outbox if isinstance(state.outbox, Window) else None
        stub = self.stubs.get(condition.child) if isinstance(condition, InboxHasRoom) else None
        return None if stub is None else window_of(stub.inbox)

    def _orphan(self, child: State) -> bool:
        if child.phase is not _ELSEWHERE:
            return super()._orphan(child)
        child.parent = None
        child.outbox.clear()
        self._post(child.host, letters.write(Kind.ORPHANED, child.id))
        window = window_of(child.inbox)
        if window.kept is None and not window.is_closed:
            self._forget_stub(child)
        return False

    def _tell_parent(self, parent: State, state: State) -> None:
        if parent.phase is not _ELSEWHERE:
            super()._tell_parent(parent, state)
            return
        failure = None if state.failure is None else self._take_failure(state)
        self._post(parent.host, letters.write(Kind.ENDED, state.id, letters.pack_failure(failure)))
        state.outbox.clear()
        self._unlink(parent, state)
        self._forget(state)

    def _strip(self, state: State) -> None:
        if state.parent is not None and state.parent.phase is _ELSEWHERE:
            self._unlink(state.parent, state)
        super()._strip(state)

    def _unlink(self, parent: State, child: State) -> None:
        """`child` has no parent any more; a record of one elsewhere is kept only for its children."""
        if parent.children.pop(child.id, None) is not None:
            self._guests -= 1
        if not parent.children and self._abroad.get(parent.id) is parent:
            del self._abroad[parent.id]

    def _stop(self, state: State) -> None:
        tree = state.tree
        if state.phase is _ELSEWHERE:
            del self.stubs[state.id]
            tree.memory -= state.heap
            state.heap = state.host = 0
            state.phase = _ENDED
            return
        if isinstance(state.condition, LetterIsOut):
            peer = self.peers.get(state.condition.host)
            if peer is not None and state in peer.waiters:
                peer.waiters.remove(state)
            tree.busy -= 1
        self._spread_from.discard(state.id)
        home = self._untold.pop(state.id, None)
        if home is not None and state.parent is None:
            self._post(home, letters.write(Kind.ENDED, state.id))  # it is kept there until it starts
        super()._stop(state)

    def _forget_stub(self, stub: State) -> None:
        self._stop(stub)
        stub.inbox.clear()
        self._forget(stub)

    def _settle(self, tree: Tree) -> None:
        """Whether anything can still happen in the tree is the coordinator's to find out: see `report`."""

    def _end_tree(self, tree: Tree) -> None:
        super()._end_tree(tree)
        self.tree = None
        self._guests = 0
        for record in (self.stubs, self._abroad, self._untold, self._spread_from, self._ending_below):
            record.clear()

    def _root_ended(self, outcome: Outcome) -> None:
        assert self.tree is not None  # noqa: S101  for the type checker: its root has just ended
        self._ask(ReportRootEnd(self.tree.root, outcome))

    def _dead_child(self, state: State, child_id: StateId) -> State | None:
        # A child is created where its parent lives; if the parent came from elsewhere, it may have the greater number.
        if host_of(child_id) == self.host and child_id not in self.states and child_id <= self.last_id:
            return None
        raise NotAChildError(f"state {state.id} named state {child_id}, which is not its child")

    # --- small things --------------------------------------------------------------------------------------------

    @property
    def population(self) -> int:
        """How many states count here as states of the tree: each is counted where its parent lives, so that who creates
        many at once, and gives them away, meets the limit without asking anybody."""
        return 0 if self.tree is None else len(self.tree.states) - self._guests

    def _population(self, tree: Tree) -> int:
        return super()._population(tree) - self._guests

    def _ask(self, question: ReportRootEnd | ReportExcess | AskForEndBelow) -> None:
        self.asks += 1
        self.instructions.append(question)

    def _mailbox(self, tree: Tree) -> Mailbox:
        return Mailbox(tree.limits.mailbox, tree)

    def _post(self, host: int, letter: bytes) -> None:
        peer = self.peers.get(host)
        if peer is not None:
            peer.post(letter)
