"""What a host with fake states tells of itself, taken in as a supervisor does: it may find nothing to object to."""

import json
import random
import threading
import time
from contextlib import suppress

import pytest

from luspool.scheduler import trace as trace_module
from luspool.scheduler import wire
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import Preempted
from luspool.trace.events import TraceEvents

from ..unit.scheduler.conftest import PATIENCE, Recorder, ScriptError, house  # noqa: F401  a fixture
from .trace_format import count, obeys

SMALL = Limits(tree=TreeLimits(mailbox=1000))


class Traced(Recorder):
    """Events of a host, and its trace."""

    def __init__(self):
        super().__init__()
        self.trace = TraceEvents(time.monotonic_ns())
        self.text = list(self.trace.header(100, {}))
        self.batches = 0

    def traced(self, texts, rows):
        assert self.speaking.acquire(blocking=False), "two callbacks at a time"
        self.batches += 1
        self.text += self.trace.of(1, 101, wire.Trace(texts, rows), time.monotonic_ns())
        self.speaking.release()

    def read(self):
        self.text += self.trace.footer(100, {}, time.monotonic_ns())
        return obeys([json.loads(text) for text in self.text])


def run(house, script, threads, limits=SMALL):  # noqa: F811
    events = Traced()
    host = house.host(threads=threads, events=events)
    host.trace()
    host.start()
    host.create_root(script, limits)
    events.results.get(timeout=PATIENCE)
    assert host.shutdown(PATIENCE)
    return events.read()


def storm(chance, depth):
    """A script that does at random what scripts do, with workers that do the same."""

    def script(self):
        children = []
        for _ in range(chance.randrange(24)):
            what = chance.randrange(9)
            child = chance.choice(children) if children else None
            if what <= 1 and depth:
                children.append(self.create(storm(random.Random(chance.random()), depth - 1)))
            elif what == 2 and child:
                yield from self.send(child, bytes(chance.randrange(600)))
            elif what == 3 and child:
                with suppress(ScriptError):
                    yield from self.receive(*dict.fromkeys([child, chance.choice(children)]))
            elif what == 4:
                yield from self.message(bytes(chance.randrange(600)))
            elif what == 5:
                yield Preempted()
            elif what == 6 and child:
                self.port.cancel(child)
            elif what == 7 and child and self.port.has_parent():
                self.port.release((child,))
                children.remove(child)
            elif what == 8 and self.port.has_parent():
                if chance.randrange(2):
                    raise ScriptError("boom")
                yield from self.peek()

    return script


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_states_do_the_trace_obeys_the_laws(house, monkeypatch, threads, seed):  # noqa: F811
    monkeypatch.setattr(trace_module, "_EVERY", 0.001)  # sent, and told of steps that go on, as often as can be
    monkeypatch.setattr(trace_module, "_FULL", 3)
    events = run(house, storm(random.Random(seed), 3), threads)
    assert count(events, ph="b", name="fake.lus (1)") == 1
    begun = [event for event in events if event["ph"] == "f" and event["cat"] == "birth"]
    assert count(events, ph="b", cat="state") >= len(begun) + 1


def test_each_message_has_its_arrow_also_of_many_children_that_are_gone(house):  # noqa: F811
    def child(self):
        assert (yield from self.peek()) == b"x"
        yield from self.message(b"y")

    def root(self):
        for _ in range(300):
            one = self.create(child)
            yield from self.send(one, b"x")
            assert (yield from self.receive(one)) == b"y"
            yield from self.send(one, b"nobody hears")

    events = run(house, root, 2)
    assert count(events, ph="s", cat="message") == 600
    assert count(events, ph="s", cat="birth") == 300


def test_a_step_that_goes_on_is_told_before_its_end(house):  # noqa: F811
    told, go_on = threading.Event(), threading.Event()

    class Waits(Traced):
        def traced(self, texts, rows):
            super().traced(texts, rows)
            if any('"ph":"B"' in text for text in self.text):
                told.set()

    def root(self):
        assert told.wait(PATIENCE)
        go_on.set()
        yield from ()

    events = Waits()
    host = house.host(threads=1, events=events)
    host.trace()
    host.start()
    host.create_root(root, SMALL)
    assert go_on.wait(PATIENCE)
    events.results.get(timeout=PATIENCE)
    assert host.shutdown(PATIENCE)
    read = events.read()
    assert count(read, ph="B") == count(read, ph="E") == 1
    assert count(read, ph="X") == 0


def test_executors_send_what_they_have_noted_before_they_note_too_much(house, monkeypatch):  # noqa: F811
    """So who reads slowly holds them up. Here nobody else sends."""
    monkeypatch.setattr(trace_module, "_EVERY", 3600.0)
    monkeypatch.setattr(trace_module, "_FULL", 100)
    lying = []

    class Counting(Traced):
        def traced(self, texts, rows):
            lying.append(len(host._dispatcher.trace._rows))
            super().traced(texts, rows)

    def child(self):
        for _ in range(2000):
            yield from self.message(b"x" * 200)

    def root(self):
        one = self.create(child)
        for _ in range(2000):
            yield from self.receive(one)

    events = Counting()
    host = house.host(threads=2, events=events)
    host.trace()
    host.start()
    host.create_root(root, SMALL)
    events.results.get(timeout=PATIENCE)
    assert host.shutdown(PATIENCE)
    assert len(lying) > 20
    assert max(lying) < 200
    assert count(events.read(), ph="s", cat="message") == 2000


def test_a_host_that_sleeps_has_no_thread_that_looks_at_anything(house):  # noqa: F811
    """The tracer dozes while all states wait, and is woken by what happens next."""
    events = Traced()
    host = house.host(threads=2, events=events)
    host.trace()
    trace = host._dispatcher.trace
    host.start()

    def root(self):
        yield from self.read()

    events.want_input = lambda: None
    host.create_root(root, SMALL)
    while not (trace._dozes and any("standard input" in text for text in events.text)):
        pass
    batches = events.batches
    assert not trace._rows
    host.input_ended()
    events.results.get(timeout=PATIENCE)
    assert host.shutdown(PATIENCE)
    assert events.batches > batches


def test_states_that_are_ended_for_limits_or_before_they_begin_are_in_order(house):  # noqa: F811
    def child(self):
        yield from self.peek()

    def root(self):
        for _ in range(50):
            self.create(child, StateLimits(time=1))
        yield Preempted()
        raise ScriptError("x" * 1000)

    events = run(house, root, 2)
    assert count(events, name="failed: error") == 1
