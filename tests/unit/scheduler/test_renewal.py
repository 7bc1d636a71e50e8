"""A host for one tree after another: each finds it as a new one is, and none begins before all of the last is gone."""

import queue
import threading

import pytest

from luspool.scheduler.host import Host
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import Ended, Exited, ReplyArrived, Returned, Waiting

LIMITS = Limits(tree=TreeLimits(mailbox=1000))


@pytest.fixture
def lodging(house, recorder, patience):
    """`lodging(threads, chunks)`: a host that renews itself, already started; `lodging.run(root)` runs a tree."""

    class Guests(recorder):
        def __init__(self, chunks=()):
            super().__init__(chunks)
            self.vacancies = queue.SimpleQueue()

        def tree_ended(self, root, result):
            super().tree_ended(root, result)
            self.over.clear()  # numbers begin anew

        def vacated(self):
            self.heard()
            self.vacancies.put([state.closed for state in house.states])

    class Lodging:
        def __call__(self, threads=2, chunks=()):
            self.events = Guests(chunks)
            self.host = Host(threads, house.make, self.events, renews=True)
            self.events.host = self.host
            house.hosts.append(self.host)
            self.host.start()
            return self

        def begin(self, root, limits=LIMITS):
            return self.host.create_root(root, limits)

        def leave(self):
            """The tree is over and nothing is left of it: all its states are closed."""
            result = self.events.results.get(timeout=patience)
            assert set(self.events.vacancies.get(timeout=patience)) == {1}
            return result

        def run(self, root, limits=LIMITS):
            self.begin(root, limits)
            return self.leave()

    return Lodging()


def does_nothing(self):
    yield from ()


@pytest.mark.parametrize("threads", [1, 3])
def test_trees_run_one_after_another_and_numbers_begin_anew(lodging, threads):
    def root(self):
        child = self.create(lambda self: self.message(b"from below"))
        self.print((yield from self.receive(child)).decode())

    place = lodging(threads)
    for _ in range(20):
        assert place.begin(root) == 1
        place.leave()
    assert place.events.output == ["from below"] * 20
    assert place.events.vacancies.empty()


def test_what_a_tree_has_used_is_told_with_its_end_and_not_carried_over(lodging):
    def long(self):
        total = 0
        while total < 300_000:
            total += 1
        yield from ()

    place = lodging(1)
    used = [place.run(root).cpu for root in (long, does_nothing, long)]
    assert used[1] < used[0]
    assert used[1] < used[2]


def test_a_limit_is_that_of_the_tree_alone(lodging):
    def root(self):
        self.print("x" * 60)
        yield from ()

    place = lodging(1)
    limits = Limits(tree=TreeLimits(output=100))
    for _ in range(3):
        place.run(root, limits)
    assert place.events.output == ["x" * 60] * 3
    assert not place.events.failures


def test_input_that_was_left_is_not_for_the_next_tree(lodging):
    def takes_a_line(self):
        self.print((yield from self.read()).decode().rstrip("\n"))

    place = lodging(1, chunks=[b"one\nleft over\n", b"two\n"])
    place.run(takes_a_line)
    place.run(takes_a_line)
    assert place.events.output == ["one", "two"]


def test_the_end_of_input_is_not_that_of_the_next_tree(lodging):
    def takes_all(self):
        self.print(((yield from self.read()) or b"end").decode().rstrip("\n"))

    place = lodging(1, chunks=[None, b"more\n"])
    place.run(takes_all)
    place.run(takes_all)
    assert place.events.output == ["end", "more"]


def test_what_comes_between_two_trees_is_for_neither(lodging):
    def takes_a_line(self):
        self.print((yield from self.read()).decode().rstrip("\n"))

    place = lodging(1, chunks=[b"mine\n"])
    place.run(does_nothing)
    place.host.input_arrived(b"late\n")
    place.host.input_ended()
    place.run(takes_a_line)
    assert place.events.output == ["mine"]


def test_a_late_reply_answers_no_call_of_the_next_tree(lodging, patience):
    calls = queue.SimpleQueue()

    def caller(self):
        number = self.port.call("f", b"")
        while (result := self.port.take_reply(number)) is None:
            yield Waiting(ReplyArrived(number))
        self.print(result.payload.decode())

    def gives_up(self):
        self.port.call("f", b"")
        yield from ()

    place = lodging(1)
    place.events.called = lambda number, name, payload: calls.put(number)
    place.run(gives_up)
    late = calls.get(timeout=patience)
    place.begin(caller)
    own = calls.get(timeout=patience)
    place.host.replied(late, ok=True, payload=b"late")
    place.host.replied(own, ok=True, payload=b"own")
    place.leave()
    assert place.events.output == ["own"]


def test_a_tree_whose_worker_is_inside_a_step_is_left_when_that_is_over(lodging, patience):
    inside, go_on = threading.Event(), threading.Event()

    def worker(self):
        inside.set()
        assert go_on.wait(patience)
        yield from ()

    def root(self):
        self.create(worker)
        assert inside.wait(patience)
        yield Ended(Exited(3))

    place = lodging(2)
    place.begin(root)
    assert place.events.results.get(timeout=patience).outcome == Exited(3)
    assert place.events.vacancies.empty()
    go_on.set()
    assert place.events.vacancies.get(timeout=patience) == [1, 1]


def test_a_deadline_of_a_tree_does_not_end_the_next_one(lodging, patience):
    def waits(self):
        yield from self.read()

    place = lodging(1, chunks=[b"x\n", b""])
    place.run(waits, Limits(StateLimits(time=10**15), TreeLimits(time=10**15)))
    with place.host._dispatcher.lock:
        assert place.host._dispatcher.deadlines.next() is None
    place.begin(waits)
    place.host.input_arrived(b"y\n")
    assert place.leave().outcome == Returned()
