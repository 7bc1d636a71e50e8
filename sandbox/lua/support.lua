-- What the parts of the library share: values of a private kind, checks of arguments, and host calls that can fail.
local raw, door, coroutines, _, parts = ...
local error, type, position, getinfo = raw.error, raw.type, coroutines.position, raw.getinfo
local type_names, sealed, public_type = raw.type_names, raw.sealed, raw.public_type
local math_tointeger, tonumber, select = raw.math_tointeger, raw.tonumber, raw.select
local getmetatable, rawget, rawequal = raw.getmetatable, raw.rawget, raw.rawequal
local next, string_gsub = raw.next, raw.string_gsub

--- Raises `text` with the script's position before it, also where the library function was called by Lua's own `pcall`.
local function raise(text)
  error(position() .. ": " .. text, 0)
end

-- Functions that a global of the environment calls last thing, so that their being a tail call says nothing of the script.
local behind_global = {}

--- The name by which Lua's messages call a function that was called by C: where the script's libraries have it.
local function qualified(func, name)
  for library, functions in next, parts.loaded do
    if functions ~= parts.loaded._G and rawequal(rawget(functions, name), func) then return library .. "." .. name end
  end
  return name
end

--- As `error`, for the caller of a library function. Where that was a tail call (as in `catch f()`), the frame of the
--- caller is gone: the position is then that of the script's nearest one.
local function complain(text, level)
  local info = getinfo(level - 1, "tfn")
  if info.istailcall and not behind_global[info.func] then return raise(text) end
  if not info.name then
    text = string_gsub(text, "^(bad argument #%d+ to ')([^']*)", function(before, name)
      return before .. qualified(info.func, name)
    end)
  end
  error(text, level)
end

-- Stands for an argument that is not there, of which Lua's messages say something else than of one that is nil.
local NOTHING <const> = {}

--- The argument at a position.
local function argument(position, ...)
  if select("#", ...) < position then return NOTHING end
  return (select(position, ...))
end

--- What Lua's messages call the type of a value: by the name that a script has given it, unless that is the one expected.
local function type_of(value, expected)
  if rawequal(value, NOTHING) then return "no value" end
  local metatable = type(value) == "table" and getmetatable(value)
  local name = metatable and not type_names[metatable] and rawget(metatable, "__name")
  return type(name) == "string" and name ~= expected and name or public_type(value)
end

--- Raises Lua's own text for a wrong argument, at the caller of the library function that calls this (or that ends with
--- a tail call of it, or of something that does).
local function bad_argument(position, func, expected, value, level)
  local got = type_of(value, expected)
  local what = " (" .. expected .. " expected, got " .. got .. ")"
  complain("bad argument #" .. position .. " to '" .. func .. "'" .. what, (level or 3) + 1)
end

--- Makes the private metatable of a new kind whose values don't travel: `name` is what `type` says, `label` what error
--- messages call it.
local function new_kind(name, label, metatable)
  local function refuse() error("attempt to index a " .. label .. " value", 2) end
  metatable.__metatable = label
  metatable.__name = label
  metatable.__index = metatable.__index or refuse
  metatable.__newindex = metatable.__newindex or refuse
  function metatable.__len() error("attempt to get length of a " .. label .. " value", 2) end
  function metatable.__pairs(value) bad_argument(1, "for iterator", "table", value, 4) end
  type_names[metatable] = name
  sealed[metatable] = label
  return metatable
end

--- The integer in `value`, converted as Lua's own library does.
local function check_integer(position, func, value, level)
  local integer = math_tointeger(value)
  if integer then return integer end
  if not tonumber(value) then return bad_argument(position, func, "number", value, level) end
  local what = " (number has no integer representation)"
  complain("bad argument #" .. position .. " to '" .. func .. "'" .. what, (level or 3) + 1)
end

--- The string in `value`, numbers converted as Lua's own library does.
local function check_string(position, func, value, level)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return value .. "" end
  return bad_argument(position, func, "string", value, level)
end

-- A host call that fails answers `false`; its text is fetched by a second call, so that no Python exception can ever
-- become a Lua value. Given the script's position, the text has it in it.

--- What becomes of a state whose message or arguments could not be encoded: the script's error, or the state's end if they
--- are larger than it may send.
local function cannot_send(problem, is_too_large)
  if is_too_large then
    door(TOO_LARGE)
    coroutines.leave()
  end
  raise(problem)
end

--- Raises the failure of the last call.
local function fail()
  error(door(LAST_ERROR, position()), 0)
end

--- A call whose failure is the script's error.
local function must(...)
  local answer = door(...)
  if answer == false then fail() end
  return answer
end

--- The failure as Lua's io library gives it: nil, text and error number; a denial is raised all the same.
local function outcome(answer)
  if answer ~= false then return answer end
  local number = door(LAST_ERRNO)
  if not number then fail() end
  return nil, door(LAST_ERROR), number
end

return {
  new_kind = new_kind, argument = argument, bad_argument = bad_argument, check_string = check_string,
  check_integer = check_integer, raise = raise, complain = complain, behind_global = behind_global, cannot_send = cannot_send,
  fail = fail, must = must, outcome = outcome,
}
