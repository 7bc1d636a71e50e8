"""No address of the host's memory is ever shown: objects have made-up numbers instead."""

from __future__ import annotations

import re

import pytest

OBJECTS = """
local objects = {
  {}, print, string.format, tostring, string.find, function() end, coroutine.create(print), coroutine.running(),
  io.stdout, worker, worker.create("/x"), vector.create(8), setmetatable({}, {__name = "mine"}), _G, math.random,
  string, (enum a end), setmetatable({}, {__name = 5}), coroutine.wrap(print), host.anything,
  "a text", ("long "):rep(99),
}
"""
SHOWN = re.compile(rb"0x([0-9a-f]+)")


def mappings():
    """The address ranges of this process."""
    with open("/proc/self/maps", "rb") as file:
        ranges = [line.split(b" ", 1)[0].split(b"-") for line in file]
    return [(int(low, 16), int(high, 16)) for low, high in ranges]


WAYS = {
    "tostring": "for _, o in ipairs(objects) do print((tostring(o))) end",
    "print": "for _, o in ipairs(objects) do print(o) end print(table.unpack(objects))",
    "%s": "for _, o in ipairs(objects) do print(('%s|%5.30s|%%|%-40s'):format(o, o, o)) end",
    "%p": "for _, o in ipairs(objects) do print(string.format('%p|%20p|%-20p|%s|%d', o, o, o, 'x', 1)) end",
    "interpolation": "for _, o in ipairs(objects) do print(`$o`) end",
    "io.write": "for _, o in ipairs(objects) do io.write(tostring(o), '\\n') end",
    "errors": """
        for _, o in ipairs(objects) do
          for _, f in ipairs{function() return o + 1 end, function() return o.a.b.c end, function() return #o < o end,
            function() o() end, function() error(o) end, function() assert(false, o) end,
            function() worker.send(o, 1) end, function() worker.create("/x", {[o] = o}) end,
            function() string.rep(o) end, function() fromjson(o) end,
            function() tojson({[o] = o}) end, function() tocsv{{o}} end, function() table.concat{o} end,
            function() string.format("%d", o) end, function() string.format("%y", o) end} do
            print(select(2, pcall(f)))
            print(select(2, xpcall(f, function(e) return debug.traceback(tostring(e)) end)))
          end
        end""",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_nothing_that_is_shown_is_an_address(lus, way):
    script = lus(OBJECTS + way, held=("load", "fs:read"))
    script.end()
    shown = [int(number, 16) for number in SHOWN.findall(script.port.written[1])]
    assert shown
    used = mappings()
    assert [hex(number) for number in shown for low, high in used if low <= number < high] == []
    assert script.port.written[1].count(b"\n") >= 20


def test_identities_are_distinct_and_stable(printed):
    source = """
        local texts, objects, count = {}, {}, 0
        for i = 1, 3000 do
          local o = i % 3 == 0 and {} or i % 3 == 1 and function() return i end or coroutine.create(print)
          objects[i] = o
          local text = tostring(o)
          if not texts[text] then count = count + 1 end
          texts[text] = o
        end
        for i = 1, 50 do collectgarbage("step") end
        collectgarbage()
        for text, o in pairs(texts) do
          if tostring(o) ~= text or `$o` ~= text or ("%s"):format(o) ~= text then print("changed", text) end
          if type(o) .. (": %p"):format(o) ~= text then print("another", text) end
        end
        print(count)"""
    assert printed(source) == ["3000"]


def test_identities_of_strings_are_those_of_their_bytes(printed):
    source = """
        local p = function(s) return ("%p"):format(s) end
        print(p("abc") == p("a" .. "bc"), p("abc") == p("abd"), p("") == p("\\0"),
          p(("x"):rep(1000)) == p(("x"):rep(1000)))
        local seen, count = {}, 0
        for i = 1, 2000 do for _, s in ipairs{"k" .. i, ("y"):rep(i), i .. ("z"):rep(50)} do
          if not seen[p(s)] then count = count + 1 end
          seen[p(s)] = true
        end end
        print(count)"""
    assert printed(source) == ["true\tfalse\tfalse\ttrue", "6000"]


def test_the_form_is_that_of_lua(printed):
    source = """
        print((tostring({}):gsub("%x%x%x%x%x%x%x%x%x%x%x%x$", "X")), (tostring(print):gsub("0x%x+$", "X")))
        print((tostring(coroutine.running()):gsub("0x%x+$", "X")), (tostring(worker.create("/x")):gsub("0x%x+$", "X")))
        print((tostring(setmetatable({}, {__name = "my\\0name"})):gsub("0x%x+$", "X")))
        print((tostring(setmetatable({}, {__name = 7})):gsub("0x%x+$", "X")))
        print(#("%p"):format({}), ("%20p|%-20p|"):format({}, {}):gsub("0x%x+", "X"))
        print(("%p %6p|%-8p|"):format(1, nil, true))
        print(("%.3s|%8.2s|"):format({}, print))
        print(pcall(string.format, "%.3p", {})) print(pcall(string.format, "%05p", {}))
        print(pcall(string.format, "%p"))
        print(pcall(string.format, "%s %s", {}))"""
    refused = "false\tinvalid conversion specification: '{}'"
    missing = "false\tbad argument #{} to '{}' (no value)"
    lines = printed(source, held=("load", "fs:read"))
    named = [line.replace("'string.format'", "'format'") for line in lines]
    assert [re.sub(r"^(false\t)main.lus:\d+: ", r"\1", line) for line in named] == [
        "table: 0xX\tfunction: X",
        "thread: X\tworker: X",
        "my: X",
        "table: X",
        "14\t      X|X      |\t2",
        "(null) (null)|(null)  |",
        "tab|      fu|",
        refused.format("%.3p"),
        refused.format("%05p"),
        missing.format(2, "format"),
        missing.format(3, "format"),
    ]


def test_tostring_metamethods_are_called_as_in_lua(printed):
    source = """
        local made = setmetatable({}, {__tostring = function() return "made" end, __name = "unused"})
        print(made, tostring(made), ("%s|%6s|%.2s"):format(made, made, made), `$made`)
        local waits = setmetatable({}, {__tostring = function() return coroutine.yield() end})
        local co = coroutine.wrap(function() return ("%s!"):format(waits) end)
        co() print(co("yielded"))
        local function fails(f)
          local text = select(2, pcall(function() local x = ("%s"):format(setmetatable({}, {__tostring = f})) end))
          print(text)
        end
        fails(function() return {} end)
        fails(function() error("in it") end)
        fails(false)
        local by_call = setmetatable({}, {__call = function() return "by call" end})
        local called = setmetatable({}, {__tostring = by_call})
        print(called, ("%s"):format(called))"""
    assert printed(source) == [
        "made\tmade\tmade|  made|ma\tmade",
        "yielded!",
        "main.lus:8: '__tostring' must return a string",
        "main.lus:12: in it",
        "attempt to call a boolean value",
        "by call\tby call",
    ]


def test_an_identity_keeps_no_object(printed):
    source = """
        local before = collectgarbage("count")
        for i = 1, 300000 do tostring{} end
        collectgarbage() collectgarbage()
        print(collectgarbage("count") - before < 12000)  -- room in the table; objects that are kept take 30,000"""
    assert printed(source) == ["true"]


def test_states_give_other_numbers(printed):
    assert printed("print({})") != printed("print({})")


def test_a_worker_is_not_shown_by_its_number(printed):
    """The number would tell how many states others have."""
    lines = printed("for i = 1, 3 do print(worker.create('/x')) end", held=("load", "fs:read"))
    assert all(int(line.split("0x")[1], 16) >= 1 << 44 for line in lines)
    assert len(set(lines)) == 3
