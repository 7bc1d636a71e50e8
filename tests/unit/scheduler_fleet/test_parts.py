"""The pure parts of a fleet: merge, blame, input lease."""

import pytest

from luspool.scheduler import wire
from luspool.scheduler.blame import Blame, RestartBudget, RestartPolicy
from luspool.scheduler.input_lease import InputLease, LeaseError, Next
from luspool.scheduler.merge import EventMerge, StampError


def said(text):
    return wire.Output(1, text)


class Merge(EventMerge):
    def event(self, host, at, *texts, missing=0):
        self.add(host, wire.Stamp(at, len(texts) + missing), 10**9)
        for text in texts:
            self.add(host, said(text), 10**9)

    def taken(self, until):
        return [message.data for _, message in self.take(until)]


@pytest.fixture
def merge():
    merge = Merge()
    merge.add_host(1)
    merge.add_host(2)
    return merge


def test_events_come_in_the_order_of_their_stamps_up_to_a_time(merge):
    merge.event(1, 10, b"a")
    merge.event(2, 20, b"b")
    merge.event(1, 30, b"c")
    assert merge.taken(20) == [b"a", b"b"]
    assert merge.is_holding
    assert merge.taken(30) == [b"c"]
    assert not merge.is_holding


def test_the_frames_of_an_event_stay_together(merge):
    merge.event(1, 10, b"a1", missing=1)
    merge.event(2, 11, b"b")
    assert merge.taken(99) == [b"a1"]
    assert merge.speaker == 1
    assert not merge.is_holding  # whatever there is has to wait for the rest of this one
    assert merge.taken(99) == []
    merge.add(1, said(b"a2"), 99)
    assert merge.is_holding
    assert merge.taken(99) == [b"a2", b"b"]
    assert merge.speaker is None


def test_what_is_left_of_a_word_goes_with_its_host(merge):
    merge.event(1, 10, b"a1", missing=1)
    merge.event(2, 11, b"b")
    assert merge.taken(99) == [b"a1"]
    merge.remove_host(1)
    assert merge.taken(99) == [b"b"]


def test_a_host_may_be_removed_while_what_it_said_is_being_taken(merge):
    merge.event(1, 10, b"a1", b"a2")
    merge.event(2, 11, b"b")
    frames = merge.take(99)
    assert next(frames)[1].data == b"a1"
    merge.remove_host(1)
    assert [message.data for _, message in frames] == [b"b"]


def test_no_more_is_read_of_a_host_than_can_be_its_turn(merge):
    assert not merge.is_ahead(1, 50)
    merge.event(1, 10, b"a")
    assert not merge.is_ahead(1, 50)  # there may be more up to that time
    merge.event(1, 20, b"b", missing=1)
    assert merge.is_ahead(1, 50)  # before anything that follows, the rest of this one has to be taken
    merge.add(1, said(b"b2"), 99)
    merge.event(1, 60, b"c")
    assert merge.is_ahead(1, 50)


@pytest.mark.parametrize("at", [5, 100])
def test_stamps_neither_go_back_nor_lie_ahead(merge, at):
    merge.event(1, 10, b"a")
    with pytest.raises(StampError):
        merge.add(1, wire.Stamp(at, 1), 99)


def test_a_script_is_banned_at_the_second_death_inside_of_it_and_told_once():
    blame = Blame(RestartPolicy(deaths_per_script=2))
    assert blame.died(["a", "b", "a"], "died") == []
    assert blame.died(["a"], "was killed") == ["a"]
    assert blame.died(["a"], "was killed") == []
    assert blame.banned == {"a": "not started: 2 processes have died while they ran it (the last one was killed)"}


def test_restarts_come_slower_and_slower_and_end_and_are_forgiven():
    budget = RestartBudget(RestartPolicy(restarts=4, window=60, first_delay=1, longest_delay=3))
    assert [budget.next(100.0) for _ in range(5)] == [100.0, 101.0, 102.0, 103.0, None]
    assert budget.next(160.0) is not None


def test_any_number_of_restarts_may_be_allowed():
    budget = RestartBudget(RestartPolicy(restarts=10**9, first_delay=0.5, longest_delay=5))
    assert [budget.next(0.0) for _ in range(3000)][-1] == 5.0


def test_input_goes_to_who_asks_and_back_before_it_goes_to_another():
    lease = InputLease()
    assert lease.next() is Next.NOTHING
    lease.asked(1)
    assert lease.next() is Next.READ
    lease.arrived(b"one\ntwo\n")
    assert lease.next() is Next.NOTHING
    assert lease.deliveries == [(1, b"one\ntwo\n")]
    lease.deliveries.clear()
    lease.asked(2)
    assert lease.next() is Next.RECALL
    assert lease.holder == 1
    assert lease.next() is Next.NOTHING  # it has been told
    lease.gave_back(2, b"nonsense")
    lease.gave_back(1, b"two\n")
    lease.gave_back(1, b"")
    assert lease.next() is Next.NOTHING
    assert lease.deliveries == [(2, b"two\n")]
    assert lease.holder == 2


def test_the_end_of_input_is_told_to_everybody():
    lease = InputLease()
    lease.asked(1)
    lease.next()
    lease.arrived(b"")
    lease.asked(2)
    assert lease.next() is Next.NOTHING
    assert lease.deliveries == [(1, b""), (2, b"")]


def test_input_of_a_dead_host_goes_with_it_and_the_next_is_read():
    lease = InputLease()
    lease.asked(1)
    lease.next()
    lease.arrived(b"one\n")
    lease.next()
    lease.asked(2)
    assert lease.next() is Next.RECALL
    lease.gone(1)
    assert lease.next() is Next.READ


def test_nobody_gives_back_more_than_it_has_got_in_all():
    lease = InputLease()
    for chunk in (b"one\n", b"two\n"):
        lease.asked(1)
        lease.next()
        lease.arrived(chunk)
        lease.next()
    lease.asked(2)
    assert lease.next() is Next.RECALL
    lease.gave_back(1, b"one\n")
    with pytest.raises(LeaseError):
        lease.gave_back(1, b"two\n ")
