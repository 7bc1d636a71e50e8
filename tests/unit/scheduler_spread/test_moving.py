"""Giving states to another host: each once, not started, and begun by exactly one host."""

import pytest

from luspool.scheduler.letters import Kind
from luspool.scheduler.limits import StateLimits
from luspool.scheduler.protocol import (
    Delivered,
    Ended,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    LetterIsOut,
    NotAChildError,
    Preempted,
    Returned,
    StateId,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase

FAILURE = Failure("error", b"", "broken", "", "s.lus")
MAIL, RETURNED = Waiting(InboxHasMail()), Ended(Returned())


def test_the_oldest_state_that_has_not_begun_is_given_away(hosts):
    first, second = hosts.create(1, hosts.root), hosts.create(1, hosts.root)
    assert hosts[1].give(2)
    assert set(hosts[1].stubs) == {first}
    hosts.post(1, 2)
    assert hosts.is_alive(2, first)
    assert hosts.is_alive(1, second)


def test_a_root_or_a_state_that_has_begun_or_has_come_from_elsewhere_stays(hosts):
    child = hosts.child(1, hosts.root)
    hosts[1].stepped(child, Preempted())
    hosts[1].stepped(hosts.root, Preempted())
    assert not hosts[1].give(2)
    hosts.create(1, hosts.step(1))
    assert hosts[1].give(2)
    hosts.post(1, 2)
    assert not hosts[2].give(3)


def test_nothing_is_given_to_a_host_that_is_not_there(hosts):
    child = hosts.create(1, hosts.root)
    assert not hosts[1].give(9)
    hosts.die(3)
    assert not hosts[1].give(3)
    assert hosts.is_alive(1, child)


def test_its_first_letter_home_is_out_before_it_begins(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    state = hosts[2].take_ready()
    condition = hosts[2].start(state)
    assert condition == LetterIsOut(1, 1)
    hosts[2].stepped(state, Waiting(condition))
    assert hosts[2].take_ready() is None
    assert hosts[2].report() is None
    hosts[2].letters_are_out(1, 1)
    assert hosts[2].take_ready() is state
    assert hosts[2].start(state) is None
    assert hosts.letters(2, 1) == [Kind.STARTED]
    assert hosts[1].stubs[child].inbox.kept == []


def test_a_wait_for_a_letter_that_is_out_already_is_over_at_once(hosts):
    hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    state = hosts[2].take_ready()
    condition = hosts[2].start(state)
    hosts[2].stepped(hosts[2].states[state.id], Waiting(condition))
    hosts[2].letters_are_out(1, 5)
    assert state.phase is Phase.READY
    assert not hosts[2].peers[1].waiters


def test_a_state_that_had_not_begun_begins_at_home_when_its_host_dies(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].send(hosts.root, child, b"1")
    hosts[1].give(2)
    hosts[1].send(hosts.root, child, b"2")
    hosts.post(1, 2)
    hosts[2].start(hosts[2].take_ready())
    hosts[2].peers[1].letters.clear()  # it is not out when the host dies
    hosts.die(2)
    state = hosts.step(1)
    assert state.id == child
    assert [hosts[1].peek(state) for _ in range(3)] == [b"1", b"2", None]


def test_a_state_that_was_taken_back_may_be_given_to_another_host(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.die(2)
    assert hosts.give(1, 3).id == child


def test_a_state_that_had_begun_has_crashed_when_its_host_dies(hosts):
    child = hosts.child(1, hosts.root, to=2)
    hosts[2].message(child, b"last words")
    hosts.die(2, "killed")
    assert not hosts[1].is_running(hosts.root, child.id)
    assert hosts[1].receive(hosts.root, [child.id]) == Delivered((b"last words",))
    crash = Failure("crashed", b"", "child.lus: killed", "", "child.lus")
    assert hosts[1].receive(hosts.root, [child.id]) == Thrown(crash)
    assert hosts[1].receive(hosts.root, [child.id]) == Delivered((None,))


def test_a_state_that_begins_after_the_death_of_its_home_tells_nobody(hosts):
    hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    hosts.die(1)
    assert hosts[2].start(hosts[2].take_ready()) is None


def test_who_waits_to_tell_a_host_that_dies_goes_on(hosts):
    hosts.create(1, hosts.root)
    hosts[1].give(2)
    hosts.post(1, 2)
    state = hosts[2].take_ready()
    hosts[2].stepped(state, Waiting(hosts[2].start(state)))
    hosts.die(1)
    assert hosts[2].take_ready() is state


def test_a_child_keeps_its_limits_and_its_depth_and_counts_where_it_lives(hosts):
    limits = StateLimits(memory=5, cpu=7, time=9)
    child = hosts.child(1, hosts.root, to=2, limits=limits)
    assert (child.limits, child.depth) == (limits, 1)
    assert hosts[1].report() is None
    assert (hosts[1].tree.busy, hosts[2].tree.busy) == (1, 1)
    assert (hosts[1].tree.timed, hosts[2].tree.timed) == (0, 1)


def test_a_spec_counts_as_memory_at_home_until_the_state_has_begun(hosts):
    hosts.create(1, hosts.root, spec=b"x" * 100)
    before = hosts[1].tree.memory
    hosts.give(1, 2)
    assert hosts[1].tree.memory == before - 100
    assert hosts[2].tree.memory == 100


def test_only_its_creator_may_name_a_child_in_another_host(hosts):
    child = hosts.child(1, hosts.root, to=2)
    other = hosts.child(1, hosts.root)
    grandchild = hosts.child(2, child)
    assert hosts[2].is_running(child, grandchild.id)
    for host, asker, name in ((1, other, child.id), (1, hosts.root, grandchild.id), (2, grandchild, child.id)):
        with pytest.raises(NotAChildError):
            hosts[host].is_running(asker, name)
    with pytest.raises(NotAChildError):
        hosts[2].is_running(child, StateId(grandchild.id + 1))


def test_an_orphan_is_given_away_too_and_forgotten_once_it_has_begun(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].release(hosts.root, [child])
    hosts[1].give(2)
    hosts.post(1, 2)
    assert set(hosts[1].stubs) == {child}
    assert not hosts[2]._abroad
    state = hosts.step(2)
    hosts.post(2, 1)
    assert not hosts[1].stubs
    hosts[2].stepped(state, MAIL)
    assert list(hosts[2].closable) == [state]


def test_an_orphan_that_ends_before_it_has_begun_is_forgotten_at_home(hosts):
    child = hosts.create(1, hosts.root)
    hosts[1].release(hosts.root, [child])
    hosts[1].give(2)
    hosts.post(1, 2)
    hosts[2].stepped(hosts[2].take_ready(), Ended(FAILURE))
    hosts.post(2, 1)
    assert not hosts[1].stubs
    assert [instruction.failure for instruction in hosts[2].instructions] == [FAILURE]


def test_a_parent_that_waits_for_room_when_its_child_is_given_away_hears_of_it(make_hosts):
    hosts = make_hosts(2, messages=8)
    child = hosts.create(1, hosts.root)
    for _ in range(8):
        assert hosts[1].send(hosts.root, child, b"1234") is not None
    hosts[1].stepped(hosts.root, Waiting(InboxHasRoom(child, 4)))
    state = hosts.give(1, 2)
    hosts[2].peek(state)
    hosts.post(2, 1)
    assert hosts.root.phase is Phase.READY
