"""Messages and errors between a parent in one host and a child in another."""

import pytest

from luspool.scheduler.instructions import ReportFailure
from luspool.scheduler.letters import Kind
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    OutboxHasRoom,
    Returned,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase

FAILURE = Failure("error", b"value", "broken", "traceback", "s.lus")
MAIL, RETURNED = Waiting(InboxHasMail()), Ended(Returned())


@pytest.fixture
def child(hosts):
    return hosts.child(1, hosts.root, to=2)


def test_messages_arrive_in_order_in_both_directions(hosts, child):
    for payload in (b"1", b"2"):
        assert hosts[1].send(hosts.root, child.id, payload) is not None
        assert hosts[2].message(child, payload) is not None
    hosts.post_all()
    assert [hosts[2].peek(child) for _ in range(3)] == [b"1", b"2", None]
    assert [hosts[1].receive(hosts.root, [child.id]) for _ in range(3)] == [
        Delivered((b"1",)),
        Delivered((b"2",)),
        None,
    ]


def test_a_message_wakes_who_waits_for_it(hosts, child):
    hosts[2].stepped(child, MAIL)
    hosts[1].send(hosts.root, child.id, b"1")
    hosts.post(1, 2)
    assert hosts[2].take_ready() is child
    hosts[1].stepped(hosts.root, Waiting(ChildrenHaveMail((child.id,))))
    hosts[2].message(child, b"2")
    hosts.post(2, 1)
    assert hosts[1].take_ready() is hosts.root


def test_an_error_comes_after_the_messages_and_once(hosts, child):
    hosts[2].message(child, b"1")
    hosts[2].stepped(child, Ended(FAILURE))
    hosts.post(2, 1)
    assert [hosts[1].receive(hosts.root, [child.id]) for _ in range(3)] == [
        Delivered((b"1",)),
        Thrown(FAILURE),
        Delivered((None,)),
    ]
    assert not hosts[2].states


def test_a_quiet_end_wakes_a_parent_that_waits_for_this_child_alone(hosts, child):
    hosts[1].stepped(hosts.root, Waiting(ChildrenHaveMail((child.id,))))
    hosts[2].stepped(child, RETURNED)
    hosts.post(2, 1)
    assert hosts[1].take_ready() is hosts.root
    assert not hosts[1].stubs


def test_a_full_window_makes_the_child_wait_until_room_was_made(hosts, child):
    while hosts[2].message(child, b"1234"):
        pass
    hosts[2].stepped(child, Waiting(OutboxHasRoom(4)))
    assert hosts.letters(2, 1)[-1] is Kind.OUTBOX_ASKED
    hosts.post(2, 1)
    hosts[1].receive(hosts.root, [child.id])
    assert hosts.letters(1, 2) == [Kind.OUTBOX_TAKEN]
    hosts.post(1, 2)
    assert hosts[2].take_ready() is child


def test_a_full_window_makes_the_parent_wait_until_room_was_made(hosts, child):
    while hosts[1].send(hosts.root, child.id, b"1234"):
        pass
    hosts[1].stepped(hosts.root, Waiting(InboxHasRoom(child.id, 4)))
    hosts.post(1, 2)
    hosts[2].peek(child)
    hosts.post(2, 1)
    assert hosts[1].take_ready() is hosts.root


def test_a_taker_tells_of_a_quarter_of_the_mailbox_at_a_time_unless_it_was_asked(make_hosts):
    hosts = make_hosts(2, messages=16)
    child = hosts.child(1, hosts.root, to=2)
    while hosts[1].send(hosts.root, child.id, b"1234"):
        pass
    hosts.post(1, 2)
    for told in (0, 0, 0, 1, 1, 1, 1, 2):
        hosts[2].peek(child)
        assert len(hosts.letters(2, 1)) == told
    hosts[1].stepped(hosts.root, Waiting(InboxHasRoom(child.id, 2000)))
    hosts.post(1, 2)
    for told in (3, 4, 5):
        hosts[2].peek(child)
        assert len(hosts.letters(2, 1)) == told


def test_who_is_asked_for_room_tells_of_what_it_has_taken_before(make_hosts):
    hosts = make_hosts(2, messages=16)
    child = hosts.child(1, hosts.root, to=2)
    hosts[1].send(hosts.root, child.id, b"1234")
    hosts.post(1, 2)
    hosts[2].peek(child)
    assert not hosts.letters(2, 1)
    hosts[1].stepped(hosts.root, Waiting(InboxHasRoom(child.id, 2000)))
    hosts.post(1, 2)
    hosts.post(2, 1)
    assert hosts[1].take_ready() is hosts.root


