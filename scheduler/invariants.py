"""What is true of a machine between any two calls. For tests and for hunting bugs: it walks everything."""

from __future__ import annotations

from .edges import ArrivalBox, Window
from .letters import host_of
from .machine import Machine
from .mailbox import Mailbox
from .protocol import MESSAGE_OVERHEAD, ChildrenHaveMail, InboxHasMail, InputArrived, LetterIsOut, ReplyArrived
from .spread import SpreadMachine
from .tree import Phase, State, Tree


class InvariantError(AssertionError):
    """The machine contradicts itself: a bug in it, never the fault of a script."""


def validate(machine: Machine) -> None:
    """Raise `InvariantError` unless all invariants hold."""
    for tree in machine.trees.values():
        _validate_tree(machine, tree)
        if not isinstance(machine, SpreadMachine):
            _validate_whole(tree)
        for state in tree.states.values():
            _validate_record(machine, state)
            if state.phase is not Phase.ENDED:
                _validate_living(machine, state)
            for mailbox in (state.inbox, state.outbox):
                _validate_mailbox(mailbox, tree.limits.mailbox)
    together = sum(len(tree.states) for tree in machine.trees.values())
    _hold(together == len(machine.states), "every record belongs to exactly one tree that is not over")
    ready = [state for queue in (machine.run_queue, machine.woken) for state in queue if state.phase is Phase.READY]
    _hold(len(set(ready)) == len(ready), "a state is in a queue once")
    is_ready = sum(state.phase is Phase.READY for state in machine.states.values())
    _hold(len(ready) == is_ready, "every ready state is in a queue")
    _hold(len(set(machine.closable)) == len(machine.closable), "a state is closed once")
    _hold(all(state.phase is Phase.ENDED for state in machine.closable), "only ended states are closed")
    _validate_calls(machine)
    _hold(len(set(machine.stoppable)) == len(machine.stoppable), "a state is stopped once")
    if isinstance(machine, SpreadMachine):
        validate_spread(machine)


def _validate_tree(machine: Machine, tree: Tree) -> None:
    states = tree.states.values()
    busy = sum(
        state.phase in (Phase.READY, Phase.RUNNING)
        or isinstance(state.condition, InputArrived | LetterIsOut | ReplyArrived)
        for state in states
    )
    _hold(tree.busy == busy, f"tree {tree.root} counts {tree.busy} busy states and has {busy}")
    timed = sum(state.is_timed and state.phase not in (Phase.ENDED, Phase.ELSEWHERE) for state in states)
    _hold(tree.timed == timed, f"tree {tree.root} counts {tree.timed} states with less time than its root")
    queued = sum(_held(state.inbox) + _held(state.outbox) for state in states)
    errors = sum(len(state.failure.value) for state in states if state.failure is not None)
    calls = {*machine.calls.unanswered.values(), *machine.calls.of_state.values()}
    called = sum(call.size for call in calls if call.tree is tree)
    memory = queued + errors + called + sum(state.heap for state in states)
    _hold(tree.memory == memory, f"tree {tree.root} counts {tree.memory} bytes and has {memory}")
    _hold(tree.output <= tree.limits.output, "no more is written than is allowed")


def _validate_whole(tree: Tree) -> None:
    """What holds of a tree whose states are all in one host."""
    may_change = tree.busy > 0 or (tree.timed > 0 and tree.outcome is None)
    _hold(may_change, f"tree {tree.root} can't change any more and is still there")
    _hold((tree.root in tree.states) == (tree.outcome is None), "a tree has an outcome once its root has ended")
    _hold(list(tree.states) == sorted(tree.states), "records lie in order of creation")
    _hold(len(tree.states) <= tree.limits.states, "there are no more states than are allowed")
    _hold(all(state.phase is not Phase.ELSEWHERE for state in tree.states.values()), "nobody is elsewhere")


def validate_spread(machine: SpreadMachine) -> None:
    """What holds of a machine that is one of several on top of the rest; `validate` calls it."""
    elsewhere = {state.id: state for state in machine.states.values() if state.phase is Phase.ELSEWHERE}
    _hold(elsewhere == machine.stubs, "whoever was given away is known, and nobody else")
    for state in machine.states.values():
        if state.phase is Phase.ELSEWHERE:
            _validate_stub(machine, state)
        if state.parent is not None and state.parent.phase is Phase.ELSEWHERE:
            _hold(machine._abroad.get(state.parent.id) is state.parent, "a parent in another host has one record")
        if isinstance(state.condition, LetterIsOut):
            peer = machine.peers.get(state.condition.host)
            _hold(peer is not None and peer.waiters.count(state) == 1, "who waits for a letter is known for it")
    for peer in machine.peers.values():
        waits = all(isinstance(state.condition, LetterIsOut) for state in peer.waiters)
        _hold(waits, "nobody is thought to wait for a letter who does not")
    for parent in machine._abroad.values():
        _hold(
            parent.phase is Phase.ELSEWHERE and parent.host in machine.peers, "a parent elsewhere is in a living host"
        )
        _hold(bool(parent.children), "a parent elsewhere is remembered for its children only")
        for name, child in parent.children.items():
            known = machine.states.get(name) is child and child.parent is parent
            _hold(known and child.phase is not Phase.ELSEWHERE, "the child of a parent elsewhere lives here")
    guests = sum(len(parent.children) for parent in machine._abroad.values())
    _hold(machine._guests == guests, "the states with a parent elsewhere are counted")
    for name, home in machine._untold.items():
        begins = machine.states.get(name)
        _hold(begins is not None and begins.phase in (Phase.READY, Phase.RUNNING), "who is to begin lives")
        _hold(home in machine.peers and host_of(name) == home, "who is to begin came from a living host")
    for name in machine._spread_from:
        top = machine.states.get(name)
        _hold(top is not None and top.phase not in (Phase.ENDED, Phase.ELSEWHERE), "who has given somebody away lives")
    tree = machine.tree
    _hold((tree is None) == (not machine.trees), "there is one tree, or none")
    if tree is not None and host_of(tree.root) == machine.host:
        _hold((tree.root in tree.states) == (tree.outcome is None), "a tree has an outcome once its root has ended")


