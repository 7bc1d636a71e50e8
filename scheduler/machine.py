"""The scheduler's decisions as a pure state machine: which state runs next, who is woken, when a tree is over.

No clock, lock, thread or process in here. Events come in as method calls; what the shell has to do comes out in
queues: `woken` and `run_queue` (through `take_ready`), `closable` (states to close), `stoppable` (states whose step is
of no use any more) and `instructions` (what to announce). The shell serialises all calls. Every call takes time
proportional to the children that it names or ends, and none to the number of states, except the end of a tree, `cancel`
and the end for a limit, which walk the tree once.

The rules (Acquis 11, Message passing and Error handling, made exact):

- Each worker has one mailbox in each direction, first in, first out. What is queued is taken exactly once, or dropped
  when the only state that could take it has ended or released its handle.
- A state whose wait is over runs before one that is new or whose slice was over, so that those who talk need not wait
  for as many slices as there are others who compute; but every other turn belongs to the latter: nobody starves.
- A state is woken when its condition comes true, not before. `stepped` checks the condition when a wait is
  registered, so a wake-up cannot fall between a refused call and the wait.
- A message is taken when its receiver asks for it. If the receiver has said before that it will ask first thing, that
  is when its turn comes (`take_ready`): it is RUNNING then, and if it is cancelled afterwards, the message is lost as
  one is that it has asked for.
- A parent's end does not end its children. A child whose parent is gone drains its inbox, and ends quietly when it
  waits for more; what it sends is dropped.
- A failure that nobody can receive any more is reported, exactly once.
- A state that has called a function of the host's owner, and waits for the reply, can still change something, like one
  that waits for input. The reply to one that has ended meanwhile is dropped.
- A state that exceeds a limit ends with a failure of that kind, and all below it ends with it. One that is inside its
  step ends when the step returns: until then it counts as running, so that its position is known.
- A tree in which no state is ready, running or waiting for input can never change again. If its root has ended, the
  tree is over and the rest end quietly. If not, that is a deadlock, unless some state has less time than the root: its
  parent will receive the error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from .calls import Calls
from .events import Cancelled, Deadlocked, TreeResult
from .instructions import AskForInput, Blocked, Instruction, ReportDeadlock, ReportFailure, ReportTreeEnd, StartCall
from .limits import Excess, Limits, StateLimits
from .protocol import (
    CallResult,
    ChildrenHaveMail,
    Condition,
    Delivered,
    Exited,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    NotAChildError,
    OutboxHasRoom,
    Outcome,
    Preempted,
    ReplyArrived,
    StateId,
    StepResult,
    Thrown,
    Waiting,
)
from .tree import Phase, State, Tree, closest_ancestor, descendants

# An enum member costs an attribute lookup per use; these are on the path of every message.
_READY, _RUNNING, _WAITING, _ENDED = Phase.READY, Phase.RUNNING, Phase.WAITING, Phase.ENDED


class Machine:
    """All the states of one host. Not thread-safe; `validate` in `invariants` states what always holds."""

    __slots__ = (
        "calls",
        "closable",
        "input_ended",
        "input_seen",
        "input_waiters",
        "instructions",
        "last_id",
        "locate",
        "run_queue",
        "run_queue_is_due",
        "states",
        "stoppable",
        "trees",
        "unanswered_ask",
        "woken",
    )

    def __init__(self, locate: Callable[[State], str]) -> None:
        """`locate` gives the location of a state that is not in a step (`Runnable.location`), "" for one unstarted."""
        self.locate = locate
        self.run_queue: deque[State] = deque()
        """New and preempted states, first in, first out. May hold states that were cancelled since: `take_ready` skips
        them, because removing them where they lie would make cancelling many states quadratic."""
        self.woken: deque[State] = deque()
        """States whose wait is over; otherwise the same."""
        self.run_queue_is_due = False
        """The last turn was that of a woken state."""
        self.closable: deque[State] = deque()
        """Ended states, none of them inside a step, each exactly once: the shell pops and closes them."""
        self.stoppable: list[State] = []
        """RUNNING states whose step should end, each once: for the shell to stop and to clear."""
        self.instructions: list[Instruction] = []
        """For the shell to carry out in order and to clear."""
        self.states: dict[StateId, State] = {}
        """Every record, of all trees."""
        self.trees: dict[StateId, Tree] = {}
        """The trees that are not over, by root."""
        self.last_id = 0
        self.input_seen = 0
        """Chunks of standard input that have arrived; its end counts as one."""
        self.input_ended = False
        self.input_waiters: dict[StateId, State] = {}
        self.unanswered_ask = False
        self.calls = Calls()

    # --- what a state asks for, inside its step (see `Port`) -----------------------------------------------------

    def create(self, parent: State, spec: object, size: int, limits: StateLimits) -> StateId:
        """See `Port.create`. A cancelled parent, and one that exceeds a limit by this, gets the id of a dead child."""
        tree = parent.tree
        states = self._population(tree)
        if states >= tree.limits.states:
            self.exceed(parent, Excess("states", tree.limits.states, states + 1, is_of_tree=True))
        elif parent.depth >= tree.limits.depth:
            self.exceed(parent, Excess("depth", tree.limits.depth, parent.depth + 1, is_of_tree=True))
        child_id = self._next_id()
        if parent.phase is _ENDED or parent.excess is not None:
            return child_id
        closest_ancestor(parent)  # keeps the chain of a relay of workers, each creating the next, from growing
        child = self._add(State(child_id, tree, parent, spec, limits.within(parent.limits)), size)
        parent.children[child.id] = child
        self._check_memory(tree)
        return child.id

    def message(self, sender: State, payload: bytes) -> int | None:
        """See `Port.message`."""
        parent = sender.parent
        if parent is None:
            return 0
        outbox = sender.outbox
        if not outbox.put(payload):
            return None
        self._check_memory(sender.tree)
        if parent.phase is _WAITING and sender.awaited is parent.condition:
            self._wake(parent)
        return outbox.room

    def send(self, sender: State, child_id: StateId, payload: bytes) -> int | None:
        """See `Port.send`."""
        child = sender.children.get(child_id) or self._dead_child(sender, child_id)
        if child is None or child.phase is _ENDED:
            return 0
        inbox = child.inbox
        if not inbox.put(payload):
            return None
        self._check_memory(sender.tree)
        if child.phase is _WAITING and type(child.condition) is InboxHasMail:
            self._wake(child)
        return inbox.room

    def peek(self, receiver: State) -> bytes | None:
        """See `Port.peek`."""
        payload = receiver.inbox.take()
        parent = receiver.parent
        if payload is not None and parent is not None and parent.phase is _WAITING:
            condition = parent.condition
            if (
                type(condition) is InboxHasRoom
                and condition.child == receiver.id
                and receiver.inbox.fits(condition.size)
            ):
                self._wake(parent)
        return payload

    def receive(self, receiver: State, child_ids: Sequence[StateId]) -> Delivered | Thrown | None:
        """See `Port.receive`. Nothing is taken when one of `child_ids` is not a child."""
        own = receiver.children
        children = [own.get(child_id) or self._dead_child(receiver, child_id) for child_id in child_ids]
        for child in children:
            if child is not None and child.failure is not None and not child.outbox.used:
                failure = self._take_failure(child)
                self._forget_drained(receiver, child)
                return Thrown(failure)
        ready = alive = False
        messages: list[bytes | None] = []
        for child in children:
            payload = None if child is None else self._take_from(receiver, child)
            messages.append(payload)
            ready = ready or payload is not None
            alive = alive or (child is not None and child.phase is not _ENDED)
        return Delivered(tuple(messages)) if ready or not alive else None

    def _take_from(self, receiver: State, child: State) -> bytes | None:
        payload = child.outbox.take()
        if payload is None:
            return None
        if child.phase is _ENDED:
            self._forget_drained(receiver, child)
        elif type(child.condition) is OutboxHasRoom and child.outbox.fits(child.condition.size):
            self._wake(child)
        return payload

    def is_running(self, asker: State, child_id: StateId) -> bool:
        """See `Port.is_running`."""
        child = asker.children.get(child_id) or self._dead_child(asker, child_id)
        return child is not None and child.phase is not _ENDED

    def release(self, parent: State, child_ids: Sequence[StateId]) -> None:
        """See `Port.release`. Released children live on like those of a parent that has ended."""
        own = parent.children
        children = [own.get(child_id) or self._dead_child(parent, child_id) for child_id in child_ids]
        for child in children:
            if child is None or own.pop(child.id, None) is None:  # dead and forgotten, or named twice
                continue
            if child.phase is _ENDED:
                self._discard(child)
            elif self._orphan(child):
                self._retire(child)

    def wrote(self, state: State, size: int) -> int:
        """`state` wants to write `size` bytes: how many of them it may."""
        tree = state.tree
        left = max(0, tree.limits.output - tree.output - tree.elsewhere.output)
        tree.output += min(size, left)
        if size > left:
            self.exceed(state, Excess("output", tree.limits.output, tree.limits.output, is_of_tree=True))
        return min(size, left)

    def call(self, state: State, name: str, payload: bytes) -> int:
        """See `Port.call`. Nobody hears of a call of a state that has ended or is about to."""
        tree = state.tree
        if state.phase is _ENDED or state.excess is not None or tree.memory > tree.limits.memory:
            return 0
        call = self.calls.begin(state, len(payload))
        self.instructions.append(StartCall(call, name, payload))
        self._check_memory(tree)
        return call

    # --- what the shell tells ------------------------------------------------------------------------------------

    def create_root(self, spec: object, limits: Limits) -> StateId:
        """A new tree; its root is at the tail of the run queue."""
        tree = Tree(self._next_id(), limits)
        self.trees[tree.root] = tree
        own = limits.state
        if own.memory > limits.tree.memory:
            own = replace(own, memory=limits.tree.memory)
        return self._add(State(tree.root, tree, None, spec, own), 0).id

    def take_ready(self) -> State | None:
        """The state whose turn it is, RUNNING from now until `stepped` says how its step ended."""
        while self.woken or self.run_queue:
            is_woken = bool(self.woken) and not (self.run_queue_is_due and self.run_queue)
            state = (self.woken if is_woken else self.run_queue).popleft()
            if state.phase is _READY:
                state.phase = _RUNNING
                self.run_queue_is_due = is_woken
                if state.takes is not None:
                    self._bring(state, state.takes)
                return state
        return None

    def _bring(self, state: State, condition: Condition) -> None:
        """`state`, RUNNING, has waited and would now ask for one message: take it, if it is all that there is yet.

        Of a child that has ended its end is to be heard too: that `state` asks for itself, without one more wait.
        """
        state.takes = None
        if type(condition) is InboxHasMail:
            if state.inbox.holds_one:
                state.brought = self.peek(state)
        elif type(condition) is ChildrenHaveMail:
            child = state.children.get(condition.children[0])
            if child is not None and child.phase is not _ENDED and child.outbox.holds_one:
                state.brought = self._take_from(state, child)

    def stepped(self, state: State, result: StepResult, cpu: int = 0, heap: int = 0) -> None:
        """The step of `state` has returned: it took `cpu` nanoseconds, and the state now holds `heap` bytes.

        The result of a state that was cancelled meanwhile is ignored, and so is that of one that exceeds a limit.
        Raises `NotAChildError` when the state wants to wait for a child that is not its own: call again, with its end.
        """
        state.tree.cpu += cpu
        if state.phase is _ENDED:
            self.closable.append(state)
            return
        state.phase = _READY  # it has left its step
        self._charge(state, cpu, heap)
        if state.phase is _ENDED:
            return
        if isinstance(result, Waiting):
            try:
                self._wait(state, result.condition)
            except NotAChildError:
                state.phase = _RUNNING
                raise
            if result.takes and state.phase is _WAITING:
                state.takes = result.condition
        elif isinstance(result, Preempted):
            self.run_queue.append(state)
        else:
            self._ended(state, result.outcome)

    def _charge(self, state: State, cpu: int, heap: int) -> None:
        """End `state`, or its tree, if it has used too much."""
        tree = state.tree
        state.cpu += cpu
        tree.memory += heap - state.heap
        state.heap = heap
        if tree.memory > tree.peak:  # noqa: PLR1730 - a call of `max` is felt in every message
            tree.peak = tree.memory
        if state.excess is not None or state.cpu > state.limits.cpu:
            excess, state.excess = state.excess or Excess("cpu", state.limits.cpu, state.cpu), None
            self.exceed(state, excess)
        used = tree.cpu + tree.elsewhere.cpu
        if used > tree.limits.cpu:
            self.exceed_tree(tree, Excess("cpu", tree.limits.cpu, used, is_of_tree=True))
        self._check_memory(tree)

    def input_arrived(self, *, end: bool = False) -> None:
        """A chunk of standard input has come, or (`end`) its end: everybody who waits may look."""
        self.input_seen += 1
        self.input_ended |= end
        self.unanswered_ask = False
        for state in self.input_waiters.values():
            state.phase = _READY
            state.condition = None
            self.woken.append(state)
        self.input_waiters.clear()

    def replied(self, call: int, result: CallResult) -> None:
        """The host's owner has carried a call out."""
        state = self.calls.answer(call, result)
        if state is None:
            return
        if type(state.condition) is ReplyArrived and state.condition.call == call:
            state.phase = _READY
            state.condition = None
            self.woken.append(state)
        self._check_memory(state.tree)

    def exceed(self, state: State, excess: Excess) -> None:
        """`state` has exceeded a limit, and ends for it; a RUNNING one when its step returns. Nothing if it has ended.

        Only the first excess of a state counts.
        """
        if state.phase is _RUNNING:
            if state.excess is None:
                state.excess = excess
                self.stoppable.append(state)
        elif state.phase is not _ENDED:
            self._ended(state, self._failure(state, excess))

    def exceed_tree(self, tree: Tree, excess: Excess) -> None:
        """`tree` has exceeded a limit as a whole: its root ends for that, or what the root has left."""
        root = self.states.get(tree.root)
        if root is not None:
            self.exceed(root, excess)
        elif tree.root in self.trees:
            tree.outcome = Failure(excess.kind, b"", str(excess), "", "")
            self.instructions.append(ReportFailure(tree.outcome, tree.root, tree.root))
            self._end_tree(tree)

    def cancel(self, state_id: StateId) -> None:
        """End a state and all its living descendants at once; with a root, whatever is left of its tree.

        What the state itself had sent can still be received, as after any end. Nothing happens if it has ended.
        """
        tree = self.trees.get(state_id)
        if tree is not None:
            tree.outcome = Cancelled()
            self._end_tree(tree)
            return
        state = self.states.get(state_id)
        if state is None or state.phase is _ENDED:
            return
        tree = state.tree
        self._end_descendants(state)
        self._retire(state)
        self._settle(tree)

    def cancel_child(self, parent: State, child_id: StateId) -> None:
        """See `Port.cancel`."""
        child = parent.children.get(child_id) or self._dead_child(parent, child_id)
        if child is not None:
            self.cancel(child.id)

    def cancel_all(self) -> None:
        """Cancel every tree."""
        for root in tuple(self.trees):
            self.cancel(root)

    # --- waiting and waking --------------------------------------------------------------------------------------

    def holds(self, state: State, condition: Condition) -> bool:
        """Whether `state` has nothing to wait for. May raise `NotAChildError` for a child that is not its own."""
        if isinstance(condition, InboxHasMail):
            return state.inbox.used > 0
        if isinstance(condition, ChildrenHaveMail):
            return self._children_have_mail(state, condition)
        if isinstance(condition, OutboxHasRoom):
            return state.parent is None or state.outbox.fits(condition.size)
        if isinstance(condition, InboxHasRoom):
            child = state.children.get(condition.child) or self._dead_child(state, condition.child)
            return child is None or child.phase is _ENDED or child.inbox.fits(condition.size)
        if isinstance(condition, ReplyArrived):
            return self.calls.is_settled(state, condition.call)
        if isinstance(condition, InputArrived):
            return self.input_seen > condition.seen or self.input_ended
        return True  # a wait of machines that are one of several

    def _children_have_mail(self, state: State, condition: ChildrenHaveMail) -> bool:
        own = state.children
        alive = False
        for child_id in condition.children:
            child = own.get(child_id) or self._dead_child(state, child_id)
            if child is not None:
                if child.has_mail:
                    return True
                alive = True  # one that ended and is still known has mail
        return not alive

    def _wait(self, state: State, condition: Condition) -> None:
        if self.holds(state, condition):
            self.woken.append(state)
            return
        tree = state.tree
        if type(condition) is InboxHasMail and state.parent is None and not state.is_root:
            self._retire(state)  # nobody can send any more
        else:
            state.phase = _WAITING
            state.condition = condition
            if type(condition) is InputArrived:
                self.input_waiters[state.id] = state
                if not self.unanswered_ask:
                    self.unanswered_ask = True
                    self.instructions.append(AskForInput())
                return
            if type(condition) is ReplyArrived:
                return
            if type(condition) is ChildrenHaveMail:
                self._mark_awaited(state, condition)
            tree.busy -= 1
            if tree.busy:
                return
        self._settle(tree)

    def _mark_awaited(self, state: State, condition: ChildrenHaveMail) -> None:
        state.awaited_alive = 0
        named = condition.children
        for child_id in named if len(named) == 1 else set(named):  # one named twice still ends only once
            child = state.children.get(child_id)
            if child is not None:
                child.awaited = condition
                state.awaited_alive += 1

    def _wake(self, state: State) -> None:
        """The wait of `state` is over; for all but those for input and for a reply, which count as busy all along."""
        state.phase = _READY
        state.condition = None
        state.tree.busy += 1
        self.woken.append(state)

    def _blocked(self, state: State) -> Blocked:
        assert state.condition is not None  # noqa: S101 - it is WAITING
        return Blocked(state.id, state.condition, self.awaited(state), state.runnable)

    def awaited(self, state: State) -> tuple[StateId, ...]:
        """Which states can end the wait of `state`, for another state to do something."""
        condition = state.condition
        if isinstance(condition, ChildrenHaveMail):
            return tuple(name for name in condition.children if name in state.children)
        if isinstance(condition, InboxHasRoom):
            return (condition.child,)
        return () if state.parent is None else (state.parent.id,)

    # --- ending --------------------------------------------------------------------------------------------------

    def _ended(self, state: State, outcome: Outcome) -> None:
        tree = state.tree
        state.ending = _ending_of(outcome)
        if isinstance(outcome, Failure) and outcome.is_limit:
            self._end_descendants(state)
        if not state.is_root:
            self._retire(state, outcome if isinstance(outcome, Failure) else None)
        else:
            tree.outcome = outcome
            if isinstance(outcome, Failure):
                self.instructions.append(ReportFailure(outcome, state.id, tree.root))
            self._root_ended(outcome)
            self._retire(state)
        if state.is_root and isinstance(outcome, Exited):
            self._end_tree(tree)
        else:
            self._settle(tree)

    def _root_ended(self, outcome: Outcome) -> None:
        """For a machine that is one of several."""

    def _end_descendants(self, state: State) -> None:
        for descendant in descendants(state.tree, state.id):
            self._strip(descendant)
            self._forget(descendant)
        state.children.clear()

    def _check_memory(self, tree: Tree) -> None:
        if tree.memory > tree.peak:  # noqa: PLR1730 - a call of `max` is felt in every message
            tree.peak = tree.memory
        used = tree.memory + tree.elsewhere.memory
        if used > tree.limits.memory:
            self.exceed_tree(tree, Excess("memory", tree.limits.memory, used, is_of_tree=True))

    def _retire(self, state: State, failure: Failure | None = None) -> None:
        """End `state`, leaving its mail to its parent. Children that can't get mail any more end quietly with it.

        A work list and no recursion: of 10,000 nested workers each may be the only thing that keeps the next waiting.
        """
        if failure is not None:
            state.failure = failure
            state.tree.memory += len(failure.value)
        leaving = [state]
        while leaving:
            state = leaving.pop()
            self._stop(state)
            state.inbox.clear()
            for child in state.children.values():
                if child.phase is _ENDED:
                    self._discard(child)
                elif self._orphan(child):
                    leaving.append(child)
            state.children.clear()
            parent, state.parent = state.parent, None
            if parent is None:
                self._discard(state)
            else:
                self._tell_parent(parent, state)

    def _tell_parent(self, parent: State, state: State) -> None:
        """`state` has just ended: wake a parent that waits for just that; keep the record only if mail is left."""
        if not state.has_mail:
            del parent.children[state.id]
            self._forget(state)
        if parent.phase is not _WAITING:
            return
        condition = parent.condition
        if state.awaited is condition:
            parent.awaited_alive -= 1
            if state.has_mail or not parent.awaited_alive:
                self._wake(parent)
        elif type(condition) is InboxHasRoom and condition.child == state.id:
            self._wake(parent)

    def _orphan(self, child: State) -> bool:
        """The living `child` has lost its parent. True if it waits for mail that nobody can send: retire it then."""
        child.parent = None
        child.outbox.clear()
        if type(child.condition) is OutboxHasRoom:
            self._wake(child)
        return type(child.condition) is InboxHasMail

    def _discard(self, state: State) -> None:
        """Nobody can receive from the ended `state` any more."""
        self._report_unreceived(state)
        state.outbox.clear()
        self._forget(state)

    def _stop(self, state: State) -> None:
        """Take `state` out of the run. One inside its step becomes closable when the step returns (`stepped`)."""
        if state.phase is not _RUNNING:
            self.closable.append(state)
        elif state.excess is None:  # otherwise it is stopped already
            self.stoppable.append(state)
        state.excess = None
        state.tree.memory -= state.heap
        state.heap = 0
        if state.is_timed:
            state.tree.timed -= 1
        is_idle = state.phase is _WAITING and type(state.condition) is not ReplyArrived
        if not is_idle or self.input_waiters.pop(state.id, None) is not None:
            state.tree.busy -= 1
        self.calls.abandon(state)
        state.condition = None
        state.phase = _ENDED

    def _settle(self, tree: Tree) -> None:
        """End `tree` if nothing can happen in it any more."""
        if tree.busy or (tree.timed and tree.outcome is None):
            return
        if tree.outcome is None:
            live = tuple(self._blocked(state) for state in tree.states.values() if state.phase is _WAITING)
            self.instructions.append(ReportDeadlock(tree.root, live))
            tree.outcome = Deadlocked()
        self._end_tree(tree)

    def _end_tree(self, tree: Tree) -> None:
        for state in tree.states.values():
            self._strip(state)
            del self.states[state.id]
        tree.states.clear()
        del self.trees[tree.root]
        assert tree.outcome is not None  # noqa: S101 - every caller has just set or tested it
        result = TreeResult(tree.outcome, tree.unreceived_errors, tree.cpu, tree.peak)
        self.instructions.append(ReportTreeEnd(tree.root, result))

    def _strip(self, state: State) -> None:
        """End `state` together with everybody it could talk to: nobody is told, and its calls become harmless."""
        if state.phase is not _ENDED:
            self._stop(state)
        self._report_unreceived(state)
        state.parent = None
        state.children.clear()
        state.inbox.clear()
        state.outbox.clear()

    def _report_unreceived(self, state: State) -> None:
        if state.failure is not None:
            state.tree.unreceived_errors += 1
            self.instructions.append(ReportFailure(self._take_failure(state), state.id, state.tree.root))

    def _take_failure(self, state: State) -> Failure:
        failure, state.failure = state.failure, None
        assert failure is not None  # noqa: S101 - the caller has looked
        state.tree.memory -= len(failure.value)
        return failure

    def _failure(self, state: State, excess: Excess) -> Failure:
        """What becomes of a state, not in a step, that has exceeded a limit."""
        where = self.locate(state)
        return Failure(
            excess.kind, b"", f"{where}: {excess}" if where else str(excess), "", where.rpartition(":")[0] or where
        )

    # --- records -------------------------------------------------------------------------------------------------

    def _population(self, tree: Tree) -> int:
        """How many states count."""
        return len(tree.states) + tree.elsewhere.states

    def _next_id(self) -> StateId:
        self.last_id += 1
        return StateId(self.last_id)

    def _add(self, state: State, size: int) -> State:
        """A new state, which goes to the tail of the run queue; its spec takes `size` bytes."""
        tree = state.tree
        state.heap = size
        tree.memory += size
        if state.is_timed:
            tree.timed += 1
        self.states[state.id] = tree.states[state.id] = state
        tree.busy += 1
        self.run_queue.append(state)
        return state

    def _forget(self, state: State) -> None:
        del self.states[state.id], state.tree.states[state.id]

    def _forget_drained(self, parent: State, child: State) -> None:
        """Drop the record of an ended child that has nothing left to give."""
        if not child.has_mail:
            del parent.children[child.id]
            self._forget(child)

    def _dead_child(self, state: State, child_id: StateId) -> State | None:
        """None for what may have been a child, ended and forgotten. `NotAChildError` for what cannot have been one."""
        if child_id in self.states or not state.id < child_id <= self.last_id:
            raise NotAChildError(f"state {state.id} named state {child_id}, which is not its child")
        return None


def _ending_of(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return outcome.kind
    return "exited" if isinstance(outcome, Exited) else "returned"
