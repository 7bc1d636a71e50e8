"""`host`: functions of the embedding program, as a script sees them."""

from __future__ import annotations

import pytest

from luspool.sandbox import codec
from luspool.scheduler.protocol import CALL_LIMIT, CallResult, Ended, ReplyArrived, Returned, Waiting

ANY = ("host",)


def answer(script, *results):
    """Step until the state waits for a call, and reply to it with these values."""
    while (condition := script.waits_for()) == ReplyArrived(0):
        pass  # it tries whether it can wait
    call = len(script.port.calls)
    assert condition == ReplyArrived(call)
    script.port.replies[call] = CallResult(True, codec.encode(*results))
    return script.port.calls[call]


def test_a_call_carries_its_arguments_out_and_its_results_back(lus):
    script = lus("print(host.sum(1, 'two', nil, {3, x = {}}, nil))", held=("host:sum",))
    assert answer(script, 7, None, "eight") == ("sum", (1, "two", None, {1: 3, "x": {}}, None))
    assert script.end() == Returned()
    assert script.port.lines == ["7\tnil\teight"]


def test_no_arguments_and_no_results(lus):
    script = lus("print(select('#', host.f()))", held=ANY)
    assert answer(script) == ("f", ())
    assert script.end() == Returned()
    assert script.port.lines == ["0"]


def test_references_are_kept_within_a_call_and_cut_between_the_sides(lus):
    script = lus(
        "local t = {} t.t = t local r = host.f(t, t) t.changed = true print(r.r == r, r == t, r.changed)", held=ANY
    )
    back = {}
    back["r"] = back
    _, (first, second) = answer(script, back)
    assert first is second is first["t"]
    assert script.end() == Returned()
    assert script.port.lines == ["true\tfalse\tnil"]


def test_an_error_is_a_string_with_the_scripts_position(lus):
    script = lus("\nprint(pcall(host.f))\nlocal ok, e = pcall(function()\n  host.f()\nend) print(e)", held=ANY)
    for call in (1, 2):
        while script.waits_for() == ReplyArrived(0):
            pass
        script.port.replies[call] = CallResult(False, b"KeyError: 'x'")
    assert script.end() == Returned()
    assert script.port.lines == ["false\tmain.lus:2: KeyError: 'x'", "main.lus:4: KeyError: 'x'"]


def test_without_the_right_nothing_is_called_or_copied_and_the_flag_is_named(lus):
    script = lus("host.log(print)", held=("host:lo", "host:logs"))
    failure = script.failure()
    assert failure.kind == "denied"
    assert failure.message.startswith("permission \"host\" denied for 'log' in main.lus at main.lus:1: ")
    assert failure.message.endswith("no pledge grants it (grant it with -P host:log)")
    assert not script.port.calls


def test_a_script_narrows_its_own_functions(lus):
    script = lus("print(pledge('host:a', 'host:b', '~host:b')) print(pcall(host.b)) host.a()", held=ANY)
    assert answer(script)[0] == "a"
    assert script.end() == Returned()
    assert script.port.lines[0] == "true\ttrue\ttrue"
    assert "rejected by" in script.port.lines[1]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("1, {cb = {print}}", "argument #2, field .cb[1]: cannot copy a function"),
        ("io.stdout", "argument #1: cannot copy a FILE*"),
    ],
)
def test_what_cannot_be_copied_is_named_with_its_place(lus, argument, problem):
    script = lus(f"host.f({argument})", held=ANY)
    assert script.failure().message.startswith(f"main.lus:1: {problem}")
    assert not script.port.calls


def test_arguments_beyond_the_limit_on_messages_end_the_state(lus):
    script = lus("pcall(host.f, ('x'):rep(2000)) print('never')", held=ANY, limits={"message": 1000})
    script.step()
    assert [excess.kind for excess in script.port.excesses] == ["message"]
    assert not script.port.calls
    assert not script.port.lines


def test_arguments_beyond_what_a_call_may_carry_are_an_error(lus):
    script = lus(f"host.f(('x'):rep({CALL_LIMIT}))", held=ANY)
    assert "the arguments of host.f take more than 4 MiB" in script.failure().message
    assert not script.port.calls