def _validate_stub(machine: SpreadMachine, stub: State) -> None:
    _hold(host_of(stub.id) == machine.host and stub.host in machine.peers, "a state was given to a living host")
    window, box = stub.inbox, stub.outbox
    _hold(isinstance(window, Window) and window.peer == stub.host, "its inbox is there")
    _hold(isinstance(box, ArrivalBox) and box.peer == stub.host, "its outbox is here")
    if stub.parent is None and isinstance(window, Window):
        _hold(
            window.kept is not None or window.is_closed, "an orphan is remembered until it has begun, or is cancelled"
        )


def _validate_record(machine: Machine, state: State) -> None:
    _hold(machine.states.get(state.id) is state, "every record of a tree is found by its id")
    for child in state.children.values():
        _hold(machine.states.get(child.id) is child, "a child that can be named has a record")
        if child.phase is Phase.ENDED:
            _hold(child.has_mail, "an ended child is kept only for what it left")
        else:
            _hold(child.parent is state, "a living child that can be named knows its parent")
    _hold(state.depth <= state.tree.limits.depth, "no state is deeper than is allowed")
    _hold(state.excess is None or state.phase is Phase.RUNNING, "only a running state's end is put off")
    _hold(state.takes is None or state.phase is not Phase.RUNNING, "a running state asks for its mail itself")
    _hold(
        state.brought is None or state.phase in (Phase.RUNNING, Phase.ENDED), "mail is taken for those whose turn it is"
    )
    if state.phase is Phase.ENDED:
        _hold(not state.heap, "an ended state's heap does not count")
        _hold(not state.children and not state.inbox.used, "an ended state keeps nothing but what it left")
        _hold(state.has_mail and state.parent is None, "an ended state is kept only for what it left")
    if state.parent is not None:
        _hold(state.parent.phase is not Phase.ENDED, "a parent lives")
        _hold(state.parent.children.get(state.id) is state, "a parent can name its child")


def _validate_living(machine: Machine, state: State) -> None:
    _hold(state.failure is None, "only an ended state has failed")
    _hold((state.phase is Phase.WAITING) == (state.condition is not None), "a waiting state has a condition")
    waits_for_input = isinstance(state.condition, InputArrived)
    _hold(waits_for_input == (machine.input_waiters.get(state.id) is state), "who waits for input is known for it")
    _hold(not waits_for_input or machine.unanswered_ask, "where somebody waits for input, it has been asked for")
    condition = state.condition
    if condition is None:
        return
    _hold(not machine.holds(state, condition), f"state {state.id} sleeps although {condition} holds: a lost wake-up")
    if isinstance(condition, InboxHasMail):
        _hold(state.parent is not None or state.is_root, "nobody waits for mail that nobody can send")
    if isinstance(condition, ChildrenHaveMail):
        named = {child for name in condition.children if (child := state.children.get(name)) is not None}
        _hold(state.awaited_alive == len(named), "the living children waited for are counted")
        _hold(all(child.awaited is condition for child in named), "children waited for are marked")


def _held(mailbox: Mailbox | Window) -> int:
    """What counts of it as memory of this host."""
    return mailbox.held if isinstance(mailbox, Window) else mailbox.used


def _validate_calls(machine: Machine) -> None:
    calls = machine.calls
    for number, call in calls.unanswered.items():
        _hold(call.id == number <= calls.last_id and call.result is None, "an unanswered call has no result")
        _hold(call.state is None or calls.of_state.get(call.state.id) is call, "who waits for a call knows it")
    for state_id, call in calls.of_state.items():
        state = machine.states.get(state_id)
        _hold(state is not None and state.phase is not Phase.ENDED, "only living states have calls")
        _hold(call.state is state, "a call knows who waits for it")
        _hold((call.result is None) == (call.id in calls.unanswered), "a call with a result is answered")


def _validate_mailbox(mailbox: Mailbox | Window, capacity: int) -> None:
    if isinstance(mailbox, Window):  # what lies at its other end is not to be seen from here
        _hold(mailbox.used >= mailbox.held, "what is kept was sent")
        _hold(not mailbox.is_closed or not mailbox.used, "nothing lies in a closed window")
        return
    payloads = list(mailbox)
    used = sum(len(payload) + MESSAGE_OVERHEAD for payload in payloads)
    _hold(mailbox.used == used, "a mailbox counts what it holds")
    _hold(len(payloads) <= 1 or used <= capacity, "only a single message may be beyond the capacity")


def _hold(truth: bool, law: str) -> None:
    if not truth:
        raise InvariantError(law)
