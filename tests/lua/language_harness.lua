-- Runs one emitted chunk in a bare state, with helpers over the standard library: gives what it printed, and at the
-- end "error: …" if it failed.
local language_source, text, helpers = ...
local raw = {
  error = error, pcall = pcall, type = type, tostring = tostring, public_tostring = tostring, rawget = rawget, setmetatable = setmetatable,
  getmetatable = debug.getmetatable, table_concat = table.concat, string_sub = string.sub,
  string_reverse = string.reverse, math_tointeger = math.tointeger,
  type_names = {}, special = {}, kinds = {},
}
local language = assert(load(language_source, "=language", "t"))(raw)
local output = {}
local function enum_parts(value)
  local record = raw.special[debug.getmetatable(value)]
  if not record then return end
  local enum, position = record.parts(value)
  return record.strings(enum), position, enum
end
local env = setmetatable({ enum_parts = enum_parts, real_tostring = tostring }, { __index = _G })
env._G = env
function env.print(...)
  local values = table.pack(...)
  for i = 1, values.n do values[i] = language.text(values[i]) end
  output[#output + 1] = table.concat(values, " ")
end
local chunk, message = load(text, "=script", "t", env)
if not chunk then return "load: " .. message end
assert(debug.getupvalue(chunk, 1) == "_ENV")
if helpers ~= "" then
  local functions = {}
  for name in helpers:gmatch("[%w_]+") do functions[#functions + 1] = assert(language[name], name) end
  chunk = chunk(table.unpack(functions))
end
local main = coroutine.create(chunk)
local ok, problem = coroutine.resume(main, "first", "second")
while ok and coroutine.status(main) == "suspended" do
  output[#output + 1] = "waited"
  ok, problem = coroutine.resume(main, "resumed")
end
if not ok then output[#output + 1] = "error: " .. tostring(problem) end
return table.concat(output, "\n")
