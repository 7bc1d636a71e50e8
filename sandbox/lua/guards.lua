-- What native/guards.c is where the native module is: the ordinary calls go to Lua's own function, and those that would
-- stay inside it for too long to bounded.lua. The pattern functions are in patterns.lua.
--
-- Lua's own functions say where they were called from, and that is here, which tells a script's author nothing. So
-- calls with wrong arguments are made by `failing`, and their errors get the script's position.
local raw, door, coroutines, _, parts = ...
local type, select, pcall, error, rawlen, rawget = raw.type, raw.select, raw.pcall, raw.error, raw.rawlen, raw.rawget
local math_tointeger, getmetatable = raw.math_tointeger, raw.getmetatable
local bounded, raise = parts.bounded, parts.support.raise
local string_find, string_gsub, string_gmatch = raw.string_find, raw.string_gsub, raw.string_gmatch

local insert, remove, move = raw.table_insert, raw.table_remove, raw.table_move
local concat, sort, rep = coroutines.own_concat, raw.table_sort, raw.string_rep
local counted = coroutines.counted -- from portable.lua, as is `own_concat`: with the native module, nothing here needs them

local MANY <const> = 500000
local LARGE <const> = 100000 -- bytes, for which garbage may have to be collected first

-- How the errors of these functions begin; any other is of a metamethod and stays as it is.
local BEGINNINGS <const> = "bad argument #|wrong number of|invalid value %(|resulting string|object length|too many|invalid conversion|invalid format|integral size|missing size"

local function settle(name, ok, ...)
  if ok then return ... end
  local problem = ...
  if type(problem) == "string" then
    for beginning in string_gmatch(BEGINNINGS, "[^|]+") do
      if string_find(problem, "^" .. beginning) then raise((string_gsub(problem, "to '%?'", "to '" .. name .. "'"))) end
    end
  end
  error(problem, 0)
end

--- A call that may well fail.
local function failing(name, own, ...)
  return settle(name, pcall(own, ...))
end

local function has_any_length(t)
  local metatable = getmetatable(t)
  return metatable and rawget(metatable, "__len") ~= nil
end

local function is_text(value)
  return value == nil or type(value) == "string" or type(value) == "number"
end

--- Of an argument that may be left out.
local function is_integer(value)
  return value == nil or math_tointeger(value)
end

local guards = { failing = failing, is_integer = is_integer }

function guards.insert(...)
  local count, t, position, value = select("#", ...), ...
  if type(t) == "table" then
    if count == 2 then return insert(t, position) end
    position = math_tointeger(position)
    if count == 3 and position then
      if has_any_length(t) then return bounded.insert(t, position, value) end
      if position > 0 and position <= rawlen(t) + 1 then return insert(t, position, value) end
    end
  end
  return failing("insert", insert, ...)
end

function guards.remove(...)
  local count, t, position = select("#", ...), ...
  if type(t) == "table" then
    if count == 1 then return remove(t) end
    position = math_tointeger(position)
    if position then
      if has_any_length(t) then return bounded.remove(t, position) end
      if position > 0 and position <= rawlen(t) + 1 then return remove(t, position) end
    end
  end
  return failing("remove", remove, ...)
end

function guards.move(...)
  local from, first, last, target, to = ...
  if type(from) == "table" and (to == nil or type(to) == "table") then
    first, last, target = math_tointeger(first), math_tointeger(last), math_tointeger(target)
    if first and last and target then
      local length = last - first
      if first > last or length >= 0 and length <= MANY and target + length >= target then
        return move(from, first, last, target, to or from)
      end
      if length > MANY and length + 1 > length and target + length >= target then
        return bounded.move(from, first, last, target, to)
      end
    end
  end
  return failing("move", move, ...)
end

function guards.concat(...)
  local t, separator, first, last = ...
  if type(t) == "table" and is_text(separator) and is_integer(first) and is_integer(last) then
    if has_any_length(t) or last and math_tointeger(last) > MANY then
      return bounded.concat(t, separator, first, last)
    end
  end
  return counted(failing("concat", concat, ...))
end

function guards.sort(...)
  local t, less = ...
  if type(t) == "table" and (less == nil or type(less) == "function") then
    if rawlen(t) > MANY or has_any_length(t) then return bounded.sort(t, less) end
    return sort(t, less)
  end
  return failing("sort", sort, ...)
end

function guards.rep(...)
  local s, count, separator = ...
  count = s ~= nil and is_text(s) and math_tointeger(count)
  if count and count > 1 and is_text(separator) then
    local bytes = (0.0 + #(s .. "")) * count
    if separator then bytes = bytes + (0.0 + #(separator .. "")) * (count - 1) end
    if bytes > raw.max_string then raise("resulting string too large") end
    if bytes > LARGE then door(MAKE_ROOM, bytes) end
    return counted(rep(s, count, separator))
  end
  return counted(failing("rep", rep, ...))
end

--- Whether `string.format` might show an address; identity.lua knows.
local function may_show_address(format, ...)
  if type(format) == "string" and string_find(format, "p", 1, true) then return true end
  local values = { ... }
  for i = 1, select("#", ...) do
    local kind = type(values[i])
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "nil" then return true end
  end
  return false
end

function guards.format(...)
  if may_show_address(...) then return counted(parts.identity.format(...)) end
  return counted(failing("format", raw.string_format, ...))
end

function guards.pack(...)
  return counted(failing("pack", raw.string_pack, ...))
end

function guards.reverse(...)
  return counted(failing("reverse", raw.string_reverse, ...))
end

function guards.upper(...)
  return counted(failing("upper", parts.own.upper, ...))
end

function guards.lower(...)
  return counted(failing("lower", parts.own.lower, ...))
end

return guards
