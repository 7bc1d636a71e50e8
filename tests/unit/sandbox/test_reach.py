"""The object graph of a live state, walked from the host's side: each C function is listed with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from luspool.sandbox import codec, compiler, preemption
from luspool.scheduler.protocol import CallResult

REACH = Path(__file__).resolve().parents[3] / "sandbox/reach.txt"

# Runs in the interpreter before the library does. Notes who the functions of the interpreter and of the native module
# are, and the environment when boot.lua gives it to the script's chunk; what notes it is left out of the walk. Gives
# the function that walks.
NOTE = b"""
local debug, type, next, getinfo = debug, type, next, debug.getinfo
local getupvalue, getlocal, getmetatable, rawget = debug.getupvalue, debug.getlocal, debug.getmetatable, rawget
local getuservalue, tostring, concat, sort = debug.getuservalue, tostring, table.concat, table.sort
local traceback, status, globals = debug.traceback, coroutine.status, _G
local names, seen, own, environment = {}, {}, {}, nil

local function note(path, value)
  if type(value) == "function" then names[value] = names[value] or path end
  if type(value) ~= "table" or seen[value] then return end
  seen[value] = true
  for key, field in next, value do
    if key ~= "loaded" then note((path == "" and "" or path .. ".") .. tostring(key), field) end
  end
end
note("", globals)

local setupvalue, loadlib = debug.setupvalue, package.loadlib
debug.setupvalue = function(f, index, value)
  if index == 1 then environment = environment or value end
  return setupvalue(f, index, value)
end
own[debug.setupvalue] = true
package.loadlib = function(...)
  local open = loadlib(...)
  return function()
    local native = open()
    for name, value in next, native do names[value] = "native." .. name end
    for name, value in next, native.json() do names[value] = "native.json." .. name end
    local guard = native.guard
    native.guard = function(name, ...)
      local made = guard(name, ...)
      names[made] = "guarded " .. name
      return made
    end
    own[native.guard] = true
    local codec = native.codec
    native.codec = function(...)
      local made = codec(...)
      for name, value in next, made do names[value] = "native.codec." .. name end
      return made
    end
    own[native.codec] = true
    return native
  end
end