def test_a_sender_that_was_woken_asks_anew_when_it_waits_again(hosts, child):
    for _ in range(2):
        while hosts[2].message(child, b"1234"):
            pass
        hosts[2].stepped(child, Waiting(OutboxHasRoom(4)))
        assert hosts.letters(2, 1).count(Kind.OUTBOX_ASKED) == 1
        hosts.post(2, 1)
        hosts[1].receive(hosts.root, [child.id])
        hosts.post(1, 2)
        assert hosts[2].take_ready() is child


def test_one_message_beyond_the_capacity_goes_through_alone(hosts, child):
    large = bytes(10_000)
    assert hosts[1].send(hosts.root, child.id, large) is not None
    assert hosts[1].send(hosts.root, child.id, b"") is None
    hosts.post(1, 2)
    assert hosts[2].peek(child) == large
    hosts.post(2, 1)
    assert hosts[1].send(hosts.root, child.id, b"") is not None


def test_a_released_child_is_an_orphan_and_ends_when_it_waits_for_mail(hosts, child):
    hosts[1].send(hosts.root, child.id, b"queued before")
    hosts[1].release(hosts.root, [child.id])
    hosts.post(1, 2)
    assert not hosts[1].stubs
    assert hosts[2].peek(child) == b"queued before"
    hosts[2].stepped(child, MAIL)
    assert list(hosts[2].closable) == [child]
    assert not hosts[2]._abroad


def test_an_orphan_that_waits_for_room_goes_on(hosts, child):
    while hosts[2].message(child, b"1234"):
        pass
    hosts[2].stepped(child, Waiting(OutboxHasRoom(4)))
    hosts[1].release(hosts.root, [child.id])
    hosts.post(1, 2)
    assert hosts[2].take_ready() is child
    assert hosts[2].message(child, b"dropped") is not None


def test_the_error_of_a_released_child_is_reported_where_it_lives(hosts, child):
    hosts[1].release(hosts.root, [child.id])
    hosts.post(1, 2)
    hosts[2].stepped(child, Ended(FAILURE))
    assert hosts[2].instructions == [ReportFailure(FAILURE, child.id, hosts.root_id)]


def test_an_error_that_meets_the_release_on_its_way_is_reported_at_home(hosts, child):
    hosts[2].stepped(child, Ended(FAILURE))
    hosts[1].release(hosts.root, [child.id])
    hosts.post_all()
    assert hosts[1].instructions == [ReportFailure(FAILURE, child.id, hosts.root_id)]
    assert not hosts[2].instructions


def test_a_child_whose_parents_host_dies_is_an_orphan(hosts, child):
    hosts[2].stepped(child, MAIL)
    other = hosts.child(1, hosts.root, to=2)
    hosts.die(1)
    assert list(hosts[2].closable) == [child]
    assert hosts.is_alive(2, other)
    assert not hosts[2]._abroad


def test_a_parent_that_waits_to_send_to_a_child_that_crashes_goes_on(hosts, child):
    while hosts[1].send(hosts.root, child.id, b"1234"):
        pass
    hosts[1].stepped(hosts.root, Waiting(InboxHasRoom(child.id, 4)))
    hosts.die(2)
    assert hosts[1].take_ready() is hosts.root
    assert hosts[1].send(hosts.root, child.id, b"dropped") is not None


def test_what_a_cancelled_child_had_sent_can_still_be_received(hosts, child):
    hosts[2].message(child, b"1")
    hosts[1].cancel_child(hosts.root, child.id)
    assert not hosts[1].is_running(hosts.root, child.id)
    assert hosts[1].send(hosts.root, child.id, b"dropped") is not None
    assert hosts[1].receive(hosts.root, [child.id]) is None
    hosts.post_all()
    assert child.phase is Phase.ENDED
    assert hosts[1].receive(hosts.root, [child.id]) == Delivered((b"1",))
    assert not hosts[1].stubs


def test_a_child_cancelled_while_it_says_that_it_begins_ends(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    state = hosts.step(2)
    hosts[1].cancel_child(hosts.root, child)
    hosts.post(2, 1)
    hosts.post(1, 2)
    assert state.phase is Phase.ENDED
    hosts.post(2, 1)
    assert not hosts[1].stubs
