"""Messages that go out together: none is lost, doubled or out of order, and none waits for long."""

import time
from itertools import cycle
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.sandbox import codec
from luspool.sandbox.preemption import mechanism
from luspool.scheduler.mailbox import Mailbox
from luspool.scheduler.protocol import Ended, Failure, InboxHasMail, Returned, Slice, Waiting

from .conftest import FakePort, Script

only_native = pytest.mark.skipif(
    mechanism().library is None, reason="2026-11: without the native module each message goes by itself"
)
HEAD = 0xB5
FREE = Slice(10_000_000, bytearray(1))
"""A slice that nobody else wants."""
UNSHARED = Slice(10_000_000, bytearray([0, 1]))
"""One in which nobody else could run who is woken: what is sent may wait."""
WAITING_FOR_A_CHILD = "local w = worker.create('/x') "
OPENS = {"held": ("load", "fs:read")}


def messages(payloads):
    """What is in these, taken out of their bundles."""
    found = []
    for payload in payloads:
        if payload[0] != HEAD:
            found += codec.decode(payload)
            continue
        rest = payload[1:]
        while rest:
            size = int.from_bytes(rest[:4], "little")
            found += codec.decode(rest[4 : 4 + size])
            rest = rest[4 + size :]
    return found


def bundle(*values):
    encoded = [codec.encode(value, what=1) for value in values]
    return bytes([HEAD]) + b"".join(len(one).to_bytes(4, "little") + one for one in encoded)


@pytest.fixture
def sender(lus):
    """A worker whose outbox has room for so many bytes more."""

    def make(source, room=1 << 20, **options):
        script = lus(source, is_worker=True, **options)
        script.port.room = room
        return script

    return make


@only_native
def test_what_is_sent_in_a_row_goes_out_together(sender):
    script = sender("for i = 1, 1000 do worker.message(i) end")
    assert script.state.step(FREE) == Ended(Returned())
    assert messages(script.port.outbox) == list(range(1, 1001))
    assert len(script.port.outbox) < 500
    assert script.port.outbox[0][0] != HEAD  # the first waits for nobody


COMPUTES_ON = {
    "in a loop": "while true do end",
    "where Lua can't suspend it": "table.sort({ 1, 2 }, function() while true do end end)",
    "in a coroutine": "for _ in coroutine.wrap(function() while true do end end) do end",
    "in coroutines without end": "while true do coroutine.wrap(function() end)() end",
    "in a coroutine where Lua can't suspend it": "('x'):gsub('x', coroutine.wrap(function() while true do end end))",
}


@only_native
@pytest.mark.parametrize("given", [FREE, UNSHARED], ids=["shared", "unshared"])
@pytest.mark.parametrize("name", COMPUTES_ON)
def test_what_was_gathered_goes_out_although_the_state_computes_on(sender, name, given):
    """It is stopped once all has gone out, and would not end otherwise."""
    script = sender(f"for i = 1, 100 do worker.message(i) end {COMPUTES_ON[name]}")
    send = script.port.message

    def message(payload):
        room = send(payload)
        if len(messages(script.port.outbox)) == 100:
            script.state.stop()
        return room

    script.port.message = message
    assert script.state.step(given).outcome.kind == "stopped"
    assert messages(script.port.outbox) == list(range(1, 101))


