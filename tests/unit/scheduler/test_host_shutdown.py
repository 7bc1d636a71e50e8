"""Cancelling and shutting down a host in every phase of its states; `house` checks that nothing is left."""

import threading

import pytest

from luspool.scheduler.events import Cancelled
from luspool.scheduler.host import HostStoppedError
from luspool.scheduler.limits import Limits
from luspool.scheduler.protocol import Ended, Preempted, Returned


def endless(self):
    while True:
        yield Preempted()


def waiting(self):
    yield from self.peek()


class Gate:
    """Holds a state inside its step."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def script(self, state):
        state.print("before")
        self.entered.set()
        self.opened.wait()
        state.print("after")
        child = state.create(waiting)
        assert not state.is_running(child)
        assert state.port.message(b"x") == 0
        assert state.port.receive([child]).messages == (None,)
        assert state.port.read_input(None) == b""
        yield Preempted()


def family(self):
    """One child in every phase: endless ones are ready or running, others wait for mail, or have ended."""
    children = [self.create(script) for script in (endless, waiting, ended, endless, failed)]
    yield Preempted()
    yield from self.receive(children[1])


def ended(self):
    yield from self.message(b"left behind")


def failed(self):
    yield Preempted()
    self.create(None)  # a spec that is no script: the factory's own fault


def reader(self):
    yield from self.read()


ROOTS = [endless, waiting, family, reader, ended]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("end", ["cancel", "shutdown"])
def test_a_tree_ends_once_whatever_its_states_are_doing(house, patience, root, threads, end):
    host = house.host(threads)
    host.start()
    roots = [host.create_root(root, Limits()) for _ in range(5)]
    if end == "cancel":
        for name in roots:
            host.cancel(name)
            host.cancel(name)
    else:
        assert host.shutdown(patience)
    for _ in roots:
        house.events.results.get(timeout=patience)
    assert host.shutdown(patience)
    assert house.events.results.empty()


def test_trees_of_a_host_that_never_started_are_cancelled(house, patience):
    host = house.host()
    host.create_root(endless, Limits())
    assert host.shutdown(patience)
    assert house.events.results.get(timeout=patience).outcome == Cancelled()
    assert house.states == []


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("end", ["cancel", "shutdown"])
def test_a_state_cancelled_inside_its_step_has_no_effect_any_more(house, patience, end, threads):
    gate = Gate()
    host = house.host(threads)
    host.start()
    root = host.create_root(gate.script, Limits())
    assert gate.entered.wait(patience)
    if end == "cancel":
        host.cancel(root)
    else:
        assert not host.shutdown(0), "an executor is inside a step"
    assert house.events.results.get(timeout=patience).outcome == Cancelled()
    assert not house.states[0].closed
    gate.opened.set()
    assert host.shutdown(patience)
    assert house.events.output == ["before"]


def test_a_stopped_host_takes_no_new_tree(house, patience):
    host = house.host()
    host.start()
    assert host.shutdown(patience)
    with pytest.raises(HostStoppedError):
        host.create_root(endless, Limits())


def test_one_tree_of_many_is_cancelled_alone(house, patience):
    host = house.host()
    host.start()
    doomed = host.create_root(endless, Limits())

    def survivor(self):
        yield from self.read()
        self.print("survived")

    host.create_root(survivor, Limits())
    host.cancel(doomed)
    assert house.events.results.get(timeout=patience).outcome == Cancelled()
    host.input_arrived(b"go on\n")
    house.events.results.get(timeout=patience)
    assert house.events.output == ["survived"]


@pytest.mark.parametrize("callback", ["write", "failed", "tree_ended", "want_input"])
def test_a_callback_that_raises_stops_the_host_and_is_kept(house, patience, callback):
    host = house.host(threads=3)
    told = threading.Event()

    def broken(*_):
        told.set()
        raise BrokenPipeError(callback)

    setattr(house.events, callback, broken)
    host.start()
    host.create_root(endless, Limits())

    def root(self):
        self.print("hello")
        self.create(None)
        if callback == "want_input":
            yield from self.read()
        yield Preempted()

    host.create_root(root, Limits())
    assert told.wait(patience)
    house.hosts.clear()  # which could find no fault
    assert host.shutdown(patience)
    assert str(host.fault) == callback


def test_a_close_that_raises_stops_the_host_and_every_tree_is_told(house, patience):
    class Unclosable:
        def step(self, _slice):
            return Ended(Returned())

        def memory(self):
            return 0

        def close(self):
            raise ZeroDivisionError

    host = house.host(threads=1, factory=lambda spec, port: Unclosable() if spec is None else house.make(spec, port))
    bystander = host.create_root(endless, Limits())
    host.create_root(None, Limits())
    host.start()
    assert {house.events.results.get(timeout=patience).outcome for _ in range(2)} == {Returned(), Cancelled()}
    assert bystander in house.events.over
    assert house.events.failures == [("internal", True)]
    house.hosts.clear()  # which could find no fault
    assert host.shutdown(patience)
    assert isinstance(host.fault, ZeroDivisionError)
