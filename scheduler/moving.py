"""Moving: states that have not begun are given to other hosts, come from them, and are taken back when those die.

A state moves once, unstarted, from the host of its creator. Its first letter home says that it starts, and is out
before its first step begins: so when its host dies, the host of its creator knows for certain whether the state has
begun, and runs it itself if not. What was sent to it until then is kept for that.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from . import letters
from .edges import ArrivalBox, Edge, Window
from .letters import Kind, LetterError, host_of
from .limits import StateLimits
from .protocol import InboxHasRoom, LetterIsOut, StateId
from .records import RecordError, pack, unpack
from .stub_machine import StubMachine
from .tree import Phase, State, Tree, closest_ancestor

_READY, _ELSEWHERE, _ENDED = Phase.READY, Phase.ELSEWHERE, Phase.ENDED

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


class MovingMachine(StubMachine):
    """States come and go. `SpreadMachine` is what is used."""

    __slots__ = ("_specs",)

    def __init__(self, locate: Callable[[State], str], host: int, specs: SpecFormat) -> None:
        """`host`: see `StubMachine`."""
        super().__init__(locate, host)
        self._specs = specs

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

    def _moved(self, host: int, tree: Tree, state_id: StateId, move: letters.Move) -> None:
        if host_of(state_id) != host or state_id in self.states or state_id == tree.root:
            raise LetterError(f"host {host} gave away state {state_id}, which is not its own")
        ancestors = letters.read_ancestors(move.ancestors)
        if not len(ancestors) <= move.depth <= tree.limits.depth or move.depth < 1:
            raise LetterError(f"host {host} gave away state {state_id}, {move.depth} deep below {len(ancestors)}")
        names = {ancestor for ancestor, _ in ancestors}
        if state_id in names:
            raise LetterError(f"host {host} gave away state {state_id}, an ancestor of itself")
        if not names.isdisjoint(self._ending_below) or self.peers[host].may_not_know(names):
            self._post(host, letters.write(Kind.ENDED, state_id))
            return
        try:
            spec = self._specs.unpack(move.spec)
            limits = unpack(StateLimits, move.limits).within(self._limits.state)
        except (RecordError, ValueError, RecursionError) as error:  # of a spec that is nested without end
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
