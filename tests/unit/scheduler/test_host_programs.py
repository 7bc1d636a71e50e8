"""Whole programs of fake states on real executor threads."""

import random
import sys
from collections import Counter

import pytest

from luspool.scheduler.events import Deadlocked, TreeResult
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.protocol import ChildrenHaveMail, Exited, Failure, InboxHasMail, Preempted, Returned, Waiting


def echo(self):
    while (payload := (yield from self.peek())) != b"stop":
        yield from self.message(payload)


def test_eight_waiting_workers_on_two_threads_answer_in_reverse_order(house):
    def root(self):
        workers = [self.create(echo) for _ in range(8)]
        for number, worker in reversed(list(enumerate(workers))):
            yield from self.send(worker, b"%d" % number)
            self.print((yield from self.receive(worker)).decode())

    assert house.run(root, threads=2) == list("76543210")
    assert house.result == TreeResult(Returned(), 0)


def test_ten_thousand_workers_wait_on_two_threads_and_all_answer(house):
    def root(self):
        workers = [self.create(echo) for _ in range(10_000)]
        for worker in reversed(workers):
            yield from self.send(worker, b"hello")
        answers = Counter()
        for worker in workers:
            answers[(yield from self.receive(worker))] += 1
        self.print(answers[b"hello"])

    assert house.run(root, threads=2) == ["10000"]


def test_workers_nested_fifty_deep_answer_on_one_thread(house):
    def nested(depth):
        def script(self):
            if depth:
                child = self.create(nested(depth - 1))
                yield from self.send(child, (yield from self.peek()))
                yield from self.message((yield from self.receive(child)))
            else:
                yield from self.message((yield from self.peek()) + b" from the deepest")

        return script

    def root(self):
        worker = self.create(nested(49))
        yield from self.send(worker, b"hello")
        self.print((yield from self.receive(worker)).decode())

    assert house.run(root, threads=1) == ["hello from the deepest"]


def test_twenty_thousand_sequential_workers_leave_nothing_in_the_machine(house):
    def once(self):
        yield from self.message(b"done")

    def root(self):
        most = 0
        for _ in range(20_000):
            worker = self.create(once)
            assert (yield from self.receive(worker)) == b"done"
            assert (yield from self.receive(worker)) is None
            assert not self.is_running(worker)
            machine = self.port._machine
            most = max(most, len(machine.states) + len(machine.closable))
        self.print(most)

    def forgetful(script, port):  # the house itself would grow by what it remembers
        state = house.make(script, port)
        if script is once:
            house.states.pop()
        return state

    (most,) = house.run(root, threads=1, factory=forgetful)
    assert int(most) <= 3


def test_a_select_gives_every_message_and_ends_with_nils(house):
    def talker(self):
        for number in range(5):
            yield from self.message(b"%d" % number)

    def root(self):
        workers = [self.create(talker) for _ in range(3)]
        heard = dict.fromkeys(workers, b"")
        while any(messages := (yield from self.receive(*workers))):
            for worker, message in zip(workers, messages, strict=True):
                heard[worker] += message or b""
        self.print(sorted(heard.values()))

    assert house.run(root) == [str([b"01234"] * 3)]


def test_an_error_comes_after_the_messages_and_once(house, script_error):
    def crashing(self):
        yield from self.message(b"one")
        yield from self.message(b"two")
        raise script_error("broken")

    def root(self):
        worker = self.create(crashing)
        for _ in range(4):
            try:
                self.print((yield from self.receive(worker)))
            except script_error as error:
                self.print(error)

    assert house.run(root) == ["b'one'", "b'two'", "broken", "None"]
    assert house.events.failures == []
    assert house.result == TreeResult(Returned(), 0)


def test_an_error_that_nobody_receives_is_reported_before_the_end(house, script_error):
    def crashing(self):
        raise script_error("broken")
        yield

    def root(self):
        self.create(crashing)
        yield Preempted()

    house.run(root)
    assert house.events.failures == [("broken", False)]
    assert house.result == TreeResult(Returned(), 1)


