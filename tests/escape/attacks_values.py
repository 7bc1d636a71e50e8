# ruff: noqa: E501 - an attack and its result are a line each
"""Attacks by values: metamethods on what the host's code reads, host calls made again from within, handles, rights kept."""

from matrix import IN_C, Attack

CANNOT_WAIT = (
    "error: cannot wait here: this runs inside a function that Lua cannot suspend (a table.sort comparator, "
    "a string.gsub callback, __tostring, coroutine.close…); wait outside of it; its worker: returned"
)
TRAPS = """
local called = 0
local function trap() called = called + 1 return "trapped" end
local trapped = setmetatable({x = 1}, {__index = trap, __newindex = trap, __len = trap, __pairs = trap, __call = trap,
  __eq = trap, __tostring = trap, __name = "worker handle", __metatable = "worker handle", __mode = "kv", __close = trap})
"""

ATTACKS = [
    Attack(
        "`__gc`",
        "return setmetatable({}, {__gc = print})",
        "error: __gc metamethods do not exist in the sandbox (use a to-be-closed variable)",
    ),
    Attack(
        "`__gc`, put in later",
        "local m = {} local t = setmetatable({}, m) m.__gc = function() error() end t = nil collectgarbage() return 'nothing'",
        "nothing",
    ),
    Attack(
        "metamethods on a value that is sent",
        TRAPS + "local w = worker.create('DIR/text.lus', trapped) worker.send(w, trapped) return called",
        "0; its worker: returned",
    ),
    Attack(
        "metamethods on an error value",
        TRAPS + "local ok, e = pcall(error, trapped) return rawequal(e, trapped), called",
        "true 0",
    ),
    Attack(
        "`__name` and `__metatable` of a file",
        "return pcall(io.close, setmetatable({}, {__name = 'FILE*', __metatable = 'FILE*'}))",
        "false bad argument #1 to 'close' (FILE* expected, got table)",
    ),
    Attack(
        "`__name` and `__metatable` of a worker",
        TRAPS + "return pcall(worker.status, trapped)",
        "false bad argument #1 to 'worker.status' (worker expected, got worker handle)",
    ),
    Attack(
        "a handle's metatable on a table",
        "return pcall(setmetatable, {}, getmetatable(worker.create('DIR/text.lus')))",
        "false bad argument #2 to 'setmetatable' (nil or table expected, got string); its worker: returned",
    ),
    Attack(
        "fields put into a handle",
        "local w = worker.create('DIR/text.lus') rawset(w, 1, 99) rawset(w, 'id', 99) return worker.status(w)",
        "running; its worker: returned",
    ),
    Attack(
        "a handle that is sent",
        "local w = worker.create('DIR/text.lus') worker.send(w, {h = w})",
        "error: message, field .h: cannot copy a worker handle; its worker: returned",
    ),
    Attack(
        "a file that is sent", "worker.create('DIR/text.lus', io.stdout)", "error: argument #2: cannot copy a FILE*"
    ),
    Attack(
        "a function that is sent",
        "worker.create('DIR/text.lus', {f = print})",
        "error: argument #2, field .f: cannot copy a function",
    ),
    Attack(
        "a coroutine that is sent",
        "worker.create('DIR/text.lus', coroutine.running())",
        "error: argument #2: cannot copy a coroutine",
    ),
    Attack(
        "a handle after it was collected",
        "local weak = setmetatable({}, {__mode = 'v'}) weak[1] = worker.create('DIR/text.lus') collectgarbage() collectgarbage() return weak[1]",
        "nil; its worker: returned",
    ),
    Attack(
        "`print` from within `print`",
        "print(setmetatable({}, {__tostring = function() print('inner') return 'outer' end})) return 'both'",
        "both",
    ),
    Attack(
        "`tojson` from within `tojson`",
        "local t = setmetatable({}, {__json = function(t) return tojson{1} end}) return tojson{t, t}",
        '["[1]","[1]"]',
    ),
    Attack(
        "`__json` that changes what is read",
        "local t = {} for i = 1, 9 do t[i] = setmetatable({}, {__json = function() for k in pairs(t) do t[k] = nil end end}) end return #tojson(t) > 0",
        "true",
    ),
    Attack(
        "a host call from within a host call",
        "package.path = 'DIR/?.lus' return tostring(setmetatable({}, {__tostring = function() return require('text') end}))",
        "text",
    ),
    Attack(
        "waiting from within",
        "local w = worker.create('DIR/text.lus') local value = worker.receive(w) return value",
        "waits",
        where=dict.fromkeys(IN_C, CANNOT_WAIT),
    ),
    Attack(
        "a file opened before `pledge` narrows",
        "local f = io.open('DIR/secret/key') pledge('fs:read=DIR/text.lus') return f:read('a')",
        "return 'text'",
    ),
    Attack(
        "opening after `pledge` has narrowed",
        "pledge('fs:read=DIR/text.lus') return io.open('DIR/secret/key')",
        'error: permission "fs:read" denied for \'DIR/secret/key\' in main.lus at narrowed by "fs:read=DIR/text.lus" (pledge at ), and not pledged since',
    ),
    Attack(
        "opening after a rejection",
        "pledge('~fs:read') return io.open('DIR/text.lus')",
        'error: permission "fs:read" denied for \'DIR/text.lus\' in main.lus at rejected by "~fs:read" (pledge at )',
    ),
    Attack("a function loaded before `load` is rejected", "local f = load('return 1') pledge('~load') return f()", "1"),
    Attack(
        "`load` after its rejection, kept in a local",
        "local l = load pledge('~load') return l('return 1')",
        'error: permission "load" denied in main.lus at rejected by "~load" (pledge at )',
    ),
    Attack(
        "a module loaded before `load` is rejected",
        "package.path = 'DIR/?.lus' require('text') pledge('~load') return require('text')",
        "text",
    ),
    Attack(
        "a worker's right that its creator gave up",
        "pledge('~fs:read=DIR/secret') return worker.status(worker.create('DIR/secret/key'))",
        'error: permission "fs:read" denied for \'DIR/secret/key\' in main.lus at rejected by "~fs:read=DIR/secret" (pledge at )',
    ),
    Attack(
        "the coroutine of the state, from outside",
        "local main = coroutine.running() return coroutine.wrap(function() return pcall(coroutine.close, main) end)()",
        "false cannot close the main coroutine",
        where={"coroutine": "false cannot close a normal coroutine"},
    ),
]
