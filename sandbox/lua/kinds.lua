-- Values that are no plain tables to a script, though they are tables to Lua: worker handles, files, enums. All tables of
-- one kind share one private metatable, which `raw.type_names` maps to the name that `type` gives. A script can't get at such
-- a metatable (`__metatable` locks it), so it can't forge a value of the kind; the value's data lie in a weak side
-- table, so there is nothing in the table itself to read or to overwrite. A real userdata would be as safe, but stock
-- Lua has no way to make one from inside.
local raw = ...
local error, type, select, rawget, tostring = raw.error, raw.type, raw.select, raw.rawget, raw.tostring
local type_names, getmetatable = raw.type_names, raw.getmetatable

--- What `type` is for scripts: Lua's own, except for the values of a private kind.
local function public_type(...)
  local name = type((...))
  if name == "table" then
    local metatable = getmetatable((...))
    return metatable and type_names[metatable] or name
  end
  if name == "nil" and select("#", ...) == 0 then error("bad argument #1 to 'type' (value expected)", 2) end
  return name
end

--- What `tostring` is for scripts. A `__tostring` metamethod is called from Lua rather than from C, so it may wait.
local function text(value, level)
  local metatable = getmetatable(value)
  local convert = metatable and rawget(metatable, "__tostring")
  if convert == nil then return tostring(value) end
  local converted = convert(value)
  local kind = type(converted)
  if kind == "string" then return converted end
  if kind == "number" then return converted .. "" end
  error("'__tostring' must return a string", level or 3)
end

--- Makes the private metatable of a new kind whose values don't travel: `name` is what `type` says, `label` what error
--- messages call it.
local function new_kind(name, label, metatable)
  local function refuse() error("attempt to index a " .. label .. " value", 2) end
  metatable.__metatable = label
  metatable.__name = label
  metatable.__index = metatable.__index or refuse
  metatable.__newindex = metatable.__newindex or refuse
  type_names[metatable] = name
  raw.sealed[metatable] = label
  return metatable
end

--- Raises Lua's own text for a wrong argument, at the caller of the library function that calls this (or that ends with
--- a tail call of it, or of something that does).
local function bad_argument(position, func, expected, value, level)
  local got = value == nil and "nil" or public_type(value)
  error("bad argument #" .. position .. " to '" .. func .. "' (" .. expected .. " expected, got " .. got .. ")", level or 3)
end

--- The string in `value`, numbers converted as Lua's own library does.
local function check_string(position, func, value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return value .. "" end
  return bad_argument(position, func, "string", value)
end

return {
  type = public_type, text = text, new_kind = new_kind, bad_argument = bad_argument, check_string = check_string,
}
