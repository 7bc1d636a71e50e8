"""Scripts that know the source and attack it: each test is one way that must lead nowhere."""

from __future__ import annotations

from pathlib import Path

import lupa.lua55
import pytest

from luspool.sandbox import codec, operations
from luspool.scheduler.protocol import Ended, Failure, Waiting

PARTS = sorted((Path(__file__).resolve().parents[3] / "sandbox/lua").glob("*.lua"))
BORN_WITH_GLOBALS = {"raw", "boot"}


@pytest.mark.parametrize("part", [p for p in PARTS if p.stem not in BORN_WITH_GLOBALS], ids=lambda p: p.stem)
def test_no_part_of_the_library_names_a_global(part):
    source = b"global NOTHING; " + operations.as_lua() + part.read_bytes()
    lua = lupa.lua55.LuaRuntime(encoding=None)
    assert lua.execute(b"return select(2, load((...), '=part', 't'))", source) is None


TAKE_OVER = """
local print, keep = print, {}
for name, value in pairs(_G) do keep[name] = value end
local function evil(...) print("EVIL", ...) return evil end
local strings = getmetatable("")
for _, library in pairs{string = string, table = table, math = math, utf8 = utf8} do
  for name in keep.pairs(library) do library[name] = evil end
end
for _, event in keep.ipairs{"index", "call", "concat", "eq", "lt", "le", "len", "unm", "add", "close", "tostring"} do
  strings["__" .. event] = evil
end
strings.__tostring, strings.__name = nil, "EVIL"
local globals = _G
for name in keep.pairs(keep) do globals[name] = evil end
local pcall, io, os, worker = keep.pcall, keep.io, keep.os, keep.worker
"""