return function(deep)
  local found, reached, queue, paths, count = {}, {}, {}, {}, 0
  local function visit(path, value)
    local kind = type(value)
    if kind == "nil" or kind == "boolean" or kind == "number" or kind == "string" then return end
    if reached[value] or own[value] then return end
    reached[value], count = true, count + 1
    queue[count], paths[count] = value, path
  end
  local function visit_table(path, t)
    for key, value in next, t do
      local name = type(key) == "string" and key or "?"
      visit(path .. "." .. name, value)
      visit(path .. ".key", key)
    end
  end
  local function visit_inside(path, f)
    local i = 1
    while true do
      local name, value = getupvalue(f, i)
      if not name then break end
      visit(path .. "^", value)
      i = i + 1
    end
  end
  local function visit_frames(path, co)
    local level = 0
    while true do
      local frame = getinfo(co, level, "f")
      if not frame then break end
      visit(path .. "@", frame.func)
      for _, sign in next, {1, -1} do
        local i = sign
        while true do
          local name, value = getlocal(co, level, i)
          if not name then break end
          visit(path .. "@", value)
          i = i + sign
        end
      end
      level = level + 1
    end
  end
  visit("_G", environment)
  local at = 1
  while at <= count do
    local value, path = queue[at], paths[at]
    local kind, metatable = type(value), getmetatable(value)
    local called = metatable and kind == "userdata" and rawget(metatable, "__name")
    if called then path = called end
    if kind == "table" then visit_table(path, value) end
    if metatable then
      if deep then visit(path .. "!", metatable)
      else
        local lock, index = rawget(metatable, "__metatable"), rawget(metatable, "__index")
        if lock == nil then visit(path .. "!", metatable) else visit(path .. "!", lock) end
        if type(index) == "table" then visit(path .. "!", index) end
      end
    end
    if deep and kind == "function" then visit_inside(path, value) end
    if deep and kind == "thread" then visit_frames(path, value) end
    if kind == "function" and getinfo(value, "S").what == "C" then
      found[#found + 1] = "function " .. (names[value] or "made: " .. path)
    elseif kind == "userdata" then
      found[#found + 1] = "userdata " .. (called or "without a name")
      local i = 1
      while deep do
        local inner, there = getuservalue(value, i)
        if not there then break end
        visit(path .. "%", inner)
        i = i + 1
      end
    end
    at = at + 1
  end
  if deep then visit("string!", getmetatable("")) end
  sort(found)
  return concat(found, "\\n")
end
"""

# One of everything that a script can come by: each library filled, a value of each kind, what iterators and
# wrappers C makes, and what each kind of failure gives.
SCRIPT = """
local function all(t, depth)
  for _, name in ipairs{"probe", "sum", "split", "open", "exit", "load", "status", "create", "traceback"} do
    local ok, value = pcall(function() return t[name] end)
  end
  for key, value in pairs(t) do if type(value) == "table" and depth < 3 then all(value, depth + 1) end end
end
all(_G, 0)
for key, value in pairs(_G) do if type(value) == "table" then pcall(all, value, 0) end end
_G.arguments = table.pack(...)
_G.made = {gmatch = string.gmatch("a", "a"), pairs = pairs{}, ipairs = ipairs{}, codes = utf8.codes("a"),
  wrap = coroutine.wrap(function() end), lines = io.lines("/etc/passwd")}
_G.values = {io.open("/etc/passwd"), io.stdout, worker.create("/x"), vector.create(3), (enum a, b end),
  coroutine.running(), coroutine.create(print), function() return 1 end, load("return `$(1)`, ({1})[1,1]"),
  host.anything}
local closed = coroutine.create(function()
  local x <close> = setmetatable({}, {__close = function() error{} end})
  coroutine.yield()
end)
coroutine.resume(closed)
_G.failures = {}
for i, f in ipairs{function() error{} end, function() error() end, function() local x = nil + 1 end,
  function() io.open("/root/x") end, function() io.lines("/none") end, function() worker.receive({}) end,
  function() worker.receive(_G.values[3]) end, function() worker.create("/x", print) end, function() load("x =")() end,
  function() require("none") end, function() string.rep("x", -1, {}) end, function() fromjson("{") end,
  function() string.find("x", "[a") end,
  function() setmetatable({}, {__gc = print}) end, function() pledge("?") end, function() os.execute() end,
  function() host.nothing() end, function() os.getenv("X") end, function() debug.getinfo(1) end,
  function() table.sort({3, 2, 1}, function() worker.peek() end) end, function() coroutine.close(closed) end} do
  _G.failures[i] = table.pack(pcall(f))
  _G.failures[-i] = table.pack(xpcall(f, function(...) return {debug.traceback("x"), debug.traceback({}), ...} end))
  _G.failures[i + 1000] = {catch f()}
end
_G.read = package.searchers
_G.message = worker.peek()
_G.random = {math.randomseed()}
math.randomseed(1)
print(tostring({}), string.format("%p", print), collectgarbage("count"), tojson{1}, tocsv{{1}}, fromcsv("a"), warn)
_G.waiting = coroutine.create(function(...) worker.peek() end)
coroutine.resume(_G.waiting)
"""


class AnyReply(dict):
    """To any call: a table."""

    def pop(self, call, default=None):
        return CallResult(ok=True, payload=codec.encode({"a": [1]}))


@pytest.fixture(params=["worker", "job"])
def reached(lus, monkeypatch, request):
    """What a live state's graph holds: as a script can follow it, or with `deep` also through the library's inside."""
    walks = []
    make = compiler._runtime

    def noting(max_memory=None):
        runtime = make(max_memory)
        walks.append(runtime.execute(NOTE))
        return runtime

    def walk(*, deep):
        monkeypatch.setattr(compiler, "_runtime", noting)
        kind = {f"is_{request.param}": True}
        script = lus(SCRIPT, **kind, held=("load", "fs:read"), arguments=(1, "two", {3: [4]}))
        script.port.inbox.append(codec.encode({"a": [1]}))
        script.port.replies = AnyReply()
        script.port.dead.update(range(100))
        script.waits_for()
        # Interpreters that only compile have been given no environment, and so nothing to walk from.
        return next(found for walk in walks if (found := walk(deep).decode().splitlines()))

    return walk


def listed(who):
    entries = [line.split("\t") for line in REACH.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(len(entry) == 3 and entry[2] for entry in entries), "each has its reason"
    return {name for reach, name, _ in entries if reach == who}


only_native = pytest.mark.skipif(preemption.mechanism().library is None, reason="lists what the native module makes")


@only_native
def test_every_c_function_that_a_script_can_reach_is_listed(reached):
    assert set(reached(deep=False)) == listed("script")


@only_native
def test_every_c_function_and_userdata_in_the_library_s_inside_is_listed(reached):
    assert set(reached(deep=True)) == listed("script") | listed("library")


def test_no_python_object_is_within_a_script_s_reach(reached):
    assert [found for found in reached(deep=False) if found.startswith("userdata")] == []
    objects = [found for found in reached(deep=True) if found.startswith("userdata")]
    assert objects.count("userdata POBJECT") == 1, "the door"
    assert set(objects) == {"userdata POBJECT", "userdata without a name"}


RAW = "load loadfile dofile require setmetatable tostring print string.dump string.format collectgarbage warn"


def test_no_raw_function_of_the_interpreter_is_within_a_script_s_reach(reached):
    forbidden = {f"function {name}" for name in RAW.split()}
    within = set(reached(deep=False))
    assert not within & forbidden
    assert not {found for found in within if found.startswith(("function debug.", "function io.", "function package."))}
