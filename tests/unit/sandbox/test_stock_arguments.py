"""Each function of Lua's own library, with every kind of argument, does what it does in a bare interpreter: the same
results, and the same errors in the same words."""

from __future__ import annotations

import re
from pathlib import Path

import lupa.lua55
import pytest

from luspool.sandbox import preemption

INVENTORY = Path(__file__).resolve().parents[3] / "sandbox/inventory.txt"

APART = {
    "collectgarbage": "its numbers are those of a heap",
    "coroutine.close": "ends a bare interpreter's main coroutine",
    "coroutine.running": "the main coroutine is not the interpreter's",
    "coroutine.yield": "says where",
    "debug.traceback": "leaves the library's own frames out",
    "dofile": "reads standard input",
    "getmetatable": "of a string, has the library of Lus",
    "load": "has the error messages of Lus",
    "loadfile": "reads standard input",
    "math.random": "is random",
    "math.randomseed": "tells seeds",
    "os.clock": "is the time",
    "os.exit": "ends the interpreter",
    "os.remove": "changes files",
    "os.rename": "changes files",
    "os.setlocale": "is the process's",
    "os.time": "is the time",
    "os.tmpname": "makes files",
    "package.searchpath": "takes names with a NUL in them whole",
    "print": "prints",
    "require": "has other searchers",
    "string.dump": "does not exist",
    "warn": "prints",
}
"""Functions that are compared elsewhere, or can't be; `io` is compared with files that are there."""

if preemption.mechanism().library is None:
    APART |= dict.fromkeys(
        ["coroutine.resume", "coroutine.wrap", "error", "pcall", "xpcall"],
        "written in Lua, which says a wrong argument less well",
    )

VALUES = """
    nil, true, 0, -1, 3, 1.5, -0.0, math.mininteger, math.maxinteger, 1/0, 0/0, "", "abc", "10", " 0x1F ", "a\\0b\\xff",
    "%d", "%a+", {}, {3, 1, 2}, {1, nil, 3}, {"x", "y"},
    setmetatable({1, 2}, {__index = function(_, i) return i end, __len = function() return 4 end}),
    setmetatable({}, {__tostring = function() return "text" end, __name = "Mine"}),
    function() end, coroutine.create(function() end)
"""

TRY = """
    local function show(value, depth)
      local kind = type(value)
      if kind == "string" then return string.format("%q", value) end
      if kind == "number" then return value ~= value and "nan" or string.format("%s %q", math.type(value), value) end
      if kind ~= "table" or depth > 1 then return kind == "boolean" and tostring(value) or kind end
      local texts = {}
      for k, v in next, value do texts[#texts + 1] = show(k, depth + 1) .. "=" .. show(v, depth + 1) end
      table.sort(texts)
      return "{" .. table.concat(texts, ", ") .. "}"
    end
    local function try(...)
      local results = table.pack(pcall(call, ...))
      for i = 1, results.n do results[i] = show(results[i], 0) end
      print(table.concat(results, " "))
    end
    local function values() return table.pack(VALUES) end -- anew each time: some functions change them
    try()
    for i = 1, values().n do
      try((values()[i]))
      for j = 1, values().n do try(values()[i], (values()[j])) end
    end
    try({5, 1, 4}, ", ", 2, 3) try({5, 1, 4}, 1, 2, 2) try("banana", "an", "%0-", 1) try("abc", 2, -1)
    try("abc", "b", 1, true) try("%5.1f|%-5d|%05x|%s|%q", 3.14159, 42, 255, "s", "q\\n") try("x", 3, ", ")
    try(1 << 62, 1 << 62) try("<i2 z s1", -2, "a", "b")
""".replace("VALUES", VALUES)


def functions():
    """The names of functions that Lua has and scripts have."""
    has = lupa.lua55.LuaRuntime().execute("""return function(name)
        local found = load("local ok, value = pcall(function() return " .. name .. " end) return ok and type(value)")
        return found and found() == "function"
    end""")
    listed = [line.removeprefix("package.loaded.").split("\t")[0] for line in INVENTORY.read_text("utf-8").splitlines()]
    names = {name for name in listed if re.fullmatch(r"(\w+\.)?\w+", name) and name != "function" and has(name)}
    return sorted(name for name in names - APART.keys() if not name.startswith("io."))


BARE = b"""
local chunk = ...
local lines = {}
local environment = setmetatable({}, { __index = _G })
function environment.print(...) lines[#lines + 1] = table.concat({...}, "\\t") end
assert(load(chunk, "@main.lus", "t", environment))()
return table.concat(lines, "\\n")
"""


def bare(source):
    interpreter = lupa.lua55.LuaRuntime(encoding=None)
    return without_addresses(interpreter.execute(BARE, source.encode()).decode("utf-8", "surrogateescape"))


def without_addresses(lines):
    return re.sub(r"0x[0-9a-f]{6,}", "0x", lines).split("\n")


def compare(source, printed):
    before = bare(source)
    ours = without_addresses("\n".join(printed(source, held=("env", "fs:read"))))
    if ours != before:  # `os.date` tells the time
        lines = zip(ours, before, bare(source), strict=True)
        ours = [at_first if line == after else line for line, at_first, after in lines]
    assert ours == before


@pytest.mark.parametrize("name", functions())
def test_it_does_what_bare_lua_does(name, printed):
    call = f"local function call(...) local all = table.pack({name}(...)) return table.unpack(all, 1, all.n) end"
    compare(call + TRY, printed)


@pytest.mark.skipif(preemption.mechanism().library is None, reason="what portable.lua calls says where (2026-11-26)")
@pytest.mark.parametrize("name", sorted(set(functions()) - {"table.remove"}))
def test_called_straight_by_pcall_its_errors_name_it_as_bare_lua_does(name, printed):
    """Lua knows no name for it then and looks for one. `table.remove` says where, for tables with `__len`."""
    compare(f"local call = {name}" + TRY, printed)


def test_the_functions_that_are_compared_elsewhere_exist():
    listed = {line.removeprefix("package.loaded.").split("\t")[0] for line in INVENTORY.read_text("utf-8").splitlines()}
    assert APART.keys() <= listed
