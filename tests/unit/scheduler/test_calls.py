"""Calls of functions of the host's owner: in the machine, and through a host of fake states."""

import threading

import pytest

from luspool.scheduler.events import Cancelled, TreeResult
from luspool.scheduler.instructions import ReportTreeEnd, StartCall
from luspool.scheduler.invariants import validate
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.machine import Machine
from luspool.scheduler.protocol import CallResult, Ended, ReplyArrived, Returned, Waiting
from luspool.scheduler.tree import Phase

RESULT = CallResult(True, b"result")
LIMITS = Limits()
TIGHT = Limits(tree=TreeLimits(memory=10_000))


@pytest.fixture
def machine():
    machine = Machine(lambda state: f"s{state.id}.lus:1")
    yield machine
    validate(machine)


@pytest.fixture
def root(machine):
    machine.create_root("root", LIMITS)
    return machine.take_ready()


def child_of(machine, parent):
    machine.create(parent, None, 0, LIMITS.state)
    return machine.take_ready()


def test_a_call_is_announced_and_its_reply_taken_once(machine, root):
    call = machine.call(root, "f", b"arguments")
    assert machine.instructions == [StartCall(call, "f", b"arguments")]
    assert machine.calls.take(root, call) is None
    machine.replied(call, RESULT)
    assert machine.calls.take(root, call) == RESULT
    assert machine.calls.take(root, call) is None


def test_a_state_that_waits_for_a_reply_is_woken_by_it_alone(machine, root):
    other = child_of(machine, root)
    others, own = machine.call(other, "f", b""), machine.call(root, "f", b"")
    machine.stepped(root, Waiting(ReplyArrived(own)))
    machine.replied(others, RESULT)
    assert machine.take_ready() is None
    validate(machine)
    machine.replied(own, RESULT)
    assert machine.take_ready() is root


def test_a_reply_that_came_before_the_wait_is_not_missed(machine, root):
    call = machine.call(root, "f", b"")
    machine.replied(call, RESULT)
    machine.stepped(root, Waiting(ReplyArrived(call)))
    assert machine.take_ready() is root


@pytest.mark.parametrize("call", [0, 7])
def test_no_call_is_nothing_to_wait_for(machine, root, call):
    machine.stepped(root, Waiting(ReplyArrived(call)))
    assert machine.take_ready() is root


def test_who_waits_for_a_reply_is_no_deadlock_and_keeps_the_tree(machine, root):
    child = child_of(machine, root)
    call = machine.call(child, "f", b"")
    machine.stepped(child, Waiting(ReplyArrived(call)))
    machine.stepped(root, Ended(Returned()))
    machine.instructions.clear()
    validate(machine)
    machine.replied(call, RESULT)
    machine.take_ready()
    machine.stepped(child, Ended(Returned()))
    assert machine.instructions == [ReportTreeEnd(root.id, TreeResult(Returned(), 0))]


def test_a_reply_to_a_state_that_has_ended_is_dropped_and_counts_until_then(machine, root):
    child = child_of(machine, root)
    call = machine.call(child, "f", bytes(1000))
    machine.stepped(child, Waiting(ReplyArrived(call)))
    machine.cancel(child.id)
    assert child.phase is Phase.ENDED
    assert root.tree.memory > 1000
    validate(machine)
    machine.replied(call, RESULT)
    assert root.tree.memory == 0
    machine.replied(call, RESULT)


def test_calls_that_are_given_up_are_bounded_by_the_memory_of_the_tree(machine):
    machine.create_root("root", TIGHT)
    root = machine.take_ready()
    calls = []
    while root.excess is None:
        calls.append(machine.call(root, "f", bytes(1000)))
        assert len(set(calls)) == len(calls) < 10
    assert root.excess.kind == "memory"
    assert machine.call(root, "f", b"") == 0


def test_a_reply_that_is_too_large_for_the_tree_ends_it(machine):
    machine.create_root("root", TIGHT)
    root = machine.take_ready()
    call = machine.call(root, "f", b"")
    machine.stepped(root, Waiting(ReplyArrived(call)))
    machine.replied(call, CallResult(True, bytes(10_000)))
    assert not machine.trees
    assert machine.instructions[-1].result.outcome.kind == "memory"


def test_a_reply_is_for_who_called(machine, root):
    other = child_of(machine, root)
    call = machine.call(root, "f", b"")
    machine.replied(call, RESULT)
    assert machine.calls.take(other, call) is None
    assert machine.calls.take(root, call) == RESULT


