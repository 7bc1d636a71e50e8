"""Single rules of the machine, each by the shortest program that shows it. `tests/property` has their combinations."""

import tracemalloc

import pytest

from luspool.scheduler.events import Cancelled, TreeResult
from luspool.scheduler.instructions import AskForInput, ReportFailure, ReportTreeEnd
from luspool.scheduler.invariants import InvariantError, validate
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.machine import Machine
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Exited,
    Failure,
    InboxHasMail,
    InputArrived,
    NotAChildError,
    Preempted,
    Returned,
    StateId,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED

FAILURE = Failure("error", b"", "broken", "", "s.lus")
LIMITS = Limits(tree=TreeLimits(depth=UNLIMITED))
MAIL, RETURNED = Waiting(InboxHasMail()), Ended(Returned())


def locate(state):
    return f"s{state.id}.lus:1"


@pytest.fixture
def machine():
    machine = Machine(locate)
    yield machine
    validate(machine)


@pytest.fixture
def root(machine):
    machine.create_root("root", LIMITS)
    return machine.take_ready()


def child_of(machine, parent):
    """A running child of the running `parent`, with nothing else in the run queue."""
    name = machine.create(parent, None, 0, LIMITS.state)
    child = machine.take_ready()
    assert child.id == name
    return child


def test_states_run_in_the_order_in_which_they_became_ready(machine, root):
    names = [machine.create(root, None, 0, LIMITS.state) for _ in range(3)]
    machine.stepped(root, Preempted())
    first = machine.take_ready()
    machine.stepped(first, Preempted())
    assert [machine.take_ready().id for _ in range(4)] == [*names[1:], root.id, names[0]]
    assert machine.take_ready() is None


def test_an_error_does_not_cost_the_messages_of_the_other_workers(machine, root):
    good, bad = child_of(machine, root), child_of(machine, root)
    machine.message(good, b"kept")
    machine.stepped(bad, Ended(FAILURE))
    both = [good.id, bad.id]
    assert machine.receive(root, both) == Thrown(FAILURE)
    assert machine.receive(root, both) == Delivered((b"kept", None))
    assert machine.receive(root, both) is None


def test_one_message_is_brought_and_two_are_left_to_be_asked_for(machine, root):
    child = child_of(machine, root)
    machine.stepped(child, Waiting(InboxHasMail(), takes=True))
    machine.send(root, child.id, b"alone")
    assert child.brought is None
    assert machine.take_ready() is child
    assert child.brought == b"alone"
    child.brought = None
    machine.stepped(child, Waiting(InboxHasMail(), takes=True))
    machine.send(root, child.id, b"first")
    machine.send(root, child.id, b"second")
    assert machine.take_ready() is child
    assert child.brought is None
    assert [machine.peek(child), machine.peek(child)] == [b"first", b"second"]


def test_what_a_worker_that_has_ended_left_is_asked_for(machine, root):
    child = child_of(machine, root)
    machine.stepped(root, Waiting(ChildrenHaveMail((child.id,)), takes=True))
    machine.message(child, b"last")
    machine.stepped(child, Ended(FAILURE))
    assert machine.take_ready() is root
    assert root.brought is None
    assert machine.receive(root, [child.id]) == Delivered((b"last",))
    assert machine.receive(root, [child.id]) == Thrown(FAILURE)


def test_a_state_that_finds_mail_where_it_would_wait_asks_for_it_itself(machine, root):
    """More may come while it runs, and then it takes all of it in one step."""
    child = child_of(machine, root)
    machine.send(root, child.id, b"first")
    machine.stepped(child, Waiting(InboxHasMail(), takes=True))
    assert machine.take_ready() is child
    assert child.brought is None
    assert machine.peek(child) == b"first"