USES = {
    "print": 'print("a", 1, nil)',
    "io": 'for l in io.lines("/etc/passwd", "L", "n", 2) do end print(pcall(io.open, "/none"))',
    "os": 'print(os.date("%Y") ~= nil, os.time() > 0, pcall(os.execute)) print((pcall(os.getenv, "HOME")))',
    "load": 'print(keep.load("return `a$(1)b`, ({1, 2})[2,1]")()) print(pcall(keep.load, "x = = 1"))',
    "require": 'print(pcall(keep.require, "no.module")) print(pcall(keep.require, "io"))',
    "worker": """
        local w = worker.create("/etc/passwd", 1, {"x", {2.5}}) print(worker.status(w)) worker.send(w, {w == nil})
        print(pcall(worker.create, "x", {print})) print(pcall(worker.receive, {}))""",
    "coroutine": "print(keep.coroutine.wrap(function(a) return keep.coroutine.yield(a) end)(3))",
    "the rest": """
        print(keep.debug.traceback("tb")) keep.warn("@on") keep.warn("x", "y") print(keep.collectgarbage("step"))
        print(keep.pledge("~env=X"), pcall(keep.pledge, "nonsense"), pcall(keep.setmetatable, {}, {__gc = 1}))""",
    "a failure": "keep.error({1, {'x'}})",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_replaced_functions_are_never_called_by_the_library(lus, use):
    script = lus(TAKE_OVER + use, held=("load", "fs:read", "env"))
    result = script.step()
    assert isinstance(result, Ended)
    assert "EVIL" not in script.port.output
    assert result.outcome != "internal"
    if isinstance(result.outcome, Failure):
        assert codec.decode(result.outcome.value)[0] == [1, ["x"]]


FUZZ = r"""
math.randomseed((...))
local function noisy(f)
  local events = {}
  for _, e in ipairs{"index", "newindex", "eq", "len", "call", "close", "concat", "lt", "le", "unm", "add", "pairs",
    "tostring", "slice", "json"} do events["__" .. e] = f end
  return setmetatable({}, events)
end
local values, count = {
  nil, true, false, 0, -1, 2, 1.5, 0/0, 1/0, math.maxinteger, math.mininteger, 2^53, "", "x", "a\0b", "\xff\xfe",
  ("x"):rep(1 << 16), ("a/"):rep(3000), " 0x10 ", "l", "*a", "n", "r", "set", "cur", "/etc/passwd", "/dev/stdin", "=x",
  "@x\0y", "t", "b", "fs:read=/etc", "~load=", "env=*", "\27Lua", "return ...", "`$(", print, error,
  coroutine.create(function() coroutine.yield() end), coroutine.running(), {}, {1, 2}, noisy(error),
  noisy(function(...) return ... end), setmetatable({}, {__metatable = false, __name = "\0"}), io.stdout, io.stdin,
  io.open("/etc/passwd"), worker.create("/etc/passwd"), io, package, function(...) coroutine.yield(...) end,
}, 53
local functions, names = {}, {}
local hogs = {exit = 1, rep = 1, move = 1, concat = 1, insert = 1, remove = 1, unpack = 1, create = 1, sort = 1,
  find = 1, match = 1, gmatch = 1, gsub = 1, rawset = 1}
local function add(library)
  for name, f in pairs(library) do
    if type(f) == "function" and (not hogs[name] or library == worker) then functions[#functions + 1] = f end
  end
end
for _, library in ipairs{_G, coroutine, io, os, package, worker, debug, string, table, utf8} do add(library) end
local file = io.open("/etc/passwd")
for _, name in ipairs{"read", "write", "seek", "lines", "close", "flush"} do functions[#functions + 1] = file[name] end
local function look(ok, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local told, text = pcall(tostring, value)
    if type(value) == "userdata" and not (told and (text:find("^file") or text:find("^worker"))) then
      print("\nFOREIGN", text)
    elseif told and (text:find("POBJECT") or text:find("Traceback") or text:find("internal error")) then
      print("\nINSIDE", text)
    end
  end
end
for _ = 1, 1500 do
  local f, n, arguments = functions[math.random(#functions)], math.random(0, 4), {}
  for i = 1, n do arguments[i] = values[math.random(count)] end
  look(coroutine.resume(coroutine.create(function() return f(table.unpack(arguments, 1, n)) end)))
end
print("\nsurvived")
"""


@pytest.mark.parametrize("seed", range(4))
def test_no_argument_of_any_function_reaches_inside(lus, seed):
    script = lus(FUZZ, held=("load", "fs:read"), is_worker=True, arguments=(seed,))
    script.port.input.append(b"")
    script.port.inbox.extend([codec.encode(0)] * 2000)
    while isinstance(result := script.step(), Waiting):  # for children: they end
        assert not script.port.dead.issuperset(script.port.children)
        script.port.dead.update(script.port.children)
    assert not isinstance(result.outcome, Failure)
    assert [line for line in script.port.lines if line.startswith(("FOREIGN", "INSIDE"))] == []
    assert script.port.lines[-1] == "survived"


AT_THE_LIMIT = {
    "io": "io.open('/etc/passwd'):close()",
    "load": "load('return `a$(1)`, ({1, 2})[2,1]')()",
    "worker": "worker.status(worker.create('/etc/passwd', {1}))",
    "coroutine": "coroutine.wrap(coroutine.isyieldable)()",
    "require": "require('io')",
    "debug": "debug.traceback()",
}


@pytest.mark.parametrize("use", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT.keys())
def test_a_part_whose_fetching_hit_the_end_of_the_stack_works_afterwards(printed, use):
    source = f"""
        local function use() {use} end
        local function on_stack_of(size, f)  -- with that many slots of the stack taken
          return pcall(function(...) f() end, table.unpack({{}}, 1, size))
        end
        local full, step, failed = 0, 1 << 20, 0
        while step > 0 do
          if (select(2, pcall(on_stack_of, full + step, function() end))) == true then full = full + step end
          step = step // 2
        end
        for free = 0, 300, 6 do
          if select(2, pcall(on_stack_of, full - free, use)) ~= true then failed = failed + 1 end
        end
        use()
        print(failed > 0)"""
    assert printed(source, held=("load", "fs:read")) == ["true"]


def test_a_lost_handle_found_in_a_weak_table_is_good_for_nothing(lus):
    script = lus(
        """local weak, kept = setmetatable({}, {__mode = "k"}), worker.create("/w")
           collectgarbage()  -- so that the collector does not start by itself in between
           weak[worker.create("/x")] = true
           collectgarbage()
           local handle = next(weak)
           local other = worker.create("/y")
           print(handle == nil or select(2, pcall(worker.receive, handle)))""",
        held=("load", "fs:read"),
    )
    assert not isinstance(script.end(), Failure)
    assert script.port.released == [2]
    assert script.port.lines == ["bad argument #1 to 'worker.receive' (worker expected, got userdata)"]


def test_handles_are_released_however_many_are_lost(lus):
    source = "for i = 1, 1000 do worker.create('/x') end collectgarbage() worker.create('/x')"
    script = lus(source, held=("load", "fs:read"))
    script.end()
    assert sorted(script.port.released) == list(range(1, 1001))


def test_a_handle_cannot_be_made(printed):
    source = """
        local w = worker.create("/x")
        print(getmetatable(w), pcall(setmetatable, w, nil)) print((pcall(setmetatable, {}, getmetatable(w))))
        print((pcall(worker.status, setmetatable({}, {__name = "worker handle", __metatable = "worker handle"}))))
        rawset(w, "status", "dead") print(worker.status(w))"""
    lines = printed(source, held=("load", "fs:read"))
    assert lines == ["worker handle\tfalse\tcannot change a protected metatable", "false", "false", "running"]


def test_library_metatables_are_locked(printed):
    source = """
        for _, library in ipairs{io, os, coroutine, worker, package, debug, network, host} do
          io.write(tostring(getmetatable(library)), " ", tostring(pcall(setmetatable, library, {})), " ")
        end"""
    assert set(printed(source)[0].split()) == {"false"}


def test_no_finaliser_is_ever_set(printed):
    source = """
        print(pcall(setmetatable, {}, {__gc = print}))
        setmetatable({}, setmetatable({}, {__index = {__gc = print}}))
        local late = {} setmetatable({}, late) late.__gc = print
        collectgarbage() collectgarbage()"""
    assert printed(source) == ["false\t__gc metamethods do not exist in the sandbox (use a to-be-closed variable)"]


def test_the_main_coroutine_cannot_be_moved_from_outside(printed):
    source = """
        local main = coroutine.running()
        print(coroutine.wrap(function()
          return (pcall(coroutine.close, main)), (coroutine.resume(main)), coroutine.status(main)
        end)())
        print(pcall(coroutine.yield, 1)) print(coroutine.isyieldable(), (pcall(coroutine.close)))"""
    assert printed(source) == [
        "false\tfalse\tnormal",
        "false\tattempt to yield from outside a coroutine",
        "false\tfalse",
    ]


def test_an_environment_that_raises_hinders_neither_library_nor_end(lus):
    script = lus(
        """local print, error = print, error
           setmetatable(_G, {__index = function() error("index") end, __newindex = function() error("new") end})
           print(io.type(io.stdout), load("return 1")(), (pcall(load, "x()")))
           local big = {} for i = 1, 100000 do big[i] = {} end""",
        held=("load",),
    )
    assert not isinstance(script.end(), Failure)
    script.state.close()
    assert script.port.lines == ["file\t1\ttrue"]


def test_what_the_sandbox_lacks_says_so(printed):
    names = ["os.execute", "io.popen", "io.tmpfile", "debug.getinfo", "debug.sethook", "package.loadlib"]
    names += ["string.dump", "network.fetch"]
    lines = printed("".join(f"print(select(2, pcall({name}))) " for name in names))
    assert lines == [f"{name} does not exist in the sandbox" for name in names]
