"""The machine of one host among several that run one tree together: still pure, letters in, letters out.

A state lives in the host in which it was created, unless it was given away before its first step (`give`). Its
parent's host then keeps a *stub*: a record in phase ELSEWHERE whose outbox is filled by letters and whose inbox is a
window onto the real one. In the state's new host its parent is such a record too. So nearly every rule of `Machine`
holds as it stands, and what is here is the rest: moving, the letters of an edge, ends below a state that reach across
hosts, and the death of a host. Every decision about the tree as a whole (it is over, it is deadlocked) is the
coordinator's.

The rules:

- A state moves once, unstarted, from the host of its creator. Its first letter home says that it starts, and is out
  before its first step begins: so when its host dies, the host of its creator knows for certain whether the state
  has begun, and runs it itself if not. What was sent to it until then is kept for that.
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

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, Protocol

from . import letters
from .edges import ArrivalBox, Edge, Window
from .events import Cancelled
from .idle_report import Report
from .instructions import AskForEndBelow, ReportDeadlock, ReportExcess, ReportFailure, ReportRootEnd
from .letters import HOST_BITS, Kind, LetterError, host_of
from .limits import Excess, Limits, StateLimits
from .machine import Machine
from .mailbox import Mailbox
from .protocol import (
    Condition,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    LetterIsOut,
    NotAChildError,
    OutboxHasRoom,
    Outcome,
    StateId,
)
from .records import RecordError, pack, unpack
from .tree import Phase, State, Tree, closest_ancestor, descendants

_READY, _WAITING, _ELSEWHERE, _ENDED = Phase.READY, Phase.WAITING, Phase.ELSEWHERE, Phase.ENDED

_LOOK: Final = 64
"""How many of the run queue are looked at for one that can be given away. Guessed."""


class SpecFormat(Protocol):
    """How specs, opaque to the scheduler, go to another host."""

    def pack(self, spec: object, /) -> bytes:
        """A spec's bytes."""

    def unpack(self, data: bytes, /) -> object:
        """What `pack` made. ValueError when it is none, or asks for more than any state of this tree may have."""

    def script(self, spec: object, /) -> str:
        """The name of its script, for messages."""


class Peer:
    """Another host, as this machine knows it."""

    __slots__ = ("ahead", "behind", "letters", "published", "received", "sent", "waiters")

    def __init__(self) -> None:
        self.behind: deque[StateId] = deque()
        """Ends below these states it may not have heard of, in their order, and this machine has."""
        self.ahead = 0
        """How many such ends it has heard of before this machine."""
        self.letters: deque[bytes] = deque()
        """Written and not yet fetched by the shell."""
        self.sent = 0
        """Letters ever written to it."""
        self.received = 0
        """Letters ever read from it."""
        self.published = 0
        """As many letters as it can read, whatever becomes of us; kept up to date while there are `waiters`."""
        self.waiters: list[State] = []
        """States that wait for `LetterIsOut`."""


