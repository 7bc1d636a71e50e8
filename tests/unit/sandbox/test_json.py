"""fromjson and tojson: the conformance set, what is written for each value, errors, and the script's own functions."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from luspool.sandbox import codec
from luspool.scheduler.protocol import InboxHasMail, Returned

CASES = Path(__file__).with_name("json_cases.txt")

SAME = """
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return math.type(a) == math.type(b) and a == b and (a ~= 0 or math.type(a) == "integer" or 1 / a == 1 / b)
  end
  for key, value in pairs(a) do if not same(value, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end
"""
CONFORMANCE = (
    SAME
    + """
local verdict, texts, expected = ...
for i, text in ipairs(texts) do
  local ok, value = pcall(fromjson, text)
  local wanted = expected[i]
  if not ok then
    local position = value:match("^main.lus:%d+: invalid JSON at position (%d+): ")
    if verdict == "accept" or position ~= wanted then print(i, wanted .. " expected", value) end
  elseif verdict == "reject" or not same(value, load("return " .. wanted)()) then
    print(i, wanted .. " expected", "got " .. tojson(value))
  end
end
"""
)


def unescaped(text):
    return re.sub(rb"<([0-9A-F]{2})>", lambda found: bytes([int(found[1], 16)]), text.encode())


def cases():
    lines = [line.split("\t") for line in CASES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [(verdict, unescaped(text), unescaped(expected)) for verdict, text, expected in lines]


def test_the_set_is_large_and_every_text_is_there_once():
    texts = [text for _, text, _ in cases()]
    assert len(texts) == len(set(texts)) > 600
    assert {verdict: sum(1 for _ in group) > 50 for verdict, group in groupby(sorted(v for v, _, _ in cases()))} == {
        "accept": True,
        "reject": True,
        "either": True,
    }


@pytest.mark.parametrize("verdict", ["accept", "reject", "either"])
def test_conformance(printed, verdict):
    mine = [case for case in cases() if case[0] == verdict]
    wrong = printed(CONFORMANCE, held=("load",), arguments=(verdict, *zip(*(case[1:] for case in mine), strict=True)))
    assert wrong == []


WRITTEN = {
    "nil": "null",
    "true": "true",
    "{false}": "[false]",
    "{}": "[]",
    "{{}, {{}}}": "[[],[[]]]",
    "0": "0",
    "-1": "-1",
    "math.maxinteger": "9223372036854775807",
    "math.mininteger": "-9223372036854775808",
    "1.0": "1.0",
    "-0.0": "-0.0",
    "0.1": "0.1",
    "1e15": "1e+15",
    "1e100": "1e+100",
    "2^53": "9007199254740992.0",
    "5e-324": "4.94065645841247e-324",
    "math.huge": "null",
    "-math.huge": "null",
    "{0/0, 1}": "[null,1]",
    "{a = 0/0}": '{"a":null}',
    "''": '""',
    "'a\\0\\1\\8\\9\\10\\12\\13\\31\\127\"\\\\/'": '"a\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\x7f\\"\\\\/"',
    "'\\u{e9}\\u{20ac}\\u{1f600}'": '"é€😀"',
    "{1, 2, 3}": "[1,2,3]",
    "{1, 'a', 2, 3, nil, 4}": '[1,"a",2,3,null,4]',
    "{nil, 2}": "[null,2]",
    "{nil, nil, 3}": '{"3":3}',
    "{[2^40 | 0] = 1}": '{"1099511627776":1}',
    "{[math.maxinteger] = 1, [math.mininteger] = 2}": '{"-9223372036854775808":2,"9223372036854775807":1}',
    "{[0] = 1}": '{"0":1}',
    "{[-1] = 1, 2}": '{"-1":1,"1":2}',
    "{1, 2, x = 3}": '{"1":1,"2":2,"x":3}',
    "{b = 1, a = 2, ['a b'] = 3, [''] = 4, B = 5}": '{"":4,"B":5,"a":2,"a b":3,"b":1}',
    "{a = {b = {c = {}}}}": '{"a":{"b":{"c":[]}}}',
    "{{b = 1, a = 2}, {b = 3, a = 4}, {a = 5}, {a = {}}}": '[{"a":2,"b":1},{"a":4,"b":3},{"a":5},{"a":[]}]',
    "setmetatable({1, 2}, {__index = error, __len = error, __pairs = error})": "[1,2]",
    "setmetatable({a = 1}, {__index = error, __len = error, __pairs = error})": '{"a":1}',
    "setmetatable({nil, 2}, {__index = error})": "[null,2]",
    "{enum red, green end}": '["red"]',
    "setmetatable({1}, {__json = function(t) return {n = t[1]} end})": '{"n":1}',
    "setmetatable({1}, {__json = function(t) return t end})": "[1]",
    "setmetatable({1}, {__json = function() end})": "null",
    "setmetatable({1}, {__json = function() return 'x' end, __metatable = 1})": '"x"',
    "setmetatable({}, {__json = function() return setmetatable({}, {__json = function() return 1 end}) end})": "1",
}


def test_what_is_written_for_each_value(printed):
    lines = printed("\n".join(f"print(tojson({expression}))" for expression in WRITTEN))
    assert dict(zip(WRITTEN, lines, strict=True)) == WRITTEN


def test_many_keys_are_sorted_and_many_pieces_joined(printed):
    source = """
        local t, names = {}, {}
        for i = 1, 10000 do local name = string.format("%x", i * 7919 % 10007); t[name] = i; names[i] = name end
        table.sort(names)
        for i, name in ipairs(names) do names[i] = '"' .. name .. '":' .. t[name] end
        print(tojson(t) == "{" .. table.concat(names, ",") .. "}")
        local list = {}
        for i = 1, 20000 do list[i] = i % 2 == 0 and "s" or i end
        local back = fromjson(tojson(list))
        for i = 1, 20000 do assert(back[i] == list[i]) end
        print(#back)
    """
    assert printed(source) == ["true", "20000"]


# The native module writes a table at once if it is small, shallow and plain; a filter's tables are never.
ONE_BY_ONE = r"""
    local function try(name, value)
      local at_once, one_by_one = tojson(value), tojson(value, function(_, member) return member end)
      if at_once ~= one_by_one then print(name, at_once:sub(1, 80), one_by_one:sub(1, 80)) end
    end
    local function object(n)
      local t = {}
      for i = 1, n do t[("k"):rep(i % 3) .. i * 7919 % 1009] = i end
      return t
    end
    for n = 60, 70 do try("members " .. n, { object(n), a = object(n), b = { { object(n) } } }) end
    for size = 8180, 8200 do
      local text = ("x"):rep(size)
      try("text " .. size, { 1, { text }, { a = text }, { [text] = {} }, { { text:sub(1, size // 2), text } }, {} })
      try("escapes " .. size, { { ("\n"):rep(size // 2) }, { [("\1"):rep(size // 6)] = ("\1"):rep(9) } })
      try("many values " .. size, { ("x"):rep(4090), fromjson("[" .. ("9,"):rep(size // 2) .. "9]"), {} })
    end
    for depth = 1, 24 do
      local t = {}
      for level = 1, depth do t = level % 2 == 0 and { t, level } or { a = level, ["\0"] = t } end
      try("depth " .. depth, { t, { t }, a = t })
    end
    local shared = { "end" }
    for level = 1, 14 do shared = { shared, shared } end
    try("shared", { shared, { shared } })
    try("order", { { ["a\0b"] = 1, a = 2, ["a\0"] = 3, ["é"] = 4, ["\x7f"] = 5, [""] = 6, aa = 7, A = 8 } })
    try("kinds of keys", { { 1, 2, x = 3 }, { [2] = 1 }, { [3] = 1 }, { 1, nil, 3 }, { [0] = 1 }, { { 1, y = {} } } })
    local converted = setmetatable({}, { __json = function() return { "converted" } end })
    try("metatables", { { setmetatable({ 1 }, { __index = error }) }, { a = { converted } }, { { b = converted } } })
    local many = {}
    for i = 1, 9000 do many[i] = { a = i, b = { i, { c = "v" .. i, d = i / 3 } } } end
    try("many", many)
    print("compared")
"""


def test_tables_are_written_alike_at_once_and_one_by_one(printed):
    assert printed(ONE_BY_ONE) == ["compared"]


ERRORS = {
    "print": "cannot encode a function",
    "{a = {1, 2, {['b c'] = print}}}": 'field .a[3]["b c"]: cannot encode a function',
    "{coroutine.create(print)}": "field [1]: cannot encode a thread",
    "{x = io.stdout}": "field .x: cannot encode a FILE*",
    "{w = worker.create('/nowhere')}": "field .w: cannot encode a worker handle",
    "{v = vector.create(1)}": "field .v: cannot encode a vector",
    "{[true] = 1}": "cannot encode a key that is a boolean",
    "{t = {[1.5] = 1}}": "field .t: cannot encode a key that is a float",
    "{[{}] = 1}": "cannot encode a key that is a table",
    "{1, ['1'] = 2}": 'two keys that are both written "1"',
    "{a = '\\xff'}": "field .a: a string that is not UTF-8 (at its byte 1)",
    "{['a\\xc3'] = 1}": "a string that is not UTF-8 (at its byte 2)",
    "(function() local t = {} t.a = {b = {t}} return t end)()": (
        "field .a.b[1]: cannot encode a table that contains itself"
    ),
    "setmetatable({}, {__json = function(t) return {t} end})": "field [1]: cannot encode a table that contains itself",
    "{a = setmetatable({}, {__json = function() return {print} end})}": "field .a[1]: cannot encode a function",
    "{a = setmetatable({}, {__json = function() return print end})}": "field .a: cannot encode a function",
    "setmetatable({}, {__json = function() error('mine', 0) end})": "mine",
    "1, function() error('mine', 0) end": None,
    "{1}, function() error('mine', 0) end": "mine",
    "{1}, 5": "bad argument #2 to 'tojson' (function expected, got number)",
    "": "bad argument #1 to 'tojson' (value expected)",
}


def test_what_cannot_be_written_is_an_error_that_says_where(printed):
    source = "".join(f"print((select(2, catch tojson({expression}))))\n" for expression in ERRORS)
    lines = [re.sub(r"^main\.lus:\d+: ", "", line) for line in printed(source, held=("load", "fs:read"))]
    assert dict(zip(ERRORS, lines, strict=True)) == {k: "1" if v is None else v for k, v in ERRORS.items()}


def test_errors_have_the_position_of_the_script(lus):
    assert lus("\nfromjson('[')").failure().message == (
        "main.lus:2: invalid JSON at position 2: expected a value, found the end"
    )
    assert lus("\n\ntojson(print)").failure().message == "main.lus:3: cannot encode a function"
    assert lus("fromjson({})").failure().message == (
        "main.lus:1: bad argument #1 to 'fromjson' (string expected, got table)"
    )


def test_a_number_is_a_text_to_fromjson_as_to_the_string_library(printed):
    assert printed("print(fromjson(12), math.type(fromjson(1.5)))") == ["12\tfloat"]


@pytest.mark.parametrize("depth", [1000, 1001, 1_000_000])
def test_nesting_has_a_limit(printed, depth):
    source = f"""
        local function report(ok, text) print(ok, ok or text:match(": (.*)")) end
        report(pcall(fromjson, ("["):rep({depth}) .. ("]"):rep({depth})))
        report(pcall(fromjson, ('{{"a":'):rep({depth}) .. "1" .. ("}}"):rep({depth})))
        local t = {{}}
        for i = 2, {depth} do t = {{t}} end
        report(pcall(tojson, t))
        t = {{}}
        for i = 2, {depth} do t = {{a = t}} end
        report(pcall(tojson, t))
        t = 1
        for i = 1, {depth} do local inner = t; t = setmetatable({{}}, {{__json = function() return inner end}}) end
        report(pcall(tojson, t))
    """
    lines = printed(source)
    if depth <= 1000:
        assert lines == ["true\ttrue"] * 5
    else:
        assert lines[:2] == [
            "false\tinvalid JSON at position 1001: nested deeper than 1000 levels",
            "false\tinvalid JSON at position 5001: nested deeper than 1000 levels",
        ]
        assert [line[-30:] for line in lines[2:]] == ["nested deeper than 1000 levels"] * 3


def test_what_is_not_there_at_the_end_of_a_nest_is_found_without_a_deep_stack(printed):
    source = """
        print(pcall(fromjson, ("["):rep(999) .. "x"))
        local co = coroutine.wrap(function() return #tojson(fromjson(("["):rep(1000) .. ("]"):rep(1000))) end)
        print(co())
    """
    assert printed(source) == [
        "false\tmain.lus:2: invalid JSON at position 1000: expected a value, found 'x'",
        "2000",
    ]


FILTER = """
    local order = {}
    local function filter(key, value)
      order[#order + 1] = tostring(key)
      if type(value) == "number" then return value * 10 end
      if value == "drop" then return nil end
      if key == "swap" then return { in_it = 1 } end
      return value
    end
    print(tojson({ a = 1, b = "drop", c = { 1, "drop", 2, nil, 3 }, swap = true, z = { { "drop" } } }, filter))
    print(table.concat(order, " "))
    print(tojson(7, filter), tojson({ "drop" }, filter), tojson({ a = "drop" }, filter))
    print(tojson({ keep = false }, function(_, v) return v end))
"""


def test_a_filter_replaces_members_and_leaves_out_what_it_gives_nil_for(printed):
    assert printed(FILTER) == [
        '{"a":10,"c":[10,20,null,30],"swap":{"in_it":10},"z":[[]]}',
        "a b c 1 2 3 5 swap in_it z 1 1",
        "7\t[]\t{}",
        '{"keep":false}',
    ]


HOOKS = """
    -- changes what is being written
    local t = { 1, 2, 3 }
    t[2] = setmetatable({}, { __json = function() t[3], t[4] = nil, 4 return "two" end })
    print(tojson(t))
    local o = { a = 1, c = 3 }
    o.b = setmetatable({}, { __json = function() o.c, o.d = nil, 4 return "b" end })
    print(tojson(o))
    local grown = { x = 1 }
    print(tojson(grown, function(key, value) for i = 1, 100 do grown["new" .. i] = i end return value end))
    -- calls both functions again, for other values and the same
    local inner = setmetatable({ "in" }, { __json = function() return tojson({ a = fromjson('[{"b":[1,2]}]') }) end })
    print(tojson({ inner, inner }))
    -- fails half way, and nothing is left over
    print(pcall(tojson, { { { setmetatable({}, { __json = error }) } } }))
    print(tojson({ a = { "b" } }))
    -- inside of a C function
    print((("x"):gsub("x", function() return tojson({ setmetatable({}, { __json = function() return 1 end }) }) end)))
"""


def test_the_scripts_functions_may_do_anything(printed):
    lines = printed(HOOKS)
    assert lines[:4] == [
        '[1,"two",null]',
        '{"a":1,"b":"b"}',
        '{"x":1}',
        '["{\\"a\\":[{\\"b\\":[1,2]}]}","{\\"a\\":[{\\"b\\":[1,2]}]}"]',
    ]
    assert lines[4].startswith("false\ttable: ")
    assert lines[5:] == ['{"a":["b"]}', "[1]"]


def test_the_scripts_functions_may_wait(lus):
    script = lus(
        """
        local waiting = setmetatable({}, { __json = function() return worker.peek() end })
        worker.message(tojson({ a = waiting, b = { 1, 2 } }, function(key, value)
          if key == 2 then return worker.peek() end
          return value
        end))
        """,
        is_worker=True,
    )
    for value in ("first", "second"):
        assert isinstance(script.waits_for(), InboxHasMail)
        script.port.inbox.append(codec.encode(value))
    assert script.end() == Returned()
    assert [codec.decode(payload) for payload in script.port.outbox] == [('{"a":"first","b":[1,"second"]}',)]


def test_a_script_that_replaces_the_library_changes_nothing(printed):
    source = """
        for _, library in ipairs({ string, table, math, utf8 }) do
          for name in pairs(library) do library[name] = error end
        end
        getmetatable("").__index = nil
        type, next, tostring, tonumber, pairs = error, error, error, error, error
        print(tojson(fromjson('{"a":[1,2.5,"\\\\u00e9\\\\n"],"b":{}}')))
        print(fromcsv('a,"b"\\n')[1][2], (tocsv({{1, "x,y"}})))
    """
    assert printed(source) == ['{"a":[1,2.5,"é\\n"],"b":[]}', 'b\t1,"x,y"', ""]


def test_numerals_of_a_million_digits_end(printed):
    source = """
        local digits = ("9"):rep(1000000)
        print(fromjson(digits), fromjson("-" .. digits), fromjson("0." .. digits), fromjson("1e" .. digits))
        print(pcall(fromjson, digits .. "x") == false, fromjson("[" .. digits .. "," .. digits .. "]")[2])
    """
    assert printed(source) == ["inf\t-inf\t1.0\tinf", "true\tinf"]


SHAPES = """
    local function tree(depth, n)
      local children = {}
      for i = 1, depth > 0 and n or 0 do children[i] = tree(depth - 1, n + i % 2) end
      return { depth = depth, children = children, note = depth % 2 == 0 and "even" or "o\\nd" }
    end
    local many = {}
    for i = 1, 300 do
      many["id" .. i] = { a = i, inner = { x = i, y = i % 5 == 0 and { i } or "s" }, b = "v" .. i }
      if i % 40 == 0 then many["id" .. i].extra = true end
    end
    local wide = {}
    for i = 1, 20 do
      wide[i] = {}
      for j = 1, 60 do wide[i]["key" .. j] = j == 30 and ("long "):rep(i) or j * i end
    end
    for _, value in ipairs({ tree(5, 2), many, wide }) do
      local text = tojson(value)
      print(same(fromjson(text), value), tojson(fromjson(text)) == text, #text > 2000)
    end
"""


def test_objects_of_many_shapes_at_many_places_are_read_as_they_were_written(printed):
    assert printed(SAME + SHAPES) == ["true\ttrue\ttrue"] * 3


def test_failure_leaves_nothing_of_the_text_behind(printed):
    source = """
        pcall(fromjson, "[1") collectgarbage()
        local before = collectgarbage("count")
        pcall(fromjson, '["' .. ("x"):rep(5000000) .. '", 01]') collectgarbage()
        print(collectgarbage("count") - before < 1000)
    """
    assert printed(source) == ["true"]