def test_a_root_that_fails_is_reported_and_its_workers_go_on(house, script_error):
    def worker(self):
        for _ in range(3):
            yield Preempted()
        self.print("worker done")

    def root(self):
        self.create(worker)
        raise script_error("root broken")
        yield

    assert house.run(root) == ["worker done"]
    assert house.events.failures == [("root broken", True)]
    assert isinstance(house.result.outcome, Failure)
    assert house.result.unreceived_errors == 0


def test_os_exit_in_the_root_ends_workers_that_would_go_on_for_ever(house):
    def endless(self):
        while True:
            yield Preempted()

    def root(self):
        for _ in range(5):
            self.create(endless)
        yield Preempted()
        return Exited(7)

    house.run(root)
    assert house.result == TreeResult(Exited(7), 0)


def test_a_deadlock_names_who_waits_where_and_for_whom(house):
    def worker(self):
        yield from self.peek()

    def root(self):
        yield from self.receive(self.create(worker))

    house.run(root)
    ((first, second),) = house.events.deadlocks
    assert (first.state, first.condition, first.awaited) == (1, ChildrenHaveMail((2,)), (2,))
    assert (second.state, second.condition, second.awaited) == (2, InboxHasMail(), (1,))
    assert first.location.startswith("fake.lus:")
    assert house.result == TreeResult(Deadlocked(), 0)


def test_lines_of_standard_input_go_to_whoever_waits_for_them(house, recorder):
    def reader(self):
        yield from self.message((yield from self.read()))

    def root(self):
        workers = [self.create(reader) for _ in range(3)]
        lines = []
        for worker in workers:
            lines.append((yield from self.receive(worker)))
        self.print(sorted(lines))
        self.print((yield from self.read()))

    output = house.run(root, events=recorder([b"on", b"e\ntwo\nth", b"ree", None]))
    assert output == [str([b"one\n", b"three", b"two\n"]), "b''"]


@pytest.mark.parametrize("culprit", ["factory", "step"])
def test_a_fault_of_luspool_ends_its_state_and_no_thread(house, culprit):
    def broken(self):
        raise ZeroDivisionError
        yield

    def make(script, port):
        if script is broken and culprit == "factory":
            raise ZeroDivisionError
        return house.make(script, port)

    def root(self):
        for _ in range(3):
            self.create(broken)
        yield Preempted()
        self.print("still there")

    assert house.run(root, factory=make, threads=1) == ["still there"]
    assert house.events.failures == [("internal", False)] * 3


def test_waiting_for_a_child_of_somebody_else_is_an_internal_failure(house):
    def root(self):
        yield Waiting(ChildrenHaveMail((99,)))

    house.run(root)
    assert house.events.failures == [("internal", True)]


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_on_four_threads_loses_and_doubles_nothing(house, seed):
    """Parents send numbered messages down a random tree, whose states answer each, in order, through tiny mailboxes."""
    rounds, sizes = 30, random.Random(seed)

    def node(depth):
        def script(self):
            children = [self.create(node(depth - 1)) for _ in range(sizes.randrange(1, 4) if depth else 0)]
            for number in range(rounds):
                assert (yield from self.peek()) == b"%d" % number
                for child in children:
                    yield from self.send(child, b"%d" % number)
                total = 1
                for child in children:
                    echoed, count = (yield from self.receive(child)).split()
                    assert int(echoed) == number
                    total += int(count)
                if number == rounds - 1:
                    self.print("counted")
                yield from self.message(b"%d %d" % (number, total))

        return script

    def root(self):
        top = self.create(node(4))
        answers = set()
        yield from self.send(top, b"0")
        for number in range(rounds):
            if number + 1 < rounds:  # two are under way at a time: more would not fit, and be a deadlock
                yield from self.send(top, b"%d" % (number + 1))
            echoed, count = (yield from self.receive(top)).split()
            assert int(echoed) == number
            answers.add(int(count))
        (nodes,) = answers
        self.print(nodes)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # many more interleavings than by default
    try:
        output = house.run(root, threads=4, limits=Limits(tree=TreeLimits(mailbox=150)))
    finally:
        sys.setswitchinterval(interval)
    assert int(output[-1]) == len(output) - 1
    assert house.events.failures == []