@only_native
def test_a_state_that_nobody_wants_the_thread_of_sends_soon_all_the_same(sender):
    """Its slice is over, and ticks come rarely: for most messages none is due when one is gathered."""
    script = sender(
        "local till, at = os.clock() + 0.5, os.clock() + 0.1 "
        "while os.clock() < till do for i = 1, 500 do end "
        "if os.clock() > at then worker.message(os.clock()) at = os.clock() + 0.0115 end end"
    )
    send, delays = script.port.message, []

    def message(payload):
        delays.append(time.process_time() - codec.decode(payload)[0])
        return send(payload)

    script.port.message = message
    assert script.state.step(UNSHARED) == Ended(Returned())
    assert len(delays) > 10
    assert sorted(delays)[len(delays) // 2] < 0.005  # one millisecond is due; a tick may be ten away


@only_native
def test_a_state_that_sends_and_computes_is_not_interrupted_for_that(sender):
    script = sender("for i = 1, 20 do worker.message(i) for k = 1, 200000 do end end")
    assert script.state.step(UNSHARED) == Ended(Returned())
    assert messages(script.port.outbox) == list(range(1, 21))


@only_native
def test_where_nobody_else_could_take_it_a_message_waits_for_the_end_of_the_step(sender):
    script = sender(
        "worker.message(1) worker.peek() worker.message(2) worker.peek() worker.message(3) worker.message(4)"
    )
    outbox, told = script.port.outbox, []
    stepper_sends = script.port.message
    script.port.message = lambda payload: (told.append(script.state._stepper.has_gathered), stepper_sends(payload))[1]
    script.state.step(UNSHARED)
    script.port.inbox.append(codec.encode("go on"))
    assert isinstance(script.state.step(UNSHARED), Waiting)
    assert messages(outbox) == [1, 2]
    assert outbox[1][0] != HEAD  # alone it goes as it is
    script.port.inbox.append(codec.encode("go on"))
    assert script.state.step(UNSHARED) == Ended(Returned())
    assert messages(outbox) == [1, 2, 3, 4]


def test_what_was_sent_goes_out_before_anything_else_is_asked_for(sender):
    script = sender("for i = 1, 9 do worker.message(i) print(i) end")
    order, send, write = [], script.port.message, script.port.write
    script.port.message = lambda payload: (order.extend(messages([payload])), send(payload))[1]
    script.port.write = lambda stream, data: (order.append(data), write(stream, data))[1]
    script.state.step(UNSHARED)
    assert order == [each for i in range(1, 10) for each in (i, b"%d\n" % i)]


MIXED = """
    local E = enum a, b end
    for _, value in ipairs { 1, 2, E.a, { E.b }, ("x"):rep(100), ("x"):rep(4080), ("x"):rep(4200), true } do
      worker.message(value)
      assert(not pcall(worker.message, print))
      worker.message(nil)
      worker.message { value }
    end
"""


@only_native
@pytest.mark.parametrize("given", [FREE, UNSHARED], ids=["shared", "unshared"])
def test_what_is_rare_or_large_goes_alone_and_keeps_its_place(lus, sender, given):
    script = sender(MIXED)
    assert script.state.step(given) == Ended(Returned())
    receiver = lus("while true do local m = worker.peek() print(m and #tostring(m), type(m)) end", is_worker=True)
    receiver.port.inbox += script.port.outbox
    receiver.waits_for()
    kinds = ["number", "number", "enum", "table", *["string"] * 3, "boolean"]
    assert [line.split()[1] for line in receiver.port.lines] == [k for kind in kinds for k in (kind, "nil", "table")]
    assert [line.split()[0] for line in receiver.port.lines[12:21:3]] == ["100", "4080", "4200"]
    assert max(len(payload) for payload in script.port.outbox if payload[0] == HEAD) > 4096


ENDS = {
    "an error": "error('over')",
    "no memory": "local t = {} for i = 1, math.huge do t[i] = ('x'):rep(i) end",
    "an exit": "os.exit(3)",
    "an exit out of a coroutine": "coroutine.wrap(function() os.exit(3) end)()",
}


@pytest.mark.parametrize("given", [FREE, UNSHARED], ids=["shared", "unshared"])
@pytest.mark.parametrize("name", ENDS)
def test_what_was_sent_before_an_end_is_sent(sender, name, given):
    script = sender(f"for i = 1, 50 do worker.message(i) end {ENDS[name]}", limits={"memory": 4 << 20})
    assert isinstance(script.state.step(given), Ended)
    assert messages(script.port.outbox) == list(range(1, 51))


def test_what_was_sent_before_the_state_was_stopped_is_sent(sender):
    script = sender("for i = 1, 50 do worker.message(i) end print() while true do end")
    assert script.end_when_stopped().kind == "stopped"
    assert messages(script.port.outbox) == list(range(1, 51))


def test_what_was_sent_before_a_wait_is_sent(sender):
    script = sender("for i = 1, 50 do worker.message(i) end worker.peek()")
    assert isinstance(script.state.step(FREE), Waiting)
    assert messages(script.port.outbox) == list(range(1, 51))


@pytest.mark.parametrize("given", [FREE, UNSHARED], ids=["shared", "unshared"])
@pytest.mark.parametrize("room", [0, 1, 10, 100, 1000, 5000])
def test_no_more_is_gathered_than_there_is_room_for(sender, room, given):
    script = sender("for i = 1, 1000 do worker.message(('x'):rep(i)) end", room=room)
    script.state.step(given)
    assert messages(script.port.outbox) == ["x" * i for i in range(1, 1001)]
    assert all(len(payload) <= room for payload in script.port.outbox if payload[0] == HEAD)


def test_what_was_room_before_is_forgotten(sender):
    script = sender("worker.message(0) for i = 1, 1000000 do end for i = 1, 50 do worker.message(i) end")
    send = script.port.message

    def filling(payload):
        room = send(payload)
        script.port.room = 0
        return room

    script.port.message = filling
    script.state.step(FREE)
    assert messages(script.port.outbox) == list(range(51))
    assert all(payload[0] != HEAD for payload in script.port.outbox)


@pytest.mark.parametrize(
    "source",
    [
        "local t = {} for i = 1, 50 do t[i] = i end local n = 0 "
        "table.sort(t, function(a, b) n = n + 1 if n <= 50 then worker.message(n) end return a < b end)",
        "local n = 0 ;(('x'):rep(50)):gsub('.', function() n = n + 1 worker.message(n) end)",
    ],
)
def test_where_lua_cannot_suspend_each_goes_by_itself(sender, source):
    script = sender(source)
    script.state.step(FREE)
    assert messages(script.port.outbox) == list(range(1, 51))
    assert all(payload[0] != HEAD for payload in script.port.outbox)


def test_a_state_that_is_never_interrupted_gathers_nothing(sender):
    script = sender("for i = 1, 50 do worker.message(i) end")
    assert script.end() == Returned()
    assert messages(script.port.outbox) == list(range(1, 51))
    assert len(script.port.outbox) == 50


def test_each_child_gets_what_it_was_sent(lus):
    script = lus(
        "local ws = {} for i = 1, 3 do ws[i] = worker.create('/x') end "
        "for i = 1, 90 do worker.send(ws[i % 7 % 3 + 1], i) worker.send(ws[2], -i) end",
        **OPENS,
    )
    script.port.room = 1 << 20
    script.state.step(FREE)
    for child in (1, 2, 3):
        expected = []
        for i in range(1, 91):
            expected += [i] * (i % 7 % 3 + 1 == child) + [-i] * (child == 2)
        assert messages(payload for to, payload in script.port.sent if to == child) == expected


def test_a_worker_takes_one_message_after_the_other_out_of_a_bundle(lus):
    script = lus("for i = 1, 5 do print(worker.peek()) end print(worker.peek())", is_worker=True)
    script.port.inbox += [bundle(1, None, "two"), codec.encode(3, what=1), bundle({})]
    script.waits_for()
    assert script.port.lines[:4] == ["1", "nil", "two", "3"]
    assert script.port.lines[4].startswith("table: ")


RECEIVED = {
    "one worker": (
        "for i = 1, 4 do print(worker.receive(a)) end",
        {1: [bundle(1, None, 2), codec.encode(3, what=1)]},
        ["1", "nil", "2", "3"],
    ),
    "one has begun a bundle, the other has one message": (
        "print(worker.receive(a)) print(worker.receive(a, b)) print(worker.receive(b, a))",
        {1: [bundle(1, 2, 3)], 2: [codec.encode("b", what=1)]},
        ["1", "2\tb", "nil\t3"],
    ),
    "nil is a message": (
        "print(worker.receive(a, b)) print(worker.receive(a, b))",
        {1: [bundle(None, 1)], 2: [bundle(None, 2)]},
        ["nil\tnil", "1\t2"],
    ),
    "one is named twice": (
        "print(worker.receive(a, a)) print(worker.receive(a, a, a))",
        {1: [bundle(1, 2, 3), bundle(4, 5)]},
        ["1\t2", "3\t4\t5"],
    ),
    "one is named twice, and has single messages": (
        "print(worker.receive(a, a, a))",
        {1: [codec.encode(1, what=1), bundle(2, 3)]},
        ["1\t2\t3"],
    ),
    "an error goes first, and leaves the bundle": (
        "print(worker.receive(a)) print(pcall(worker.receive, a, b)) print(worker.receive(a, b))",
        {1: [bundle(1, 2)], 2: [Failure("error", codec.encode("bad"), "bad", "", "x")]},
        ["1", "false\tbad", "2\tnil"],
    ),
    "an error comes after the bundle": (
        "for i = 1, 3 do print(pcall(worker.receive, a)) end",
        {1: [bundle(1, 2), Failure("error", codec.encode("bad"), "bad", "", "x")]},
        ["true\t1", "true\t2", "false\tbad"],
    ),
}


@pytest.mark.parametrize("name", RECEIVED)
def test_a_parent_takes_messages_out_of_bundles(lus, name):
    source, items, expected = RECEIVED[name]
    script = lus(f"local a, b = worker.create('/x'), worker.create('/x') {source}", **OPENS)
    create = script.port.create

    def filled(*arguments):
        child = create(*arguments)
        script.port.items[child] += items.get(child, ())
        return child

    script.port.create = filled
    assert script.end() == Returned()
    script.state.close()
    assert script.port.lines == expected


BROKEN = {
    "nothing in it": bytes([HEAD]),
    "half a length": bytes([HEAD, 1, 0]),
    "less than its length": bytes([HEAD, 9, 0, 0, 0, 1]),
    "a length beyond all": bytes([HEAD, 255, 255, 255, 255]),
    "a bundle in it": bytes([HEAD, 1, 0, 0, 0, HEAD]),
    "no message in it": bytes([HEAD, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_an_error_once(lus, name):
    worker = lus("print((pcall(worker.peek))) print(worker.peek())", is_worker=True)
    worker.port.inbox += [BROKEN[name], codec.encode("next", what=1)]
    assert worker.end() == Returned()
    worker.state.close()
    assert worker.port.lines == ["false", "next"]
    parent = lus(f"{WAITING_FOR_A_CHILD} print((pcall(worker.receive, w))) print(worker.receive(w))", **OPENS)
    create = parent.port.create

    def filled(*arguments):
        child = create(*arguments)
        parent.port.items[child] += [BROKEN[name], codec.encode("next", what=1)]
        return child

    parent.port.create = filled
    assert parent.end() == Returned()
    parent.state.close()
    assert parent.port.lines == ["false", "next"]


def test_a_broken_message_in_a_bundle_leaves_those_behind_it(lus):
    script = lus("for i = 1, 3 do print(pcall(worker.peek)) end", is_worker=True)
    broken = codec.encode("x", what=1)[:-1]
    first = bundle(1)
    script.port.inbox.append(first + len(broken).to_bytes(4, "little") + broken + bundle(2)[1:])
    assert script.end() == Returned()
    assert [line.split()[0] for line in script.port.lines] == ["true", "false", "true"]


class BoundedPort(FakePort):
    """Its outbox is a mailbox of the scheduler's, out of which somebody takes at times."""

    def __init__(self, capacity, takes):
        super().__init__(is_worker=True)
        self.mailbox = Mailbox(capacity, SimpleNamespace(memory=0))
        self.takes = cycle(takes or [1])

    def message(self, payload):
        for _ in range(next(self.takes)):
            self.take()
        return self.mailbox.room if self.mailbox.put(payload) else None

    def take(self):
        if self.mailbox.used:
            self.outbox.append(self.mailbox.take())


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(0, 5000) | st.integers(0, 300) | st.integers(0, 20), max_size=100),
    capacity=st.integers(1, 30_000) | st.integers(1, 1000),
    takes=st.lists(st.integers(0, 3), max_size=10),
    rhythm=st.tuples(st.integers(0, 2000), st.integers(2, 50), st.sampled_from([FREE, UNSHARED])),
)
def test_any_row_of_messages_arrives_through_any_mailbox(sandbox, sizes, capacity, takes, rhythm):
    busy, peeks, given = rhythm
    source = (
        f"for i, size in ipairs {{ {', '.join(map(str, sizes))} }} do "
        "worker.message(i % 3 == 0 and { i, ('x'):rep(size) } or i .. ('x'):rep(size)) "
        f"for k = 1, {busy} * (i % 3) do end "
        f"if i % {peeks} == 0 then worker.peek() end end"
    )
    port = BoundedPort(capacity, takes)
    script = Script(sandbox, source, {"port": port})
    try:
        while isinstance(result := script.state.step(given), Waiting):
            if result.condition == InboxHasMail():
                port.inbox.append(codec.encode("go on"))
                continue
            assert port.mailbox.used, "an empty mailbox takes anything"
            port.take()
        assert result == Ended(Returned())
    finally:
        script.state.close()
    while port.mailbox.used:
        port.take()
    expected = [[i, "x" * size] if i % 3 == 0 else f"{i}{'x' * size}" for i, size in enumerate(sizes, 1)]
    assert messages(port.outbox) == expected
