"""Time limits and stopped steps on real threads, with states in Python."""

import queue
import re
import threading
import time

import pytest

from luspool.scheduler import timekeeper
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import Ended, Exited, Preempted

MS = 1_000_000
SHORT = StateLimits(cpu=20 * MS)
BRIEF = StateLimits(time=20 * MS)


def busy(self):
    """Inside one step until it is told to stop."""
    while not self.stopped.is_set():
        sum(range(1000))
    yield Preempted()


def waiting(self):
    yield from self.peek()


def family(limits, *, worker):
    """A root whose worker exceeds a limit, and that prints the error."""

    def root(self):
        child = self.create(worker, limits)
        try:
            yield from self.receive(child)
        except Exception as error:
            self.print(error)
        self.print(self.is_running(child))

    return root


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("limits", "kind"), [(SHORT, "cpu"), (BRIEF, "time")])
def test_a_step_that_goes_on_is_stopped_at_its_limit(house, threads, limits, kind):
    output = house.run(family(limits, worker=busy), threads=threads)
    assert re.match(rf"fake\.lus:\d+: {kind} limit exceeded: ", output[0])
    assert output[1:] == ["False"]


def test_a_state_that_waits_ends_at_its_time(house):
    (message, running) = house.run(family(BRIEF, worker=waiting))
    assert message.endswith("time limit exceeded: more than 20 ms of wall time")
    assert running == "False"


def test_processor_time_adds_up_over_many_steps(house):
    def slices(self):
        while True:
            until = time.thread_time_ns() + 3 * MS
            while time.thread_time_ns() < until:
                pass
            yield Preempted()

    (message, _) = house.run(family(SHORT, worker=slices))
    assert "cpu limit exceeded" in message


def test_waiting_takes_no_processor_time(house):
    def patient(self):
        for _ in range(3):
            threading.Event().wait(0.015)  # inside its step, but not on the processor
            yield Preempted()
        yield from self.message(b"done")

    def root(self):
        child = self.create(patient, SHORT)
        self.print((yield from self.receive(child)).decode())

    assert house.run(root) == ["done"]


def reading(self):
    yield from self.read()


@pytest.mark.parametrize("script", [busy, reading])
def test_a_tree_ends_at_its_time_whatever_its_root_does(house, script):
    house.run(script, limits=Limits(tree=TreeLimits(time=20 * MS)))
    assert house.events.failures == [("time", True)]
    assert house.result.outcome.kind == "time"


def test_a_tree_whose_root_has_ended_ends_at_its_time(house):
    def root(self):
        self.create(busy)
        yield Preempted()

    house.run(root, limits=Limits(tree=TreeLimits(time=50 * MS)))
    assert house.events.failures == [("time", True)]


def test_a_step_that_does_not_end_is_told_once(house, patience):
    inside, leave = threading.Event(), threading.Event()

    def deaf(self):
        inside.set()
        while not leave.is_set():
            pass
        yield Preempted()

    host = house.host()
    host.start()
    host.create_root(deaf, Limits(BRIEF))
    failure = house.events.stuck_steps.get(timeout=patience)
    assert failure.kind == "time"
    leave.set()
    assert house.events.results.get(timeout=patience).outcome.kind == "time"
    with pytest.raises(queue.Empty):
        house.events.stuck_steps.get_nowait()


def test_a_step_that_waits_inside_is_stuck_after_longer(house, patience, monkeypatch):
    monkeypatch.setattr(timekeeper, "WAITING_GRACE", 50 * MS)
    leave = threading.Event()

    def asleep(self):
        assert leave.wait(patience)
        yield Preempted()

    host = house.host()
    host.start()
    host.create_root(asleep, Limits(BRIEF))
    assert house.events.stuck_steps.get(timeout=patience).kind == "time"
    leave.set()
    assert house.events.results.get(timeout=patience).outcome.kind == "time"


