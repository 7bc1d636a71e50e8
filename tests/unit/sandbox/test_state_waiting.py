"""Waiting: anywhere in a script's own coroutines and metamethods, unseen; a plain error where Lua cannot suspend."""

from __future__ import annotations

import pytest

from luspool.sandbox import codec
from luspool.sandbox.preemption import mechanism
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Ended,
    Exited,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    Returned,
    Waiting,
)


@pytest.fixture
def only_native():
    if mechanism().library is None:
        pytest.skip("2026-11: without the native module nothing is brought")


SUSPENDABLE = {
    "plainly": "print(worker.peek())",
    "in pcall": "print(select(2, pcall(worker.peek)))",
    "in pcall in xpcall": "print(select(3, xpcall(pcall, print, worker.peek)))",
    "in a coroutine": "print(coroutine.wrap(function() return worker.peek() end)())",
    "as the body of a coroutine": "print(select(2, coroutine.resume(coroutine.create(worker.peek))))",
    "in a coroutine in pcall in a coroutine": """
        local inner = coroutine.wrap(function() local ok, m = pcall(worker.peek) coroutine.yield(m) end)
        print(coroutine.wrap(function() return select(2, pcall(inner)) end)())""",
    "in a metamethod in a coroutine in pcall": """
        local t = setmetatable({}, {__index = function() return (worker.peek()) end})
        print(select(2, pcall(coroutine.wrap(function() return t.x end))))""",
    "in every other metamethod": """
        local peek = function() return (worker.peek()) end
        local t = setmetatable({}, {__add = peek, __call = function() return "m" end, __newindex = peek})
        t.x = 1 print(t()) assert(t + 1 == "m")""",
    "in __tostring": "print(setmetatable({}, {__tostring = function() return (worker.peek()) end}))",
    "in __close": "do local x <close> = setmetatable({}, {__close = function() print((worker.peek())) end}) end",
    "in the iterator of a generic for": "for m in worker.peek do print(m) break end",
    "in a coroutine that a generic for runs": """
        for m in coroutine.wrap(function() coroutine.yield(worker.peek()) end) do print(m) end""",
    "in the reader of load": """
        local n = 0
        print(load(function() n = n + 1 if n == 1 then return "return '" .. worker.peek() .. "'" end end)())""",
    "in a loaded chunk": "print(load('return worker.peek()')())",
    "in a module": "package.preload.m = function() return (worker.peek()) end print((require('m')))",
    "in an interpolated string": "print(`$(worker.peek())`)",
    "in catch": "print(select(2, catch worker.peek()))",
}


@pytest.mark.parametrize("brings", [False, True])
@pytest.mark.parametrize("source", SUSPENDABLE.values(), ids=SUSPENDABLE.keys())
def test_a_script_may_wait(lus, source, brings):
    script = lus(source, is_worker=True, held=("load",))
    script.port.brings = brings
    while isinstance(result := script.step(), Waiting):
        assert result.condition == InboxHasMail()
        script.port.inbox.append(codec.encode("m"))
    assert result == Ended(Returned())
    assert script.port.lines == ["m"]


UNSUSPENDABLE = {
    "a comparator": "table.sort({1, 2}, function() worker.peek() end)",
    "a gsub callback": "string.gsub('x', 'x', function() worker.peek() end)",
    "a metamethod that C calls": "table.unpack(setmetatable({}, {__index = function() worker.peek() end}), 1, 1)",
    "a coroutine inside a comparator": "table.sort({1, 2}, coroutine.wrap(function() worker.peek() end))",
    "coroutine.close": """
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, {__close = function() worker.peek() end}) coroutine.yield()
        end)
        coroutine.resume(co) error((select(2, coroutine.close(co))), 0)""",
}


@pytest.mark.parametrize("source", UNSUSPENDABLE.values(), ids=UNSUSPENDABLE.keys())
def test_where_lua_cannot_suspend_a_wait_is_an_error_and_the_state_goes_on(lus, source):
    script = lus(f"print(pcall(function() {source} end)) print(worker.peek())", is_worker=True)
    assert script.waits_for() == InboxHasMail()
    script.port.inbox.append(codec.encode("later"))
    assert script.end() == Returned()
    assert "cannot wait here" in script.port.lines[0]
    assert script.port.lines[1] == "later"


@pytest.mark.parametrize("call", ["worker.receive(w)", "worker.receive(w, w)", "worker.peek()"])
def test_that_error_says_where(lus, call):
    script = lus(
        f"local w = worker.create('/x')\nprint(pcall(table.sort, {{ 1, 2 }}, function()\nlocal value = {call} end))",
        is_worker=True,
        held=("load", "fs:read"),
    )
    assert script.end() == Returned()
    assert script.port.lines[0].startswith("false\tmain.lus:3: cannot wait here")


def test_a_coroutine_that_waited_is_suspended_and_resumed_only_by_the_script(lus):
    script = lus(
        """local co = coroutine.create(function(a) local m = worker.peek() local b = coroutine.yield(m) return a, b end)
           print(coroutine.resume(co, 1)) print(coroutine.status(co)) print(coroutine.resume(co, 2))""",
        is_worker=True,
    )
    script.waits_for()
    script.port.inbox.append(codec.encode("m"))
    assert script.end() == Returned()
    assert script.port.lines == ["true\tm", "suspended", "true\t1\t2"]


