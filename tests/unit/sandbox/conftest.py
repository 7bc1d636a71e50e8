"""A scheduler's side that tests play by hand, and a shorthand that runs a script against it."""

from __future__ import annotations

import json
import threading
from collections import deque

import pytest
from msgspec.structs import replace

from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.sandbox import Program, Sandbox, codec
from luspool.scheduler.limits import StateLimits
from luspool.scheduler.protocol import (
    Delivered,
    Ended,
    Failure,
    InboxHasRoom,
    NotAChildError,
    OutboxHasRoom,
    Slice,
    Thrown,
    Waiting,
)
from luspool.scheduler.units import UNLIMITED

NO_LIMITS = StateLimits(*[UNLIMITED] * 5)


class FakePort:
    """A `Port` whose mailboxes are lists, filled and emptied by the test."""

    def __init__(self, *, is_worker=False, limits=NO_LIMITS):
        self.is_worker = is_worker
        self.state_limits = limits
        self.excesses = []
        self.worker_limits = {}
        self.cancelled = []
        self.inbox = deque()
        self.outbox = []
        self.outbox_full = False
        self.full = set()  # children whose inbox is full
        self.sent = []
        self.brings = False  # whether what a state waits for is taken for it, as the machine does
        self.room = 0  # that is told to who has sent: so nothing is gathered unless a test sets it
        self.children = {}
        self.items = {}  # child -> deque of payloads and failures
        self.dead = set()
        self.released = []
        self.calls = {}  # number -> name and arguments
        self.replies = {}
        self.written = {1: b"", 2: b""}
        self.output_left = UNLIMITED
        self.input = deque()  # b"" is its end, and is never taken
        self.records = []

    def limits(self):
        return self.state_limits

    def exceed(self, excess):
        self.excesses.append(excess)

    def cancel(self, child):
        self.cancelled.append(self._own(child))

    def create(self, spec, size, limits):
        child = len(self.children) + 1
        assert size == len(spec.source or b"") + len(spec.arguments)
        self.worker_limits[child] = limits
        self.children[child] = spec
        self.items[child] = deque()
        return child

    def message(self, payload):
        if self.outbox_full:
            return None
        self.outbox.append(payload)
        return self.room

    def _own(self, child):
        if child not in self.children or child in self.released:
            raise NotAChildError(child)
        return child

    def send(self, child, payload):
        if self._own(child) in self.full:
            return None
        self.sent.append((child, payload))
        return self.room

    def holds(self, condition):
        if isinstance(condition, OutboxHasRoom):
            return not self.outbox_full
        assert isinstance(condition, InboxHasRoom)
        return self._own(condition.child) not in self.full

    def receive(self, children):
        queues = [self.items[self._own(child)] for child in children]
        for queue in queues:
            if queue and isinstance(queue[0], Failure):
                return Thrown(queue.popleft())
        if not any(queues) and not self.dead.issuperset(children):
            return None
        return Delivered(tuple(queue.popleft() if queue else None for queue in queues))

    def peek(self):
        return self.inbox.popleft() if self.inbox else None

    def brought(self, child):
        queue = self.inbox if child is None else self.items[child]
        is_one = self.brings and len(queue) == 1 and isinstance(queue[0], bytes)
        return queue.popleft() if is_one else None

    def is_running(self, child):
        return self._own(child) not in self.dead

    def release(self, children):
        self.released += children

    def call(self, name, payload):
        number = len(self.calls) + 1
        self.calls[number] = (name, codec.decode(payload) if payload else ())
        return number

    def take_reply(self, call):
        return self.replies.pop(call, None)

    def has_parent(self):
        return self.is_worker

    def identity(self):
        return 7

    def record(self, rows):
        self.records.append(json.loads(rows))

    def ending(self):
        return "returned"

    def write(self, stream, data):
        self.written[stream] += data

    def claim_output(self, size):
        allowed = min(size, self.output_left)
        self.output_left -= allowed
        return allowed

    def input_seen(self):
        return 0

    def read_input(self, size):
        assert size is None
        if not self.input:
            return None
        return self.input.popleft() if self.input[0] else b""

    # what tests ask

    @property
    def output(self):
        return self.written[1].decode("utf-8", "surrogateescape")

    @property
    def lines(self):
        return self.output.splitlines()


class Script:
    """A state that runs a script; closed at the end of the test."""

    def __init__(self, sandbox, source, options):
        text = source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source
        limits = replace(NO_LIMITS, **options.pop("limits", {}))
        self.port = options.pop("port", None) or FakePort(is_worker=options.pop("is_worker", False), limits=limits)
        directory = options.pop("directory", "/")
        held = pledge_rules(options.pop("held", ()), directory)
        ceiling = pledge_rules(options.pop("allow", ()), directory)
        arguments = codec.encode(*options.pop("arguments", ()))
        path = options.pop("path", "main.lus")
        pledges = PledgeSet.root(held=held, ceiling=ceiling)
        self.state = sandbox.new_state(Program(path, text, arguments, pledges, **options), self.port)

    def step(self):
        return self.state.step(Slice(0, bytearray(1)))

    def waits_for(self):
        """Step, and what the state then waits for."""
        result = self.step()
        assert isinstance(result, Waiting), result
        return result.condition

    def end(self):
        """Step, and how the state ended."""
        result = self.step()
        assert isinstance(result, Ended), result
        return result.outcome

    def end_when_stopped(self):
        """Step, stop the state from another thread as soon as it has written something, and how it ended."""
        written = threading.Event()
        write = self.port.write
        self.port.write = lambda stream, data: (write(stream, data), written.set())
        stopper = threading.Thread(target=lambda: (written.wait(), self.state.stop()))
        stopper.start()
        outcome = self.end()
        stopper.join()
        return outcome

    def failure(self):
        outcome = self.end()
        assert isinstance(outcome, Failure), outcome
        return outcome


def pledge_rules(texts, directory):
    return [Rule(Pledge.parse(text).bind(directory), Origin.flag("-P", text)) for text in texts]


@pytest.fixture(scope="session")
def sandbox():
    return Sandbox({"HOME": "/home/somebody", "EMPTY": ""}, "/")


@pytest.fixture
def lus(sandbox):
    """`lus(source, held=, allow=, is_worker=, port=, limits=, arguments=, path=)`: a script, not yet stepped."""
    scripts = []

    def make(source, **options):
        scripts.append(Script(sandbox, source, options))
        return scripts[-1]

    yield make
    for script in scripts:
        script.state.close()


@pytest.fixture
def printed(lus):
    """Runs a script to its good end and gives the lines it printed."""

    def run(source, **options):
        script = lus(source, **options)
        result = script.step()
        assert isinstance(result, Ended), result
        assert not isinstance(result.outcome, Failure), result.outcome
        script.state.close()  # lets an unfinished line out
        return script.port.lines

    return run
