-- Checks of arguments that the functions on lists share, in the words of Lua's own.
local raw, _, _, _, parts = ...
local support = parts.support
local type, rawget, getmetatable, math_tointeger = raw.type, raw.rawget, raw.getmetatable, raw.math_tointeger
local public_type, bad_argument, complain = raw.public_type, support.bad_argument, support.complain

--- The length of the list in `value`, which its `__len` may say.
local function check_list(position, func, value, level)
  if public_type(value) ~= "table" then return bad_argument(position, func, "table", value, level) end
  local length = math_tointeger(#value)
  if length then return length end
  complain("object length is not an integer", (level or 3) + 1)
end

--- Sees to it that `value` can be called.
local function check_function(position, func, value)
  if type(value) == "function" then return end
  local metatable = getmetatable(value)
  if metatable and rawget(metatable, "__call") ~= nil then return end
  return bad_argument(position, func, "function", value)
end

--- Raises Lua's own text for an element that a function on lists has no use for.
local function bad_element(index, func, level)
  complain("invalid value (at index " .. index .. ") in table for '" .. func .. "'", (level or 3) + 1)
end

return { check_list = check_list, check_function = check_function, bad_element = bad_element }
