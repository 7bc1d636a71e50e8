"""Library functions that call a script's functions: these may wait, yield, fail and tamper."""

from __future__ import annotations

import pytest

from luspool.sandbox import codec
from luspool.scheduler.protocol import Ended, InboxHasMail, Returned

WAITING = {
    "map": "print(table.map({1}, function() return (worker.peek()) end)[1])",
    "filter": "print(table.filter({'m'}, function(v) return v == worker.peek() end)[1])",
    "reduce": "print(table.reduce({1, 2}, function() return (worker.peek()) end))",
    "groupby": "print((next(table.groupby({1}, function() return (worker.peek()) end))))",
    "sortby": "table.sortby({1}, function() print((worker.peek())) end)",
    "a comparison in sortby": """
        local order = {__lt = function(a, b) print((worker.peek())) return a.n < b.n end}
        local t = table.sortby({2, 1}, function(n) return setmetatable({n = n}, order) end) assert(t[1] == 1)""",
    "an __index that sum reads": """
        local function peek() print((worker.peek())) return 1 end
        assert(table.sum(setmetatable({}, {__len = function() return 1 end, __index = peek})) == 1)""",
    "a __len that zip asks": "table.zip(setmetatable({}, {__len = function() print((worker.peek())) return 0 end}))",
    "an __index that join reads": """
        local t = setmetatable({}, {__len = function() return 1 end, __index = function() return (worker.peek()) end})
        print(string.join(t))""",
    "map in catch in map": "print(table.map({1}, function() return select(2, catch worker.peek()) end)[1])",
}


@pytest.mark.parametrize("source", WAITING.values(), ids=WAITING.keys())
def test_a_function_or_metamethod_that_the_library_calls_may_wait(lus, source):
    script = lus(source, is_worker=True)
    assert script.waits_for() == InboxHasMail()
    script.port.inbox.append(codec.encode("m"))
    assert script.step() == Ended(Returned())
    assert script.port.lines == ["m"]


@pytest.mark.parametrize("name", ["map", "filter", "reduce", "groupby", "sortby"])
def test_a_function_may_yield_out_of_the_library_and_be_dropped_there(printed, name):
    source = f"""
        local co = coroutine.create(function()
          return table.{name}({{3, 4}}, function(...) return coroutine.yield(...) end)
        end)
        print(coroutine.resume(co))
        print(select("#", coroutine.resume(co, 1)))
        print(coroutine.close(co))
    """
    first = "true\t3\t4\t2" if name == "reduce" else "true\t3\t1"
    assert printed(source)[0] == first
    assert printed(source)[-1] == "true"


def test_a_table_that_shrinks_grows_or_is_cleared_under_its_walk_ends_the_walk_where_it_would_have(printed):
    assert printed("""
        for _, name in ipairs{"map", "filter", "reduce", "groupby", "sortby"} do
          local t, calls = {5, 6, 7, 8}, 0
          local function meddle(value)
            calls = calls + 1
            for key in pairs(t) do t[key] = nil end
            for i = 1, 100 do t["k" .. i .. "-" .. calls] = i end
            return calls
          end
          table[name](t, meddle)
          io.write(calls, " ")
        end
        print()
    """) == ["4 4 3 4 4 "]


def test_a_huge_length_is_walked_and_not_reserved(lus):
    script = lus("""
        local t = setmetatable({}, {__len = function() return math.maxinteger end})
        local seen = 0
        local function stop() seen = seen + 1 if seen % 1000 == 0 then error("enough", 0) end end
        for _, name in ipairs{"map", "filter", "reduce", "sortby"} do print(pcall(table[name], t, stop)) end
        print(pcall(table.zip, t, {}), select("#", table.zip({}, t)))
        print(pcall(table.sum, t))
        print(pcall(string.join, t))
        print(pcall(table.transpose, {{}, t}))
    """)
    assert isinstance(script.end(), Returned)
    assert script.port.lines[:4] == ["false\tenough"] * 4
    assert all("at index 1" in line or line.startswith(("true", "false\tbad")) for line in script.port.lines[4:])


@pytest.mark.parametrize(
    "source",
    [
        "string.split(1, {})",
        "table.sum(1)",
        "table.map({}, 1)",
        "table.reshape({}, 1.5)",
        "vector.create({})",
        "vector.create(1):unpack(0, 'i4')",
        "('x'):transcode('utf-8', 'y')",
    ],
)
@pytest.mark.parametrize("form", ["local x = %s", "pcall(function() local x = %s end) error(select(2, catch %s), 0)"])
def test_an_error_is_at_the_scripts_position_also_in_catch(lus, source, form):
    script = lus("\n" + form.replace("%s", source))
    assert script.failure().message.startswith("main.lus:2: ")


def test_a_metatable_that_gets_a_finaliser_later_is_not_set_by_clone(lus):
    assert (
        "__gc"
        in lus("""
        local m = {}
        local t = setmetatable({}, m)
        m.__gc = function() while true do end end
        table.clone(t)
    """)
        .failure()
        .message
    )


def test_the_shared_tables_are_filled_once_and_keep_what_a_script_changes(printed):
    assert printed("""
        rawset(string, "trim", 1)
        table.own = print
        local count = 0
        for name in pairs(table) do count = count + 1 end
        print(string.trim, type(string.split), table.own == print, count > 20)
        string.split = nil
        print(string.split, rawget(string, "split"), type(string.ltrim))
        for name in pairs(string) do string[name] = nil end
        print(next(string), string.split, table.sum{1, 2}, catch ("x"):upper())
    """) == [
        "1\tfunction\ttrue\ttrue",
        "nil\tnil\tfunction",
        "nil\tnil\t3\tfalse\tmain.lus:10: attempt to call a nil value (method 'upper')",
    ]


def test_a_script_that_replaces_what_it_can_see_does_not_disturb_the_library(printed):
    assert printed("""
        local split, map, create, print, type, rawset = string.split, table.map, vector.create, print, type, rawset
        local function trap() error("called") end
        for _, library in ipairs{string, table, math, utf8, vector, _G} do
          for name, value in next, library do
            if type(value) == "function" then rawset(library, name, trap) end
          end
        end
        local pieces = split("a b c")
        print(pieces[1], #map(pieces, function(s) return s end), (create("xyz"):unpack(0, "c2")))
    """) == ["a\t3\txy"]