@pytest.mark.parametrize("name", ["x" * 101, "x" * 100_000])
def test_a_name_that_nothing_can_have_is_an_error(lus, name):
    script = lus(f"host['{name}']()", held=ANY)
    assert "a name of a host function is not as long as this" in script.failure().message


def test_functions_are_made_by_asking_and_each_is_one(printed):
    code = "print(type(host.x), host.x == host.x, host.x == host.y, host[1], next(host), getmetatable(host))"
    assert printed(code) == ["function\ttrue\tfalse\tnil\tnil\tfalse"]


def test_a_script_may_put_its_own_in_place_of_one(printed):
    assert printed("host.x = function() return 'mine' end print(host.x())") == ["mine"]


SUSPENDABLE = {
    "plainly": "print(host.f())",
    "in pcall": "print(select(2, pcall(host.f)))",
    "in a coroutine": "print(coroutine.wrap(function() return host.f() end)())",
    "as the body of a coroutine": "print(select(2, coroutine.resume(coroutine.create(host.f))))",
    "in a coroutine in pcall in a coroutine": """
        local inner = coroutine.wrap(function() local ok, m = pcall(host.f) coroutine.yield(m) end)
        print(coroutine.wrap(function() return select(2, pcall(inner)) end)())""",
    "in a metamethod in a coroutine": """
        local t = setmetatable({}, {__index = function() return (host.f()) end})
        print(coroutine.wrap(function() return t.x end)())""",
    "in __close": "do local x <close> = setmetatable({}, {__close = function() print((host.f())) end}) end",
    "in the iterator of a generic for": "for m in host.f do print(m) break end",
    "in a loaded chunk": "print(load('return host.f()')())",
    "in catch": "print(select(2, catch host.f()))",
}


@pytest.mark.parametrize("source", SUSPENDABLE.values(), ids=SUSPENDABLE.keys())
def test_a_script_may_call_wherever_it_may_wait(lus, source):
    script = lus(source, held=("load", "host:f"))
    while isinstance(result := script.step(), Waiting):
        if result.condition != ReplyArrived(0):
            script.port.replies[result.condition.call] = CallResult(True, codec.encode("m"))
    assert result == Ended(Returned())
    assert script.port.lines == ["m"]
    assert len(script.port.calls) == 1


UNSUSPENDABLE = {
    "a comparator": "table.sort({1, 2}, function() host.f() end)",
    "a gsub callback": "string.gsub('x', 'x', function() host.f() end)",
    "a coroutine inside a comparator": "table.sort({1, 2}, coroutine.wrap(function() host.f() end))",
    "a coroutine in a coroutine inside a comparator": """
        table.sort({1, 2}, coroutine.wrap(function() coroutine.wrap(function() host.f() end)() end))""",
    "a comparator inside a coroutine": """
        coroutine.wrap(function() table.sort({1, 2}, function() host.f() end) end)()""",
    "coroutine.close": """
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, {__close = function() host.f() end}) coroutine.yield()
        end)
        coroutine.resume(co) error((select(2, coroutine.close(co))), 0)""",
}


@pytest.mark.parametrize("source", UNSUSPENDABLE.values(), ids=UNSUSPENDABLE.keys())
def test_where_lua_cannot_suspend_nothing_is_called(lus, source):
    script = lus(f"print(pcall(function() {source} end)) print(host.f())", held=ANY)
    assert answer(script, "later") == ("f", ())
    assert script.end() == Returned()
    assert "cannot wait here" in script.port.lines[0]
    assert script.port.lines[1] == "later"
    assert len(script.port.calls) == 1


def test_the_place_of_the_wait_is_the_scripts_own_line(lus):
    script = lus("local x = 1\nlocal y = host.f(x)", held=ANY)
    script.waits_for()
    assert script.state.location() == "main.lus:2"


def test_a_reply_larger_than_the_memory_of_the_state_ends_it(lus):
    script = lus("local x = host.f() print('never')", held=ANY, limits={"memory": 1 << 20})
    assert script.waits_for() == ReplyArrived(1)
    script.port.replies[1] = CallResult(True, codec.encode("x" * (2 << 20)))
    assert script.failure().kind == "memory"
    assert not script.port.lines
