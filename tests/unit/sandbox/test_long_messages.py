"""Messages that are not copied on their way between a state and its host: none is lost, doubled or out of order."""

import time

import pytest

from luspool.sandbox import codec
from luspool.sandbox.preemption import mechanism
from luspool.scheduler.protocol import Ended, InboxHasRoom, OutboxHasRoom, Preempted, Returned, Slice, Waiting

only_native = pytest.mark.skipif(
    mechanism().library is None, reason="2026-11: without the native module all messages are copied"
)
FREE = Slice(10_000_000, bytearray(1))
LONG = 300_000
OPENS = {"held": ("load", "fs:read")}


def values(payloads):
    return [value for payload in payloads for value in codec.decode(payload)]


@pytest.fixture
def worker(lus):
    return lambda source, **options: lus(source, is_worker=True, **options)


# --- Sent


def test_a_long_text_goes_after_what_was_sent_before_it(worker):
    script = worker(f"for i = 1, 3 do worker.message(i) end worker.message(('x'):rep({LONG})) worker.message(4)")
    assert script.state.step(FREE) == Ended(Returned())
    assert values(script.port.outbox) == [1, 2, 3, "x" * LONG, 4]


def test_where_there_is_no_room_it_waits_and_goes_once(worker):
    script = worker(f"worker.message(('x'):rep({LONG})) worker.message(1)")
    script.port.outbox_full = True
    size = len(codec.encode("x" * LONG, what=1))
    for _ in range(3):
        assert script.waits_for() == OutboxHasRoom(size)
    script.port.outbox_full = False
    assert script.end() == Returned()
    assert values(script.port.outbox) == ["x" * LONG, 1]


def test_to_a_child_it_waits_for_that_childs_room(lus):
    script = lus(f"worker.send(worker.create('/x'), ('x'):rep({LONG})) print('on')", **OPENS)
    script.port.full.add(1)
    assert script.waits_for() == InboxHasRoom(1, len(codec.encode("x" * LONG, what=1)))
    assert script.port.output == ""
    script.port.full.clear()
    assert script.end() == Returned()
    assert [(to, values([payload])) for to, payload in script.port.sent] == [(1, ["x" * LONG])]


def test_where_it_cannot_wait_that_is_an_error_and_nothing_is_sent(worker):
    script = worker(
        f"local text = ('x'):rep({LONG}) "
        "print(pcall(table.sort, { 1, 2 }, function() worker.message(text) end)) print(#text)"
    )
    script.port.outbox_full = True
    assert script.end() == Returned()
    assert "cannot wait here" in script.port.lines[0]
    assert script.port.lines[1] == str(LONG)
    assert script.port.outbox == []


@pytest.mark.parametrize("by", [-1, 0, 1])
def test_it_is_bounded_as_all_messages_are(worker, by):
    size = len(codec.encode("x" * LONG, what=1))
    script = worker(f"print(pcall(worker.message, ('x'):rep({LONG + by})))", limits={"message": size})
    script.step()
    assert values(script.port.outbox) == (["x" * (LONG + by)] if by <= 0 else [])
    assert bool(script.port.excesses) == (by > 0)


def test_a_fault_of_the_host_ends_the_state_as_such(worker):
    script = worker(f"pcall(worker.message, ('x'):rep({LONG})) while true do end")
    script.port.message = lambda _payload: 1 // 0
    failure = script.failure()
    assert failure.kind == "internal"
    assert "ZeroDivisionError" in failure.traceback


# --- Received


@pytest.mark.parametrize("brings", [False, True])
@pytest.mark.parametrize("value", ["x" * LONG, "", 7, [1, {"a": [2]}], None, "x" * 200])
def test_what_came_is_read_whether_it_was_asked_for_or_brought(worker, value, brings):
    script = worker("for _ = 1, 3 do worker.message(worker.peek()) end")
    script.port.brings = brings
    for _ in range(3):
        assert isinstance(script.step(), Waiting)
        script.port.inbox.append(codec.encode(value, what=1))
    assert script.end() == Returned()
    assert values(script.port.outbox) == [value] * 3


@pytest.mark.parametrize("brings", [False, True])
def test_so_is_what_a_child_sends(lus, brings):
    script = lus("local w = worker.create('/x') for _ = 1, 2 do local m = worker.receive(w) print(#m) end", **OPENS)
    script.port.brings = brings
    for _ in range(2):
        assert isinstance(script.step(), Waiting)
        script.port.items[1].append(codec.encode("x" * LONG, what=1))
    assert script.end() == Returned()
    assert script.port.lines == [str(LONG)] * 2


@only_native
def test_a_slice_may_end_before_what_was_brought_is_read(worker):
    script = worker("while true do local text = worker.peek() if text then print(#text) end end")
    peek = script.port.peek

    def slowly():
        time.sleep(0.005)  # the slice is over when this is back
        return peek()

    script.port.peek = slowly
    script.port.inbox += [codec.encode("x" * size, what=1) for size in range(LONG, LONG + 50)]
    held, result = [], None
    while not isinstance(result, Waiting):
        result = script.state.step(Slice(1_000_000, bytearray([1, 0])))
        if isinstance(result, Preempted):
            held.append(script.state.memory())
    assert len(held) >= 50
    assert max(held) > LONG  # it counts meanwhile
    assert script.port.lines == [str(size) for size in range(LONG, LONG + 50)]


@only_native
def test_what_was_brought_is_never_replaced(worker):
    script = worker("print(worker.peek()) print(worker.peek()) worker.peek()")
    payloads = [codec.encode(text, what=1) for text in ("first", "second", "third")]
    told = []

    def peek():
        stepper = script.state._stepper
        told.append([stepper.bring(payload) for payload in payloads])
        return payloads[1]

    script.port.peek = peek
    script.state.step(FREE)
    assert told[0][1:] == payloads[1:]  # the first is there, these go as they are
    assert isinstance(told[0][0], int)
    assert script.port.lines[0] == "second"


@only_native
def test_nothing_is_brought_outside_of_a_step(worker):
    script = worker("worker.peek()")
    assert isinstance(script.step(), Waiting)
    with pytest.raises(RuntimeError):
        script.state._stepper.bring(b"x")


@pytest.mark.parametrize("brings", [False, True])
def test_a_text_that_does_not_fit_into_the_states_memory_ends_it(worker, brings):
    script = worker("worker.peek() while true do end", limits={"memory": 1 << 20})
    script.port.brings = brings
    assert isinstance(script.step(), Waiting)
    script.port.inbox.append(codec.encode("x" * (2 << 20), what=1))
    assert script.failure().kind == "memory"


WRONG = {
    "cut": lambda good: good[:-1],
    "too long": lambda good: good + b"x",
    "empty": lambda good: b"",
    "of another version": lambda good: b"\7" + good[1:],
    "of another form": lambda good: good[:1] + b"\7" + good[2:],
}


@pytest.mark.parametrize("brings", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_an_error_and_what_follows_is_read(worker, name, brings):
    script = worker("print(pcall(worker.peek)) print(pcall(worker.peek))")
    script.port.brings = brings
    assert isinstance(script.step(), Waiting)
    script.port.inbox.append(WRONG[name](codec.encode("x" * LONG, what=1)))
    result = script.step()
    if isinstance(result, Waiting):
        script.port.inbox.append(codec.encode("good", what=1))
        result = script.step()
    assert result == Ended(Returned()), result
    assert script.port.lines[0].startswith("false\t")
    assert script.port.lines[1] == "true\tgood"