def test_what_was_not_asked_for_is_not_brought(machine, root):
    child = child_of(machine, root)
    machine.stepped(child, Waiting(InboxHasMail(), takes=True))
    machine.send(root, child.id, b"first")
    assert machine.take_ready().brought == b"first"
    machine.stepped(child, Preempted())
    machine.send(root, child.id, b"second")
    child.brought = None
    assert machine.take_ready() is child
    assert child.brought is None


def test_one_worker_named_twice_gives_its_next_two_messages(machine, root):
    child = child_of(machine, root)
    for payload in (b"1", b"2", b"3"):
        machine.message(child, payload)
    machine.stepped(child, RETURNED)
    twice = [child.id, child.id]
    assert machine.receive(root, twice) == Delivered((b"1", b"2"))
    assert machine.receive(root, twice) == Delivered((b"3", None))
    assert machine.receive(root, twice) == Delivered((None, None))


def test_only_the_creator_may_name_a_worker(machine, root):
    child, other = child_of(machine, root), child_of(machine, root)
    grandchild = child_of(machine, child)
    machine.create_root(None, LIMITS)
    stranger = machine.take_ready()
    never = StateId(machine.last_id + 1)
    for asker, name in (
        (root, grandchild.id),
        (other, grandchild.id),
        (child, child.id),
        (child, root.id),
        (stranger, child.id),
        (root, StateId(0)),
        (root, never),
    ):
        for call in (
            lambda asker=asker, name=name: machine.send(asker, name, b""),
            lambda asker=asker, name=name: machine.receive(asker, [name]),
            lambda asker=asker, name=name: machine.is_running(asker, name),
            lambda asker=asker, name=name: machine.release(asker, [name]),
            lambda asker=asker, name=name: machine.stepped(asker, Waiting(ChildrenHaveMail((name,)))),
        ):
            with pytest.raises(NotAChildError):
                call()
    machine.stepped(child, RETURNED)
    assert not machine.is_running(root, child.id)
    with pytest.raises(NotAChildError):
        machine.is_running(root, never)


def test_a_worker_whose_handle_is_released_ends_quietly_when_it_waits_for_mail(machine, root):
    child = child_of(machine, root)
    machine.send(root, child.id, b"queued before")
    machine.message(child, b"dropped")
    machine.release(root, [child.id])
    assert machine.peek(child) == b"queued before"
    machine.stepped(child, MAIL)
    assert list(machine.closable) == [child]
    assert not machine.instructions


def test_the_error_of_a_worker_whose_handle_is_released_is_reported(machine, root):
    dead, alive = child_of(machine, root), child_of(machine, root)
    machine.stepped(dead, Ended(FAILURE))
    machine.release(root, [dead.id, alive.id])
    machine.stepped(alive, Ended(FAILURE))
    assert machine.instructions == [ReportFailure(FAILURE, child.id, root.id) for child in (dead, alive)]


def test_exit_of_the_root_waits_for_nobody(machine, root):
    running, parked = child_of(machine, root), child_of(machine, root)
    machine.stepped(parked, MAIL)
    machine.stepped(root, Ended(Exited(3)))
    assert machine.instructions == [ReportTreeEnd(root.id, TreeResult(Exited(3), 0))]
    assert set(machine.closable) == {parked, root}
    machine.stepped(running, Ended(FAILURE))
    assert set(machine.closable) == {parked, root, running}
    assert len(machine.instructions) == 1


def test_what_a_cancelled_worker_had_sent_can_still_be_received(machine, root):
    child = child_of(machine, root)
    machine.message(child, b"sent")
    machine.stepped(root, Waiting(InputArrived(0)))
    machine.cancel(child.id)
    assert machine.message(child, b"too late") == 0
    machine.input_arrived()
    assert machine.receive(root, [child.id]) == Delivered((b"sent",))
    assert machine.receive(root, [child.id]) == Delivered((None,))


def test_cancelling_reaches_descendants_whose_own_parents_have_ended(machine, root):
    top = child_of(machine, root)
    middle = child_of(machine, top)
    bottom = child_of(machine, middle)
    machine.stepped(middle, RETURNED)
    machine.stepped(bottom, Waiting(InputArrived(0)))
    machine.cancel(top.id)
    assert bottom.phase is Phase.ENDED
    assert bottom in machine.closable
    assert root.phase is Phase.RUNNING