def test_a_step_that_waits_for_a_slow_reader_is_not_stuck(house, recorder, patience, monkeypatch):
    monkeypatch.setattr(timekeeper, "WAITING_GRACE", MS)
    reading, read_on = threading.Event(), threading.Event()

    class Slow(recorder):
        def write(self, stream, data):
            reading.set()
            assert read_on.wait(patience)

    def root(self):
        self.print("to a slow reader")
        yield Preempted()

    host = house.host(events=Slow())
    host.start()
    host.create_root(root, Limits(BRIEF))
    assert reading.wait(patience)
    with pytest.raises(queue.Empty):  # some looks of the timekeeper after its time and the grace
        house.events.stuck_steps.get(timeout=0.2)
    read_on.set()
    assert house.events.results.get(timeout=patience).outcome.kind == "time"


@pytest.mark.parametrize("end", ["cancel", "shutdown"])
def test_a_state_ended_while_it_is_made_is_stopped_all_the_same(house, patience, end):
    making, made = threading.Event(), threading.Event()

    def factory(spec, port):
        making.set()
        assert made.wait(patience)
        return house.make(spec, port)

    host = house.host(factory=factory)
    host.start()
    root = host.create_root(busy, Limits())
    assert making.wait(patience)
    if end == "cancel":
        host.cancel(root)
        made.set()
    else:
        threading.Thread(target=made.set).start()
    assert host.shutdown(patience)
    assert [state.stopped.is_set() for state in house.states] == [True]


def test_a_parent_cancels_a_worker_inside_its_step(house):
    def root(self):
        child = self.create(busy)
        self.port.cancel(child)
        self.print(self.is_running(child))
        self.print((yield from self.receive(child)))

    assert house.run(root) == ["False", "None"]


def test_a_root_that_exits_stops_the_steps_of_its_workers(house):
    begun = threading.Event()

    def worker(self):
        begun.set()
        yield from busy(self)

    def root(self):
        self.create(worker)
        while not begun.is_set():
            yield Preempted()
        yield Ended(Exited(3))

    house.run(root)
    assert house.result.outcome == Exited(3)
    assert house.states[1].stopped.is_set()


@pytest.mark.parametrize("threads", [1, 2])
def test_who_holds_an_executor_does_not_keep_others_from_working(house, threads):
    """As many states that do not give way as there are threads, and a program that goes on beside them."""

    def held(self):
        while not self.stopped.wait(0.001):
            pass
        yield Preempted()

    def echo(self):
        while True:
            yield from self.message((yield from self.peek()))

    def root(self):
        hogs = [self.create(held) for _ in range(threads)]
        yield Preempted()
        worker = self.create(echo)
        for number in range(100):
            yield from self.send(worker, b"%d" % number)
            assert (yield from self.receive(worker)) == b"%d" % number
        for hog in hogs:
            self.port.cancel(hog)
        self.print("done")

    assert house.run(root, threads=threads) == ["done"]


def test_an_executor_that_was_replaced_leaves_when_its_step_is_over(house, patience):
    go_on = threading.Event()

    def held(self):
        assert go_on.wait(patience)
        yield from self.message(b"over")

    def root(self):
        worker = self.create(held)
        yield Preempted()
        for _ in range(3):
            yield from self.receive(self.create(ended))
        go_on.set()
        yield from self.receive(worker)
        while len(names := [thread for thread in threading.enumerate() if thread.name == "executor"]) > 1:
            yield Preempted()
        self.print(len(names))

    def ended(self):
        yield from self.message(b"")

    assert house.run(root, threads=1) == ["1"]


def test_a_sender_is_told_of_no_more_room_than_a_part_of_its_receivers_heap(house):
    """A receiver has what it has begun of several messages that came together in its own heap."""
    told = {}

    def child(self):
        told["message"] = self.port.message(b"x")
        yield from self.peek()

    def root(self):
        kid = self.create(child, StateLimits(memory=64 << 10))
        told["send"] = self.port.send(kid, b"x")
        yield from self.receive(kid)

    house.run(root, limits=Limits(StateLimits(memory=1 << 20)))
    assert told == {"send": (64 << 10) // 16, "message": (64 << 10) // 16 // 2}
