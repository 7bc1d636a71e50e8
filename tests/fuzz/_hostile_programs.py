"""Programs that mean harm, made by chance: every construct of the language, at whatever luspool might get wrong.

Each is a text for a script and its workers. They are not meant to do anything sensible, only to compile mostly, and to
combine what is hard: limits met inside of handlers, calls of the library with values that call back, messages to and
from those who are dead, states that end while others wait.
"""

from __future__ import annotations

from random import Random
from typing import Final

HEAD: Final = """
local FUNCTIONS, SEEN = {}, {}
local function keep(t)
  if SEEN[t] then return end
  SEEN[t] = true
  local names = {}
  for name in pairs(t) do if type(name) == "string" then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do
    if type(t[name]) == "function" then FUNCTIONS[#FUNCTIONS + 1] = t[name] end
    if type(t[name]) == "table" then keep(t[name]) end
  end
end
keep(_G)
local WORKERS = {}
local function noisy(f)
  local events = { __name = "\\0%s", __metatable = {} }
  for _, e in ipairs { "index", "newindex", "eq", "len", "call", "close", "concat", "lt", "le", "unm", "add", "pairs",
    "tostring", "slice", "json", "idiv", "band", "mode" } do events["__" .. e] = f end
  return setmetatable({}, events)
end
"""

_ATOMS: Final = (
    """
nil | true | false | 0 | -1 | 1.5 | 0/0 | 1/0 | math.maxinteger | math.mininteger | 2^53 | "" | "x" | "a\\0b"
| "\\xff\\xfe" | ("x"):rep(1 << 16) | ("a?"):rep(200) | "\\27Lua" | "*a" | "n" | "fs:read=/" | "~load" | "seal"
| "env=*" | "/etc/passwd" | "/proc/self/mem" | "/dev/fd/3" | "." | "../x" | "../secret" | "link" | "w0.lus" | "main.lus"
| "return ..." | "`$(" | "%p" | "%99999d" | "[" | {} | { 1, 2, 3 } | { x = { y = {} } } | print | error | FUNCTIONS
| _G | _ENV | WORKERS | WORKERS[1] | io.stdout | io.stdin | coroutine.running() | string | getmetatable("") | ...
| coroutine.create(function() coroutine.yield() end) | noisy(error) | noisy(print) | noisy(coroutine.yield)
| noisy(function(...) return ... end) | function(...) return ... end | setmetatable({}, { __mode = "k" })
| setmetatable({}, { __metatable = false })
""".replace("\n", " ")
    .strip()
    .split(" | ")
)