def test_a_parent_that_waits_is_woken_when_its_worker_is_cancelled(machine, root):
    child = child_of(machine, root)
    machine.stepped(child, Waiting(InputArrived(0)))
    machine.stepped(root, Waiting(ChildrenHaveMail((child.id,))))
    machine.cancel(child.id)
    assert machine.take_ready() is root


def test_input_is_asked_for_once_until_it_comes(machine, root):
    child = child_of(machine, root)
    machine.stepped(child, Waiting(InputArrived(machine.input_seen)))
    machine.stepped(root, Waiting(InputArrived(machine.input_seen)))
    assert machine.instructions == [AskForInput()]
    machine.input_arrived()
    assert [machine.take_ready(), machine.take_ready()] == [child, root]
    machine.stepped(root, Waiting(InputArrived(machine.input_seen)))
    assert machine.instructions == [AskForInput()] * 2


def test_nobody_waits_for_input_after_its_end(machine, root):
    machine.input_arrived(end=True)
    machine.stepped(root, Waiting(InputArrived(machine.input_seen)))
    assert machine.take_ready() is root


def test_ten_thousand_nested_workers_end_quietly_one_after_the_other(machine, root):
    state = root
    for _ in range(10_000):
        child = child_of(machine, state)
        machine.stepped(state, MAIL if state is not root else Preempted())
        if state is root:
            assert machine.take_ready() is root
        state = child
    machine.stepped(state, MAIL)
    machine.stepped(root, RETURNED)
    assert machine.instructions == [ReportTreeEnd(root.id, TreeResult(Returned(), 0))]
    assert len(machine.closable) == 10_001


def test_a_relay_of_workers_that_each_create_the_next_keeps_no_records(machine, root):
    state = root
    for _ in range(1000):
        child = child_of(machine, state)
        machine.release(state, [child.id])
        machine.stepped(state, RETURNED)
        state = child
    assert len(machine.states) == 1
    chain = 0
    while state.ancestor is not None:
        state, chain = state.ancestor, chain + 1
    assert chain <= 2


def test_a_waiting_state_costs_the_scheduler_less_than_a_kilobyte(machine, root):
    number = 2000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(number):
        child = child_of(machine, root)
        machine.message(child, b"ready")
        machine.stepped(child, Waiting(InboxHasMail()))
    each = (tracemalloc.get_traced_memory()[0] - before) / number
    tracemalloc.stop()
    assert each < 1000


def test_cancelling_everything_gives_each_tree_its_end(machine, root):
    other = machine.create_root("other", LIMITS)
    machine.cancel_all()
    ends = [ReportTreeEnd(name, TreeResult(Cancelled(), 0)) for name in (root.id, other)]
    assert machine.instructions == ends
    machine.cancel(root.id)
    assert machine.instructions == ends


def test_validate_notices_a_sleeper_whose_condition_holds():
    machine = Machine(locate)
    machine.create_root("root", LIMITS)
    root = machine.take_ready()
    child = child_of(machine, root)
    machine.stepped(child, MAIL)
    child.inbox.put(b"behind the machine's back")
    with pytest.raises(InvariantError, match="lost wake-up"):
        validate(machine)


def test_every_other_turn_belongs_to_those_whose_wait_is_over(machine, root):
    busy = [child_of(machine, root) for _ in range(3)]
    talkers = [child_of(machine, root) for _ in range(3)]
    for talker in talkers:
        machine.stepped(talker, MAIL)
    for state in busy:
        machine.stepped(state, Preempted())
    for talker in talkers:
        machine.send(root, talker.id, b"")
    order = [machine.take_ready() for _ in range(6)]
    assert order == [talkers[0], busy[0], talkers[1], busy[1], talkers[2], busy[2]]
