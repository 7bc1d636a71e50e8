"""Ends below a state reach everybody below it, wherever they live and whoever has died meanwhile."""

import pytest

from luspool.scheduler.events import Cancelled, TreeResult
from luspool.scheduler.instructions import (
    AskForEndBelow,
    ReportDeadlock,
    ReportExcess,
    ReportRootEnd,
    ReportTreeEnd,
)
from luspool.scheduler.letters import Kind
from luspool.scheduler.limits import Excess, StateLimits
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Exited,
    Failure,
    InboxHasMail,
    Preempted,
    Returned,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase

MAIL, RETURNED = Waiting(InboxHasMail()), Ended(Returned())
EXCESS = Excess("time", 1, 1)


def asks(machine):
    return [instruction.state for instruction in machine.instructions if isinstance(instruction, AskForEndBelow)]


@pytest.fixture
def chain(hosts):
    """Top in host 1, its child in host 2, that one's child in host 3, all running."""
    top = hosts.child(1, hosts.root)
    middle = hosts.child(1, top, to=2)
    return top, middle, hosts.child(2, middle, to=3)


def test_a_cancel_asks_for_the_end_of_those_who_live_elsewhere(hosts, chain):
    top = chain[0]
    hosts[1].cancel_child(hosts.root, top.id)
    assert asks(hosts[1]) == [top.id]
    assert not hosts[1].stubs
    hosts.end_below(top.id)
    hosts.post_all()
    assert [state.phase for state in chain] == [Phase.ENDED] * 3
    assert not hosts[2].states
    assert not hosts[3].states


def test_a_state_that_has_given_nobody_away_asks_for_nothing(hosts):
    child = hosts.child(1, hosts.root)
    grandchild = hosts.child(1, child)
    hosts[1].cancel_child(hosts.root, child.id)
    assert grandchild.phase is Phase.ENDED
    assert not hosts[1].instructions


def test_a_limit_ends_those_below_and_its_error_goes_home(hosts, chain):
    _, middle, low = chain
    hosts[2].stepped(middle, Preempted())
    hosts[2].exceed(middle, EXCESS)
    assert asks(hosts[2]) == [middle.id]
    hosts.post(2, 1)
    assert middle.id in hosts[1].states
    hosts.end_below(middle.id)
    hosts.post_all()
    assert low.phase is Phase.ENDED
    received = hosts[1].receive(chain[0], [middle.id])
    assert isinstance(received, Thrown)
    assert received.failure.kind == "time"


def test_an_end_reaches_past_a_state_that_has_ended_before(hosts, chain):
    top, middle, low = chain
    hosts[2].stepped(middle, RETURNED)
    hosts.post_all()
    assert hosts.is_alive(3, low)
    hosts[1].cancel_child(hosts.root, top.id)
    hosts.end_below(top.id)
    assert low.phase is Phase.ENDED


def test_an_end_reaches_past_a_host_that_has_died_before(hosts, chain):
    top, _, low = chain
    hosts.die(2)
    assert hosts.is_alive(3, low)
    hosts[1].cancel_child(hosts.root, top.id)
    hosts.end_below(top.id)
    assert low.phase is Phase.ENDED


def test_a_state_back_in_the_host_of_an_ancestor_is_found(hosts):
    middle = hosts.child(1, hosts.root, to=2)
    low = hosts.child(2, middle, to=1)
    hosts[2].stepped(middle, Preempted())
    hosts[2].exceed(middle, EXCESS)
    hosts.post(2, 1)  # the record of the state in the middle ends before the command comes
    assert hosts.is_alive(1, low)
    hosts.end_below(middle.id)
    assert low.phase is Phase.ENDED


def test_below_a_state_cancelled_in_a_host_that_dies_first_all_ends(hosts, chain):
    top, middle, low = chain
    hosts[1].cancel_child(top, middle.id)
    hosts.die(2)
    assert asks(hosts[1]) == [middle.id]
    hosts.end_below(middle.id)
    assert low.phase is Phase.ENDED
    assert hosts[1].receive(top, [middle.id]) == Delivered((None,))


def test_so_do_those_who_came_after_that_death(make_hosts):
    hosts = make_hosts(4)
    middle = hosts.child(1, hosts.root, to=2)
    low = hosts.child(2, middle, to=3)
    hosts[1].cancel_child(hosts.root, middle.id)
    hosts.die(2)
    late = hosts.child(3, low, to=4)
    hosts.end_below(middle.id)
    assert late.phase is Phase.ENDED


def test_so_it_does_when_its_parent_has_let_go_of_it_meanwhile(hosts, chain):
    top, middle, _ = chain
    hosts[1].cancel_child(top, middle.id)
    hosts[1].release(top, [middle.id])
    assert set(hosts[1].stubs) == {middle.id}
    hosts.die(2)
    assert asks(hosts[1]) == [middle.id]
    assert not hosts[1].stubs