_SIMPLE: Final = (
    "print({0})",
    "local a <const>, b = {0}, {1}",
    "pcall(FUNCTIONS[{n} % #FUNCTIONS + 1], {0}, {1}, {2})",
    "FUNCTIONS[{n} % #FUNCTIONS + 1]({0}, {1})",
    "pcall(pcall, FUNCTIONS[{n} % #FUNCTIONS + 1], {0})",
    'WORKERS[#WORKERS + 1] = worker.create("w{k}.lus", {0}, {1})',
    "worker.message({0}, {1})",
    "if WORKERS[1] then worker.send(WORKERS[{n} % #WORKERS + 1], {0}) end",
    "if WORKERS[1] then print(worker.receive(WORKERS[{n} % #WORKERS + 1])) end",
    "if WORKERS[1] then print(worker.receive(table.unpack(WORKERS))) end",
    "if WORKERS[1] then worker.cancel(WORKERS[{n} % #WORKERS + 1]) end",
    "if WORKERS[1] then WORKERS[{n} % #WORKERS + 1] = nil end collectgarbage()",
    "if WORKERS[1] then print(worker.status(WORKERS[{n} % #WORKERS + 1])) end",
    "print(worker.peek())",
    "pledge({0})",
    "print(load({0}))",
    "print(load({0}, {1}, {2}, {3}))",
    "print(require({0}))",
    "print(pcall(io.open, {0}, {1}))",
    "for line in io.lines({0}, {1}) do print(line) end",
    "print(io.read({0}))",
    "io.write({0}, {1})",
    "print(os.getenv({0}), os.date({1}))",
    "error({0}, {1})",
    "os.exit({0})",
    "return {0}, {1}",
    "_G.print, _G.pcall, _G.type = {0}, pcall, {1}",
    "string[{0}] = {1}",
    'getmetatable("").__{event} = {0}',
    "setmetatable(_G, {0})",
    "local s = {0} s = s[{1}, {2}]",
    "local x = `a$({0})b$({1})`",
    "print(({0})({1}))",
    "print(({0}) {op} ({1}))",
    "print(#({0}), -({1}))",
    "for k, v in pairs({0}) do print(k, v) end",
    "table.sort({0}, {1})",
    "print(string.format({0}, {1}, {2}))",
    "print(string.find({0}, {1}))",
    "print(string.gsub({0}, {1}, {2}))",
    "print(tojson({0}), fromjson({1}))",
    "print(table.concat({0}, {1}))",
    "print(debug.traceback({0}))",
    'print(host["f"]({0}))',
    "goto out print({0}) ::out::",
    "local t = {{}} for i = 1, {big} do t[i] = {0} end",
    "local s = 'x' for i = 1, 40 do s = s .. s end",
    "local t = {{}} t[1], t[t] = t, t worker.message(t)",
)
_NESTED: Final = (
    "pcall(function(...) {0} end, {a})",
    "xpcall(function(...) {0} end, function(...) {1} end)",
    "local v = catch (function(...) {0} end)({a})",
    "coroutine.wrap(function(...) {0} end)({a})",
    "local co = coroutine.create(function(...) {0} end) coroutine.resume(co, {a}) coroutine.close(co)",
    "do local c <close> = setmetatable({{}}, {{ __close = function(...) {0} end }}) {1} end",
    "local x = noisy(function(...) {0} end) print(x .. {a}, #x, x == {a}) worker.message({{ x }})",
    "for i = 1, {n} do {0} end",
    "while true do {0} end",
    "repeat {0} until {a}",
    "local function f(...) {0} return f(...) end f({a})",
    "local function f(...) {0} return 1 + f(...) end f({a})",
    "if {a} then {0} else {1} end",
    "table.sort({{ 3, 1, 2, 5 }}, function(...) {0} end)",
    "string.gsub('abc', '.', function(...) {0} end)",
    "setmetatable(_ENV, {{ __index = function(...) {0} end, __newindex = function(...) {1} end }})",
    "for k in noisy(function(...) {0} end) do {1} end",
    "load(function(...) {0} end)",
    "do {0} end {1}",
)
_EVENTS: Final = ("index", "call", "concat", "tostring", "eq", "close", "gc", "name", "pairs")
_OPERATORS: Final = ("+", "..", "==", "<", "//", "&", "<<", "^", "and", "or")
WORKERS: Final = 3


def program(chance: Random) -> dict[str, str]:
    """The texts of a program's files, by name: main.lus, and its workers' w0.lus and so on."""
    names = ("main.lus", *(f"w{number}.lus" for number in range(WORKERS)))
    return {name: f"{HEAD}{_block(chance, depth=4)}\n" for name in names}


def _block(chance: Random, depth: int) -> str:
    """Some statements, most of which may fail without ending the others."""
    frames = (("pcall(function(...)", "end, ...)"),) * 4 + (("do", "end"),)
    statements = []
    for _ in range(chance.randint(1, 6)):
        head, tail = chance.choice(frames)
        statements.append(f"{head} {_statement(chance, depth)} {tail}")
    return "\n".join(statements)


def _statement(chance: Random, depth: int) -> str:
    if depth and chance.random() < 0.45:
        inner = [_block(chance, depth - 1) for _ in range(2)]
        form = chance.choice(_NESTED)
        return form.format(*inner, a=_value(chance), n=chance.choice((1, 3, 20, 10**9)))
    values = [_value(chance) for _ in range(4)]
    return chance.choice(_SIMPLE).format(
        *values,
        n=chance.randrange(1000),
        k=chance.randrange(WORKERS + 1),
        big=chance.choice((10, 1000, 10**8)),
        event=chance.choice(_EVENTS),
        op=chance.choice(_OPERATORS),
    )


def _value(chance: Random) -> str:
    if chance.random() < 0.1:
        return f"{{ {_value(chance)}, x = {_value(chance)} }}"
    return chance.choice(_ATOMS)
