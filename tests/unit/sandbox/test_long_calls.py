"""Library calls that would stay inside C for ever: done in pieces, or given up; all others do what Lua's own do."""

from __future__ import annotations

import re

import lupa.lua55
import pytest

from luspool.sandbox.preemption import mechanism
from luspool.scheduler.protocol import Ended, Preempted, Returned, Slice

PROXY = "setmetatable({}, {__len = function() return 2000000000 end, __index = rawlen, __newindex = type})"
HOGS = {
    "table.move": "table.move({}, 1, 1 << 40, 2)",
    "table.move forward": "table.move({}, 2, 1 << 40, 1)",
    "table.move to another table": "table.move({}, 1, 1 << 40, 1, {})",
    "table.insert": f"table.insert({PROXY}, 1, 'x')",
    "table.remove": f"table.remove({PROXY}, 1)",
    "table.concat": f"table.concat({PROXY})",
    "table.concat of a range": "table.concat(setmetatable({}, {__index = rawlen}), '', 1, 1 << 40)",
    "table.sort": f"table.sort({PROXY})",
    "package.searchpath": "package.searchpath(('a'):rep(1 << 21), '?', ('a'):rep(1 << 20) .. 'b')",
}


@pytest.mark.parametrize("source", HOGS.values(), ids=HOGS.keys())
def test_a_long_call_gives_way_again_and_again(lus, source):
    script = lus(source)
    assert [script.state.step(Slice(1_000_000, bytearray(b"\1"))) for _ in range(4)] == [Preempted()] * 4


def test_tracebacks_with_a_long_name_give_way_again_and_again(lus):
    """A name that looks like the end of a traceback, again and again: it takes no time by the square of its length."""
    script = lus(
        """
        local field = "t['" .. ("in function <"):rep(30000) .. "']"
        local text = "local t = {} %s = function() local s = debug.traceback() return s end local s = %s()"
        local f = load(text:format(field, field))
        while true do f() end
        """,
        held=("load",),
    )
    assert [script.state.step(Slice(1_000_000, bytearray(b"\1"))) for _ in range(4)] == [Preempted()] * 4


def test_an_honest_sort_of_many_gives_way_and_is_right(lus):
    script = lus("""
        local t = {}
        for i = 1, 600000 do t[i] = (i * 7919) % 600011 end
        table.sort(t, function(a, b) return a > b end)
        for i = 2, #t do assert(t[i - 1] >= t[i]) end
        table.sort(t)
        for i = 2, #t do assert(t[i - 1] <= t[i]) end
    """)
    preempted = 0
    while isinstance(result := script.state.step(Slice(1_000_000, bytearray(b"\1"))), Preempted):
        preempted += 1
    assert result == Ended(Returned())
    assert preempted > 1