def test_a_cancelled_and_released_state_is_remembered_until_it_has_ended(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    hosts.step(2)
    hosts[1].cancel_child(hosts.root, child)
    hosts[1].release(hosts.root, [child])
    hosts.post(2, 1)  # it has begun
    assert set(hosts[1].stubs) == {child}
    hosts.post_all()
    assert not hosts[1].stubs


def test_nothing_is_asked_below_a_cancelled_state_that_had_not_begun(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts[1].cancel_child(hosts.root, child)
    hosts.die(2)
    assert not hosts[1].instructions
    assert not hosts[1].run_queue


def test_who_was_on_the_way_from_a_host_that_had_not_heard_is_turned_back(hosts, chain):
    top, middle, _ = chain
    late = hosts.create(2, middle)
    hosts[1].cancel_child(hosts.root, top.id)
    for number in (1, 3):
        hosts[number].end_below(top.id)
    assert hosts[2].give(3)
    hosts.post(2, 3)
    assert late not in hosts[3].states
    hosts[2].end_below(top.id)
    hosts.post_all()
    assert not hosts[2].states
    assert not hosts[2].stubs


def test_until_the_command_comes_the_host_of_the_end_itself_turns_back(hosts, chain):
    _, middle, low = chain
    hosts[2].stepped(middle, Preempted())
    hosts[2].exceed(middle, EXCESS)
    late = hosts.create(3, low)
    assert hosts[3].give(2)
    hosts.post(3, 2)
    assert late not in hosts[2].states
    assert hosts.letters(2, 3) == [Kind.ENDED]


def test_an_end_is_remembered_until_every_other_host_has_heard_of_it(hosts, chain):
    top = chain[0]
    hosts[1].end_below(top.id)
    hosts.post_all()
    assert [peer.ahead for peer in (hosts[2].peers[1], hosts[3].peers[1])] == [1, 1]
    hosts[2].end_below(top.id)
    hosts.post_all()
    assert [list(hosts[1].peers[number].behind) for number in (2, 3)] == [[], [top.id]]
    hosts[3].end_below(top.id)
    hosts.post_all()
    for machine in hosts.machines.values():
        assert all(not peer.behind and not peer.ahead for peer in machine.peers.values())


def test_an_end_below_a_state_that_lives_here_is_a_lie(hosts):
    child = hosts.child(1, hosts.root)
    grandchild = hosts.child(1, child)
    hosts[1].end_below(child.id)
    assert hosts.is_alive(1, grandchild)


def test_the_end_of_a_parent_ends_no_child_elsewhere(hosts, chain):
    top, middle, low = chain
    hosts[1].stepped(top, RETURNED)
    hosts.post_all()
    assert hosts.is_alive(2, middle)
    assert hosts.is_alive(3, low)
    assert not hosts[1].stubs


# --- the tree --------------------------------------------------------------------------------------------------------


def test_the_end_of_the_root_is_told_and_ends_nobody(hosts, chain):
    hosts[1].stepped(hosts.root, RETURNED)
    assert hosts[1].instructions == [ReportRootEnd(hosts.root_id, Returned())]
    assert hosts.is_alive(3, chain[2])
    assert hosts[1].asks == 1


def test_an_exit_of_the_root_ends_the_tree_here_at_once(hosts):
    hosts[1].stepped(hosts.root, Ended(Exited(3)))
    result = TreeResult(Exited(3), 0)
    assert hosts[1].instructions == [ReportRootEnd(hosts.root_id, Exited(3)), ReportTreeEnd(hosts.root_id, result)]


def test_the_end_of_the_tree_leaves_nothing(hosts, chain):
    hosts.create(2, chain[1])
    hosts[2].give(1)
    hosts.post(2, 1)
    for machine in hosts.machines.values():
        machine.end_tree()
        machine.end_tree()
        assert machine.tree is None
        assert not machine.states
        assert not machine.stubs
        assert not machine._abroad
        assert not machine._untold
        assert not machine._spread_from
        assert machine.instructions == [ReportTreeEnd(hosts.root_id, TreeResult(Cancelled(), 0))]
    hosts.post_all()


def test_a_tree_limit_is_told_once_where_the_root_does_not_live(hosts):
    for _ in range(2):
        hosts[2].exceed_tree(hosts[2].tree, EXCESS)
    assert hosts[2].instructions == [ReportExcess(hosts.root_id, EXCESS)]
    hosts[1].stepped(hosts.root, Preempted())
    hosts[1].exceed_tree(hosts[1].tree, EXCESS)
    (_, told) = hosts[1].instructions
    assert isinstance(told.outcome, Failure)
    assert told.outcome.kind == "time"


def test_a_host_reports_when_nothing_can_happen_in_it(hosts):
    child = hosts.child(1, hosts.root, to=2, limits=StateLimits(time=5))
    assert hosts[2].report() is None
    hosts[2].stepped(child, MAIL)
    report = hosts[2].report()
    assert (report.sent, report.received) == ({1: 1, 3: 0}, {1: 1, 3: 0})
    assert (report.commands, report.asks, report.is_timed) == (0, 0, True)
    assert hosts[1].report() is None


def test_whoever_waits_is_named_in_a_deadlock(hosts):
    child = hosts.child(1, hosts.root, to=2)
    hosts[2].stepped(child, MAIL)
    hosts[1].stepped(hosts.root, Waiting(ChildrenHaveMail((child.id,))))
    for machine in hosts.machines.values():
        machine.report_waits()
    (of_root,) = hosts[1].instructions
    (of_child,) = hosts[2].instructions
    assert isinstance(of_root, ReportDeadlock)
    assert [(wait.state, wait.awaited) for wait in of_root.blocked] == [(hosts.root_id, (child.id,))]
    assert [(wait.state, wait.awaited) for wait in of_child.blocked] == [(child.id, (hosts.root_id,))]
