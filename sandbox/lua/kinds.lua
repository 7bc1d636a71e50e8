-- Values that are no plain tables to a script, though they are tables to Lua: worker handles, files, enums. All tables
-- of one kind share one private metatable, which `raw.type_names` maps to the name that `type` gives. A script can't
-- get at such a metatable (`__metatable` locks it), so it can't forge a value of the kind; the value's data lie in a weak
-- side table, so there is nothing in the table itself to read or to overwrite. A real userdata would be as safe, but stock
-- Lua has no way to make one from inside.
local raw, parts = ...
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
--- Where Lua would show an address, identity.lua has something else to show. `level` as for `error`, counted from the caller.
local function text(value, level)
  local metatable = getmetatable(value)
  local convert = metatable and rawget(metatable, "__tostring")
  if convert == nil then
    local kind = type(value)
    if kind == "number" or kind == "string" or kind == "boolean" or kind == "nil" then return tostring(value) end
    return parts.identity.text(value, metatable)
  end
  -- So odd (a callable table, nothing that can be called) that Lua may deal with it alone.
  if type(convert) ~= "function" then return tostring(value) end
  local converted = convert(value)
  local kind = type(converted)
  if kind == "string" then return converted end
  if kind == "number" then return converted .. "" end
  error("'__tostring' must return a string", level + 1)
end

return { type = public_type, text = text }
