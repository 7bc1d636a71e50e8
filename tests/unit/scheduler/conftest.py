"""Fake states for the tests of a host: scripts are Python generators that yield what a step returns."""

import queue
import threading

import pytest

from luspool.scheduler.host import Host
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.protocol import (
    DEFAULT_SLICE_NANOSECONDS,
    ChildrenHaveMail,
    Ended,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    Preempted,
    Returned,
    Thrown,
    Waiting,
)

SMALL_MAILBOXES = Limits(tree=TreeLimits(mailbox=1000))

PATIENCE = 60
"""Seconds until a test that hangs is called failed; no test takes anywhere near as long."""


class ScriptError(Exception):
    """What a fake script raises to fail; any other exception is a fault of luspool itself."""


class Script:
    """A runnable around `script(self)`, a generator function. In it, `yield from self.peek()` and the like."""

    def __init__(self, script, port):
        self.port = port
        self.is_running = port.is_running
        self.stopped = threading.Event()
        self.closed = 0
        self.executor = threading.Lock()
        self.generator = script(self)

    def step(self, _slice):
        assert self.executor.acquire(blocking=False), "two threads inside one state"
        try:
            assert not self.closed
            return next(self.generator) if not self.stopped.is_set() else Preempted()
        except StopIteration as stop:
            return Ended(stop.value or Returned())
        except ScriptError as error:
            return Ended(Failure("error", b"", str(error), "", "fake.lus"))
        finally:
            self.executor.release()

    def script(self):
        return "fake.lus"

    def location(self):
        return f"fake.lus:{self.generator.gi_frame.f_lineno}"

    def memory(self):
        return 0

    def stop(self):
        self.stopped.set()

    def step_back(self):
        pass

    def close(self):
        assert self.executor.acquire(blocking=False), "closed while it ran"
        self.closed += 1
        self.generator.close()
        self.executor.release()

    def create(self, script, limits=None):
        return self.port.create(script, 0, limits or self.port.limits())

    def print(self, line):
        self.port.write(1, f"{line}\n".encode())

    def peek(self):
        while (payload := self.port.peek()) is None:
            yield Waiting(InboxHasMail(), takes=True)
            if (payload := self.port.brought(None)) is not None:
                break
        return payload

    def message(self, payload):
        while self.port.message(payload) is None:
            yield Waiting(OutboxHasRoom(len(payload)))

    def send(self, child, payload):
        while self.port.send(child, payload) is None:
            yield Waiting(InboxHasRoom(child, len(payload)))

    def receive(self, *children):
        while (received := self.port.receive(children)) is None:
            yield Waiting(ChildrenHaveMail(children), takes=len(children) == 1)
            if len(children) == 1 and (payload := self.port.brought(children[0])) is not None:
                return payload
        if isinstance(received, Thrown):
            raise ScriptError(received.failure.message)
        return received.messages[0] if len(children) == 1 else received.messages

    def read(self, size=None):
        while True:
            seen = self.port.input_seen()
            data = self.port.read_input(size)
            if data is not None:
                return data
            yield Waiting(InputArrived(seen))


class Recorder:
    """Events in the order in which they came. `chunks` answers `want_input`; None in it is the end of input."""

    def __init__(self, chunks=()):
        self.chunks = iter(chunks)
        self.host = None
        self.output = []
        self.failures = []
        self.deadlocks = []
        self.stuck_steps = queue.SimpleQueue()
        self.results = queue.SimpleQueue()
        self.over = set()
        self.speaking = threading.Lock()

    def heard(self, root=None):
        assert self.speaking.acquire(blocking=False), "two callbacks at a time"
        assert root not in self.over, "a tree was spoken of after its end"
        self.speaking.release()

    def write(self, stream, data):
        self.heard()
        self.output.append(data.decode().rstrip("\n"))

    def want_input(self):
        self.heard()
        chunk = next(self.chunks, b"")
        if chunk is None:
            self.host.input_ended()
        elif chunk:
            self.host.input_arrived(chunk)

    def failed(self, failure, state, root):
        self.heard(root)
        self.failures.append((failure.message if failure.kind == "error" else failure.kind, state == root))

    def deadlocked(self, root, waits):
        self.heard(root)
        self.deadlocks.append(waits)

    def stuck(self, failure, state, root):
        self.heard(root)
        self.stuck_steps.put(failure)

    def tree_ended(self, root, result):
        self.heard(root)
        self.over.add(root)
        self.results.put(result)


class House:
    """Hosts of one test. `run` runs one tree to its end; afterwards nothing may be left of anything."""

    def __init__(self):
        self.hosts = []
        self.states = []

    def make(self, script, port):
        state = Script(script, port)
        self.states.append(state)
        return state

    def host(self, threads=2, events=None, factory=None, slice_nanoseconds=DEFAULT_SLICE_NANOSECONDS):
        self.events = events if events is not None else Recorder()
        host = Host(threads, factory or self.make, self.events, slice_nanoseconds)
        self.events.host = host
        self.hosts.append(host)
        return host

    def run(self, script, limits=None, **options):
        host = self.host(**options)
        host.start()
        host.create_root(script, limits or SMALL_MAILBOXES)
        self.result = self.events.results.get(timeout=PATIENCE)
        assert host.shutdown(PATIENCE)
        return self.events.output

    def check_out(self):
        for host in self.hosts:
            assert host.shutdown(PATIENCE)
            assert host.fault is None
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name in ("executor", "timekeeper")]
        assert {state.closed for state in self.states} <= {1}


@pytest.fixture
def house():
    house = House()
    yield house
    house.check_out()


@pytest.fixture
def recorder():
    """The class, for a test that gives its recorder some input."""
    return Recorder


@pytest.fixture
def patience():
    return PATIENCE


@pytest.fixture
def script_error():
    return ScriptError