SNIPPETS = {
    "insert": """
        local function check(...) print(pcall(function(...) table.insert(...) end, ...)) end
        for size = -1, 4 do
          for position = -1, 6 do
            local t = setmetatable({"a", "b", "c"}, {__len = function() return size end})
            check(t, position, "x") print(t[-1], t[0], t[1], t[2], t[3], t[4], t[5])
          end
        end
        check(setmetatable({}, {__len = function() return {} end}), 1, 1)
        check(setmetatable({}, {__len = function() return 1.5 end}), 1, 1)
        check(setmetatable({}, {__len = function() return "3" end}), "2", 1)
        check({}) check({}, 1, 2, 3) check({}, "x", 1) check({}, 3, 1) check(nil, 1) check({}, 1.5, 1) check()
    """,
    "remove": """
        local function check(...) print(pcall(function(...) return (table.remove(...)) end, ...)) end
        for size = -1, 4 do
          for position = -1, 6 do
            local t = setmetatable({"a", "b", "c"}, {__len = function() return size end})
            check(t, position) print(t[-1], t[0], t[1], t[2], t[3], t[4], t[5])
          end
        end
        check({}) check({}, "x") check({}, 3) check(nil) check({}, 1.5) check({1, 2, 3}, 1) check({1}, 1, 2)
        check({}, 0) check({}, 1) check()
    """,
    "move": """
        local function check(...) print(pcall(function(...) return #(table.move(...)) end, ...)) end
        local t = {} for i = 1, 600000 do t[i] = i end
        table.move(t, 1, 600000, 2) for i = 2, 600001 do assert(t[i] == i - 1) end
        table.move(t, 2, 600001, 1) for i = 1, 600000 do assert(t[i] == i) end
        table.move(t, 1, 600000, 300001) for i = 300001, 900000 do assert(t[i] == i - 300000) end
        check(t, 1, 900000, 1, {}) check(t, 1, 0, 1) check(t, 1, 2, "x") check({}, 1, math.maxinteger, 2)
        check({}, math.mininteger, 0, 1) check({}, 1, 2, math.maxinteger) check({}, 1, 2, 3, 4) check(1, 2, 3, 4)
        check()
        check({}, 1, "3", 1) check({}, 1, 600001, 1, setmetatable({}, {__newindex = function() error("no", 0) end}))
    """,
    "concat": """
        local function check(...) print(pcall(function(...) return (table.concat(...)) end, ...)) end
        local t = setmetatable({"a", 2, 3.5}, {__len = function() return 4 end, __index = function(_, k) return k end})
        check(t) check(t, ",") check(t, ",", 2) check(t, ",", 2, 3) check(t, ",", 3, 2) check(t, 0, "1", 2.0)
        check(t, ",", 0, 8) check(t, {}) check(t, ",", "x") check(t, ",", 1, "x") check({{}})
        check({1, nil, 3}, "", 1, 3)
        check({}, ",", 1, 600000) check(nil) check() check({1, 2, 3}, ", ")
        check(setmetatable({}, {__len = function() return "x" end}))
    """,
    "sort": """
        local function check(...) print(pcall(function(...) table.sort(...) end, ...)) end
        local t = setmetatable({3, 1, 2}, {__len = function() return 2 end})
        check(t) print(t[1], t[2], t[3]) check(t, function(a, b) return a > b end) print(t[1], t[2], t[3])
        check(t, 5) check(5) check() check({1, "x"}) check({3, 2, 1}, nil)
        check(setmetatable({}, {__len = function() return 1 << 31 end}))
        check(setmetatable({}, {__len = function() return "x" end})) check({2, 1}, function() error("mine", 0) end)
    """,
    "rep": """
        local function check(...) print(pcall(function(...) return (string.rep(...)) end, ...)) end
        check("ab", 3) check("ab", 3, ", ") check("ab", 0) check("ab", -1) check(12, "2") check("", 1 << 40)
        check("x", {})
        check("x", 1.5) check("x", 2, {}) check({}, 2) check("x") check() print(("x"):rep(3)) check("x", 2, 5)
    """,
    "patterns with odd arguments": """
        local function check(f, ...) print(pcall(function(...) return (string[f](...)) end, ...)) end
        for _, f in ipairs({"find", "match", "gmatch", "gsub"}) do
          check(f) check(f, "x") check(f, nil, "x") check(f, "x", {}) check(f, {}, "x", "y")
          if f ~= "gmatch" then check(f, 1212, 21, 3) check(f, "1.5", 1.5, "2") check(f, "121", "1", 3.0, "1") end
        end
        check("gsub", "x", "x") check("gsub", "x", "x", true) check("gsub", "x", "x", "y", "z")
        check("find", "a", "a", {})
        print(string.gsub("abc", "%w", {a = 1, b = true and "B", c = false}))
        print(pcall(function() local x = string.gsub("abc", "%w", {a = {}}) end))
        print(pcall(function() local x = string.gsub("abc", "%w", function() return print end) end))
        print(pcall(function() local x = string.gsub("abc", "%w", function() error("mine") end) end))
        print(pcall(function() local x = string.gsub("abc", "%w", "%9") end))
    """,
}