# --- on threads -----------------------------------------------------------------------------------------------


def call(self, name, payload):
    number = self.port.call(name, payload)
    while (result := self.port.take_reply(number)) is None:
        yield Waiting(ReplyArrived(number))
    return result


@pytest.fixture
def owner(recorder):
    """A recorder that keeps the calls, for the test to reply to."""

    class Owner(recorder):
        def __init__(self):
            super().__init__()
            self.calls = []
            self.is_called = threading.Semaphore(0)

        def called(self, call, name, payload):
            self.heard()
            self.calls.append((call, name, payload))
            self.is_called.release()

    return Owner()


def test_a_waiting_call_holds_no_executor(house, owner, patience):
    def worker(self):
        self.print((yield from call(self, "slow", b"")).payload.decode())

    def root(self):
        child = self.create(worker)
        yield from self.receive(self.create(lambda self: self.message(b"hello")))
        yield from call(self, "others_went_on", b"")
        yield from self.receive(child)

    host = house.host(threads=1, events=owner)
    host.start()
    host.create_root(root, LIMITS)
    for _ in range(2):
        assert owner.is_called.acquire(timeout=patience)
    assert [name for _, name, _ in owner.calls] == ["slow", "others_went_on"]
    for number, name, _ in reversed(owner.calls):
        host.replied(number, ok=True, payload=name.encode())
    assert owner.results.get(timeout=patience) == TreeResult(Returned(), 0)
    assert owner.output == ["slow"]


def test_many_states_call_at_a_time_and_each_gets_its_own_reply(house, owner, patience):
    def worker(self):
        number = yield from self.peek()
        yield from self.message((yield from call(self, "f", number)).payload)

    def root(self):
        workers = [self.create(worker) for _ in range(200)]
        for number, child in enumerate(workers):
            yield from self.send(child, b"%d" % number)
        for number, child in enumerate(workers):
            assert (yield from self.receive(child)) == b"reply to %d" % number

    host = house.host(threads=2, events=owner)
    host.start()
    host.create_root(root, LIMITS)
    for _ in range(200):
        assert owner.is_called.acquire(timeout=patience)
    for number, _, payload in reversed(owner.calls):
        host.replied(number, ok=True, payload=b"reply to " + payload)
    assert owner.results.get(timeout=patience) == TreeResult(Returned(), 0)
    assert not owner.failures


def test_a_worker_is_cancelled_during_its_call(house, owner, patience):
    def worker(self):
        yield from call(self, "f", b"")
        self.print("never")

    def root(self):
        child = self.create(worker)
        yield from call(self, "both_are_called", b"")
        self.port.cancel(child)

    host = house.host(threads=2, events=owner)
    host.start()
    host.create_root(root, LIMITS)
    for _ in range(2):
        assert owner.is_called.acquire(timeout=patience)
    numbers = {name: number for number, name, _ in owner.calls}
    host.replied(numbers["both_are_called"], ok=True, payload=b"")
    assert owner.results.get(timeout=patience) == TreeResult(Returned(), 0)
    host.replied(numbers["f"], ok=True, payload=b"late")
    assert owner.output == []


def test_a_tree_is_cancelled_during_a_call(house, owner, patience):
    def root(self):
        yield from call(self, "f", b"")

    host = house.host(events=owner)
    host.start()
    tree = host.create_root(root, LIMITS)
    assert owner.is_called.acquire(timeout=patience)
    host.cancel(tree)
    assert owner.results.get(timeout=patience) == TreeResult(Cancelled(), 0)
    host.replied(owner.calls[0][0], ok=False, payload=b"late")


def test_a_tree_that_waits_for_a_reply_is_not_deadlocked(house, owner, patience):
    """The root waits for mail of a worker that waits for a reply; another waits for ever."""

    def worker(self):
        yield from call(self, "f", b"")

    def root(self):
        self.create(lambda self: self.peek())
        assert (yield from self.receive(self.create(worker))) is None

    host = house.host(threads=1, events=owner)
    host.start()
    host.create_root(root, LIMITS)
    assert owner.is_called.acquire(timeout=patience)
    host.replied(owner.calls[0][0], ok=False, payload=b"no")
    assert owner.results.get(timeout=patience) == TreeResult(Returned(), 0)
    assert not owner.deadlocks
    assert not owner.failures
