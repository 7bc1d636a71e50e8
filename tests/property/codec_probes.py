"""The Lua side of the codec for tests in Python, and whether two graphs of values are the same."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import lupa.lua55

from luspool.sandbox.codec import Entries
from luspool.sandbox.preemption import choose

ROOT = Path(__file__).resolve().parents[2]


def _libraries():
    """The native module's path by how the codec is called that it makes; None for the one that is Lua alone."""
    try:
        return {"lua": None, "native": choose("signal").library}
    except ImportError:
        return {"lua": None}


LIBRARIES = _libraries()

PROBES = rb"""
local codec, enum, lua_codec = ...

-- A key by what can be compared across messages: enum values by their text, a table (one at most in a table) by a word.
local function label(key)
  if type(key) ~= "table" then return key end
  return getmetatable(key) and tostring(key) or "the table"
end

-- Whether two graphs are the same, object for object. `loose`: two enums with equal names may have become one, and of
-- tables with several keys that can't be told apart nothing is said.
local function same(a, b, seen, loose)
  if type(a) ~= "table" or type(b) ~= "table" then
    return math.type(a) == math.type(b) and (rawequal(a, b) and (a ~= 0 or 1 / a == 1 / b) or a ~= a and b ~= b)
  end
  local is_enum = (getmetatable(a) or {}).__name == "enum"
  if loose and is_enum then return tostring(a) == tostring(b) end
  if seen[a] or seen[b] then return seen[a] == b and seen[b] == a end
  seen[a], seen[b] = b, a
  if getmetatable(a) or getmetatable(b) then return tostring(a) == tostring(b) end
  local left = {}
  for key, value in next, b do
    if loose and left[label(key)] then return true end
    left[label(key)] = { key, value }
  end
  for key, value in next, a do
    local other = left[label(key)]
    if not other or not same(value, other[2], seen, loose) then return false end
    if type(key) == "table" and not same(key, other[1], seen, loose) then return false end
    left[label(key)] = nil
  end
  return next(left) == nil
end

return {
  again = function(bytes) return codec.encode(1, codec.decode(bytes)) end,
  accepts = function(bytes) return (pcall(codec.decode, bytes)) end,
  same = function(one, other, loose)
    one, other = table.pack(codec.decode(one)), table.pack(codec.decode(other))
    return one.n == other.n and same(one, other, {}, loose)
  end,
  -- Whether this codec and the one that is Lua alone write the values of a message as the same bytes, together and one
  -- by one, and read them alike; after every so-manieth entry has been taken out of its table, and all got a metatable.
  alike = function(bytes, every, mode)
    local values, seen, count = table.pack(lua_codec.decode(bytes)), {}, 0
    local function spoil(t)
      if type(t) ~= "table" or seen[t] or getmetatable(t) then return end
      seen[t] = true -- and so stays, whoever holds it weakly
      for key, value in next, t do
        spoil(key)
        spoil(value)
        count = count + 1
        if count % every == 0 then t[key] = nil end
      end
      setmetatable(t, mode and { __mode = mode, __index = error, __pairs = error, __len = error, __eq = error })
    end
    for i = 1, values.n do spoil(values[i]) end
    for i = 1, values.n do
      if codec.encode_one("it", values[i]) ~= lua_codec.encode_one("it", values[i]) then return false end
    end
    local sent = codec.encode(1, table.unpack(values, 1, values.n))
    if sent ~= lua_codec.encode(1, table.unpack(values, 1, values.n)) then return false end
    return same(table.pack(codec.decode(sent)), table.pack(lua_codec.decode(sent)), {})
  end,
  -- What is said of a message in which a string stands for a function.
  refusal_of = function(bytes, mark)
    local seen = {}
    local function put(t)
      if seen[t] then return t end
      seen[t] = true
      local marked
      for key, value in next, t do
        if value == mark then
          t[key] = print
        elseif type(value) == "table" and not getmetatable(value) then
          put(value)
        end
        if key == mark then marked = value end
      end
      if marked ~= nil then t[mark], t[print] = nil, marked end
      return t
    end
    local values = put(table.pack(codec.decode(bytes)))
    local _, problem = codec.encode(1, table.unpack(values, 1, values.n))
    return problem
  end,
  refusal = function(source) local _, problem = codec.encode(1, load(source)()) return problem end,
}
"""


def probes(max_bytes=1 << 28, max_depth=1000, max_memory=None, library=None):
    """Functions of a new state, with the codec of these limits; `library` as in LIBRARIES, not with a `max_memory`."""
    runtime = lupa.lua55.LuaRuntime(encoding=None, max_memory=max_memory)
    harness = (ROOT / "tests/lua/codec_harness.lua").read_bytes()
    codec = runtime.execute(
        harness,
        lambda name: (ROOT / "sandbox/lua" / f"{name.decode()}.lua").read_bytes(),
        max_bytes,
        max_depth,
        library,
    )
    return runtime.execute(PROBES, codec[0], codec[1], codec[3])


def same(one, other):
    """Whether two graphs are the same object for object; each `Entries` has one table as a key."""
    seen, todo = {}, [(one, other)]
    while todo:
        a, b = todo.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, float):
            if struct.pack("d", a) != struct.pack("d", b) and not (math.isnan(a) and math.isnan(b)):
                return False
            continue
        if not isinstance(a, (list, dict, Entries, bytearray)):
            if a != b:
                return False
            continue
        if id(a) in seen or id(b) in seen:
            if seen.get(id(a)) is not b or seen.get(id(b)) is not a:
                return False
            continue
        seen[id(a)], seen[id(b)] = b, a
        if isinstance(a, bytearray):
            if a != b:
                return False
            continue
        a_items, b_items = _items(a), _items(b)
        if a_items.keys() != b_items.keys():
            return False
        todo.extend((value, b_items[key]) for key, value in a_items.items())
    return True


def _items(table):
    """The entries by what tells keys apart in Lua; a key that is a table, and its value, under names of their own."""
    if isinstance(table, list):
        return dict(enumerate(table))
    found = {}
    for key, value in table.pairs if isinstance(table, Entries) else table.items():
        if isinstance(key, (list, dict, Entries, bytearray)):
            found["key"], found["value"] = key, value
        else:
            found[type(key), key] = value
    return found
