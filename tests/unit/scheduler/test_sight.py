"""What a host shows of its states to who looks."""

import threading

from luspool.scheduler import wire
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.sight import SHOWN
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED


def test_what_each_state_does_is_shown(house, patience):
    go_on, inside = threading.Event(), threading.Event()

    def peeks(self):
        yield from self.peek()

    def computes(self):
        inside.set()
        assert go_on.wait(patience)
        yield from ()

    def root(self):
        waits, runs = self.create(peeks), self.create(computes)
        self.port.send(waits, b"x" * 100)
        yield from self.receive(runs)

    host = house.host(threads=1)
    host.start()
    host.create_root(root, Limits())
    assert inside.wait(patience)
    sight = host.look()
    assert (sight.states, sight.running, sight.waiting, sight.ready) == (2, 1, 1, 0)
    shown = {one.state: one for one in sight.shown}
    assert (shown[1].waits_for, shown[1].awaited, shown[1].phase) == ("ChildrenHaveMail", (3,), Phase.WAITING)
    assert shown[1].location.startswith("fake.lus:")
    assert (shown[3].phase, shown[3].parent, shown[3].location, shown[3].script) == (Phase.RUNNING, 1, "", "fake.lus")
    before = shown[3].cpu
    while {one.state: one for one in host.look().shown}[3].cpu <= before:
        pass  # the present step counts while it goes on
    go_on.set()
    house.events.results.get(timeout=patience)
    assert host.look().states == 0


def test_of_many_states_all_are_counted_and_few_are_shown(house):
    host = house.host()
    limits = Limits(tree=TreeLimits(states=UNLIMITED, memory=UNLIMITED))
    host.create_root(None, limits)
    machine = host._dispatcher.machine
    root = machine.states[1]
    for number in range(10_000):
        child = machine.create(root, None, number, limits.state)
        if number == 5_000:
            machine.send(root, child, b"x" * 1000)
    sight = host.look()
    assert (sight.states, sight.ready) == (10_001, 10_001)
    assert len(sight.shown) <= 3 * SHOWN
    assert {one.memory for one in sight.shown} >= set(range(9_999, 9_999 - SHOWN, -1))
    assert [one.inbox for one in sight.shown if one.inbox] == [1064]
    frame = wire.encode(wire.Seen.of(1, sight))
    assert len(frame) < wire.Seen.LIMIT


def test_a_look_holds_nobody_up_for_longer_than_it_takes_to_list_the_states(house):
    """While it sorts, the lock is free."""
    host = house.host()
    host.create_root(None, Limits())
    lock = host._dispatcher.lock
    (state,) = host._dispatcher.machine.states.values()

    held = []

    class Box:
        """An inbox that notes whether the lock is held while it is weighed."""

        @property
        def used(self):
            held.append(lock.locked())
            return 0

        def clear(self):
            pass

    state.inbox = Box()
    host.look()
    assert held == [False, True]  # once to sort, once to show it
