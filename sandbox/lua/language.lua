-- The run-time helpers of the language: what emitted text calls. All that is in the returned table may end up in a script.
--
-- `raw.pcall` may be the runtime's own; it decides what a script can catch. No helper calls a script's function
-- through C, so that a wait or a slice's end inside that function can suspend the whole state.

local raw = ...
local error, pcall, type, tostring = raw.error, raw.pcall, raw.type, raw.tostring
local rawget, setmetatable, getmetatable = raw.rawget, raw.setmetatable, raw.getmetatable
local public_tostring = raw.public_tostring
local concat, sub, reverse, tointeger = raw.table_concat, raw.string_sub, raw.string_reverse, raw.math_tointeger

local language = {}

-- Errors -----------------------------------------------------------------------------------------------------------

-- `catch E`: `attempt` evaluates E. The same function as the runtime's pcall, with the same cost.
language.catch = pcall

local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, (handler((...)))
end

-- `catch[h] E`. The handler runs after E has been left, outside of any protection: its own errors propagate, it may
-- wait, and it can't be called twice.
function language.catch_with(handler, attempt, ...)
  return handled(handler, pcall(attempt, ...))
end

-- `while err, result = catch E do`: what catch gave, with nil in front on success and the error alone otherwise.
function language.error_first(ok, ...)
  if ok then return nil, ... end
  return (...)
end

-- Optional chaining --------------------------------------------------------------------------------------------------

function language.optional(value, rest, ...)
  if value then return rest(value, ...) end
  return value
end

-- Interpolated strings -----------------------------------------------------------------------------------------------

-- As tostring, but a `__tostring` metamethod is called from Lua, where it may wait.
function language.text(value)
  local kind = type(value)
  if kind == "string" then return value end
  local metatable = getmetatable(value)
  local convert = metatable and rawget(metatable, "__tostring")
  if convert == nil then return public_tostring(value, 1) end
  local text = convert(value)
  if type(text) ~= "string" then error("'__tostring' must return a string", 2) end
  return text
end

language.join = concat

-- Slices -------------------------------------------------------------------------------------------------------------

local function bound(value, default)
  if value == nil then return default end
  local kind = type(value)
  local integer = kind == "number" and tointeger(value)
  if integer then return integer end
  error("a slice bound must be an integer, got " .. (kind == "number" and tostring(value) or "a " .. kind .. " value"), 4)
end

local function slice_string(text, low, high)
  local size = #text
  local first, last = bound(low, 1), bound(high, size)
  if first < 0 then first = first < -size and 1 or size + first + 1 end
  if last < 0 then last = last < -size and 0 or size + last + 1 end
  if low ~= nil and high ~= nil and first > last then
    return reverse(sub(text, last < 1 and 1 or last, first))
  end
  return sub(text, first < 1 and 1 or first, last)
end

local function slice_table(values, low, high)
  local size = #values
  local first, last = bound(low, 1), bound(high, size)
  local result = {}
  if first < 0 or last < 0 then return result end
  if low ~= nil and high ~= nil and first > last then
    if first > size then first = size end
    for index = first, last, -1 do result[first - index + 1] = values[index] end
  else
    if last > size then last = size end
    for index = first, last do result[index - first + 1] = values[index] end
  end
  return result
end

-- `value[low, high]`; a bound that is missing is nil. A vector is sliced by the `__slice` of its metatable.
function language.slice(value, low, high)
  local kind = type(value)
  if kind == "string" then return (slice_string(value, low, high)) end
  local metatable = getmetatable(value)
  local metamethod = metatable and rawget(metatable, "__slice")
  if metamethod ~= nil then return (metamethod(value, low, high)) end
  if kind == "table" then return (slice_table(value, low, high)) end
  error("attempt to slice a " .. kind .. " value", 2)
end

-- Enums --------------------------------------------------------------------------------------------------------------

-- A value is an empty table; what it is stands in `parts`, which no script can reach. The record that the values of
-- one enum share is the enum's identity.
local parts = setmetatable({}, { __mode = "k" })
local metatable = { __name = "enum", __metatable = "enum" }

function metatable.__index(value, key)
  local enum = parts[value].enum
  local position = enum.positions[key] or key
  return enum.values[position]
end

function metatable.__newindex()
  error("attempt to change an enum", 2)
end

function metatable.__tostring(value)
  local part = parts[value]
  return part.enum.names[part.position]
end

local function ordered(left, right)
  local a, b = parts[left], parts[right]
  if a and b and a.enum == b.enum then return a.position, b.position end
  error(a and b and "attempt to compare values of two enums" or "attempt to compare an enum with another value", 3)
end

function metatable.__lt(left, right)
  local a, b = ordered(left, right)
  return a < b
end

function metatable.__le(left, right)
  local a, b = ordered(left, right)
  return a <= b
end

-- A new enum with these names (an array of different strings, which is kept); gives its first value.
local function enum_new(names)
  local values, positions = {}, {}
  local enum = { names = names, values = values, positions = positions }
  for position = 1, #names do
    local value = setmetatable({}, metatable)
    parts[value] = { enum = enum, position = position }
    values[position] = value
    positions[names[position]] = position
  end
  return values[1]
end

language.enum = enum_new

-- What `type` says of enums, and how messages carry them (see codec.lua): a copy is a new enum, whose values belong
-- together as the sender's did.
local record = {
  name = "enum", kind = 1, ordinal = true,
  parts = function(value)
    local part = parts[value]
    return part.enum, part.position
  end,
  strings = function(enum) return enum.names end,
  make = function(names)
    local seen = {}
    for position = 1, #names do
      if seen[names[position]] then return nil end
      seen[names[position]] = true
    end
    return enum_new(names)
  end,
  at = function(first, position) return parts[first].enum.values[position] end,
}
raw.type_names[metatable] = "enum"
raw.special[metatable], raw.kinds[record.kind] = record, record

return language