BARE = b"""
local lines, environment = {}, setmetatable({}, { __index = _G })
function environment.print(...)
  local values = table.pack(...)
  for i = 1, values.n do values[i] = tostring(values[i]) end
  lines[#lines + 1] = table.concat(values, "\\t", 1, values.n)
end
load(..., "@main.lus", "t", environment)()
return table.concat(lines, "\\n")
"""


def plain(text):
    """Without addresses; and a guard in Lua knows its name, where Lua can't tell what a computed field is called."""
    return re.sub(r"to '(\?|find|match|gmatch|gsub)'", "to '?'", re.sub("0x[0-9a-f]+", "", text))


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS.keys())
def test_what_is_guarded_does_what_luas_own_does(printed, snippet):
    bare = lupa.lua55.LuaRuntime(encoding=None).execute(BARE, snippet.encode()).decode()
    assert plain("\n".join(printed(snippet))) == plain(bare)


@pytest.mark.parametrize(
    "call",
    [
        "string.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30))",
        "string.match(('a'):rep(40), ('a*'):rep(40) .. 'b')",
        "string.gsub(('a'):rep(2000), '.-.-.-.-b', '')",
        "string.gmatch(('('):rep(100000), '%b()')()",
        "string.find(('ab'):rep(10000), '(.*)(.*)%1%2x')",
    ],
)
def test_a_pattern_that_takes_too_long_is_an_error_that_a_script_can_catch(printed, call):
    lines = printed(f"local ok, problem = pcall(function() local _ = {call} end) print(ok, problem) print('goes on')")
    assert re.fullmatch(
        r"false\tmain.lus:1: pattern matching takes too long \(pattern '.{1,30}(\.\.\.)?' on \d+ bytes\)", lines[0]
    )
    assert lines[1:] == ["goes on"]


def test_looking_for_a_plain_text_takes_linear_time(printed):
    """Half a million bytes in a million: by comparing at each place this would take minutes."""
    source = "local a, b = ('a'):rep(1000000), ('a'):rep(500000) .. 'b' print(a:find(b, 1, true), (a .. b):find(b))"
    if mechanism().name == "hook":  # there it is bounded, not linear
        source = f"print(pcall(function() {source} end) or 'bounded')"
    assert printed(source)[-1] in ("nil\t1000001\t1500001", "bounded", "true")


def test_a_failed_iterator_fails_again_in_the_same_way(printed):
    lines = printed("local f = ('aaa'):gmatch('a(%w[a') for i = 1, 2 do print(pcall(f)) end")
    assert "malformed pattern (missing ']')" in lines[0]
    assert lines[0] == lines[1]


def test_a_string_beyond_the_memory_limit_is_refused_before_the_work(printed):
    source = """
        print(pcall(function() return #string.rep("x", 5000000) end))
        print(pcall(function() local s = ("x"):rep(1000, ("y"):rep(1000)) .. ("x"):rep(1000, ("y"):rep(10000)) end))
        print(#("x"):rep(100000))
    """
    refused = "false\tmain.lus:{}: resulting string too large"
    assert printed(source, limits={"memory": 4 << 20}) == [refused.format(2), refused.format(3), "100000"]


@pytest.mark.parametrize(
    "source",
    [
        "string.gsub(('a'):rep(100000000), 'a', string.len)",
        "local n = 'a?' while true do pcall(string.find, ('a'):rep(30), n:rep(30) .. ('a'):rep(30)) end",
        "table.sort({1, 2, 3}, function(a, b) return #string.gsub(('a'):rep(50000000), '.', 'b') > a end)",
    ],
)
def test_a_state_can_be_stopped_inside_of_a_pattern_function(lus, source):
    script = lus(f"print('inside') {source}")
    assert script.end_when_stopped().kind == "stopped"
