-- The basic functions: Lua's own where they are harmless, guarded where they reach the outside or the host.
local raw, kinds, door, parts = ...
local error, type, rawget, select = raw.error, raw.type, raw.rawget, raw.select
local getmetatable, setmetatable, concat = raw.getmetatable, raw.setmetatable, raw.table_concat
local text = kinds.text

local base = {
  _VERSION = "Lua 5.5", assert = raw.assert, error = raw.error, next = raw.next, pcall = raw.pcall,
  rawequal = raw.rawequal, rawget = raw.rawget, rawlen = raw.rawlen, rawset = raw.rawset, select = raw.select,
  type = kinds.type, xpcall = raw.xpcall,
}

function base.tostring(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 2) end
  return text((...), 1)
end

-- An enum's number is its position. The checks are Lua's own, said at the script's position.
function base.tonumber(...)
  local value, numeral_base = ...
  local kind = type(value)
  if kind == "table" then
    local sendable = raw.special[getmetatable(value)]
    if sendable and sendable.ordinal then
      local _, position = sendable.parts(value)
      return position
    end
  elseif kind == "nil" and select("#", ...) == 0 then
    error("bad argument #1 to 'tonumber' (value expected)", 2)
  end
  if numeral_base == nil then return raw.tonumber(value) end
  local integer = parts.support.check_integer(2, "tonumber", numeral_base)
  if kind ~= "string" then parts.support.bad_argument(1, "tonumber", "string", value) end
  if integer < 2 or integer > 36 then error("bad argument #2 to 'tonumber' (base out of range)", 2) end
  return raw.tonumber(value, integer)
end

-- A finaliser runs when the collector likes, also while the state is being closed, where nothing can stop it. Lua looks
-- for the field only here, so refusing it here is complete. The rest is what Lua checks, said at the script's position.
function base.setmetatable(...)
  local t, metatable = ...
  if type(t) ~= "table" then
    local support = parts.support
    support.bad_argument(1, "setmetatable", "table", support.argument(1, ...))
  end
  if metatable ~= nil or select("#", ...) == 1 then
    if type(metatable) ~= "table" then
      local support = parts.support
      support.bad_argument(2, "setmetatable", "nil or table", support.argument(2, ...))
    end
    if rawget(metatable, "__gc") ~= nil then
      error("__gc metamethods do not exist in the sandbox (use a to-be-closed variable)", 2)
    end
  end
  local old = getmetatable(t)
  if old and rawget(old, "__metatable") ~= nil then error("cannot change a protected metatable", 2) end
  return setmetatable(t, metatable)
end

--- # Other functions of Lua

--- `print(value, ...)`
--- Writes the values, with tabs between them, and a line end: in one piece, so that lines of several states never mix.
---
--- Errors: none.
--- Pledge: none.
function base.print(...)
  local count = select("#", ...)
  local line
  if count == 1 then
    line = text((...), 2)
  else
    local parts = { ... }
    for i = 1, count do parts[i] = text(parts[i], 2) end
    line = concat(parts, "\t", 1, count)
  end
  door(WRITE, 1, line .. "\n")
end

return base