class SpreadMachine(Machine):
    """All the states of one tree that live in one host."""

    __slots__ = (
        "_abroad",
        "_ending_below",
        "_excess_told",
        "_guests",
        "_limits",
        "_specs",
        "_spread_from",
        "_untold",
        "asks",
        "commands",
        "host",
        "peers",
        "stubs",
        "tree",
    )

    def __init__(self, locate: Callable[[State], str], host: int, specs: SpecFormat) -> None:
        """`host` is this host's number, from 1 upwards, which no other host of the tree has or has had."""
        super().__init__(locate)
        self.host = host
        self.last_id = host << HOST_BITS
        self.peers: dict[int, Peer] = {}
        """The other hosts, by number."""
        self.tree: Tree | None = None
        """The tree, until it is over here."""
        self.stubs: dict[StateId, State] = {}
        """Records of states that were given away."""
        self.commands = 0
        """Commands of the coordinator that were carried out. The shell counts."""
        self.asks = 0
        self._specs = specs
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
        self._excess_told = False

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
            tree.outcome = tree.outcome or Cancelled()
            self._end_tree(tree)

    def report_waits(self) -> None:
        """Announce all who wait here: there is a deadlock."""
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

    def cancel(self, state_id: StateId) -> None:
        stub = self.stubs.get(state_id)
        if stub is None:
            super().cancel(state_id)
        elif not self._window(stub.inbox).is_closed:
            self._window(stub.inbox).close()
            self._post(stub.host, letters.write(Kind.CANCELLED, state_id))

    def is_running(self, asker: State, child_id: StateId) -> bool:
        stub = self.stubs.get(child_id)
        return super().is_running(asker, child_id) and (stub is None or not self._window(stub.inbox).is_closed)

    # --- hosts ---------------------------------------------------------------------------------------------------

    def peer_joined(self, host: int) -> None:
        """There is one more host."""
        self.peers[host] = Peer()

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
        window = self._window(stub.inbox)
        if window.is_closed:
            if window.kept is None:
                self._ask_for_end_below(stub.id)
            self._stub_ended(stub, None)
        elif window.kept is not None:
            self._take_back(stub, window)
        else:
            self._stub_ended(stub, failure_of(stub.id, str(stub.spec)))

    def _take_back(self, stub: State, window: Window) -> None:
        """It had not begun: it will, here."""
        tree = stub.tree
        del self.stubs[stub.id]
        stub.inbox = self._mailbox(tree)
        for payload in window.release():
            stub.inbox.put(payload)
        stub.outbox = self._mailbox(tree)
        stub.phase, stub.host = _READY, 0
        tree.busy += 1
        if stub.is_timed:
            tree.timed += 1
        self.run_queue.append(stub)

    # --- moving --------------------------------------------------------------------------------------------------

    def give(self, host: int) -> bool:
        """Give the oldest state that was created here and has not begun to another host. False: there is none."""
        if host not in self.peers:
            return False
        for index, state in enumerate(islice(self.run_queue, _LOOK)):
            is_own = host_of(state.id) == self.host and not state.is_root
            if is_own and state.phase is _READY and state.runnable is None:  # ready and without one, it has never run
                del self.run_queue[index]
                self._move(state, host)
                return True
        return False

    def give_newest(self, host: int) -> None:
        """Give the state that was created last, just now."""
        self._move(self.run_queue.pop(), host)

    def _move(self, state: State, host: int) -> None:
        tree = state.tree
        ancestors: list[tuple[StateId, int]] = []
        ancestor = closest_ancestor(state)
        while ancestor is not None:
            ancestors.append((ancestor.id, ancestor.host or self.host))
            if ancestor.phase is not _ELSEWHERE:
                self._spread_from.add(ancestor.id)
            ancestor = closest_ancestor(ancestor)
        move = letters.Move(
            self._specs.pack(state.spec),
            state.depth,
            pack(state.limits),
            letters.pack_ancestors(ancestors),
            has_parent=state.parent is not None,
        )
        self._post(host, letters.write(Kind.MOVED, state.id, pack(move)))
        state.phase, state.host = _ELSEWHERE, host
        self.stubs[state.id] = state
        tree.busy -= 1
        if state.is_timed:
            tree.timed -= 1
        edge = Edge(tree.limits.mailbox, tree, self._post, host, state.id)
        window = Window(edge, of_inbox=True)
        window.keep()
        for payload in tuple(state.inbox):
            window.put(payload)
        state.inbox.clear()
        state.inbox = window
        state.outbox = ArrivalBox(edge, of_inbox=False)
        waits = None if state.parent is None else state.parent.condition
        if isinstance(waits, InboxHasRoom) and waits.child == state.id:
            window.ask()  # when the wait began there was nobody to ask

    def start(self, state: State) -> LetterIsOut | None:
        """Before the first step of a state: tell the host that gave it; what to wait for before it may begin."""
        home = self._untold.pop(state.id, None)
        peer = self.peers.get(home or 0)
        if home is None or peer is None or state.phase is _ENDED:
            return None
        self._post(home, letters.write(Kind.STARTED, state.id))
        return LetterIsOut(home, peer.sent)

    def letters_are_out(self, host: int, number: int) -> None:
        """So many letters to `host` are where it can read them."""
        peer = self.peers.get(host)
        if peer is None:
            return
        peer.published = max(peer.published, number)
        waiters, peer.waiters = peer.waiters, []
        for state in waiters:
            condition = state.condition
            if condition is not None and self.holds(state, condition):
                self._go_on(state)
            else:
                peer.waiters.append(state)

    def _go_on(self, state: State) -> None:
        """The wait for a letter is over, which counts as busy all along."""
        state.phase = _READY
        state.condition = None
        self.woken.append(state)

    # --- letters -------------------------------------------------------------------------------------------------

    def arrived(self, host: int, letter: bytes) -> None:
        """A letter from `host`. LetterError when no honest host can have written it: that host is to be ended."""
        peer = self.peers.get(host)
        if peer is None:
            return
        peer.received += 1
        kind, state_id, body = letters.read(letter)
        if kind is Kind.PASSED:
            self._passed(host, peer, state_id)
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
            elif kind not in _BEFORE_STARTED and self._window(stub.inbox).kept is not None:
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

    def _moved(self, host: int, tree: Tree, state_id: StateId, move: letters.Move) -> None:
        if host_of(state_id) != host or state_id in self.states or state_id == tree.root:
            raise LetterError(f"host {host} gave away state {state_id}, which is not its own")
        ancestors = letters.read_ancestors(move.ancestors)
        if not len(ancestors) <= move.depth <= tree.limits.depth or move.depth < 1:
            raise LetterError(f"host {host} gave away state {state_id}, {move.depth} deep below {len(ancestors)}")
        names = {ancestor for ancestor, _ in ancestors}
        if state_id in names:
            raise LetterError(f"host {host} gave away state {state_id}, an ancestor of itself")
        if not names.isdisjoint(self._ending_below) or not names.isdisjoint(self.peers[host].behind):
            self._post(host, letters.write(Kind.ENDED, state_id))
            return
        try:
            spec = self._specs.unpack(move.spec)
            limits = unpack(StateLimits, move.limits).within(self._limits.state)
        except (RecordError, ValueError) as error:
            raise LetterError(f"host {host} gave away what is no state: {error}") from error
        creator = self._creator(tree, host, ancestors)
        parent = creator if move.has_parent else None
        if move.has_parent and (parent is None or parent.phase is not _ELSEWHERE or parent.host != host):
            raise LetterError(f"host {host} gave away state {state_id} of a parent that is not there")
        state = State(state_id, tree, parent, spec, limits)
        state.ancestor = creator
        state.depth = move.depth
        edge = Edge(tree.limits.mailbox, tree, self._post, host, state_id)
        state.inbox, state.outbox = ArrivalBox(edge, of_inbox=True), Window(edge, of_inbox=False)
        self._add(state, len(move.spec))
        self._untold[state_id] = host
        if parent is not None:
            self._abroad[parent.id] = parent
            parent.children[state_id] = state
            self._guests += 1
        self._check_memory(tree)

    def _creator(self, tree: Tree, host: int, ancestors: list[tuple[StateId, int]]) -> State | None:
        """A record of the first of these ancestors, linked to the others: those that we have, and new ones.

        An ancestor that has ended here is left out, so that a chain of workers, each creating the next in another host,
        does not grow for ever; nobody asks for an end below it any more. One in a host that has died is not: its parent
        may ask for that.
        """
        if ancestors:
            known = self._abroad.get(ancestors[0][0])
            if known is not None and known.host == host:
                return known
        above: State | None = None
        for ancestor_id, its_host in reversed(ancestors):
            if its_host == self.host:
                known = self.states.get(ancestor_id)
                if known is not None and known.phase is not _ENDED and known.phase is not _ELSEWHERE:
                    above = known
            else:
                record = State(ancestor_id, tree, None, None, self._limits.state)
                record.phase, record.host, record.ancestor = _ELSEWHERE, its_host, above
                above = record
        return above

    def _child_started(self, stub: State, _body: bytes) -> None:
        window = self._window(stub.inbox)
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
        window = self._window(stub.inbox)
        window.taken(letters.read_number(body))
        parent = stub.parent
        if parent is None or not isinstance(parent.condition, InboxHasRoom):
            return
        if parent.condition.child == stub.id and window.fits(parent.condition.size):
            self._wake(parent)

    def _child_asked(self, stub: State, _body: bytes) -> None:
        self._box(stub.outbox).asked()

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
        window = self._window(state.outbox)
        size = letters.read_number(body)
        if state.parent is None:
            return
        window.taken(size)
        if isinstance(state.condition, OutboxHasRoom) and window.fits(state.condition.size):
            self._wake(state)

    def _parent_asked(self, state: State, _body: bytes) -> None:
        self._box(state.inbox).asked()

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
        for host, peer in self.peers.items():
            self._post(host, letters.write(Kind.PASSED, top))
            if peer.ahead:
                peer.ahead -= 1
            else:
                peer.behind.append(top)

    def _passed(self, host: int, peer: Peer, top: StateId) -> None:
        # All hosts hear of these ends in the same order: it is enough to count them.
        if not peer.behind:
            peer.ahead += 1
        elif peer.behind.popleft() != top:
            raise LetterError(f"host {host} has heard of an end below state {top} before its time")

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
        if isinstance(condition, OutboxHasRoom) and isinstance(state.outbox, Window):
            state.outbox.ask()
        elif isinstance(condition, InboxHasRoom):
            stub = self.stubs.get(condition.child)
            if stub is not None:
                self._window(stub.inbox).ask()

    def _wake(self, state: State) -> None:
        condition = state.condition
        if isinstance(condition, OutboxHasRoom) and isinstance(state.outbox, Window):
            state.outbox.answered()
        elif isinstance(condition, InboxHasRoom):
            stub = self.stubs.get(condition.child)
            if stub is not None:
                self._window(stub.inbox).answered()
        super()._wake(state)

    def _orphan(self, child: State) -> bool:
        if child.phase is not _ELSEWHERE:
            return super()._orphan(child)
        child.parent = None
        child.outbox.clear()
        self._post(child.host, letters.write(Kind.ORPHANED, child.id))
        window = self._window(child.inbox)
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

    @staticmethod
    def _window(mailbox: Mailbox | Window) -> Window:
        assert isinstance(mailbox, Window)  # noqa: S101  for the type checker: stubs and states from elsewhere have them
        return mailbox

    @staticmethod
    def _box(mailbox: Mailbox | Window) -> ArrivalBox:
        assert isinstance(mailbox, ArrivalBox)  # noqa: S101  as above
        return mailbox

    def _post(self, host: int, letter: bytes) -> None:
        peer = self.peers.get(host)
        if peer is not None:
            peer.sent += 1
            peer.letters.append(letter)


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