def test_the_place_of_a_wait_is_the_scripts_own_line(lus):
    script = lus("local co = coroutine.wrap(function()\n  local m = worker.peek()\nend)\nco()", is_worker=True)
    script.waits_for()
    assert script.state.location() == "main.lus:2"


def test_a_wait_of_a_library_function_alone_is_placed_at_who_resumed_it(lus):
    script = lus("local co = coroutine.wrap(worker.peek)\nlocal m = co()", is_worker=True)
    script.waits_for()
    assert script.state.location() == "main.lus:2"


def test_waiting_names_the_condition(lus):
    sender = lus("worker.message('x')", is_worker=True)
    sender.port.outbox_full = True
    assert sender.waits_for() == OutboxHasRoom(len(codec.encode("x")))
    reader = lus("print(io.read())")
    assert reader.waits_for() == InputArrived(0)
    parent = lus("local w = worker.create('/x') worker.send(w, 'x') print(worker.receive(w))", held=("load", "fs:read"))
    parent.port.full.add(1)
    assert parent.waits_for() == InboxHasRoom(1, len(codec.encode("x")))
    parent.port.full.clear()
    assert parent.waits_for() == ChildrenHaveMail((1,))


ECHO_TWICE = """
    local a, b = worker.create("/a"), worker.create("/b")
    for i = 1, 3 do print(worker.peek()) print(worker.receive(a)) print(worker.receive(b)) end"""


def test_what_is_brought_is_what_is_asked_for(lus):
    script = lus(ECHO_TWICE, is_worker=True, held=("load", "fs:read"))
    script.port.brings = True
    waits = [InboxHasMail(), ChildrenHaveMail((1,)), ChildrenHaveMail((2,))] * 3
    for number, wait in enumerate(waits):
        assert script.waits_for() == wait
        queue = script.port.inbox if wait == InboxHasMail() else script.port.items[wait.children[0]]
        queue.append(codec.encode(number))
    assert script.end() == Returned()
    assert script.port.lines == [str(number) for number in range(9)]


def test_a_state_that_was_brought_all_there_is_does_not_ask_before_it_waits(lus, only_native):
    script = lus("for i = 1, 9 do print(worker.peek()) end", is_worker=True)
    script.port.brings = True
    asked, peek = [], script.port.peek
    script.port.peek = lambda: (asked.append(1), peek())[1]
    for number in range(9):
        assert script.waits_for() == InboxHasMail()
        script.port.inbox.append(codec.encode(number))
    assert script.end() == Returned()
    assert script.port.lines == [str(number) for number in range(9)]
    assert len(asked) == 1


def test_a_wait_that_is_over_for_nothing_goes_on(lus):
    script = lus("print(worker.peek())", is_worker=True)
    script.port.brings = True
    for _ in range(3):
        assert script.waits_for() == InboxHasMail()
    script.port.inbox.extend([codec.encode("first"), codec.encode("second")])
    assert script.end() == Returned()
    assert script.port.lines == ["first"]


def test_what_is_brought_may_be_more_than_the_state_can_hold(lus, only_native):
    script = lus("print(#worker.peek())", is_worker=True, limits={"memory": 1 << 20})
    script.port.brings = True
    assert script.waits_for() == InboxHasMail()
    script.port.inbox.append(codec.encode("x" * (2 << 20)))
    assert script.failure().kind == "memory"


def test_a_message_that_had_to_wait_is_queued_once(lus):
    script = lus("worker.message('x')", is_worker=True)
    script.port.outbox_full = True
    script.waits_for()
    script.waits_for()
    script.port.outbox_full = False
    assert script.end() == Returned()
    assert script.port.outbox == [codec.encode("x")]


EXITS = {
    "main": "os.exit(3)",
    "a coroutine": "coroutine.wrap(function() os.exit(3) end)()",
    "pcall": "pcall(os.exit, 3)",
    "a metamethod in a coroutine in pcall": """
        pcall(coroutine.wrap(function() return setmetatable({}, {__index = function() os.exit(3) end}).x end))""",
    "__tostring of the error that ends it": "error(setmetatable({}, {__tostring = function() os.exit(3) end}))",
    "a comparator": "pcall(table.sort, {1, 2}, function() os.exit(3) end)",
    "a comparator that catches it for ever": "table.sort({1, 2}, function() while true do pcall(os.exit, 3) end end)",
    "a gsub callback": "pcall(string.gsub, 'abc', '.', function() pcall(os.exit, 3) while true do end end)",
    "an error handler": "xpcall(error, function() os.exit(3) end)",
    "__close as a coroutine is closed": """
        local co = coroutine.create(function()
          local y <close> = setmetatable({}, {__close = function() os.exit(3) end})
          coroutine.yield()
        end)
        coroutine.resume(co)
        pcall(coroutine.close, co)""",
    "a coroutine in a comparator": """
        pcall(table.sort, {1, 2}, function()
          pcall(coroutine.wrap(function() pcall(os.exit, 3) while true do end end))
          while true do end
        end)""",
}


@pytest.mark.parametrize("source", EXITS.values(), ids=EXITS.keys())
def test_exit_leaves_at_once(lus, source):
    script = lus(f"local x <close> = setmetatable({{}}, {{__close = print}}) {source} while true do print('never') end")
    assert script.end() == Exited(3)
    assert script.port.lines == []


@pytest.mark.parametrize(("code", "status"), [("", 0), ("true", 0), ("false", 1), ("7", 7), ("2.0", 2), ("'5'", 5)])
def test_the_status_of_exit(lus, code, status):
    assert lus(f"os.exit({code})").end() == Exited(status)
