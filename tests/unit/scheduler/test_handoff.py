"""A state that is woken out of a step may be left to the executor of that step, but never for long."""

import threading

from luspool.scheduler.dispatcher import Dispatcher
from luspool.scheduler.events import TreeResult
from luspool.scheduler.handoff import Handoff
from luspool.scheduler.protocol import Preempted, Returned


def ready():
    handoff = Handoff()
    while not handoff.came(for_nothing=True):
        pass
    return handoff


def test_it_begins_when_executors_have_come_for_nothing_several_times_in_a_row():
    handoff = Handoff()
    for _ in range(100):
        for _ in range(7):
            assert not handoff.came(for_nothing=True)
        assert not handoff.came(for_nothing=False)
    assert [handoff.came(for_nothing=True) for _ in range(10)] == [False] * 7 + [True, False, False]
    assert handoff.is_on


def test_it_goes_on_while_work_is_taken():
    handoff = ready()
    for _ in range(100):
        handoff.look(is_work=True)
        handoff.taken()
        handoff.look(is_work=True)
        handoff.look(is_work=False)
    assert handoff.is_on


def test_it_ends_when_work_was_left_from_one_look_to_the_next_and_can_begin_again():
    handoff = ready()
    handoff.look(is_work=True)
    assert handoff.is_on
    handoff.look(is_work=True)
    assert not handoff.is_on
    assert [handoff.came(for_nothing=True) for _ in range(8)] == [False] * 7 + [True]
    handoff.look(is_work=True)
    assert handoff.is_on


def test_a_step_knows_whether_anybody_else_would_run_what_it_wakes(house):
    seen = []

    def root(self):
        dispatcher = self.port._dispatcher
        while dispatcher.idle < len(dispatcher.executors) - 1:
            yield Preempted()
        seen.append(dispatcher.slice.wanted[1])

    for threads in (1, 2):
        house.run(root, threads=threads)
    assert seen == [1, 0]


def test_a_step_that_goes_on_after_it_has_woken_another_does_not_keep_that_one(house, patience):
    """The child runs on while its parent is inside of the step that has woken it."""
    child_has_run = threading.Event()

    def child(self):
        yield from self.message(b"ready")
        yield from self.peek()
        child_has_run.set()

    def root(self):
        kid = self.create(child)
        yield from self.receive(kid)
        dispatcher = self.port._dispatcher
        while not dispatcher.idle:  # the other executor sleeps when the child waits
            yield Preempted()
        dispatcher.handoff.is_on = True
        yield from self.send(kid, b"go on")
        assert child_has_run.wait(patience)

    for _ in range(20):
        child_has_run.clear()
        house.run(root, threads=2, slice_nanoseconds=0)  # so nobody is replaced who holds an executor
        assert house.result == TreeResult(Returned(), 0)


def test_a_step_that_goes_on_after_it_has_created_another_does_not_keep_that_one(house, patience):
    """The child runs while its parent is inside of the step that has created it."""
    child_has_run = threading.Event()

    def child(_self):
        child_has_run.set()
        yield Preempted()

    def root(self):
        dispatcher = self.port._dispatcher
        for _ in range(20):
            child_has_run.clear()
            while not dispatcher.idle:
                yield Preempted()
            dispatcher.handoff.is_on = True
            kid = self.create(child)
            assert child_has_run.wait(patience)
            assert (yield from self.receive(kid)) is None

    house.run(root, threads=2, slice_nanoseconds=0)
    assert house.result == TreeResult(Returned(), 0)


def test_one_that_is_created_is_left_to_the_executor_of_its_creator(house, monkeypatch):
    kept, wake = [], Dispatcher.wake

    def child(_self):
        yield Preempted()

    def seen(dispatcher, **options):
        wake(dispatcher, **options)
        if options:  # by the thread of the step
            kept.append((dispatcher.idle, dispatcher.waking))

    def root(self):
        dispatcher = self.port._dispatcher
        while not dispatcher.idle:
            yield Preempted()
        monkeypatch.setattr(Dispatcher, "wake", seen)
        dispatcher.handoff.is_on = True
        kid = self.create(child)
        monkeypatch.undo()
        yield from self.receive(kid)

    house.run(root, threads=2, slice_nanoseconds=0)
    assert house.result == TreeResult(Returned(), 0)
    assert (1, 0) in kept


def test_two_that_answer_each_other_are_left_to_one_executor(house):
    """Whoever is woken by a step is still there for its own executor when the step ends."""
    kept = []

    def echo(self):
        while (payload := (yield from self.peek())) != b"end":
            yield from self.message(payload)

    def root(self):
        dispatcher, kid = self.port._dispatcher, self.create(echo)
        for number in range(100):
            while not dispatcher.idle:
                yield Preempted()
            with dispatcher.lock:  # what would give the work away looks under it too
                dispatcher.handoff.is_on = True
                dispatcher.machine.send(self.port._state, kid, b"%d" % number)
                dispatcher.wake(in_step=True)
                kept.append((dispatcher.idle, dispatcher.waking, dispatcher.slice.wanted[:]))
            assert (yield from self.receive(kid)) == b"%d" % number
        yield from self.send(kid, b"end")

    house.run(root, threads=2)
    assert house.result == TreeResult(Returned(), 0)
    assert kept == [(1, 0, bytes([1, 1]))] * 100
